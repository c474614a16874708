"""The kind `http`: one call. A `webhook:` runbook is one with a `payload`."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.kinds import call
from engine.definition.kinds.kind import Effect, Kind, Treatment
from engine.definition.model import DEFAULT_ATTEMPT_TIMEOUT_MS, Step
from engine.definition.schema import Finding, Path


def _caution(step: Step, path: Path, with_path: Path) -> Iterator[Finding]:
    yield from call.readable_on_the_way(step, path, with_path)
    yield from call.breakable_json(step, with_path)


KIND = Kind(
    name="http",
    effect=Effect.CALL,
    defaults={"method": "GET"},
    treatments={**call.TREATMENTS, "payload": Treatment.DATA, "expect": Treatment.CONDITION},
    secret_keys=call.SECRET_KEYS | {"payload"},
    timeout_ms=DEFAULT_ATTEMPT_TIMEOUT_MS,
    idempotent=lambda with_: with_["method"] in call.SAFE_TWICE,
    answers=True,
    gives=call.GIVES,
    shown=(*call.SHOWN, "payload", "expect"),
    summary=("method", "url"),
    caution=_caution,
)
