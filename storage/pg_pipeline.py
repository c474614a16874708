"""Statements to PostgreSQL in one round trip, by the driver's own bindings of libpq.

psycopg's cursors cost four times as much processor time as this, and let go of Python's lock with every statement
instead of once a trip: https://www.psycopg.org/psycopg3/docs/api/pq.html.
"""

from __future__ import annotations

import itertools
import select
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from storage.writes import Statement

_PREPARED_AFTER = 2
"""A text is prepared when it is sent again: most that are sent twice are sent often."""

_MOST_PREPARED = 500
"""Statements that a connection keeps prepared, so that texts of which there are many cost the server no memory."""

_STALE = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)
"""What is said of a prepared statement whose table was altered since, or that the server does not know any more."""

_INTEGERS = frozenset({20, 21, 23})
_BOOLEAN = 16
"""The types of our columns by their ids in `pg_type`; all others are text."""


class Answer:
    """What one statement came to, as much of a cursor as `storage.sql` asks for."""

    def __init__(self, result: pq.abc.PGresult) -> None:
        self._result = result

    @property
    def rowcount(self) -> int:
        """How many rows it has changed or found."""
        return self._result.command_tuples or 0

    @property
    def command(self) -> str:
        """The first word of what the server says it has done: `ROLLBACK` for a COMMIT of what had failed."""
        return (self._result.command_status or b"").decode().partition(" ")[0]

    def fetchall(self) -> list[list[Any]]:
        """The rows that it has found."""
        found, columns = self._result, range(self._result.nfields)
        readers = [_reader(found.ftype(column)) for column in columns]
        return [[readers[column](found.get_value(row, column)) for column in columns] for row in range(found.ntuples)]


class Prepared:
    """Which statements one connection has prepared."""

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self._names: dict[str, bytes] = {}
        self._numbers = itertools.count()

    def name(self, text: str) -> bytes | None:
        """The name of a prepared statement, None where it is not prepared."""
        return self._names.get(text)

    def is_due(self, text: str) -> bool:
        """Whether it is to be prepared now."""
        if len(self._uses) > 4 * _MOST_PREPARED:
            self._uses.clear()
        uses = self._uses[text] = self._uses.get(text, 0) + 1
        return uses >= _PREPARED_AFTER and len(self._names) < _MOST_PREPARED

    def new_name(self) -> bytes:
        """A name that no statement of this connection has, nor will be given by psycopg."""
        return b"runbook_%d" % next(self._numbers)

    def add(self, text: str, name: bytes) -> None:
        """Note that the server has prepared it."""
        self._names[text] = name


def run(connection: psycopg.Connection[Any], prepared: Prepared, statements: Sequence[Statement]) -> list[Answer]:
    """Their answers, in order. Raises psycopg's error of the first that failed, after which none was done."""
    conn = connection.pgconn
    written = [(text, [_written(value) for value in values]) for text, values in statements]
    conn.enter_pipeline_mode()
    try:
        sent = _sent(conn, prepared, written)
        conn.pipeline_sync()
        _flush(conn)
        answers, failed = _answers(conn, prepared, sent)
    except BaseException:
        conn.finish()  # what is still to come would be taken for answers to the next statements
        raise
    conn.exit_pipeline_mode()
    if failed is not None:
        if isinstance(failed, _STALE):
            conn.finish()  # what it has prepared is of tables that are others now
            raise psycopg.OperationalError(f"a prepared statement is out of date: {failed}") from failed
        raise failed
    return answers


def _sent(
    conn: pq.abc.PGconn, prepared: Prepared, statements: Sequence[tuple[str, list[bytes | None]]]
) -> list[tuple[str, bytes] | None]:
    """Send all; for each answer that will come the text and name of what is prepared by it, None for a statement's."""
    expected: list[tuple[str, bytes] | None] = []
    preparing: dict[str, bytes] = {}
    for text, written in statements:
        name = prepared.name(text) or preparing.get(text)
        if name is None and prepared.is_due(text) and not preparing:
            name = preparing[text] = prepared.new_name()
            conn.send_prepare(name, text.encode())
            expected.append((text, name))
        if name is None:
            conn.send_query_params(text.encode(), written)
        else:
            conn.send_query_prepared(name, written)
        expected.append(None)
    return expected


def _answers(
    conn: pq.abc.PGconn, prepared: Prepared, expected: Sequence[tuple[str, bytes] | None]
) -> tuple[list[Answer], psycopg.Error | None]:
    """What all came to, and the error of the first that failed; nothing is left to read.

    Raises `OperationalError` where the connection ends meanwhile, with what the server had said before.
    """
    answers: list[Answer] = []
    failed: psycopg.Error | None = None
    try:
        for preparing in expected:
            result = _next_result(conn)
            assert result is not None
            if result.status == pq.ExecStatus.FATAL_ERROR and failed is None:
                failed = error_from_result(result)
            if preparing is None:
                answers.append(Answer(result))
            elif result.status == pq.ExecStatus.COMMAND_OK:
                prepared.add(*preparing)
            _next_result(conn)  # None ends what one statement came to
        _next_result(conn)  # the end of the pipeline
    except psycopg.OperationalError as lost:
        if failed is None:
            raise
        raise psycopg.OperationalError(f"{lost}; the server had said: {failed}") from lost
    return answers, failed


def _next_result(conn: pq.abc.PGconn) -> pq.abc.PGresult | None:
    while conn.is_busy():
        _wait(conn, select.POLLIN)
        conn.consume_input()
    return conn.get_result()


def _flush(conn: pq.abc.PGconn) -> None:
    """Send what is buffered, reading meanwhile, so that neither side waits for the other to read."""
    while conn.flush():
        if _wait(conn, select.POLLIN | select.POLLOUT) & select.POLLIN:
            conn.consume_input()


def _wait(conn: pq.abc.PGconn, events: int) -> int:
    poll = select.poll()
    poll.register(conn.socket, events)
    return poll.poll()[0][1]


def _written(value: Any) -> bytes | None:
    """A value in the text form that PostgreSQL reads.

    Raises `TypeError` for one that no column of ours has, and `ValueError` for a text with a NUL, where libpq would cut
    it: whoever asks has made it `storable`.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, str) and "\0" in value:
        raise ValueError("PostgreSQL's texts have no NUL")
    if isinstance(value, str | int):
        return str(value).encode()
    raise TypeError(f"no statement takes a {type(value).__name__}")


def _reader(kind: int) -> Any:
    if kind in _INTEGERS:
        return _integer
    return _boolean if kind == _BOOLEAN else _text


def _integer(value: bytes | None) -> int | None:
    return None if value is None else int(value)


def _boolean(value: bytes | None) -> bool | None:
    return None if value is None else value == b"t"


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
