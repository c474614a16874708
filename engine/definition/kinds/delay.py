"""The kind `delay`: nothing goes on before its time is up."""

from __future__ import annotations

from engine.definition.durations import MAX_RUN_MS, parse_duration, show_duration
from engine.definition.kinds.kind import Awaits, Effect, Kind, Treatment
from engine.expressions import has_template
from storage.records import Json


def _with_length(with_: dict[str, Json]) -> dict[str, Json]:
    """However a length is written, one text stands for it; a template stays."""
    length = with_["for"]
    if isinstance(length, str) and has_template(length):
        return with_
    return {**with_, "for": show_duration(parse_duration(length))}


KIND = Kind(
    name="delay",
    effect=Effect.ROWS,
    awaits=Awaits.TIME,
    treatments={"for": Treatment.DATA},
    timeout_ms=None,
    bounds={"for": (1, MAX_RUN_MS)},
    normalised=_with_length,
    shown=("for",),
    gives=("waited",),
)
