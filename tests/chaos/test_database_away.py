"""The database is away for 10 to 60 s, also again and again: no call is made twice, none is UNKNOWN, no worker ends.

The server is a PostgreSQL of this file's own, which is stopped, killed or frozen, or the SQLite file is locked or its
disk full. `CHAOS_SEED=7` chooses the same lengths again.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import invariants
import pytest
from counting import CountingServer
from harness import Clock, Harness, http, runbook
from scenarios import patiently
from worker_estate import Estate, worker_environment
from workers_apart import living, locked, most_written, until

from engine.runs import executions
from engine.runtime import Runtime
from storage import database, events

SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
RUNS, MORE = 12, 4
LONG, ANY, SHORT = (55.0, 60.0), (10.0, 60.0), (10.0, 20.0)
DRAIN_S = 90.0


@pytest.fixture(scope="module")
def postgres(own_postgres: Any) -> Any:
    """Whatever asks for a server gets this file's own."""
    return own_postgres


class Ways:
    """How the database goes away from the workers and comes back."""

    def __init__(self, estate: Estate, file: Path, server: Any) -> None:
        stack, processes = ExitStack(), [each.process for each in estate.workers]
        self.of: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "locked": (lambda: stack.enter_context(locked(file)), stack.close),
            "full": (lambda: most_written(processes, 1), lambda: most_written(processes)),
        }
        if server is not None:
            self.of |= {
                "stopped": (server.stop, server.start),
                "killed": (server.kill, server.start),
                "frozen": (server.freeze, server.thaw),
            }


class Calls:
    """How long the server's answers take: while the database is away some end before its return, and some after it."""

    def __init__(self, random_: random.Random) -> None:
        self._random = random_
        self.away_s = 0.0

    def takes(self) -> float:
        if not self.away_s or self._random.random() < 0.2:
            return self._random.uniform(0.0, 1.0)
        return self._random.uniform(0.0, self.away_s + 5.0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("database_kind", "way", "lengths"),
    [
        ("postgresql", "frozen", [LONG]),
        ("sqlite", "locked", [LONG]),
        ("postgresql", "killed", [SHORT, SHORT]),
        ("postgresql", "stopped", [ANY]),
        ("sqlite", "full", [ANY]),
        ("sqlite", "locked", [SHORT, SHORT]),
    ],
    indirect=["database_kind"],
)
def test_nothing_is_lost_or_done_twice(
    rt: Runtime,
    way: str,
    lengths: list[tuple[float, float]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Calls under way when it goes, some that end meanwhile and some afterwards, and runs that begin at its return."""
    random_, where = random.Random(f"{SEED} {way} {len(lengths)}"), rt.settings.database_url
    server, calls = CountingServer(), Calls(random_)
    server.takes = calls.takes
    harness = Harness(rt, Clock())
    harness.publish(runbook("demo", *steps_to(server.url), max_concurrent_steps=4))
    url = where.url or f"sqlite:///{where.path}"
    told, runs = [], []
    with Estate(tmp_path, worker_environment(url, tmp_path, server.server.port), None) as estate:
        begin, end = Ways(estate, where.path, request.getfixturevalue("postgres") if where.url else None).of[way]
        until(lambda: {each.id for each in estate.workers} <= living(), 60)
        for shortest, longest in lengths:
            calls.away_s, arrived = random_.uniform(shortest, longest), server.arrived.total()
            runs += [harness.start("demo") for _ in range(RUNS)]
            until(lambda before=arrived: server.arrived.total() >= before + RUNS)
            begin()
            time.sleep(calls.away_s)  # the outage itself
            told.append(f"{calls.away_s:.0f} s")
            calls.away_s = 0.0
            estate.workers[1].freeze(random_.uniform(2.0, 5.0))  # it is heard some seconds after the other
            end()
            runs += [patiently(lambda: harness.start("demo")) for _ in range(MORE)]
        took = until(lambda: patiently(lambda: all(at_rest(rt, each) for each in runs)), DRAIN_S)
        exits = estate.exits
    server.close()
    with capsys.disabled():
        print(f"\n{way} for {', then '.join(told)}: SEED={SEED}, {len(runs)} runs, the last ended {took:.1f} s later")
    check(harness, runs, server, (tmp_path / "workers.log").read_text())
    assert exits == []


def steps_to(url: str) -> list[dict[str, Any]]:
    """Two calls at once of which one may be repeated, and two more one after the other."""
    post, put, get, last = (
        http(name, f"{url}/{name}", method=method, timeout="90s")
        for name, method in (("post", "POST"), ("put", "PUT"), ("get", "GET"), ("last", "POST"))
    )
    return [{**post, "needs": []}, {**put, "needs": []}, {**get, "needs": ["post", "put"]}, last]


def at_rest(rt: Runtime, run: str) -> bool:
    """It has ended, or waits for a person to say what became of a call."""
    status = executions.find(rt, run).status
    return status.ended or status == "WAITING"


def check(harness: Harness, runs: list[str], server: CountingServer, log: str) -> None:
    """Every run is SUCCESS by four calls, each of them made once, and none was ever taken for lost."""
    stories = {}
    for run in runs:
        with database.reading():
            stories[run] = [each.kind for each in events.after(run, 0, 10_000)]
        invariants.check(run)
    assert {str(harness.status(run)) for run in runs} == {"SUCCESS"}, log[-4000:]
    odd = {run: story for run, story in stories.items() if {"step_unknown", "late_result"} & set(story)}
    assert not odd, f"{odd}\n{log[-4000:]}"
    assert sum(step.recoveries for run in runs for step in harness.step_runs(run)) == 0, log[-4000:]
    assert (len(server.arrived), set(server.arrived.values())) == (4 * len(runs), {1}), log[-4000:]
