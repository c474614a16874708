"""Points in time that are kept and shown: from 1970 on, to the end of the last year that a date has."""

from __future__ import annotations

from datetime import UTC, datetime

LAST_MS = round(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp() * 1000)


def must_be_shown(at: int) -> int:
    """The same epoch milliseconds, if they are a time that has a date in UTC. Raises ValueError."""
    if not 0 <= at <= LAST_MS:
        raise ValueError("a time has to be from 1970 to 9999, in UTC")
    return at
