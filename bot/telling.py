"""One event of a run in plain words, for pages and terminals. Slack's thread has words of its own, and fewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.changes import change_words
from bot.slack.views.parts import Person, by_name
from bot.slack.views.text import duration
from storage.records import Json

Said = Callable[[str, str, Mapping[str, Json]], str]
DECIDED = {"APPROVE": "approved", "REJECT": "rejected"}
"""A vote in words."""
_CHOSEN = {"retry": "had it tried again", "done": "marked it done", "failed": "marked it failed"}


def told(kind: str, path: str | None, who: str, data: Json) -> str:
    """A sentence without a full stop at the end. `who` is the name of the person who did it, "" where nobody did.

    A kind that has no words here is told by its own name, so that nothing which happened is left out.
    """
    known = _SAID.get(kind)
    facts = data if isinstance(data, dict) else {}
    if known is None:
        return " ".join(part for part in (path, kind.replace("_", " "), f"({who})" if who else "") if part)
    return known(path or "the run", who or "the bot", facts)


def with_names(data: Json, name: Callable[[str], str]) -> Json:
    """The facts of an event with people by name; a reason that begins with who gave it has that one by name too."""
    if not isinstance(data, dict):
        return data
    named: dict[str, Json] = {key: name(data[key]) for key in ("to", "was", "by") if isinstance(data.get(key), str)}
    if isinstance(data.get("void"), list):
        named["void"] = [name(each) for each in data["void"]]
    if isinstance(data.get("reason"), str):
        parts = by_name(data["reason"])
        named["reason"] = "".join(name(part.user_id) if isinstance(part, Person) else part for part in parts)
    return {**data, **named}


def _plain(sentence: str, *because: str) -> Said:
    """`{path}` and `{who}` stand for those, the first of `because` that the event has follows behind a colon."""

    def say(path: str, who: str, data: Mapping[str, Json]) -> str:
        said = sentence.format(path=path, who=who)
        why = next((str(data[name]) for name in because if data.get(name)), "")
        return f"{said}: {why}" if why else said

    return say


def _with_changes(sentence: str) -> Said:
    """The same with the parameters that were changed, what they were and are."""

    def say(path: str, who: str, data: Mapping[str, Json]) -> str:
        changed = change_words(data.get("changes") or ())
        how = f" with other parameters ({changed})" if changed else ""
        why = f": {data['reason']}" if data.get("reason") else ""
        return f"{sentence.format(path=path, who=who)}{how}{why}"

    return say


def _heard(path: str, _: str, data: Mapping[str, Json]) -> str:
    sender = f" from {data['sender']}" if data.get("sender") else ""
    return f"the event came{sender} that {path} waited for: {data.get('key', '')}".removesuffix(": ")


def _retrying(path: str, _: str, data: Mapping[str, Json]) -> str:
    return (
        f"{path} failed at try {data.get('attempt')}; next one in {duration(int(data.get('delay_ms') or 0))}: "
        + str(data.get("message", ""))
    )


def _vote(path: str, who: str, data: Mapping[str, Json]) -> str:
    decided = DECIDED.get(str(data.get("decision")), "decided about")
    comment = f": {data['comment']}" if data.get("comment") else ""
    return f"{who} {decided} {path} ({data.get('approvals')} of {data.get('needed')}){comment}"


def _resolved(path: str, who: str, data: Mapping[str, Json]) -> str:
    return f"{who} {_CHOSEN.get(str(data.get('choice')), 'decided')}: {path}: {data.get('note', '')}"


def _offered(_: str, who: str, data: Mapping[str, Json]) -> str:
    why = f": {data['reason']}" if data.get("reason") else ""
    return f"{who} offered the run to {data['to']}{why}" if data.get("to") else f"{who} took the offer back{why}"


def _handed_over(_: str, who: str, data: Mapping[str, Json]) -> str:
    why = f": {data['reason']}" if data.get("reason") else ""
    return f"{who} took the run over from {data.get('was') or 'somebody else'}{why}"


def _gate_changed(path: str, _: str, data: Mapping[str, Json]) -> str:
    void = ", ".join(map(str, data.get("void") or ()))
    return f"what {path} asks has changed" + (f"; the votes of {void} are void" if void else "")


def _behind(sentence: str) -> Said:
    """`{path}`, `{who}` and the gates that the event names."""
    return lambda path, who, data: (
        sentence.format(path=path, who=who, gates=", ".join(map(str, data.get("gates") or ())) or "no gate")
        + (f": {data['reason']}" if data.get("reason") else "")
    )


def _queued(_: str, __: str, data: Mapping[str, Json]) -> str:
    behind = data.get("behind")
    ahead = f", behind {', '.join(map(str, behind))}" if isinstance(behind, list) and behind else ""
    return f"queued for {data.get('group')}{ahead}"


def _ended(_: str, __: str, data: Mapping[str, Json]) -> str:
    error = data.get("error")
    why = f": {error['message']}" if isinstance(error, dict) and error.get("message") else ""
    return f"the run ended: {data.get('status')}{why}"


_SAID: dict[str, Said] = {
    "started": _with_changes("{who} started this run"),
    "queued": _queued,
    "step_started": _plain("{path} started"),
    "step_succeeded": _plain("{path} is done"),
    "step_retrying": _retrying,
    "step_failed": _plain("{path} failed", "message"),
    "step_unknown": _plain("{path} was sent and nobody saw how it ended", "message"),
    "step_resolved": _resolved,
    "step_retried": _with_changes("{who} had {path} tried again"),
    "step_skipped": _plain("{path} is skipped", "reason"),
    "skip_marked": _plain("{path} is to be skipped in its turn, as {who} asked", "reason"),
    "skip_requested": _behind("{who} asked to skip {path}, which {gates} had let on"),
    "skip_agreed": _plain("{who} agreed that {path} is skipped"),
    "skip_dropped": _plain("{path} is not skipped after all", "reason"),
    "step_reused": _plain("{path} is taken over from an earlier run", "execution"),
    "step_taken_over": _plain("the worker that ran {path} is gone; another one took over"),
    "late_result": _plain("a late answer came for {path}", "message"),
    "branch_taken": _plain("{path} was decided", "taken"),
    "child_started": _plain("{path} started another run", "execution"),
    "message": _plain("{path} says", "text"),
    "wait_started": _plain("{path} waits for an event", "key"),
    "event_received": _heard,
    "gate_opened": _plain("{path} waits for approval"),
    "gate_changed": _gate_changed,
    "gate_bypassed": _behind("the run was ended: {path} was about to begin, and {gates} had not let it on"),
    "gate_approved": _plain("{path} is approved"),
    "gate_rejected": _plain("{path} is rejected", "comment"),
    "gate_reminder": _plain("people were reminded of {path}"),
    "gate_expired": _plain("nobody decided {path} in time"),
    "vote": _vote,
    "vote_withdrawn": _plain("{who} took a vote on {path} back"),
    "handover_offered": _offered,
    "handed_over": _handed_over,
    "quarantined": _plain("the run is set aside, because it keeps failing the bot", "message"),
    "paused": _plain("{who} paused the run", "reason"),
    "resumed": _plain("{who} resumed the run", "reason"),
    "cancel_requested": _plain("{who} asked to cancel the run", "reason"),
    "cleanup_ended": _plain("{who} ended the cleanup", "reason"),
    "timed_out": _plain("the time for running is used up"),
    "phase_started": _plain("cleanup begins", "phase"),
    "ended": _ended,
}
