"""What the thread of a run is told: only what somebody would want to have been told. Healthy steps pass in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.event_text import sentence
from bot.sentences import THE_BOT, Part, Role, Sentence
from bot.slack.views.parts import Message, said, sections
from bot.slack.views.parts import message as message_of
from bot.slack.views.text import channel, code, duration, escape, inline, person
from bot.slack.views.words import changed_here, spent_words, step_took
from engine.definition.kinds import kind_of
from engine.orchestration import parameter_changes
from storage.records import EventRecord, ExecutionRecord
from storage.states import Decision, ExecutionStatus, Phase

if TYPE_CHECKING:
    from engine.runs.executions import ExecutionView

_TOLD_BY_OTHERS = {"rejected", "approval_timeout", "marked_failed", "could_not", "manual_timeout"}
"""Failures that a person's vote, a gate's end or a person's word has told of already."""
_WORTH_TELLING_MS = 1_000
_LONG_RETRY_MS = 30_000
"""A retry is worth a line from the second failure on, or when the wait is at least this long."""
_QUOTED = 1_200
"""Characters of what somebody or something said, in one line."""


def line(event: EventRecord, view: ExecutionView) -> str | None:
    """One event as mrkdwn, or None where the card says enough.

    What asks people something, and a `message` step, are messages of their own.
    """
    if event.kind == "ended":
        return ended(event, view)
    is_news = _WORTH.get(event.kind)
    if event.kind not in _ICONS or (is_news is not None and not is_news(event)):
        return None
    told = f"{_icon(event)} {_with_stop(_sentence(event))}"
    return f"{told}\n{_HINTS[event.kind]}" if event.kind in _HINTS else told


def _sentence(event: EventRecord) -> Sentence:
    return sentence(event.kind, event.path, event.actor, event.data)


def mrkdwn(told: Sentence) -> str:
    """A sentence as mrkdwn, with a capital."""
    text = "".join(part if isinstance(part, str) else _marked(part) for part in told)
    return text[:1].upper() + text[1:]


def _marked(part: Part) -> str:
    match part.role:
        case Role.STEP:
            return f"*{inline(str(part.value), 120)}*"
        case Role.PERSON:
            return person(part.value) if part.value else THE_BOT
        case Role.NAME:
            return code(str(part.value), 200)
        case Role.CHANGES:
            return changed_here(part.value)
    return escape(str(part.value), _QUOTED)


def _with_stop(told: Sentence) -> str:
    """The sentence with a full stop, unless it ends with what somebody else said."""
    last = told[-1] if told else ""
    return mrkdwn(told) + ("" if isinstance(last, Part) and last.role is Role.QUOTE else ".")


def message(event: EventRecord) -> Message:
    """What a `message` step says, or how it begins where the rest is a file."""
    if not has_file(event):
        return said(_marked_up(event) or _text(event, "text", 3000) or "–")
    return said("\n".join(filter(None, [_marked_up(event), f"📎 {_step(event)} says it in the file below."])))


def has_file(event: EventRecord) -> bool:
    """Whether what a message says is shared as a file."""
    return isinstance(event.data, dict) and event.data.get("file") is True


def _marked_up(event: EventRecord) -> str:
    """The mrkdwn of a message, which the engine has made safe; "" where its text is all."""
    value = event.data.get("said") if isinstance(event.data, dict) else None
    return value if isinstance(value, str) else ""


def file_missing(event: EventRecord, why: str) -> Message:
    """The word that the file of a message could not be shared, `why` in Slack's words."""
    where = f"`logs` of this run with {code(event.path or '', 120)} shows all of it"
    return said(f"⚠️ What {_step(event)} says could not be shared as a file ({code(why, 100)}): {where}.")


def unposted(event: EventRecord, where: str, why: str = "") -> Message:
    """The same, where it could not be posted in its channel: `why` is a sentence, "" where the bot is not there."""
    because = f". {escape(why, 600)}" if why else ": this bot is not there."
    trouble = f"⚠️ {_step(event)} could not be posted in {channel(where)}{because} It says"
    if has_file(event):
        return said(f"{trouble} what is in the file below.")
    text = _text(event, "text", 3000)
    return message_of(f"{trouble}:\n{text}", sections([f"{trouble}:", text]))


def _text(event: EventRecord, name: str, limit: int = 1200) -> str:
    value = event.data.get(name) if isinstance(event.data, dict) else None
    return escape(value, limit) if isinstance(value, str) else ""


def _number(event: EventRecord, name: str) -> int:
    value = event.data.get(name) if isinstance(event.data, dict) else None
    return int(value) if isinstance(value, int | float) else 0


def _step(event: EventRecord) -> str:
    return f"*{inline(event.path or 'a step', 120)}*"


