"""The kind `check`: the run goes on only where a condition holds."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.kinds.kind import Effect, Kind, Treatment
from engine.definition.markup_cautions import only_text
from engine.definition.model import Step
from engine.definition.schema import Finding, Path


def _caution(step: Step, _path: Path, with_path: Path) -> Iterator[Finding]:
    yield from only_text(step, with_path)


KIND = Kind(
    name="check",
    effect=Effect.ROWS,
    treatments={"that": Treatment.CONDITION, "message": Treatment.TEXT},
    timeout_ms=None,
    shown=("that", "message"),
    caution=_caution,
)
