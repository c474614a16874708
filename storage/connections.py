"""The two databases as connections that decide when a statement is sent.

Changes of known step runs (`cache`) are sent before whatever follows them. On PostgreSQL, where a statement costs a
round trip, those and all writes whose answer nobody needs wait for the next statement that is asked something, and go
with it in one trip: the order of statements is the same, and what fails raises there, at the latest with the commit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import peewee as pw
import psycopg
from playhouse.pool import PooledPostgresqlDatabase, PooledSqliteDatabase

from storage import sql
from storage.step_cache import cache

Statement = tuple[str, Sequence[Any]]

SQLITE_PATIENCE_S = 30
_BEGIN: Statement = ("BEGIN", ())
_GUARDED = "WITH moved AS ({} RETURNING 1) SELECT 1 / count(*) FROM moved"


class LostRow(RuntimeError):
    """A row that was read under its run's lock was changed by somebody without it. Nothing of the change is committed.

    That is a bug and no trouble of the database: trying again would hide it.
    """


class Sqlite(PooledSqliteDatabase):  # type: ignore[misc]
    """Asks for the write lock every millisecond, where SQLite's own handler backs off to a tenth of a second."""

    def begin(self, lock_type: str | None = None) -> None:
        until = time.monotonic() + SQLITE_PATIENCE_S
        self._run("PRAGMA busy_timeout = 0")
        try:
            while not self._begun(lock_type, until):
                time.sleep(0.001)
        finally:
            self._run(f"PRAGMA busy_timeout = {SQLITE_PATIENCE_S * 1000}")
        cache.clear(active=True)

    def _begun(self, lock_type: str | None, until: float) -> bool:
        try:
            super().begin(lock_type)
        except pw.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            return False
        return True

    def commit(self) -> None:
        self._settle()
        super().commit()
        cache.clear(active=False)

    def rollback(self) -> None:
        cache.clear(active=False)
        if self.connection().in_transaction:  # a full disk has ended it already
            super().rollback()

    def execute_sql(self, statement: str, params: Sequence[Any] | None = None) -> Any:
        _forget_for(statement)
        return self.ask(statement, params or ())

    def ask(self, statement: str, values: Sequence[Any]) -> Any:
        """Its cursor."""
        self._settle()
        return self._run(statement, values)

    def ask_each(self, statements: Sequence[Statement]) -> list[Any]:
        """Their cursors."""
        return [self.ask(*each) for each in statements]

    def later(self, statement: str, values: Sequence[Any], *, guarded: bool = False) -> None:
        """Send a write whose answer nobody needs; `guarded` says that it has to find its one row."""
        self._settle()
        self._write(statement, values, guarded=guarded)

    def _settle(self) -> None:
        for change in cache.take_changes():
            self._write(*sql.moving(change), guarded=True)

    def _write(self, statement: str, values: Sequence[Any], *, guarded: bool) -> None:
        if self._run(statement, values).rowcount != 1 and guarded:
            raise LostRow(f"{statement}: there is no such row any more")

    def _run(self, statement: str, values: Sequence[Any] = ()) -> Any:
        with pw.__exception_wrapper__:  # type: ignore[attr-defined]
            return self.cursor().execute(statement, values)


class Postgresql(PooledPostgresqlDatabase):  # type: ignore[misc]
    """Sends what waits together with the next statement."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._own = threading.local()
        super().__init__(*args, **options)

    @property
    def _waiting(self) -> list[Statement]:
        waiting: list[Statement] = self._own.__dict__.setdefault("waiting", [])
        return waiting

    def begin(self) -> None:
        self._waiting[:] = [_BEGIN]
        cache.clear(active=True)

    def commit(self) -> None:
        self._settle()
        if self._waiting != [_BEGIN]:  # else nothing was ever sent
            self._send([*self._taken(), ("COMMIT", ())])
        self._waiting.clear()
        cache.clear(active=False)

    def rollback(self) -> None:
        begun = _BEGIN not in self._waiting
        self._waiting.clear()
        cache.clear(active=False)
        if begun:
            super().rollback()

    def execute_sql(self, statement: str, params: Sequence[Any] | None = None) -> Any:
        _forget_for(statement)
        self._settle()
        if not self._waiting:
            return super().execute_sql(statement, params)
        connection = self.connection()
        with _lost_rows(), pw.__exception_wrapper__, connection.pipeline():  # type: ignore[attr-defined]
            for each in self._taken():
                psycopg.RawCursor(connection).execute(*each)
            return super().execute_sql(statement, params)

    def ask(self, statement: str, values: Sequence[Any]) -> Any:
        """Its cursor, once all that waited and it are done."""
        return self.ask_each([(statement, values)])[0]

    def ask_each(self, statements: Sequence[Statement]) -> list[Any]:
        """Their cursors, in one round trip."""
        self._settle()
        return self._send([*self._taken(), *statements])[-len(statements) :]

    def later(self, statement: str, values: Sequence[Any], *, guarded: bool = False) -> None:
        """Send a write whose answer nobody needs with the next statement that is asked something.

        `guarded` says that it has to find its one row. Where it does not, it divides by zero, which undoes the
        transaction: nobody looks at the answer.
        """
        sent = _GUARDED.format(statement) if guarded else statement
        if not cache.active:
            self.ask(sent, values)
            return
        self._settle()
        self._waiting.append((sent, values))

    def _taken(self) -> list[Statement]:
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def _settle(self) -> None:
        for change in cache.take_changes():
            statement, values = sql.moving(change)
            self._waiting.append((_GUARDED.format(statement), values))

    def _send(self, statements: Sequence[Statement]) -> list[Any]:
        connection = self.connection()
        with _lost_rows(), pw.__exception_wrapper__:  # type: ignore[attr-defined]
            if len(statements) == 1:
                return [psycopg.RawCursor(connection).execute(*statements[0])]
            with connection.pipeline():
                return [psycopg.RawCursor(connection).execute(*each) for each in statements]


@contextmanager
def _lost_rows() -> Iterator[None]:
    """Call a division by zero what it is here: `_GUARDED` did not find its row."""
    try:
        yield
    except pw.DataError as error:
        if isinstance(getattr(error, "orig", None), psycopg.errors.DivisionByZero):
            raise LostRow(str(error)) from error
        raise


def _forget_for(statement: str) -> None:
    """What Peewee sends and is no query may change rows that are known."""
    if not statement.startswith("SELECT"):
        cache.forget()
