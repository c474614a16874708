"""A database that is full, read-only, locked or away: readiness knows it in seconds, and callers read what is wrong."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from api_client import Api
from harness import CAROL

from bot import web
from engine import health
from storage import database

FULL = "The bot's database cannot be written: its disk is full."
READ_ONLY = "The bot's database cannot be written: it is read-only."
RUN = {"runbook": "drain", "parameters": {"service": "api"}}

sqlite_only = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def _looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request of these tests is to see what is so now."""
    monkeypatch.setattr(web, "READY_FOR_S", 0)


@contextmanager
def pragma(name: str, value: int, after: int) -> Iterator[None]:
    """Every SQLite connection of this process is opened with it, and is as before afterwards."""
    db = database.proxy.obj
    db.pragma(name, value, permanent=True) if not db.is_closed() else db._pragmas.append((name, value))
    db.close_idle()
    yield
    db._pragmas[:] = [each for each in db._pragmas if each[0] != name] + [(name, after)]
    db.close_idle()


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """As a standby that was not promoted: whoever connects from now on may only read."""

    def say(word: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {word}")
        database.proxy.obj.close_idle()

    say("on")
    try:
        yield
    finally:
        say("off")


def database_check(api: Api) -> tuple[int, bool, str]:
    answer = api.client.get("/readyz")
    found = answer.json()["checks"]["database"]
    return answer.status_code, found["ok"], found["detail"]


def refused(api: Api, tries: int) -> str:
    """What a caller reads who asks for runs until one is not taken."""
    for number in range(tries):
        answer = api.ask("POST", "/executions", CAROL, {**RUN, "incident": {"case": f"c{number}"}, "reason": "x" * 400})
        if answer.status_code == 503:
            problem = answer.json()
            assert (problem["code"], answer.headers["retry-after"]) == ("unavailable", "2")
            return str(problem["detail"])
        assert answer.status_code in (201, 202), answer.text
    raise AssertionError("all were taken")


def test_readiness_takes_a_write(api: Api) -> None:
    """And leaves nothing behind."""
    assert database_check(api)[1:] == (True, "answers and takes writes")
    with database.reading():
        assert database.proxy.obj.execute_sql("SELECT count(*) FROM probe").fetchone()[0] == 0


@sqlite_only
def test_a_full_disk_is_told(api: Api) -> None:
    """As no more pages are to be had, and again when they are."""
    api.token(CAROL)
    with database.reading():
        pages = database.proxy.obj.execute_sql("PRAGMA page_count").fetchone()[0]
    with pragma("max_page_count", pages, after=2**30):
        assert database_check(api)[:2] == (503, False)
        assert database_check(api)[2] == FULL
        assert refused(api, tries=200) == f"{FULL} An operator has to change that; ask again then."
    assert database_check(api)[1]


@sqlite_only
def test_a_read_only_disk_is_told(api: Api) -> None:
    api.token(CAROL)
    with pragma("query_only", 1, after=0):
        assert database_check(api) == (503, False, READ_ONLY)
        assert refused(api, tries=1).startswith(READ_ONLY)
    assert database_check(api)[1]


@postgresql_only
def test_a_read_only_server_is_told(api: Api) -> None:
    api.token(CAROL)
    with read_only(api.harness.rt.settings.database_url.url):
        assert database_check(api) == (503, False, READ_ONLY)
        assert refused(api, tries=1).startswith(READ_ONLY)
    assert database_check(api)[1]


@sqlite_only
def test_a_locked_database_is_told_before_anybody_gives_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look waits for no lock longer than whoever asks would wait for the answer."""
    monkeypatch.setattr(health, "PATIENCE_S", 0.5)
    other = sqlite3.connect(api.harness.rt.settings.database_url.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    status, ok, detail = database_check(api)
    assert (status, ok, time.monotonic() - began < 3) == (503, False, True)
    assert "has taken no write for" in detail
    other.execute("ROLLBACK")
    until = time.monotonic() + 10
    while not database_check(api)[1]:
        assert time.monotonic() < until


@sqlite_only
def test_a_page_says_it_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise database.OperationalError("gone")

    monkeypatch.setattr(web, "READY_FOR_S", -1)
    monkeypatch.setattr(health, "checks", away)
    answer = api.client.get("/readyz")
    assert (answer.status_code, answer.text[:42]) == (503, "The bot's database does not answer. Ask ag")
