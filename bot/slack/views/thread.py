"""What the thread of a run is told: only what somebody would want to have been told. Healthy steps pass in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.slack.views.parts import Message, said
from bot.slack.views.text import channel, code, duration, escape, inline, person
from bot.slack.views.words import changed_here, spent_words, step_took
from engine.definition.kinds import kind_of
from engine.orchestration import changes
from storage.records import EventRecord, ExecutionRecord
from storage.states import Decision, ExecutionStatus, Phase

if TYPE_CHECKING:
    from engine.runs.executions import ExecutionView, GateView

_TOLD_BY_OTHERS = {"rejected", "approval_timeout", "marked_failed"}
"""Failures that a person's vote, a gate's end or a person's word has told of already."""
_NAMED = 10
"""People named in one line."""
_BY_HAND = "paused by hand"
"""What the engine notes where nobody gave a reason."""
_WORTH_TELLING_MS = 1_000
_LONG_RETRY_MS = 30_000
"""A retry is worth a line from the second failure on, or when the wait is at least this long."""


def line(event: EventRecord, view: ExecutionView) -> str | None:
    """One event as mrkdwn, or None where the card says enough.

    What asks people something, and a `message` step, are messages of their own.
    """
    if event.kind == "ended":
        return ended(event, view)
    if event.kind == "started":
        return _replayed(event, view.execution)
    told = _LINES.get(event.kind)
    return told(event, view.execution) if told is not None else None


def message(event: EventRecord) -> Message:
    """What a `message` step says."""
    return said(_text(event, "text", 3000) or "–")


def unposted(event: EventRecord, where: str, why: str = "") -> Message:
    """The same, where it could not be posted in its channel: `why` is a sentence, "" where the bot is not there."""
    because = f". {escape(why, 600)}" if why else ": this bot is not there."
    trouble = f"⚠️ {_step(event)} could not be posted in {channel(where)}{because} It says:"
    return said(f"{trouble}\n{_text(event, 'text', 2800)}")


def _text(event: EventRecord, name: str, limit: int = 1200) -> str:
    value = event.data.get(name) if isinstance(event.data, dict) else None
    return escape(value, limit) if isinstance(value, str) else ""


def _number(event: EventRecord, name: str) -> int:
    value = event.data.get(name) if isinstance(event.data, dict) else None
    return int(value) if isinstance(value, int | float) else 0


def _step(event: EventRecord) -> str:
    return f"*{inline(event.path or 'a step', 120)}*"


def _because(text: str) -> str:
    return f": {text}" if text else "."


def _retrying(event: EventRecord, _: ExecutionRecord) -> str | None:
    attempt, delay = _number(event, "attempt"), _number(event, "delay_ms")
    if attempt < 2 and delay < _LONG_RETRY_MS:
        return None
    why = _because(_text(event, "message", 400))
    times = "once" if attempt == 1 else f"{attempt} times"
    return f"🔁 {_step(event)} failed {times}; next try in {duration(delay)}{why}"


def _failed(event: EventRecord, _: ExecutionRecord) -> str | None:
    if _text(event, "code") in _TOLD_BY_OTHERS:
        return None
    tries = f" after {_number(event, 'attempt')} tries" if _number(event, "attempt") > 1 else ""
    return f"❌ {_step(event)} failed{tries}{_because(_text(event, 'message'))}"


def _unknown(event: EventRecord, _: ExecutionRecord) -> str:
    return f"❓ {_step(event)} was sent and nobody saw how it ended. The card has the choice.{_tail(event, 'message')}"


def _resolved(event: EventRecord, _: ExecutionRecord) -> str:
    did = {"retry": "had it tried again", "done": "marked it done", "failed": "marked it failed"}
    choice = did.get(_text(event, "choice"), "decided")
    return f"🧭 {_step(event)}: {person(event.actor)} {choice}{_because(_text(event, 'note', 600))}"


def _vote(event: EventRecord, _: ExecutionRecord) -> str:
    approved = _text(event, "decision").upper() == Decision.APPROVE
    count = f" ({_number(event, 'approvals')} of {_number(event, 'needed')})" if approved else ""
    icon, did = ("👍", "approved") if approved else ("👎", "rejected")
    return f"{icon} {person(event.actor)} {did} {_step(event)}{count}{_because(_text(event, 'comment', 600))}"


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
    return "❌ Failed", _because(escape(str(error.get("message", "")), 800))


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


def _tail(event: EventRecord, name: str) -> str:
    text = _text(event, name, 600)
    return f"\n{text}" if text else ""


def _skipped(event: EventRecord, _: ExecutionRecord) -> str | None:
    """A step that its own condition skipped is no news; one that a person skipped is."""
    if event.actor is None:
        return None
    why = _text(event, "reason").partition(": ")[2]
    return f"⏭️ {person(event.actor)} skipped {_step(event)}{_because(why)}"


def _retried(event: EventRecord, _: ExecutionRecord) -> str:
    changed = isinstance(event.data, dict) and event.data.get("changed")
    what = changed_here(changes.of_event(event))
    how = f" with other parameters{f' ({what})' if what else ''}" if changed else ""
    return f"🔁 {person(event.actor)} had {_step(event)} tried again{how}{_because(_text(event, 'reason', 600))}"


def _replayed(event: EventRecord, execution: ExecutionRecord) -> str | None:
    """That a run began is what its card says; a replay with other values than before is news."""
    what = changed_here(changes.of_event(event))
    if not what:
        return None
    return f"🔁 {person(event.actor)} replayed {code(str(execution.replay_of))} with other parameters ({what})."


