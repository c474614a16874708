"""The kind `grpc`: one unary call."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.kinds import call
from engine.definition.kinds.kind import Effect, Kind, Treatment
from engine.definition.model import DEFAULT_ATTEMPT_TIMEOUT_MS, Step
from engine.definition.schema import Finding, Path


def _caution(step: Step, _path: Path, with_path: Path) -> Iterator[Finding]:
    """A call in plain text that leaves this machine."""
    if step.with_["tls"] is False and not call.is_loopback(f"//{step.with_['target']}"):
        message = "`tls: false` sends in plain text: what is sent, secrets too, can be read on the way"
        yield Finding((*with_path, "tls"), message, rule="plain-http")


KIND = Kind(
    name="grpc",
    effect=Effect.CALL,
    defaults={"message": {}, "metadata": {}, "tls": True},
    treatments={
        "target": Treatment.TARGET,
        "message": Treatment.DATA,
        "metadata": Treatment.DATA,
        "tls": Treatment.DATA,
        "expect": Treatment.CONDITION,
    },
    secret_keys=frozenset({"message", "metadata", "tls"}),
    timeout_ms=DEFAULT_ATTEMPT_TIMEOUT_MS,
    idempotent=lambda _: False,
    answers=True,
    gives=("code", "json", "metadata", "message"),
    shown=("target", "service", "method", "message", "metadata", "expect"),
    summary=("kind", "target", "service", "method"),
    caution=_caution,
)
