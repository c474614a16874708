"""Why a run is where it is, and what the policy says, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block

from bot.slack.views.parts import Message, context, header, message, said, sections, within
from bot.slack.views.text import as_json, code, code_block, escape, group, inline, is_person, person, when
from bot.slack.views.words import execution_words, last_changes
from storage.records import ExecutionRecord, Json

if TYPE_CHECKING:
    from engine.queries.can import Ruling
    from engine.queries.explain import Explanation, Reason

MOST_NAMED, _ROOM = 8, 9_000
"""People that are named, and characters for all reasons: Slack refuses messages of about 13,000."""
_THEN = {"approve": "it counts as approved", "reject": "it counts as rejected"}
_PHASES = {"main": "its running steps finish", "undo": "undoing what was done", "on_failure": "handling the failure"}
_AT_STEPS = ("approve", "reject", "retry", "skip", "agree", "resolve", "done", "could-not")
_RESULTS = {"FAILED": "failing", "CANCELLED": "being cancelled", "SUCCESS": "finishing"}


def why_view(explained: Explanation, command: str) -> Message:
    """What the run does or waits for, one paragraph a thing, with who can act and what to type."""
    run = explained.execution
    title = f"{run.slug}@{run.number} · {run.id} · {execution_words(run)[1]}"
    told = [_reason_text(each, run, command) for each in explained.reasons]
    blocks: list[Block] = [header(title), *sections(within(told, _ROOM))]
    blocks += [context(f"{explained.more} more steps are under way.")] if explained.more else []
    facts = [f"started by {person(run.requester)} {when(run.created_at)}"]
    facts += [f"because: {inline(run.reason, 300)}"] if run.reason else []
    facts += [f"now with {person(run.owner)}"] if run.owner else []
    facts += [f"offered to {person(run.offered_to)}"] if run.offered_to and not run.status.ended else []
    facts += last_changes(explained.changes)
    return message(inline(title), [*blocks, context(" · ".join(facts))])


def reason_line(reason: Reason) -> str:
    """One reason as one sentence, without who can act."""
    return _SENTENCES[reason.kind](reason)


def people(ids: Iterable[str]) -> str:
    """People and user groups as links, which ring nobody in a private message."""
    told = [person(each) if is_person(each) else group(each) for each in ids]
    return ", ".join(told[:MOST_NAMED]) + (f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else "")


def _reason_text(reason: Reason, run: ExecutionRecord, command: str) -> str:
    lines = [reason_line(reason)]
    if reason.message and reason.kind not in _SAY_THEMSELVES:
        lines.append(f"> {inline(reason.message, 600)}")
    answer = reason.facts.get("response")
    if isinstance(answer, dict) and answer.get("body"):
        status = code(str(answer.get("status", answer.get("code", ""))), 20)
        lines.append(f"The answer was {status}:\n{code_block(str(answer['body']), 700)}")
    if reason.verbs:
        who = f"{people(reason.who)} can" if reason.who else "What can be done:"
        lines.append(f"{who} {', '.join(code(_spoken(verb, reason, run, command), 200) for verb in reason.verbs)}")
    return "\n".join(lines)


def _spoken(verb: str, reason: Reason, run: ExecutionRecord, command: str) -> str:
    """The words to type, with what the verb needs."""
    step = f" {reason.path}" if reason.path and verb in _AT_STEPS else ""
    name, _, option = verb.partition(" ")
    tail = {"resolve": ' done note="…"', "skip": ' reason="…"', "reject": ' comment="…"', "could-not": ' note="…"'}.get(
        name, f" {option}" if option else ""
    )
    return f"{command} {name} {run.id}{step}{tail}"


def _step(reason: Reason) -> str:
    return f"*{inline(reason.path or 'the run', 120)}*"


def _since(reason: Reason) -> str:
    return f" since {when(reason.since)}" if reason.since else ""


def _until(reason: Reason, words: str) -> str:
    return f", {words} {when(reason.until)}" if reason.until else ""


def _names(value: Json) -> str:
    return ", ".join(code(str(each), 40) for each in value) if isinstance(value, list) else ""


def _queued(reason: Reason) -> str:
    facts = reason.facts
    behind = _names(facts["holders"]) or "nobody any more"
    before = f", and after {_names(facts['queued_before'])} in the queue" if facts["queued_before"] else ""
    return f"⏳ *Queued* for {code(str(facts['group']), 200)}{_since(reason)}, behind {behind}{before}."


def _gate(reason: Reason) -> str:
    facts = reason.facts
    votes = ", ".join(
        f"{person(vote['person'])} {vote['decision'].lower()}d"
        for vote in facts["votes"]
        if vote["decision"] == "APPROVE"
    )
    had = f" ({votes})" if votes else ""
    more = f"{facts['missing']} more approval{'' if facts['missing'] == 1 else 's'}"
    among = f", among them {inline(', '.join(facts['unmet']), 300)}" if facts["unmet"] else ""
    then = _THEN.get(str(facts["then"]), "the run fails")
    before = ", ".join(person(vote["person"]) for vote in facts.get("rejected_before", []))
    rejected = f" Rejected before by {before}." if before else ""
    waits = f"{_step(reason)} waits for {more}{among}{_since(reason)}{had}{_until(reason, 'until')}"
    return f"✋ {waits}; then {then}.{rejected}"


def _skip_asked(reason: Reason) -> str:
    gates = ", ".join(f"*{inline(str(each), 120)}*" for each in reason.facts["gates"])
    by = person(reason.facts["by"])
    return f"⏭️ {by} asks to skip {_step(reason)}{_since(reason)}: one who decides at {gates} has to agree."


def _offered(reason: Reason) -> str:
    return f"🤝 It is offered by {person(reason.facts['by'])} to {people(reason.who)}, who has not taken it over yet."


def _event(reason: Reason) -> str:
    key = code(str(reason.facts["key"]), 200)
    return f"✋ {_step(reason)} waits for an event with the key {key}{_since(reason)}{_until(reason, 'until')}."


def _retrying(reason: Reason) -> str:
    tries = reason.facts["tries"]
    times = "once" if tries == 1 else f"{tries} times"
    return f"🔁 {_step(reason)} failed {times} and is tried again {when(reason.until)}."


def _checking(reason: Reason) -> str:
    looks = f"looked {reason.facts['tries']} times, next look {when(reason.facts['next'])}"
    until = _until(reason, "at the latest")
    return f"🔎 {_step(reason)} waits until what it polls comes true{_since(reason)}: {looks}{until}."


def _running(reason: Reason) -> str:
    tries = reason.facts["tries"]
    return (
        f"▶️ {_step(reason)} is running{_since(reason)}{f', try {tries}' if tries > 1 else ''}{_until(reason, 'until')}."
    )


def _paused(reason: Reason) -> str:
    by = reason.facts["by"]
    return f"⏸️ *Paused*{f' by {person(by)}' if by else ''}{_since(reason)}: nothing more starts until it is resumed."


def _ending(reason: Reason) -> str:
    doing = _PHASES.get(str(reason.facts["phase"]), "running the steps that always run")
    return f"🧹 It is {_RESULTS[str(reason.facts['result'])]}: {doing}{_until(reason, 'at most until')}."


def _failed(reason: Reason) -> str:
    tries = reason.facts.get("tries") or 0
    times = f" after {tries} tries" if tries > 1 else ""
    undone = " What it had done was undone, so it can only be run anew." if reason.facts.get("undone") else ""
    return f"❌ {_step(reason)} failed{times} {when(reason.since)}.{undone}"


def _cancelled(reason: Reason) -> str:
    by = reason.facts["by"]
    return f"⛔ *Cancelled*{f' by {person(by)}' if by else ''} {when(reason.since)}."


def _child(reason: Reason) -> str:
    child = reason.facts["execution"]
    return (
        f"🧩 {_step(reason)} waits for the run {code(str(child))}{_since(reason)}."
        if child
        else f"🧩 {_step(reason)} is about to start another run."
    )


_SAY_THEMSELVES = frozenset({"ending"})
_SENTENCES: Mapping[str, Callable[[Reason], str]] = {
    "queued": _queued,
    "starting": lambda reason: f"◻️ {_step(reason)} is about to start{_since(reason)}: a worker takes it next.",
    "no_worker": lambda _: (
        "⚠️ *No worker is alive*: nothing moves until one is started. That is for whoever runs this bot."
    ),
    "running": _running,
    "checking": _checking,
    "delayed": lambda reason: f"⏱️ {_step(reason)} waits until {when(reason.until)}.",
    "retrying": _retrying,
    "child": _child,
    "gate": _gate,
    "manual": lambda reason: f"🖐️ {_step(reason)} is to be done by hand{_since(reason)}{_until(reason, 'until')}.",
    "event": _event,
    "unknown": lambda reason: f"❓ {_step(reason)} was sent and nobody saw how it ended: a person has to say.",
    "skip_asked": _skip_asked,
    "offered": _offered,
    "paused": _paused,
    "ending": _ending,
    "failed": _failed,
    "cancelled": _cancelled,
    "succeeded": lambda reason: f"✅ *Succeeded* {when(reason.since)}.",
}


KINDS = tuple(_SENTENCES)
"""Every kind of reason that there is."""


def can_view(ruling: Ruling, *, own: bool) -> Message:
    """Yes or no, the rule that says so, and whom to ask instead."""
    decided, who = ruling.verdict, "You" if own else person(ruling.person)
    thing = f" {inline(ruling.thing, 120)}" if ruling.thing else ""
    may = f"{who} may{'' if decided.allowed else ' not'} {code(ruling.verb, 40)}{thing}."
    lines = [f"{'✅ Yes' if decided.allowed else '⛔ No'}: {may}"]
    lines += [f"The rule: {escape(decided.rule or decided.why, 600)}"]
    if decided.role:
        lines.append(f"{who} {'are' if own else 'is'} {inline(decided.role, 100)}.")
    elif not decided.allowed and decided.rule:
        lines.append(f"{who} {'have' if own else 'has'} no such role.")
    lines += [f"But: {escape(ruling.but, 600)}"] if ruling.but else []
    lines += [f"Those who may: {people(decided.ask)}."] if decided.ask else []
    return said("\n".join(lines))


def fact(name: str, value: Json) -> str:
    """A name and its value in one piece of code."""
    return code(f"{name}={as_json(value, 120)}", 200)
