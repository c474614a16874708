"""A database in this process's memory alone, for one thread: what a rehearsal plays in."""

from __future__ import annotations

import sqlite3

from storage import database, migrate
from storage.columns import proxy
from storage.connections import Sqlite

Snapshot = bytes


def open_in_memory() -> None:
    """Let the tables live in memory, empty and of this release's schema, in the place of what was open."""
    database.close_database()
    proxy.initialize(
        Sqlite(
            ":memory:", pragmas={"foreign_keys": 1}, lock_type="IMMEDIATE", returning_clause=True, autoconnect=False,
            max_connections=1, check_same_thread=False,
        )
    )  # fmt: skip
    for missing in migrate.pending():
        migrate.apply(missing)


def snapshot() -> Snapshot:
    """Every table as it is now, for `restore`."""
    with database.reading():
        return _connection().serialize()


def restore(snapshot: Snapshot) -> None:
    """Make every table what it was."""
    with database.reading():
        _connection().deserialize(snapshot)


def _connection() -> sqlite3.Connection:
    found: sqlite3.Connection = proxy.obj.connection()
    return found
