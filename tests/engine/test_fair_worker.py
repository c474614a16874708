"""Whatever some runs call, others begin: a real worker with few places, and a server that holds its calls."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from harness import ALICE, Harness, Target, gate, http, runbook

from engine import health
from engine.runs import voting
from engine.worker import worker_process
from engine.worker.worker_process import Worker, thread_counts
from storage import database
from storage.states import Decision

PLACES = 12
A_THIRD = 4
SOON_S = 5.0
"""What is promised at most; a second on a machine that does nothing else."""


def say(name: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "type": "message", "with": {"text": "hello"}, **keys}


def nap(name: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "type": "delay", "with": {"for": "1s"}, **keys}


def wait_for(condition: Callable[[], Any], seconds: float = SOON_S) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)
    return found


class Holding:
    """Holds calls of /slow until it lets go; all others are answered at once."""

    def __init__(self, target: Target) -> None:
        self.go = threading.Event()
        self.target = target
        target.does["/slow"] = [self._hold]

    def _hold(self, conn: socket.socket, _request: bytes) -> None:
        self.go.wait(60)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def arrived(self, path: str = "/slow") -> int:
        return self.target.paths().count(path)


@pytest.fixture
def slow(target: Target) -> Iterator[Holding]:
    held = Holding(target)
    yield held
    held.go.set()


@pytest.fixture
def at_work(harness: Harness, slow: Holding) -> Iterator[Callable[..., Worker]]:
    """Start a real worker that has few threads and few places; what services hint goes to its hands."""
    database.use_clock(None)
    harness.know_groups()
    started: list[Worker] = []

    def start(threads: int = 2, places: int = PLACES) -> Worker:
        few = replace(harness.rt.settings, redis_url=None, worker_threads=threads, worker_calls=places)
        worker = Worker(replace(harness.rt, settings=few), f"real-{len(started)}", harness.tools)
        worker.start()
        harness.rt = replace(harness.rt, hint=worker._hint)
        started.append(worker)
        return worker

    yield start
    slow.go.set()
    for worker in started:
        worker.stop()


def fan(target: Target, count: int) -> list[dict[str, Any]]:
    return [http(f"s{number}", target.url("/slow"), needs=[]) for number in range(count)]


def probe(target: Target) -> list[dict[str, Any]]:
    """A call, a timer, a message, a gate, and a call behind it."""
    return [http("first", target.url("/first")), nap("nap"), say("say"), gate("ask"), http("then", target.url("/then"))]


def goes_through(harness: Harness, run: str) -> None:
    """All of `probe`, each part as soon as is promised."""
    wait_for(lambda: harness.all_steps(run)["first"] == "SUCCESS")
    wait_for(lambda: harness.all_steps(run)["ask"] == "WAITING", 1 + SOON_S)
    voting.vote(harness.rt, ALICE, run, "ask", Decision.APPROVE)
    wait_for(lambda: harness.status(run) == "SUCCESS")


@pytest.mark.parametrize("team", ["payments", None])
def test_others_go_on_beside_a_run_that_takes_all_it_can(
    harness: Harness, target: Target, slow: Holding, at_work, team: str | None
) -> None:
    """Another team's run, and another of the same team: first call, timer, message, gate, and what follows a vote."""
    at_work()
    harness.publish(
        runbook("crowd", *fan(target, 3 * PLACES), max_concurrent_steps=3 * PLACES),
        runbook("probe", *probe(target), team=team),
    )
    crowd = harness.start("crowd")
    wait_for(lambda: slow.arrived() == A_THIRD)
    goes_through(harness, harness.start("probe"))
    assert slow.arrived() == A_THIRD
    assert Counter(harness.all_steps(crowd).values()) == {"RUNNING": A_THIRD, "READY": 3 * PLACES - A_THIRD}
    slow.go.set()
    wait_for(lambda: harness.status(crowd) == "SUCCESS", 60)
    assert set(target.seen_keys().values()) == {1}
    harness.check_books(crowd)


