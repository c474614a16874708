"""The two databases as connections that decide when a statement is sent.

What runs under their lock have changed (`RunState`) is written before whatever is asked next. On PostgreSQL, where a
statement costs a round trip, that and all writes whose answer nobody needs go with the next question or the commit, as
one statement where they can: the order of what is done is the same, and what fails raises there.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import peewee as pw
import psycopg
from playhouse.pool import PooledPostgresqlDatabase, PooledSqliteDatabase
from psycopg.pq import TransactionStatus

from storage import pg_pipeline
from storage.writes import Statement, Write, combined

SQLITE_PATIENCE_S = 30
_BEGIN: Statement = ("BEGIN", ())
_COMMIT: Statement = ("COMMIT", ())

T = TypeVar("T")


class LostRow(RuntimeError):
    """A row that was read under its run's lock was changed by somebody without it. Nothing of the change is committed.

    That is a bug and no trouble of the database: trying again would hide it.
    """


class Changing(Protocol):
    """What changes rows in memory first. From when it has said what is to be written, that counts as written."""

    def writes(self) -> list[Write]:
        """Return what has been changed since the last call, in the order in which it is to be written."""


class _ChangedInMemory(threading.local):
    """What has changed rows in memory in this thread's transaction."""

    def __init__(self) -> None:
        self.all: list[Changing] = []


class Sqlite(PooledSqliteDatabase):  # type: ignore[misc]
    """Asks for the write lock every millisecond, where SQLite's own handler backs off to a tenth of a second."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._changing = _ChangedInMemory()
        super().__init__(*args, **options)

    def attach(self, changing: Changing) -> None:
        """Write what this changes before whatever is asked next in this transaction, at the latest with its commit."""
        self._changing.all.append(changing)

    def detach_all(self) -> None:
        """Write nothing of what has been changed in memory so far."""
        self._changing.all.clear()

    def settle(self) -> None:
        """Write now what has been changed in memory."""
        for changing in self._changing.all:
            for write in changing.writes():
                self._write(write)

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction once nobody else writes.

        Raises `OperationalError` when somebody still does after `SQLITE_PATIENCE_S`.
        """
        until = time.monotonic() + SQLITE_PATIENCE_S
        self._run("PRAGMA busy_timeout = 0")
        try:
            while not self._begun(lock_type, until):
                time.sleep(0.001)
        finally:
            self._run(f"PRAGMA busy_timeout = {SQLITE_PATIENCE_S * 1000}")
        self.detach_all()

    def _begun(self, lock_type: str | None, until: float) -> bool:
        try:
            super().begin(lock_type)
        except pw.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            return False
        return True

    def commit(self) -> None:
        """Write what has been changed in memory, and commit.

        Raises `LostRow` where a row is not what it was read as; the transaction is still open then.
        """
        self.settle()
        super().commit()
        self.detach_all()

    def rollback(self) -> None:
        """Undo the transaction, and write nothing of what it has changed in memory."""
        self.detach_all()
        if self.connection().in_transaction:  # a full disk has ended it already
            super().rollback()

    def execute_sql(self, statement: str, params: Sequence[Any] | None = None) -> Any:
        """Peewee's way in; what it asks sees what has been changed in memory."""
        return self.ask(statement, params or ())

    def ask(self, statement: str, values: Sequence[Any]) -> Any:
        """Its cursor."""
        self.settle()
        return self._run(statement, values)

    def ask_each(self, statements: Sequence[Statement]) -> list[Any]:
        """Their cursors."""
        return [self.ask(*each) for each in statements]

    def later(self, write: Write) -> None:
        """Do a write whose answer nobody needs."""
        self.settle()
        self._write(write)

    def _write(self, write: Write) -> None:
        found = self._run(write.text, write.values).rowcount
        if write.rows is not None and found != write.rows:
            raise LostRow(f"{write.text}: there is no such row any more")

    def _run(self, statement: str, values: Sequence[Any] = ()) -> Any:
        with pw.__exception_wrapper__:  # type: ignore[attr-defined]
            return self.cursor().execute(statement, values)


