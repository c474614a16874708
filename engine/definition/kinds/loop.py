"""The kind `loop`: a list of steps is done in rounds."""

from __future__ import annotations

from engine.definition.kinds.kind import Effect, Kind, Treatment

KIND = Kind(
    name="loop",
    effect=Effect.HOLD,
    defaults={"max_parallel": 1, "max_failures": 0},
    treatments={"items": Treatment.DATA, "while": Treatment.CONDITION},
    timeout_ms=None,
    blocks={"steps": "each round"},
    repeats=True,
    outputs=("rounds", "failures", "results"),
    shown=("items", "while"),
)
