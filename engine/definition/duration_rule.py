"""What can be wrong with a duration in a file: how it is written, and how long it is."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.durations import parse_duration, show_duration
from engine.definition.schema import Finding, Path, subject_in_step


def findings(value: str | int, path: Path, least_ms: int, most_ms: int) -> Iterator[Finding]:
    """What is wrong with the duration that stands at `path`."""
    try:
        length = parse_duration(value)
    except ValueError as error:
        yield Finding(path, f"{subject_in_step(path)}: {error}")
        return
    if not least_ms <= length <= most_ms:
        bounds = f"between {show_duration(least_ms)} and {show_duration(most_ms)}"
        yield Finding(path, f"{subject_in_step(path)} must be {bounds}")
