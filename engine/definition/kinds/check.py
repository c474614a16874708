"""The kind `check`: the run goes on only where a condition holds."""

from __future__ import annotations

from engine.definition.kinds.kind import Effect, Kind, Treatment

KIND = Kind(
    name="check",
    effect=Effect.ROWS,
    treatments={"that": Treatment.CONDITION, "message": Treatment.TEXT},
    timeout_ms=None,
    shown=("that", "message"),
)
