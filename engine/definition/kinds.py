"""The kinds of steps, one table entry each.

An entry says what a runbook's file may leave out, and how each key of `with` is treated: rendered as a URL, as text or
as data, kept as it is, or a condition that the step itself asks. Secrets may stand in data and text that the call
carries, and nowhere else. What a kind's `with` may hold is `$defs/<kind>` of schema.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.definition.durations import HOUR_MS, SECOND_MS
from engine.definition.model import DEFAULT_ATTEMPT_TIMEOUT_MS, Json, Step
from engine.expressions import references, render, render_text, render_url

SAFE_TWICE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""HTTP methods whose repetition changes nothing more (RFC 9110, 9.2.2)."""

DEFAULT_POLL_TIMEOUT_MS = 300 * SECOND_MS
DEFAULT_APPROVAL_TIMEOUT_MS = HOUR_MS


class Treatment(StrEnum):
    URL = "url"
    TEXT = "text"
    DATA = "data"
    CONDITION = "condition"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Kind:
    """`treatments` of keys that it does not name is FIXED: no templates there."""

    defaults: Mapping[str, Json]
    treatments: Mapping[str, Treatment]
    secret_keys: frozenset[str]
    timeout_ms: int
    idempotent: Callable[[Mapping[str, Json]], bool]
    durations: frozenset[str] = frozenset()

    def treatment(self, key: str) -> Treatment:
        return self.treatments.get(key, Treatment.FIXED)


_CALL = {
    "url": Treatment.URL,
    "headers": Treatment.DATA,
    "query": Treatment.DATA,
    "auth": Treatment.DATA,
    "json": Treatment.DATA,
    "text": Treatment.TEXT,
    "payload": Treatment.DATA,
}
_CALL_SECRETS = frozenset({"headers", "query", "auth", "json", "text", "payload"})

KINDS: Mapping[str, Kind] = {
    "http": Kind(
        defaults={"method": "GET"},
        treatments=_CALL,
        secret_keys=_CALL_SECRETS,
        timeout_ms=DEFAULT_ATTEMPT_TIMEOUT_MS,
        idempotent=lambda with_: with_["method"] in SAFE_TWICE,
    ),
    "poll": Kind(
        defaults={"method": "GET", "interval": "5s"},
        treatments={**_CALL, "until": Treatment.CONDITION},
        secret_keys=_CALL_SECRETS,
        timeout_ms=DEFAULT_POLL_TIMEOUT_MS,
        idempotent=lambda _: True,
        durations=frozenset({"interval"}),
    ),
    "approval": Kind(
        defaults={"min_approvals": 1, "allow_self": False, "message": ""},
        treatments={"message": Treatment.TEXT},
        secret_keys=frozenset(),
        timeout_ms=DEFAULT_APPROVAL_TIMEOUT_MS,
        idempotent=lambda _: True,
    ),
}

_RENDER: Mapping[Treatment, Callable[..., Json]] = {
    Treatment.URL: render_url,
    Treatment.TEXT: render_text,
    Treatment.DATA: render,
}


def render_with(step: Step, context: Mapping[str, Json]) -> dict[str, Json]:
    """A step's `with`, rendered once, ready for the kind to act on; conditions and fixed keys as they are.

    `context` holds params, steps, incident, execution, runbook and, for the real call, secrets. Raises ExpressionError.
    """
    kind = KINDS[step.kind]
    return {
        key: render_as(value, context) if (render_as := _RENDER.get(kind.treatment(key))) else value
        for key, value in step.with_.items()
    }


def references_in(step: Step) -> frozenset[tuple[str, ...]]:
    """Everything that a step's `with` and `if` read, as chains of names; what the context must hold for it."""
    kind = KINDS[step.kind]
    found = [references(step.condition, "expression")]
    for key, value in step.with_.items():
        treatment = kind.treatment(key)
        if treatment is not Treatment.FIXED:
            found.append(references(value, "expression" if treatment is Treatment.CONDITION else "template"))
    return frozenset().union(*found)
