"""Statements in one round trip: what is sent comes back, errors are psycopg's, and the connection stays good."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import pg_pipeline
from storage.pg_pipeline import Prepared, run

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.tuples(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | TEXT, st.none() | st.booleans())
TYPED = ("SELECT $1::bigint, $2::text, $3::boolean", "SELECT count(*) FROM pg_type WHERE $1::text = 'x'")


@pytest.fixture
def database_kind() -> str:
    """SQLite is a part of this process: its statements cost no trips."""
    return "postgresql"


@pytest.fixture
def connection(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def prepared() -> Prepared:
    """What one connection has prepared, which lives as long as it."""
    return Prepared()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(VALUES, min_size=1, max_size=4))
def test_what_was_sent_comes_back(connection: psycopg.Connection[Any], prepared: Prepared, rows: list[Any]) -> None:
    """Prepared or not, by itself or with others."""
    for _ in range(3):
        answers = run(connection, prepared, [(TYPED[0], row) for row in rows])
        assert [answer.fetchall() for answer in answers] == [[list(row)] for row in rows]


def test_more_than_the_sockets_hold_goes_both_ways(connection: psycopg.Connection[Any]) -> None:
    """Neither side waits for the other to read."""
    large = "x" * 3_000_000
    answers = run(connection, Prepared(), [("SELECT $1::text", [large])] * 5)
    assert [answer.fetchall() for answer in answers] == [[[large]]] * 5


@pytest.mark.parametrize("prepared_before", [0, 5])
def test_the_first_that_fails_is_raised_and_none_is_done(
    connection: psycopg.Connection[Any], prepared_before: int
) -> None:
    """By the name that psycopg has for it; the next statements work, also those that were to be prepared with it."""
    prepared, wrong = Prepared(), "SELECT 1 / $1::bigint"
    connection.execute("CREATE TABLE IF NOT EXISTS piped (id bigint)")
    connection.execute("TRUNCATE piped")
    for _ in range(prepared_before):
        run(connection, prepared, [(wrong, [1])])
    for _ in range(4):
        with pytest.raises(psycopg.errors.DivisionByZero):
            run(connection, prepared, [("INSERT INTO piped VALUES ($1)", [7]), (wrong, [0]), ("SELECT 2", [])])
        assert run(connection, prepared, [("SELECT count(*) FROM piped", [])])[0].fetchall() == [[0]]
    assert connection.execute("SELECT 3").fetchone() == (3,)


def test_how_many_rows_were_changed_is_told(connection: psycopg.Connection[Any]) -> None:
    """As a cursor does."""
    connection.execute("CREATE TABLE IF NOT EXISTS counted (id bigint)")
    connection.execute("TRUNCATE counted")
    added, changed = run(
        connection, Prepared(),
        [
            ("INSERT INTO counted SELECT generate_series(1, $1::bigint)", [5]),
            ("UPDATE counted SET id = 0 WHERE id > $1", [2]),
        ],
    )  # fmt: skip
    assert (added.rowcount, changed.rowcount) == (5, 3)


def test_only_so_many_statements_are_kept_prepared(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of which there are many cost the server no memory."""
    monkeypatch.setattr(pg_pipeline, "_MOST_PREPARED", 3)
    prepared = Prepared()
    for number in range(20):
        for _ in range(3):
            assert run(connection, prepared, [(f"SELECT {number}", [])])[0].fetchall() == [[number]]
    (kept,) = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() or (None,)
    assert kept == 3


def test_a_value_that_no_column_has_is_refused(connection: psycopg.Connection[Any]) -> None:
    """Before anything is done, and the connection works on."""
    with pytest.raises(TypeError, match="dict"):
        run(connection, Prepared(), [("SELECT 1", []), ("SELECT $1::text", [{}])])
    assert run(connection, Prepared(), [("SELECT 1", [])])[0].fetchall() == [[1]]


def test_a_text_that_the_protocol_would_cut_is_refused(connection: psycopg.Connection[Any]) -> None:
    """Its values end at a NUL: nothing is written that nobody has asked for."""
    with pytest.raises(ValueError, match="NUL"):
        run(connection, Prepared(), [("SELECT $1::text", ["a\x00b"])])
    assert run(connection, Prepared(), [("SELECT 1", [])])[0].fetchall() == [[1]]


def test_a_connection_that_the_server_ends_is_said_to_be_lost(
    connection: psycopg.Connection[Any], database_url: str
) -> None:
    """As psycopg says it, with the server's reason."""
    pid = connection.info.backend_pid
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(psycopg.OperationalError, match=r"closed the connection[^;]*; .*due to administrator command"):
        run(connection, Prepared(), [("SELECT pg_sleep(20)", []), ("SELECT 1", [])])
    assert connection.closed


@pytest.mark.parametrize("worked", [True, False])
def test_what_became_of_a_commit_is_told(connection: psycopg.Connection[Any], worked: bool) -> None:
    """The server answers the COMMIT of a transaction that has failed with a ROLLBACK, and with no error."""
    run(connection, Prepared(), [("BEGIN", [])])
    if not worked:
        with pytest.raises(psycopg.errors.DivisionByZero):
            run(connection, Prepared(), [("SELECT 1 / 0", [])])
    (answer,) = run(connection, Prepared(), [("COMMIT", [])])
    assert answer.command == ("COMMIT" if worked else "ROLLBACK")


def test_what_was_prepared_for_another_table_is_not_kept(connection: psycopg.Connection[Any]) -> None:
    """A column's type was changed meanwhile: the connection ends, and whoever asks again has another."""
    prepared, asked = Prepared(), ("SELECT id FROM altered", [])
    connection.execute("DROP TABLE IF EXISTS altered")
    connection.execute("CREATE TABLE altered (id integer)")
    for _ in range(3):
        run(connection, prepared, [asked])
    connection.execute("ALTER TABLE altered ALTER id TYPE text")
    with pytest.raises(psycopg.OperationalError, match="out of date"):
        run(connection, prepared, [asked])
    assert connection.closed


def test_an_interrupted_trip_ends_its_connection(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes what is still to come for the answers to something else, and the interrupt stays one."""

    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(pg_pipeline, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(connection, Prepared(), [("SELECT pg_sleep(0.2)", [])])
    assert connection.closed
