"""A worker's lock on PostgreSQL is proof of its life: real processes, killed, and real connections, cut."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from harness import Clock, Harness, Target, http, runbook
from workers_apart import living, until, worker

from engine.runs import executions
from engine.runtime import Runtime
from storage import database, steps, worker_lock, workers
from storage.records import StepRunRecord
from storage.worker_lock import WorkerLock

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


def cut(url: str, *, but: str = "nobody") -> None:
    """End every connection to the database but those of an application of this name."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> %s",
            [but],
        )


def the_step(run: str) -> StepRunRecord:
    with database.reading():
        return steps.of_execution(run)[0]


def test_the_steps_of_a_killed_worker_are_taken_over_at_once(rt: Runtime, target: Target, tmp_path: Path) -> None:
    """Long before its lease runs out, and though nobody saw it die: the other worker makes the call again."""
    harness = Harness(rt, Clock())
    harness.publish(runbook("demo", http("slow", target.url("/slow"), method="PUT")))
    target.on_request = lambda _path: time.sleep(30 if len(target.hits) == 1 else 0)  # the first is never answered
    with worker(rt, tmp_path, target) as (first, process):
        run = harness.start("demo")
        until(lambda: target.hits)
        with worker(rt, tmp_path, target) as (second, _):
            until(lambda: {first, second} <= living())
            assert the_step(run).worker_id == first
            process.send_signal(signal.SIGKILL)
            assert until(lambda: len(target.hits) == 2) < 3.0
            until(lambda: executions.find(rt, run).status == "SUCCESS")
    assert len(target.seen_keys()) == 1
    harness.close()


def test_a_living_worker_whose_connections_are_cut_goes_on(rt: Runtime, target: Target, tmp_path: Path) -> None:
    """It takes its lock again before anybody takes it for dead, and what it was calling is not called twice."""
    harness = Harness(rt, Clock())
    harness.publish(
        runbook("demo", http("slow", target.url("/slow"), method="POST"), http("then", target.url("/then")))
    )
    target.on_request = lambda path: time.sleep(3 if path == "/slow" else 0)
    with worker(rt, tmp_path, target) as (first, process), worker(rt, tmp_path, target) as (second, _):
        until(lambda: {first, second} <= living())
        run = harness.start("demo")
        until(lambda: target.hits)
        holder = the_step(run).worker_id
        for _ in range(3):
            cut(rt.settings.database_url.url)
            time.sleep(0.5)  # the pace of the trouble; nothing is waited for
        until(lambda: executions.find(rt, run).status == "SUCCESS")
        assert process.poll() is None
        assert (target.paths(), the_step(run).recoveries) == (["/slow", "/then"], 0)
        assert holder is not None
        assert {first, second} <= living()
    harness.close()


@pytest.mark.slow
def test_a_restart_of_the_server_stops_nothing(rt: Runtime, target: Target, tmp_path: Path, postgres: Any) -> None:
    """What was being called meanwhile is recorded once the server is back, and no worker is taken for dead."""
    harness = Harness(rt, Clock())
    harness.publish(
        runbook("demo", http("slow", target.url("/slow"), method="POST"), http("then", target.url("/then")))
    )
    target.on_request = lambda path: postgres.restart() if path == "/slow" else None
    with worker(rt, tmp_path, target) as (first, process), worker(rt, tmp_path, target) as (second, other):
        until(lambda: {first, second} <= living())
        run = harness.start("demo")
        until(lambda: target.paths() == ["/slow", "/then"])
        database.close_database()  # the test's own connections are from before
        until(lambda: executions.find(rt, run).status == "SUCCESS")
        assert the_step(run).recoveries == 0
        assert (process.poll(), other.poll()) == (None, None)
    harness.close()


def test_a_lock_is_held_again_after_its_connection_was_lost(rt: Runtime) -> None:
    """And is free once it is given up."""
    mine = WorkerLock("w1")
    mine.hold()
    with database.transaction():
        workers.register(rt.workspace_id, "w1", mine.key)

    def gone() -> list[str]:
        with database.reading():
            locks = worker_lock.probe(database.now(), but="another")
        return [worker_id for worker_id, held in locks.items() if not held]

    assert gone() == []
    cut(rt.settings.database_url.url)
    database.close_database()
    assert until(lambda: gone() == ["w1"]) < 5
    mine.wait(5.0)
    mine.hold()
    assert gone() == []
    mine.close()
    assert until(lambda: gone() == ["w1"]) < 5


def test_a_lock_is_the_same_in_every_thread(rt: Runtime) -> None:
    """It is taken where a worker starts and looked after in a thread: that finds it held, and takes no second one."""
    mine = WorkerLock("w1")
    mine.hold()
    line = mine._connection
    thread = threading.Thread(target=mine.hold)
    thread.start()
    thread.join(10)
    assert mine._connection is line
    with database.reading():
        (count,) = database.proxy.obj.execute_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_locks%%' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert count == 1
    mine.close()