class Postgresql(PooledPostgresqlDatabase):  # type: ignore[misc]
    """Sends what waits together with the next question."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._own = threading.local()
        self._prepared: WeakKeyDictionary[Any, pg_pipeline.Prepared] = WeakKeyDictionary()
        self._changing = _ChangedInMemory()
        super().__init__(*args, **options)

    def _is_closed(self, conn: Any) -> bool:
        """Whether a connection of the pool is of no use any more, without a word to the server.

        Peewee asks it for `SELECT 1` under a lock that all threads share, before every transaction. A server that ends
        a connection says so on it, so one on which something is to be read while it is idle is closed.
        """
        if not conn.closed and conn.info.transaction_status == TransactionStatus.IDLE:
            idle = select.poll()
            idle.register(conn.fileno(), select.POLLIN)
            if not idle.poll(0):
                return False
        conn.close()
        return True

    def _initialize_connection(self, conn: Any) -> None:
        """Have psycopg prepare nothing: what it prepares it makes the server forget, and all else with it."""
        conn.prepare_threshold = None
        super()._initialize_connection(conn)

    def _can_reuse(self, conn: Any) -> bool:
        """Whether a connection may go back to the pool: not where a transaction was left open on it."""
        return bool(conn.info.transaction_status == TransactionStatus.IDLE)

    @property
    def _waiting(self) -> list[Statement | Write]:
        waiting: list[Statement | Write] = self._own.__dict__.setdefault("waiting", [])
        return waiting

    def attach(self, changing: Changing) -> None:
        """Write what this changes before whatever is asked next in this transaction, at the latest with its commit."""
        self._changing.all.append(changing)

    def settle(self) -> None:
        """Let what has been changed in memory be written with what waits; a row that waits is changed no more by then.

        So this comes right before something is sent: rows that are written together have to be different ones.
        """
        for changing in self._changing.all:
            self._waiting.extend(changing.writes())

    def begin(self) -> None:
        """Begin with the first statement that is sent, in its round trip; a transaction without one costs none."""
        self._waiting[:] = [_BEGIN]
        self._changing.all.clear()

    def commit(self) -> None:
        """Send what waits and COMMIT in one round trip; what waited and fails raises here, and nothing is committed.

        Raises `OperationalError` where an earlier failure, which was not passed on, has undone the transaction.
        """
        self.settle()
        if self._waiting != [_BEGIN]:  # else nothing was ever sent
            *_, committed = self._send([*self._taken(), _COMMIT])
            if committed.command != "COMMIT":
                raise pw.OperationalError("the transaction was rolled back: a statement of it had failed")
        self._waiting.clear()
        self._changing.all.clear()

    def rollback(self) -> None:
        """Drop what waits, and undo what was sent; the server has done so itself where the connection has ended."""
        begun = _BEGIN not in self._waiting
        self._waiting.clear()
        self._changing.all.clear()
        if begun and not self.connection().closed:
            self._send([("ROLLBACK", ())])

    def execute_sql(self, statement: str, params: Sequence[Any] | None = None) -> Any:
        """Peewee's way in; what waits is sent before it, in the same round trip."""
        self.settle()
        taken = self._taken()
        return self._healing(lambda: self._execute(taken, statement, params))

    def _execute(self, taken: Sequence[Statement], statement: str, params: Sequence[Any] | None) -> Any:
        if not taken:
            return super().execute_sql(statement, params)
        connection = self.connection()
        with _lost_rows(), pw.__exception_wrapper__, connection.pipeline():  # type: ignore[attr-defined]
            for each in taken:
                psycopg.RawCursor(connection).execute(*each)
            return super().execute_sql(statement, params)

    def ask(self, statement: str, values: Sequence[Any]) -> Any:
        """Its cursor, once all that waited and it are done."""
        return self.ask_each([(statement, values)])[0]

    def ask_each(self, statements: Sequence[Statement]) -> list[Any]:
        """Their cursors, in one round trip."""
        self.settle()
        return self._send([*self._taken(), *statements])[-len(statements) :]

    def later(self, write: Write) -> None:
        """Do a write whose answer nobody needs, with the next question or the commit; at once without a transaction."""
        self._waiting.append(write)
        if not self.in_transaction():
            self._own.untouched = False
            self._send(self._taken())

    def lock_later(self, statement: str, values: Sequence[Any]) -> None:
        """Take a lock with the next question; what is asked after it, and with it, sees what others have committed."""
        self._waiting.append((statement, values))

    def _taken(self) -> list[Statement]:
        taken = list(combined(self._waiting))
        self._waiting.clear()
        return taken

    def _send(self, statements: Sequence[Statement]) -> list[Any]:
        if _COMMIT in statements:
            self._own.untouched = False  # what may have been committed is not done again
        return self._healing(lambda: self._in_one_trip(statements))

    def _in_one_trip(self, statements: Sequence[Statement]) -> list[Any]:
        connection = self.connection()
        prepared = self._prepared.setdefault(connection, pg_pipeline.Prepared())
        with _lost_rows(), pw.__exception_wrapper__:  # type: ignore[attr-defined]
            return pg_pipeline.run(connection, prepared, statements)

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Take a connection from the pool; the first thing done on it may be done on another instead (`_healing`)."""
        connected: bool = super().connect(reuse_if_open)
        self._own.untouched = True
        return connected

    def _healing(self, act: Callable[[], T]) -> T:
        """Do the first thing on a connection, once more on another where the server had ended this one meanwhile.

        Nothing was done then: either it is a read, or the transaction that was to begin with it was never committed.
        """
        untouched, self._own.untouched = self._own.__dict__.get("untouched", False), False
        try:
            return act()
        except (pw.OperationalError, pw.InterfaceError):
            if not untouched or not self.connection().closed:
                raise
            self._replace_connection()
            return act()

    def _replace_connection(self) -> None:
        with self._pool_lock:
            self._in_use.pop(self.conn_key(self._state.conn), None)
        self._close_raw(self._state.conn)
        self._state.conn = self._connect()
        self._initialize_connection(self._state.conn)


@contextmanager
def _lost_rows() -> Iterator[None]:
    """Call a division by zero what it is here: a write did not find its rows."""
    try:
        yield
    except pw.DataError as error:
        if isinstance(getattr(error, "orig", None), psycopg.errors.DivisionByZero):
            raise LostRow(str(error)) from error
        raise
