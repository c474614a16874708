"""The kinds of steps, one table entry each.

An entry says what a runbook's file may leave out, and how each key of `with` is treated: rendered as a URL, as the
target of a gRPC call, as text or as data, kept as it is, or a condition that the step itself asks. Secrets may stand in
data and text that the call carries, and nowhere else. What a kind's `with` may hold is `$defs/<kind>` of schema.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.definition.durations import HOUR_MS, SECOND_MS, parse_duration, show_duration
from engine.definition.model import DEFAULT_ATTEMPT_TIMEOUT_MS, Step
from engine.expressions import (
    ExpressionError,
    has_template,
    reads_secrets,
    render,
    render_shown,
    render_text,
    render_url,
)
from storage.records import Json

SAFE_TWICE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""HTTP methods whose repetition changes nothing more (RFC 9110, 9.2.2)."""

DEFAULT_POLL_TIMEOUT_MS = 300 * SECOND_MS
"""What a restart or a roll-out that goes well is done in."""
DEFAULT_APPROVAL_TIMEOUT_MS = HOUR_MS
"""Whom a gate calls may be asleep; a run whose gate nobody has decided by then is about something that is past."""
DEFAULT_WAIT_TIMEOUT_MS = HOUR_MS
"""As long as a gate: another system's people may have to act."""


class Treatment(StrEnum):
    """How a key of `with` is rendered; what is FIXED is not, and a CONDITION is asked by the step itself."""

    URL = "url"
    TARGET = "target"
    TEXT = "text"
    DATA = "data"
    CONDITION = "condition"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind.

    A key of `with` that `treatments` does not name is FIXED: no templates there. `timeout_ms` is None where only the
    run's own limit holds. `durations` are keys that the model has in milliseconds, as `<key>_ms`; `normalised` gives a
    `with` the one form that the model has of it. `blocks` are the keys of `with` that hold steps: a kind that has any
    is a container, and `outputs` names all that it hands on. `answers` says that there is a `response` to map outputs
    from. `shown` are the keys of `with` that a gate shows of such a step behind it, in that order.
    """

    defaults: Mapping[str, Json]
    treatments: Mapping[str, Treatment]
    timeout_ms: int | None
    secret_keys: frozenset[str] = frozenset()
    idempotent: Callable[[Mapping[str, Json]], bool] = lambda _: True
    durations: frozenset[str] = frozenset()
    normalised: Callable[[dict[str, Json]], dict[str, Json]] = dict
    blocks: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    answers: bool = False
    shown: tuple[str, ...] = ()

    def treatment(self, key: str) -> Treatment:
        """How this key of `with` is rendered; one that the kind does not name is FIXED."""
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
_CALL_SHOWN = ("method", "url", "query", "headers", "json", "text", "payload")


def _with_minima(with_: dict[str, Json]) -> dict[str, Json]:
    """Whoever a minimum asks for may approve too, and a minimum is one when not said."""
    approvers = with_["approvers"]
    if "minima" not in approvers:
        return with_
    minima = [{**each, "count": each.get("count", 1)} for each in approvers["minima"]]
    found: dict[str, Json] = {**approvers, "minima": minima}
    for each in minima:
        for word, names in (("role", "roles"), ("user", "users"), ("group", "groups")):
            if word in each and each[word] not in found.get(names, ()):
                found[names] = [*found.get(names, ()), each[word]]
    return {**with_, "approvers": found}


def _with_length(with_: dict[str, Json]) -> dict[str, Json]:
    """However a length is written, one text stands for it; a template stays."""
    length = with_["for"]
    if isinstance(length, str) and has_template(length):
        return with_
    return {**with_, "for": show_duration(parse_duration(length))}


KINDS: Mapping[str, Kind] = {
    "http": Kind(
        defaults={"method": "GET"},
        treatments=_CALL,
        secret_keys=_CALL_SECRETS,
        timeout_ms=DEFAULT_ATTEMPT_TIMEOUT_MS,
        idempotent=lambda with_: with_["method"] in SAFE_TWICE,
        answers=True,
        shown=_CALL_SHOWN,
    ),
    "grpc": Kind(
        defaults={"message": {}, "metadata": {}, "tls": True},
        treatments={
            "target": Treatment.TARGET,
            "message": Treatment.DATA,
            "metadata": Treatment.DATA,
        },
        secret_keys=frozenset({"message", "metadata"}),
        timeout_ms=DEFAULT_ATTEMPT_TIMEOUT_MS,
        idempotent=lambda _: False,
        answers=True,
        shown=("target", "service", "method", "message", "metadata"),
    ),
    "poll": Kind(
        defaults={"method": "GET", "interval": "5s"},
        treatments={**_CALL, "until": Treatment.CONDITION},
        secret_keys=_CALL_SECRETS,
        timeout_ms=DEFAULT_POLL_TIMEOUT_MS,
        durations=frozenset({"interval"}),
        answers=True,
        shown=(*_CALL_SHOWN, "until"),
    ),
    "approval": Kind(
        defaults={"min_approvals": 1, "allow_self": False, "message": ""},
        treatments={"message": Treatment.TEXT},
        timeout_ms=DEFAULT_APPROVAL_TIMEOUT_MS,
        normalised=_with_minima,
        shown=("message",),
    ),
    "wait": Kind(
        defaults={},
        treatments={"key": Treatment.TEXT},
        timeout_ms=DEFAULT_WAIT_TIMEOUT_MS,
        shown=("key", "from", "shared"),
    ),
    "branch": Kind(
        defaults={},
        treatments={"if": Treatment.CONDITION},
        timeout_ms=None,
        blocks=("then", "else"),
        outputs=("taken", "steps"),
        shown=("if",),
    ),
    "loop": Kind(
        defaults={"max_parallel": 1, "max_failures": 0},
        treatments={"items": Treatment.DATA, "while": Treatment.CONDITION},
        timeout_ms=None,
        blocks=("steps",),
        outputs=("rounds", "failures", "results"),
        shown=("items", "while"),
    ),
    "runbook": Kind(
        defaults={"params": {}}, treatments={"params": Treatment.DATA}, timeout_ms=None, shown=("id", "params")
    ),
    "delay": Kind(
        defaults={}, treatments={"for": Treatment.DATA}, timeout_ms=None, normalised=_with_length, shown=("for",)
    ),
    "message": Kind(
        defaults={"thread": True},
        treatments={"text": Treatment.TEXT, "channel": Treatment.TEXT},
        timeout_ms=None,
        shown=("channel", "text"),
    ),
}

_TARGET_SCHEME = "https://"
"""What makes a URL of a target, so that one set of rules says what may stand in a host."""


def target_as_url(target: str) -> str:
    """The target of a gRPC call as a URL, so that it is checked as one."""
    return _TARGET_SCHEME + target


def _render_target(target: str, context: Mapping[str, Json]) -> str:
    return render_url(target_as_url(target), context).removeprefix(_TARGET_SCHEME)


_RENDER: Mapping[Treatment, Callable[..., Json]] = {
    Treatment.URL: render_url,
    Treatment.TARGET: _render_target,
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


def secret_parts(step: Step) -> dict[str, Json]:
    """Those keys of a step's `with` in which secrets stand, not rendered."""
    secret_keys = KINDS[step.kind].secret_keys
    return {key: value for key, value in step.with_.items() if key in secret_keys and reads_secrets(value)}