def test_what_calls_nothing_waits_for_no_place(harness: Harness, target: Target, slow: Holding, at_work) -> None:
    """Not even when every place is taken, and not in the very run whose calls wait."""
    at_work()
    teams = [f"team-{number}" for number in range(PLACES)]
    access = "platform_admins: [U0ALICE01]\nteams:\n" + "".join(
        f"  {team}: {{members: [U0ALICE01]}}\n" for team in teams
    )
    harness.write(_access_yaml=access)
    harness.publish(*(runbook(team, *fan(target, 5), team=team) for team in teams))
    for team in teams:
        harness.start(team, ALICE)
    wait_for(lambda: slow.arrived() == PLACES)
    harness.publish(
        runbook("late", http("call", target.url("/late"), needs=[]), say("said", needs=[]), nap("slept", needs=[]),
                gate("asked", needs=[]), team="team-0"),
    )  # fmt: skip
    late = harness.start("late", ALICE)
    quiet = {"said": "SUCCESS", "slept": "SUCCESS", "asked": "WAITING"}
    wait_for(lambda: harness.all_steps(late) == {"call": "READY", **quiet}, 1 + SOON_S)
    assert slow.arrived("/late") == 0
    slow.go.set()
    wait_for(lambda: harness.all_steps(late) == {"call": "SUCCESS", **quiet}, 30)


def test_a_child_waits_for_no_place(harness: Harness, target: Target, slow: Holding, at_work) -> None:
    """The step that starts another run calls nothing."""
    at_work()
    harness.publish(
        runbook("crowd", *fan(target, 30), max_concurrent_steps=30), runbook("inner", say("hello")),
        runbook("outer", {"id": "child", "type": "runbook", "with": {"id": "inner"}}),
    )  # fmt: skip
    harness.start("crowd")
    wait_for(lambda: slow.arrived() == A_THIRD)
    run = harness.start("outer")
    wait_for(lambda: harness.status(run) == "SUCCESS")


def test_a_run_that_waits_for_a_place_says_busy(
    harness: Harness, target: Target, slow: Holding, at_work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a step has waited: the worker knows of it."""
    worker = at_work()
    harness.publish(runbook("crowd", *fan(target, 30), max_concurrent_steps=30))
    run = harness.start("crowd")
    wait_for(lambda: slow.arrived() == A_THIRD)
    wait_for(lambda: worker.runner._shares.census() == (A_THIRD, 1))
    worker._heartbeat.renew()
    monkeypatch.setattr(health, "MAX_READY_AGE_MS", 0)
    found = {check.name: check for check in health.checks(harness.rt)}["queue"]
    assert found.ok, found
    assert "busy: 4 calls are under way, 1 runs wait for a place" in found.detail
    slow.go.set()
    wait_for(lambda: harness.status(run) == "SUCCESS", 30)


def test_a_worker_with_calls_under_way_stops_in_time(
    harness: Harness, target: Target, slow: Holding, at_work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that do not end are given up; the next worker makes them again, for they may be repeated."""
    monkeypatch.setattr(worker_process, "DRAIN_S", 0.5)
    worker = at_work()
    run = harness.begin(*fan(target, 3))
    wait_for(lambda: slow.arrived() == 3)
    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 8
    slow.go.set()
    at_work()
    wait_for(lambda: harness.status(run) == "SUCCESS", 20)


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "at_once"), [(1, 199), (2, 5), (10, 199), (1, 20)])
def test_others_go_on_at_full_size(
    harness: Harness, target: Target, slow: Holding, at_work, runs: int, at_once: int
) -> None:
    """With the settings as they are, beside runs of 199 calls that do not end."""
    at_work(harness.rt.settings.worker_threads, harness.rt.settings.worker_calls)
    harness.publish(
        runbook("crowd", *fan(target, 199), max_concurrent_steps=at_once), runbook("probe", *probe(target)),
    )  # fmt: skip
    crowd = [harness.start("crowd") for _ in range(runs)]
    wait_for(lambda: slow.arrived() >= min(20, runs * at_once), 30)
    for _ in range(3):
        goes_through(harness, harness.start("probe"))
    slow.go.set()
    for run in crowd:
        wait_for(lambda run=run: harness.status(run) == "SUCCESS", 200)
        harness.check_books(run)
    assert set(target.seen_keys().values()) == {1}


def test_records_use_few_connections() -> None:
    """Claimers, recorders and the rest fit into the pool, however small it is."""
    assert thread_counts(8, 20) == (8, 2)
    assert thread_counts(32, 100) == (32, 8)
    assert thread_counts(8, 10) == (3, 2)
    assert thread_counts(8, 1) == (1, 1)
    assert thread_counts(1, 20) == (1, 2)
