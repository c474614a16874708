"""Which outside requests were seen before, so that a redelivery changes nothing."""

from __future__ import annotations

from storage.database import now
from storage.tables import RequestSeen

KEEP_MS = 24 * 3_600_000


def first_time(key: str) -> bool:
    """Remember `key`; False when it is remembered already, which it is for at least 24 hours."""
    return RequestSeen.insert(key=key, at=now()).on_conflict_ignore().execute() is not None


def forget_old() -> int:
    """Drop the keys that are older than 24 hours and say how many."""
    return int(RequestSeen.delete().where(RequestSeen.at < now() - KEEP_MS).execute())
