"""A database that throws everybody out again and again: work goes on between, nothing is lost or half done."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import psycopg
import pytest
from harness import Harness, Target, http, runbook

from engine.worker.worker_process import Worker
from storage import database

KILL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def throw_out(url: str, stop: threading.Event, thrown: list[int]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while not stop.wait(0.15):
            row = connection.execute(KILL).fetchone()
            thrown.append(row[0] if row else 0)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_every_connection_killed_seven_times_a_second(harness: Harness, target: Target, database_url: str) -> None:
    """Every run ends; a call is made again only where its result could not be kept, and with the same key."""
    database.use_clock(None)
    harness.know_groups()
    harness.publish(runbook("demo", *(http(name, target.url(f"/{name}")) for name in "abcdef")))
    runs = [harness.start("demo") for _ in range(8)]
    settings = replace(harness.rt.settings, redis_url=None, worker_threads=4)
    worker = Worker(replace(harness.rt, settings=settings), "w-real", harness.tools)
    stop, thrown = threading.Event(), list[int]()
    killer = threading.Thread(target=throw_out, args=(database_url, stop, thrown))
    worker.start()
    killer.start()
    try:
        time.sleep(2)  # the trouble lasts so long, and then it ends
        stop.set()
        killer.join(10)
        deadline = time.monotonic() + 30
        while not all(harness.status(run).ended for run in runs) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stop.set()
        killer.join(10)
        worker.stop()
    assert sum(thrown) > 5
    assert [harness.status(run) for run in runs] == ["SUCCESS"] * len(runs)
    assert len(target.seen_keys()) == 6 * len(runs)
    for run in runs:
        harness.check_books(run)
