"""Durations as people write them: `30s`, `15m`, `1h30m`, `500ms`, `2d`, `PT15M`, or a whole number of seconds."""

from __future__ import annotations

import re

SECOND_MS = 1_000
HOUR_MS = 3_600 * SECOND_MS
DAY_MS = 24 * HOUR_MS

_UNITS = {"d": DAY_MS, "h": HOUR_MS, "m": 60 * SECOND_MS, "s": SECOND_MS, "ms": 1}
_SHORT = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?")
_ISO = re.compile(r"P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?()")


def written_duration(text: str) -> int | None:
    """Milliseconds, or None for a text that is no duration."""
    match = _SHORT.fullmatch(text) or _ISO.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    return sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS.values(), strict=True) if count)


def parse_duration(value: str | int) -> int:
    """Milliseconds. Raises ValueError with a sentence for anything that is not a duration."""
    if isinstance(value, int):
        return value * SECOND_MS
    found = written_duration(value)
    if found is None:
        raise ValueError(f"`{value[:40]}` is not a duration; write it like 30s, 15m, 1h30m or 500ms")
    return found


def show_duration(milliseconds: int) -> str:
    """The shortest way to write a duration: `1h30m`, `500ms`, `0s`."""
    parts = []
    for name, unit in _UNITS.items():
        count, milliseconds = divmod(milliseconds, unit)
        parts.append(f"{count}{name}" if count else "")
    return "".join(parts) or "0s"
