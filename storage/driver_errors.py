"""What keeps a database from its work, told from what its driver raises."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from enum import StrEnum

from playhouse.pool import MaxConnectionsExceeded

from storage import database
from storage.tables import Probe

PROBE_BYTES = 8_192
"""What has to fit in for the database to count as writable: a few pages, as an ordinary change takes."""


class Trouble(StrEnum):
    """The kinds that people can do different things about."""

    AWAY = "AWAY"
    FULL = "FULL"
    READ_ONLY = "READ_ONLY"
    BUSY = "BUSY"
    DISK = "DISK"
    DAMAGED = "DAMAGED"


_SQLITE = {
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_PERM: Trouble.READ_ONLY,
    sqlite3.SQLITE_BUSY: Trouble.BUSY,
    sqlite3.SQLITE_LOCKED: Trouble.BUSY,
    sqlite3.SQLITE_IOERR: Trouble.DISK,
    sqlite3.SQLITE_CANTOPEN: Trouble.DISK,
    sqlite3.SQLITE_CORRUPT: Trouble.DAMAGED,
    sqlite3.SQLITE_NOTADB: Trouble.DAMAGED,
}
_POSTGRESQL = {
    "53100": Trouble.FULL, "25006": Trouble.READ_ONLY, "53300": Trouble.BUSY, "55P03": Trouble.BUSY,
    "57014": Trouble.BUSY, "40P01": Trouble.BUSY, "58030": Trouble.DISK, "XX001": Trouble.DAMAGED,
    "XX002": Trouble.DAMAGED,
}  # fmt: skip


def of(error: BaseException | None) -> Trouble | None:
    """Which trouble of the database this error is, or what led to it; None where it is something else, as a bug."""
    for each in _chain(error):
        if isinstance(each, MaxConnectionsExceeded):
            return Trouble.BUSY
        found = _kind_of(each) if isinstance(each, database.DatabaseTrouble) else None
        if found is not None:
            return found
    return None


def must_write() -> None:
    """Write to the database and take it back, so that a full or read-only one is found. Raises `DatabaseTrouble`."""
    with database.transaction():
        written = Probe.insert(filler=secrets.token_hex(PROBE_BYTES // 2)).execute()
    with database.transaction():
        Probe.delete().where(Probe.id <= written).execute()


def _kind_of(error: BaseException) -> Trouble | None:
    orig = getattr(error, "orig", None) or error.__cause__ or error.__context__
    if isinstance(orig, sqlite3.Error) and hasattr(orig, "sqlite_errorcode"):
        return _SQLITE.get(orig.sqlite_errorcode & 0xFF)
    state = getattr(orig, "sqlstate", None)
    if state is not None:
        return _POSTGRESQL.get(state, Trouble.AWAY)
    return Trouble.BUSY if "locked" in str(error) else Trouble.AWAY


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it was raised from or while handling."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
