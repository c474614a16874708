"""The one database of this process: opening it, transactions, and its clock.

SQLite runs in WAL mode with `synchronous=FULL`; every write transaction begins IMMEDIATE, because a deferred one that
upgrades fails at once when another writer is busy. PostgreSQL commits with `synchronous_commit=on`. Nothing connects
by itself: code outside `transaction` or `reading` fails loudly instead of leaking a thread's connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee as pw
from playhouse.pool import MaxConnectionsExceeded

from storage import hostclock, private_files
from storage.columns import proxy, storable
from storage.connections import SQLITE_PATIENCE_S, Postgresql, Sqlite

OperationalError = pw.OperationalError
IntegrityError = pw.IntegrityError
DataError = pw.DataError
DatabaseTrouble = (pw.OperationalError, pw.InterfaceError, pw.InternalError, MaxConnectionsExceeded)
"""What a lost, full or locked database raises, and a pool with no connection to spare.

The change may or may not have happened: read again, then decide.
"""

_writer = threading.Lock()
_PRAGMAS = {"journal_mode": "wal", "synchronous": "full", "foreign_keys": 1, "temp_store": "memory"}
_PG_OPTIONS = "-c statement_timeout=15000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"


def open_database(*, sqlite: Path | None = None, postgresql: str | None = None, max_connections: int = 20) -> None:
    """Decide where the tables live. Give exactly one of `sqlite` (a file) and `postgresql` (a URL).

    Closes what was open before. Opens no connection yet, except that the clock is read at the first use of `now`.
    Raises `OSError` where the file neither is there nor can be made.
    """
    close_database()
    db: Any
    if sqlite is not None:
        private_files.make_folder(sqlite.parent)
        private_files.make_file(sqlite)  # SQLite makes what it puts beside it as open as the file itself
        db = Sqlite(
            str(sqlite), pragmas=_PRAGMAS, lock_type="IMMEDIATE", timeout=SQLITE_PATIENCE_S, returning_clause=True,
            autoconnect=False, max_connections=200, check_same_thread=False,
        )  # fmt: skip
    else:
        db = Postgresql(
            postgresql, prefer_psycopg3=True, autoconnect=False, max_connections=max_connections, timeout=5,
            connect_timeout=3, keepalives_idle=10, tcp_user_timeout=10000, options=_PG_OPTIONS,
            application_name="runbook-bot",
        )  # fmt: skip
    proxy.initialize(db)
    _clock.forget()


def close_database() -> None:
    """Close every pooled connection of this process."""
    if proxy.obj is not None:
        proxy.obj.close_all() if hasattr(proxy.obj, "close_all") else proxy.obj.close()
        _clock.forget()


def drop_idle() -> None:
    """Close the connections that nobody uses: where one was lost the others may be too, each with a wait of its own."""
    if is_postgresql():
        proxy.obj.close_idle()


def another_connection() -> pw.PostgresqlDatabase:
    """A way to the same PostgreSQL with one connection of its own, not connected yet; the caller closes it.

    It is the same one in every thread, and may be used by one at a time.
    """
    return pw.PostgresqlDatabase(
        proxy.obj.database, prefer_psycopg3=True, thread_safe=False, **proxy.obj.connect_params
    )


def is_postgresql() -> bool:
    """Whether `open_database` has decided for PostgreSQL; else it is SQLite."""
    return isinstance(proxy.obj, pw.PostgresqlDatabase)


@contextmanager
def reading() -> Iterator[None]:
    """A connection for reads. Inside a `transaction` it is that transaction's."""
    db = proxy.obj
    if not db.is_closed():
        yield
        return
    db.connect()
    try:
        yield
    finally:
        db.close()


def in_transaction() -> bool:
    """Whether this thread has one open, with whatever it has locked."""
    return bool(proxy.obj.in_transaction())


@contextmanager
def transaction() -> Iterator[None]:
    """One atomic change. Never nested: a nested block would silently be a savepoint of somebody else's change.

    Raises `RuntimeError` where a transaction is already open in this thread.
    """
    if proxy.obj.in_transaction():
        raise RuntimeError("a transaction is already open here: one change, one transaction")
    with _turn(), reading(), proxy.obj.atomic():
        yield


@contextmanager
def _turn() -> Iterator[None]:
    """SQLite has one writer at a time: this process's threads queue up here instead of polling its lock."""
    if is_postgresql():
        yield
        return
    if not _writer.acquire(timeout=SQLITE_PATIENCE_S):
        raise OperationalError("database is locked by another thread of this process")
    try:
        yield
    finally:
        _writer.release()


def one_at_a_time(name: str) -> None:
    """Hold the lock `name` until this transaction ends. On SQLite the write lock already is that lock."""
    if is_postgresql():
        proxy.obj.lock_later("SELECT pg_advisory_xact_lock(hashtext($1))", (storable(name),))


def locked(query: Any) -> Any:
    """Make a SELECT take its rows' locks (`FOR UPDATE`); on SQLite the transaction already holds the write lock."""
    return query.for_update() if is_postgresql() else query


_SLOW_S = 1.0
"""A reading that took longer says too little of when it was made; the one before it is carried on."""


class _Clock:
    """The database's time, SQLite's being its host's, carried on by the monotonic clock between readings.

    So a wall clock that jumps on one host neither fires a timer early nor lengthens a lease.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None
        self._read_at = 0.0
        self._source: Callable[[], int] | None = None

    def forget(self) -> None:
        self._offset = None

    def replace(self, source: Callable[[], int] | None) -> None:
        self._source = source

    def now(self) -> int:
        if self._source is not None:
            return self._source()
        monotonic = time.monotonic()
        if self._offset is None or monotonic - self._read_at > 30:
            self.refresh()
        return int((time.monotonic() + (self._offset or 0.0)) * 1000)

    def refresh(self) -> None:
        with self._lock:
            before = time.monotonic()
            seconds = _database_time()
            after = time.monotonic()
            if self._offset is not None and after - before > _SLOW_S:
                return
            # The reading is taken to be the latest it can be, so that a timer is late by the round trip, never early.
            self._offset = seconds - after if is_postgresql() else seconds - before
            self._read_at = after


def _database_time() -> float:
    if not is_postgresql():
        with reading():
            return hostclock.seconds()
    with reading():
        row = proxy.obj.execute_sql("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    return float(row[0])


_clock = _Clock()


def now() -> int:
    """Epoch milliseconds by the database's clock."""
    return _clock.now()


def refresh_clock() -> None:
    """Read the database's clock again; a worker does so with every heartbeat."""
    _clock.refresh()


def use_clock(source: Callable[[], int] | None) -> None:
    """Let `source` tell the time instead (epoch milliseconds); None brings the real clock back. For tests."""
    _clock.replace(source)
