"""The `delay` step: done after a while, holding nothing meanwhile."""

from __future__ import annotations

import math

from engine.definition.durations import DAY_MS, SECOND_MS, parse_duration, show_duration
from engine.steps.outcome import Failed, Later
from storage.records import Json

MAX_DELAY_MS = 30 * DAY_MS


def run(with_: dict[str, Json]) -> Later | Failed:
    """`for_ms`, or `for`: a number of seconds or a duration such as 1h30m. At most 30 days."""
    try:
        after_ms = with_["for_ms"] if "for_ms" in with_ else milliseconds(with_.get("for"))
    except ValueError as error:
        return Failed("bad_request", f"The step cannot wait: {error}.")
    if not 0 <= after_ms <= MAX_DELAY_MS:
        return Failed("bad_request", "The step cannot wait that long: a delay is from 0 s to 30 days.")
    return Later(after_ms, {"waited": show_duration(after_ms)})


def milliseconds(value: Json) -> int:
    """Raises ValueError with a sentence."""
    if isinstance(value, float) and math.isfinite(value * SECOND_MS):
        return round(value * SECOND_MS)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value.strip()[:12]) * SECOND_MS
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("`for` must be a number of seconds or a duration such as 30s or 1h30m")  # noqa: TRY004
    return parse_duration(value)
