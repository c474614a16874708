"""Which trouble of a database is which, in whose words, and how often the log says so."""

from __future__ import annotations

import io
import logging
import sqlite3
from pathlib import Path

import psycopg
import pytest

from engine import database_errors
from engine.database_errors import TOLD_EVERY_S, OnceAMinute
from engine.text import logs
from engine.text.redaction import Redactor
from storage import database
from storage.driver_errors import Trouble, of


def wrapped(error: Exception, kind: type[Exception] = database.OperationalError) -> Exception:
    """As Peewee raises it."""
    return kind(error, *error.args)


def sqlite_error(act: str, path: Path, *, query_only: bool = False) -> Exception:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA query_only = {int(query_only)}")
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute(act)
    connection.close()
    return wrapped(caught.value)


def test_what_sqlite_says(tmp_path: Path) -> None:
    assert of(sqlite_error("CREATE TABLE t (a)", tmp_path / "a.db", query_only=True)) is Trouble.READ_ONLY
    assert of(sqlite_error("SELECT * FROM not_there", tmp_path / "a.db")) is None
    (tmp_path / "no.db").write_text("this is no database, and long enough to be seen as none" * 20)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        sqlite3.connect(tmp_path / "no.db").execute("SELECT * FROM t")
    assert of(wrapped(caught.value)) is Trouble.DAMAGED


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (psycopg.errors.DiskFull(), Trouble.FULL),
        (psycopg.errors.ReadOnlySqlTransaction(), Trouble.READ_ONLY),
        (psycopg.errors.LockNotAvailable(), Trouble.BUSY),
        (psycopg.errors.TooManyConnections(), Trouble.BUSY),
        (psycopg.errors.AdminShutdown(), Trouble.AWAY),
        (psycopg.OperationalError("connection refused"), Trouble.AWAY),
    ],
)
def test_what_postgresql_says(error: Exception, found: Trouble) -> None:
    assert of(wrapped(error)) is found


def test_it_is_found_behind_what_it_led_to() -> None:
    led_to = ValueError("so this failed")
    led_to.__cause__ = database.OperationalError("gone")
    assert of(led_to) is Trouble.AWAY
    assert of(ValueError("a bug")) is None
    assert database_errors.in_words(ValueError("a bug")) is None


def test_the_log_says_it_once_a_minute() -> None:
    """One line each time, with how many more there were; what is no such trouble keeps its traceback."""
    now = [0.0]
    handler, stream = logs.RedactingHandler(Redactor()), io.StringIO()
    handler._troubles = OnceAMinute(lambda: now[0])
    handler.stream = stream
    log = logging.Logger("test")
    log.addHandler(handler)

    def complain(error: Exception) -> None:
        try:
            raise error
        except Exception:
            log.exception("the sweep failed")

    for second in range(100):
        now[0] = float(second)
        for _ in range(20):
            complain(database.OperationalError("the server closed the connection\nunexpectedly"))
    said = stream.getvalue().splitlines()
    assert len(said) == 2
    assert "the sweep failed: The bot's database does not answer. the server closed the connection unexpect" in said[0]
    assert said[1].endswith(f"({int(TOLD_EVERY_S) * 20 - 1} more such records were left out since the last)")
    complain(wrapped(psycopg.errors.DiskFull("no space")))
    assert "its disk is full" in stream.getvalue().splitlines()[-1]
    complain(ValueError("a bug"))
    assert "Traceback" in stream.getvalue()
