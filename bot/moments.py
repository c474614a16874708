"""Points in time as people write them: a day, a date with a time, or how long ago."""

from __future__ import annotations

import time as clock
from datetime import UTC, datetime

from engine.definition.durations import parse_duration
from engine.text.moments import must_be_shown


def moment_ms(text: str, now_ms: int | None = None) -> int:
    """Epoch milliseconds of `2027-01-31`, `2027-01-31T09:00+01:00`, or of `7d` as long ago; UTC where no zone is said.

    Raises `ValueError` with a sentence for anything else.
    """
    now_ms = int(clock.time() * 1000) if now_ms is None else now_ms
    try:
        ago = parse_duration(text)
    except ValueError:
        return _written(text)
    if ago > now_ms:
        raise _no_time(text)
    return now_ms - ago


def _written(text: str) -> int:
    try:
        return must_be_shown(in_ms(datetime.fromisoformat(text)))
    except ValueError:
        raise _no_time(text) from None


def in_ms(time: datetime) -> int:
    """A time as epoch milliseconds; one that says no zone is in UTC."""
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _no_time(text: str) -> ValueError:
    how = "write a date such as 2027-01-31 or 2027-01-31T09:00Z, or how long ago, such as 7d"
    return ValueError(f"“{text[:40]}” is no time: {how}")