def ended(event: EventRecord, view: ExecutionView) -> str:
    """The summary: how it ended, how long it ran, waited and was paused, and which steps took longest."""
    execution = view.execution
    spent = spent_words(execution)
    took = duration((execution.ended_at or event.at) - execution.created_at) + (f" ({spent})" if spent else "")
    result, rest = _result(event, execution)
    return "\n".join(part for part in (f"{result} after {took}{rest}", _longest(view)) if part)


def _result(event: EventRecord, execution: ExecutionRecord) -> tuple[str, str]:
    """How it ended, and what follows the duration."""
    status = _text(event, "status")
    if status == ExecutionStatus.SUCCESS:
        return "✅ Succeeded", "."
    if status == ExecutionStatus.CANCELLED:
        return "⛔ Cancelled", "."
    error = execution.error if isinstance(execution.error, dict) else {}
    if error.get("step"):
        return "❌ Failed", f", at *{inline(str(error['step']), 120)}*."
    why = escape(str(error.get("message", "")), 800)
    return "❌ Failed", f": {why}" if why else "."


def _longest(view: ExecutionView) -> str:
    """The steps that took longest, where there is something to choose from."""
    took = [
        (step.ended_at - step.started_at, step.path, step)
        for step in view.steps
        if step.started_at is not None and step.ended_at is not None and not kind_of(step).is_container
    ]
    slow = [each for each in sorted(took, key=lambda each: each[:2], reverse=True)[:3] if each[0] >= _WORTH_TELLING_MS]
    if len(took) < 2 or not slow:
        return ""
    return f"Longest: {', '.join(f'{code(path, 120)} {step_took(view, step)}' for _, path, step in slow)}."


def look_again(event: EventRecord) -> str:
    """The word that a gate asks something else than before, to those whose votes that voids."""
    if _void(event):
        return f"🔄 {mrkdwn(_sentence(event))}. Please look again."
    return f"🔄 {mrkdwn(_sentence(event))}: please look again before you decide."


def _void(event: EventRecord) -> bool:
    return isinstance(event.data, dict) and bool(event.data.get("void"))


def _is_unchecked(event: EventRecord) -> bool:
    return isinstance(event.data, dict) and bool(event.data.get("unchecked"))


def _icon(event: EventRecord) -> str:
    by_fact = {"vote": _VOTES, "phase_started": _PHASES}.get(event.kind, {})
    fact = {"vote": "decision", "phase_started": "phase"}.get(event.kind, "")
    return by_fact.get(_text(event, fact), _ICONS[event.kind])


def _retry_is_news(event: EventRecord) -> bool:
    return _number(event, "attempt") >= 2 or _number(event, "delay_ms") >= _LONG_RETRY_MS


_VOTES = {Decision.APPROVE.value: "👍", Decision.REJECT.value: "👎"}
_PHASES = {Phase.UNDO.value: "↩️", Phase.ON_FAILURE.value: "🧯", Phase.FINALLY.value: "🧹"}
_ICONS = {
    "started": "🔁",
    "step_retrying": "🔁",
    "step_failed": "❌",
    "step_unknown": "❓",
    "step_resolved": "🧭",
    "step_taken_over": "🔧",
    "vote": "👎",
    "gate_expired": "⌛",
    "task_done": "🖐️",
    "task_failed": "❌",
    "task_expired": "⌛",
    "late_result": "📨",
    "vote_withdrawn": "↩️",
    "step_retried": "🔁",
    "step_skipped": "⏭️",
    "paused": "⏸️",
    "resumed": "▶️",
    "queued": "⏳",
    "phase_started": "🧹",
    "child_started": "🧩",
    "event_received": "📨",
    "quarantined": "❌",
    "longer_than_expected": "🐢",
    "timed_out": "⌛",
    "cleanup_ended": "⛔",
    "handover_offered": "🤝",
    "handed_over": "🤝",
    "skip_marked": "⏭️",
    "skip_agreed": "👍",
    "skip_dropped": "⏭️",
    "gate_bypassed": "🚨",
    "cancel_requested": "⛔",
}
"""The events that have a line, each with what stands before it."""
_WORTH: dict[str, Callable[[EventRecord], bool]] = {
    "started": lambda event: bool(parameter_changes.of_event(event)) or _is_unchecked(event),
    "step_retrying": _retry_is_news,
    "step_failed": lambda event: _text(event, "code") not in _TOLD_BY_OTHERS,
    "step_skipped": lambda event: event.actor is not None,
    "phase_started": lambda event: _text(event, "phase") in _PHASES,
    "handover_offered": lambda event: not _text(event, "to"),
}
"""Of events that are news only sometimes, when they are: a card says that a run began, and an offer is a message."""
_HINTS = {"step_unknown": "The card has the choice."}
