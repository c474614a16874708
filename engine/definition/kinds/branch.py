"""The kind `branch`: one of two lists of steps is done."""

from __future__ import annotations

from engine.definition.kinds.kind import Effect, Kind, Treatment

KIND = Kind(
    name="branch",
    effect=Effect.HOLD,
    treatments={"if": Treatment.CONDITION},
    timeout_ms=None,
    blocks={"then": "then", "else": "else"},
    outputs=("taken", "steps"),
    shown=("if",),
)
