"""The kind `grpc`: one unary call."""

from __future__ import annotations

from engine.definition.kinds.kind import Effect, Kind, Treatment
from engine.definition.model import DEFAULT_ATTEMPT_TIMEOUT_MS

KIND = Kind(
    name="grpc",
    effect=Effect.CALL,
    defaults={"message": {}, "metadata": {}, "tls": True},
    treatments={
        "target": Treatment.TARGET,
        "message": Treatment.DATA,
        "metadata": Treatment.DATA,
        "expect": Treatment.CONDITION,
    },
    secret_keys=frozenset({"message", "metadata"}),
    timeout_ms=DEFAULT_ATTEMPT_TIMEOUT_MS,
    idempotent=lambda _: False,
    answers=True,
    gives=("code", "json", "metadata", "message"),
    shown=("target", "service", "method", "message", "metadata", "expect"),
    summary=("kind", "target", "service", "method"),
)
