"""Proof of a worker's death on PostgreSQL: a lock that lasts exactly as long as a connection of its process.

The server gives a session's advisory locks up in the moment the connection ends, which it does with the process. So a
lock that can be taken says that nobody is there. It is held on a connection of its own, which does nothing else. A
connection pooler between must not share connections (PgBouncer: session pooling).
"""

from __future__ import annotations

import hashlib
import selectors
from contextlib import suppress
from typing import Any

import peewee as pw

from storage import database, sql
from storage.columns import proxy
from storage.tables import Worker

_IS_HELD = """\
SELECT 1 FROM pg_locks
WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND objsubid = 1
AND (classid::bigint << 32) + objid::bigint = %s
"""


class WorkerLock:
    """One worker's lock. Used by one thread at a time; `key` is what others look for, None where there are no locks."""

    def __init__(self, worker_id: str) -> None:
        digest = hashlib.sha256(f"worker:{worker_id}".encode()).digest()
        self.key = int.from_bytes(digest[:8], signed=True) if database.is_postgresql() else None
        self._connection: Any = None

    def hold(self) -> None:
        """Hold the lock, taking it anew where the connection was lost. Raises `DatabaseTrouble`."""
        if self.key is None or self._held():
            return
        self.close()
        self._connection = database.another_connection()
        self._connection.connect()
        self._connection.execute_sql("SELECT pg_advisory_lock(%s)", (self.key,))

    def wait(self, seconds: float) -> None:
        """Until the time is up or something happens on the connection, as when it is lost."""
        with selectors.DefaultSelector() as selector:
            line = self._connection.connection() if self._connection is not None else None
            if line is not None and not line.closed:
                selector.register(line.fileno(), selectors.EVENT_READ)
            selector.select(seconds)

    def close(self) -> None:
        """Give the lock up."""
        if self._connection is not None:
            with suppress(*database.DatabaseTrouble):
                self._connection.close()
            self._connection = None

    def _held(self) -> bool:
        if self._connection is None:
            return False
        try:
            return self._connection.execute_sql(_IS_HELD, (self.key,)).fetchone() is not None
        except database.DatabaseTrouble:
            return False


def probe(at: int, but: str) -> dict[str, bool]:
    """The workers other than `but` that have a lease and promised a lock, and whether each one's lock is held."""
    if not isinstance(proxy.obj, pw.PostgresqlDatabase):
        return {}
    where = "ended_at IS NULL AND lease_until > ? AND lock_key IS NOT NULL AND id <> ?"
    living = sql.select(Worker, ("id", "lock_key"), where, at, but)
    return {worker_id: not _is_free(key) for worker_id, key in living}


def _is_free(key: int) -> bool:
    """Outside a transaction the lock is given up with the statement that took it."""
    return bool(proxy.obj.execute_sql("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchone()[0])