def _paused(event: EventRecord, _: ExecutionRecord) -> str:
    who = f"{person(event.actor)} paused this run" if event.actor else "Paused"
    why = _text(event, "reason")
    return f"⏸️ {who}{_because('' if why == _BY_HAND else why)}"


def _resumed(event: EventRecord, _: ExecutionRecord) -> str:
    return f"▶️ {person(event.actor)} resumed this run{_because(_text(event, 'reason'))}"


def _offered(event: EventRecord, _: ExecutionRecord) -> str:
    """An offer itself is a message with a button."""
    return f"🤝 {person(event.actor)} took back the offer of this run{_because(_text(event, 'reason'))}"


def _handed_over(event: EventRecord, _: ExecutionRecord) -> str:
    was = event.data.get("was") if isinstance(event.data, dict) else None
    return f"🤝 {person(event.actor)} took this run over from {person(was)}{_because(_text(event, 'reason'))}"


def _marked(event: EventRecord, _: ExecutionRecord) -> str:
    asked = f"⏭️ {person(event.actor)} wants {_step(event)} skipped, which is done when its turn comes"
    return f"{asked}{_because(_text(event, 'reason'))}"


def _agreed(event: EventRecord, _: ExecutionRecord) -> str:
    by = event.data.get("by") if isinstance(event.data, dict) else None
    return f"👍 {person(event.actor)} agreed that {_step(event)} is skipped, as {person(by)} asked."


def _bypassed(event: EventRecord, _: ExecutionRecord) -> str:
    gates = event.data.get("gates") if isinstance(event.data, dict) else None
    lacking = ", ".join(f"*{inline(str(each), 120)}*" for each in gates) if isinstance(gates, list) else "a gate"
    return (
        f"🚨 This run was ended: {_step(event)} was about to begin, and {lacking} had not let it on. Nothing of it was "
        "done. This should not be possible: whoever runs this bot has to look into it."
    )


def look_again(event: EventRecord, gate: GateView) -> str:
    """The word that a gate asks something else than before, to those whose votes that voids."""
    void = event.data.get("void") if isinstance(event.data, dict) else None
    voters = [person(str(each)) for each in void[:_NAMED]] if isinstance(void, list) else []
    changed = f"🔄 What *{inline(gate.approval.path, 120)}* asks has changed"
    if not voters:
        return f"{changed}: please look again before you decide."
    votes = "vote of {} is" if len(voters) == 1 else "votes of {} are"
    return f"{changed}; the {votes.format(', '.join(voters))} void. Please look again."


def _phase(event: EventRecord, _: ExecutionRecord) -> str | None:
    phase = _text(event, "phase")
    return _PHASES[Phase(phase)] if phase in set(_PHASES) else None


def _queued(event: EventRecord, _: ExecutionRecord) -> str:
    behind = event.data.get("behind") if isinstance(event.data, dict) else None
    ahead = ", ".join(code(str(each), 40) for each in behind) if isinstance(behind, list) else ""
    return f"⏳ Queued for {code(_text(event, 'group', 200))}{f', behind {ahead}' if ahead else ''}."


def _child(event: EventRecord, _: ExecutionRecord) -> str:
    return f"🧩 {_step(event)} started {code(_text(event, 'execution', 40))} ({code(_text(event, 'runbook', 100))})."


_PHASES = {
    Phase.UNDO: "↩️ Undoing what was done.",
    Phase.ON_FAILURE: "🧯 Running the steps for a failure.",
    Phase.FINALLY: "🧹 Running the steps that always run.",
}
_LINES: dict[str, Callable[[EventRecord, ExecutionRecord], str | None]] = {
    "step_retrying": _retrying,
    "step_failed": _failed,
    "step_unknown": _unknown,
    "step_resolved": _resolved,
    "step_taken_over": lambda event, _: f"🔧 The worker that ran {_step(event)} is gone; another one took over.",
    "vote": _vote,
    "gate_expired": lambda event, _: f"⌛ Nobody decided {_step(event)} in time.",
    "late_result": lambda event, _: f"📨 A late answer came for {_step(event)}{_because(_text(event, 'message'))}",
    "vote_withdrawn": lambda event, _: f"↩️ {person(event.actor)} took their vote on {_step(event)} back.",
    "step_retried": _retried,
    "step_skipped": _skipped,
    "paused": _paused,
    "resumed": _resumed,
    "queued": _queued,
    "phase_started": _phase,
    "child_started": _child,
    "event_received": lambda event, _: f"📨 The event came that {_step(event)} waited for.",
    "quarantined": lambda event, _: f"❌ This run cannot go on and has ended{_because(_text(event, 'message'))}",
    "timed_out": lambda *_: "⌛ The time for running is used up.",
    "cleanup_ended": lambda event, _: f"⛔ {person(event.actor)} ended the cleanup{_because(_text(event, 'reason'))}",
    "handover_offered": _offered,
    "handed_over": _handed_over,
    "skip_marked": _marked,
    "skip_agreed": _agreed,
    "skip_dropped": lambda event, _: f"⏭️ {_step(event)} is not skipped after all{_because(_text(event, 'reason'))}",
    "gate_bypassed": _bypassed,
    "cancel_requested": lambda event, _: f"⛔ {person(event.actor)} asked to cancel{_because(_text(event, 'reason'))}",
}
