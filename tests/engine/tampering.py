"""Doing to the audit what nobody may: past the triggers, in a transaction that is undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from storage import database, sql

_TRIGGERS = ("audit_added", "audit_sealed", "audit_placed", "audit_kept")


class Undo(Exception):
    """Ends a transaction that was only for looking."""


@contextmanager
def tampering() -> Iterator[None]:
    """A transaction without the triggers; nothing of it stays."""
    with suppress(Undo), database.transaction():
        pass_triggers()
        yield
        raise Undo


def pass_triggers() -> None:
    """For the rest of this transaction on PostgreSQL; on SQLite, whose file is this test's own, for good."""
    if database.is_postgresql():
        sql.run("SET LOCAL session_replication_role = replica")
    else:
        for name in _TRIGGERS:
            sql.run(f"DROP TRIGGER {name}")


def renumber(first: int, by: int) -> None:
    """Move the numbers of all rows from `first` on."""
    sql.run("UPDATE audit SET seq = -seq WHERE seq >= ?", [first])
    sql.run("UPDATE audit SET seq = -seq + ? WHERE seq < 0", [by])
