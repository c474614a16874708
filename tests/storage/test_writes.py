"""Writes that share a statement do what they would one after the other, and one that misses its rows undoes all."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.connections import LostRow
from storage.writes import Write, combined

ROWS = 4
TABLES = ("w_one", "w_two")
MADE = (
    "CREATE TABLE {0} (id bigint PRIMARY KEY, value text)",
    "INSERT INTO {0} SELECT i, 'old' FROM generate_series(1, {1}) i",
)


CHANGES = st.tuples(st.sampled_from(TABLES), st.integers(1, ROWS + 2), st.text("abc?$", max_size=3))


def update(table: str, row: int, value: str, rows: int | None = None, *, apart: bool = False) -> Write:
    return Write(f'"{table}"', f'UPDATE "{table}" SET value = ? WHERE id = ?', [value, row], rows, apart)


def insert(table: str, row: int, value: str) -> Write:
    return Write(f'"{table}"', f'INSERT INTO "{table}" (id, value) VALUES (?, ?)', [row, value], apart=True)


def left(server: psycopg.Connection[Any]) -> dict[str, dict[int, str]]:
    """What the tables hold."""
    return {table: dict(server.execute(f"SELECT id, value FROM {table}").fetchall()) for table in TABLES}


@pytest.fixture
def database_kind() -> str:
    """SQLite is a part of this process: its statements cost no trips."""
    return "postgresql"


@pytest.fixture
def server(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def fresh(server: psycopg.Connection[Any]) -> None:
    for table in TABLES:
        server.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in MADE:
            server.execute(statement.format(table, ROWS))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, max_size=6))
def test_together_they_do_what_they_do_in_turn(server: psycopg.Connection[Any], changes: list[Any]) -> None:
    """Whatever they touch, in their order: two that touch one row do not share a statement."""
    expected: dict[str, dict[int, str]] = {table: dict.fromkeys(range(1, ROWS + 1), "old") for table in TABLES}
    for table, row, value in changes:
        expected[table] |= {row: value} if row in expected[table] else {}
    fresh(server)
    for statement in combined(update(*each) for each in changes):
        psycopg.RawCursor(server).execute(*statement)
    assert left(server) == expected


def test_writes_of_different_rows_share_a_statement(server: psycopg.Connection[Any]) -> None:
    """So a change of a run is one statement, however many of its steps, attempts and events it writes."""
    fresh(server)
    writes = [
        update("w_one", 1, "a", rows=1, apart=True), update("w_one", 2, "b", rows=1, apart=True),
        insert("w_one", 9, "c"), update("w_two", 1, "d", rows=1),
    ]  # fmt: skip
    (statement,) = combined(writes)
    psycopg.RawCursor(server).execute(*statement)
    found = left(server)
    assert (found["w_one"][1], found["w_one"][2], found["w_one"][9], found["w_two"][1]) == ("a", "b", "c", "d")


def test_a_lock_keeps_its_place_among_writes() -> None:
    """What comes after it is not done before it."""
    lock = ("SELECT pg_advisory_xact_lock(1)", ())
    found = list(combined([update("w_one", 1, "a"), lock, update("w_two", 1, "b")]))
    assert found[1] == lock
    assert len(found) == 3


@pytest.mark.parametrize("missing", [0, 1])
def test_one_that_misses_its_row_undoes_all(server: psycopg.Connection[Any], missing: int) -> None:
    """It says so by dividing by zero, which the connection calls `LostRow`."""
    fresh(server)
    rows = [1, 2]
    rows[missing] = 77
    (statement,) = combined([update("w_one", row, "new", rows=1, apart=True) for row in rows])
    with pytest.raises(psycopg.errors.DivisionByZero):
        psycopg.RawCursor(server).execute(*statement)
    assert set(left(server)["w_one"].values()) == {"old"}
    assert issubclass(LostRow, RuntimeError)
