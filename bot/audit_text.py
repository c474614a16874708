"""What people did to runs and incidents, in words, as the audit has it: the same ones in Slack and on a terminal."""

from __future__ import annotations

from bot.event_text import DECIDED
from storage.records import Json

_ACTIONS = {
    "execution.start": "started",
    "execution.pause": "paused",
    "execution.resume": "resumed",
    "execution.cancel": "cancelled",
    "plan.live": "asked the targets in check mode for",
    "plan.answered": "was answered in check mode for",
    "execution.offer": "offered",
    "execution.handover": "took over",
    "execution.evidence": "took the evidence of",
    "step.retry": "retried a step of",
    "step.skip": "asked to skip a step of",
    "step.skip_agree": "agreed to skip a step of",
    "step.resolve": "settled a step of",
    "approval.vote": "voted at a gate of",
    "approval.withdraw": "took a vote back on",
    "approval.change": "changed what is asked at a gate of",
    "secret.refused": "kept a secret from where it may not go in",
    "gate.bypassed": "kept a step from passing a gate of",
    "approval.expire": "let a gate run out in",
    "execution.freeze": "paused by a freeze",
    "request.hold": "held",
    "request.release": "released",
    "request.drop": "dropped",
    "break_glass.ask": "asked for",
    "break_glass.agree": "agreed to",
    "break_glass.review": "reviewed",
    "freeze.set": "set",
    "freeze.lift": "lifted",
    "incident.open": "opened",
    "incident.set": "changed",
    "incident.close": "closed",
}


def action_words(action: str, detail: Json) -> str:
    """What was done, as the words between who did it and the thing; a deed without words is told by its own name."""
    facts = detail if isinstance(detail, dict) else {}
    if action == "execution.offer" and not facts.get("to"):
        return "took back the offer of"
    if action == "approval.vote" and facts.get("decision") in DECIDED:
        return f"{DECIDED[facts['decision']]} a gate of"
    return _ACTIONS.get(action, action)


def why_of(detail: Json) -> str:
    """Why it was done, in the words of who did it."""
    facts = detail if isinstance(detail, dict) else {}
    return next((str(facts[key]) for key in ("reason", "comment", "note") if facts.get(key)), "")


def more_words(count: int, thing: str, where: str = "") -> str:
    """How many things were left out, as in `… 40 acts before these`; "" where none were."""
    return f"… {'' if where else 'and '}{count} {thing}{'' if count == 1 else 's'}{where}" if count else ""