def render_with_marks(step: Step, context: Mapping[str, Json]) -> dict[str, Json]:
    """`render_with` with marks for whatever is made of secrets: what may be shown of a call. Raises alike."""
    shown = {key: render_shown(value, context) for key, value in secret_parts(step).items()}
    rest = replace(step, with_={key: value for key, value in step.with_.items() if key not in shown})
    return {**render_with(rest, context), **shown}


def channel_is_value(step: Step) -> bool:
    """Whether a step is a message to a channel that its author did not choose by writing its id.

    A direct message is somebody's, whoever wrote down its id.
    """
    channel = str(step.with_.get("channel") or "") if step.kind == "message" else ""
    return has_template(channel) or channel.startswith("D")


def render_known(step: Step, context: Mapping[str, Json]) -> dict[str, Json]:
    """What a gate shows of a step's `with`: each leaf rendered by itself, or as written if `context` is too little."""
    kind = KINDS[step.kind]
    return {
        key: _known(step.with_[key], _RENDER.get(kind.treatment(key)), context)
        for key in kind.shown
        if key in step.with_
    }


def _known(value: Json, render_as: Callable[..., Json] | None, context: Mapping[str, Json]) -> Json:
    if isinstance(value, dict):
        return {key: _known(item, render_as, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item, render_as, context) for item in value]
    if render_as is None or not isinstance(value, str):
        return value
    try:
        return render_shown(value, context) if reads_secrets(value) else render_as(value, context)
    except ExpressionError:
        return value
