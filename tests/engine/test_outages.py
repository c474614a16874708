"""A database that is away for longer than a lease: living workers keep their work, whatever comes first afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from harness import Harness, Target, http, runbook
from workers_apart import Processes, Proxy, living, locked, most_written, until, worker

from engine.runs import executions
from engine.steps.outcome import Succeeded
from engine.worker.heartbeat import Heartbeat
from engine.worker.runner import Runner
from engine.worker.sweeper import Sweeper
from storage import database, workers

LEASE_MS, OUTAGE_MS = workers.LEASE_MS, workers.LEASE_MS + 3_000


def sweep_as(harness: Harness, worker_id: str) -> None:
    """What a worker does first when the database is back."""
    heartbeat = Heartbeat(worker_id)
    Sweeper(harness.rt, harness.hinted.extend, 0, worker_id, heartbeat).sweep()


def renew(worker_id: str) -> bool:
    with database.transaction():
        return workers.heartbeat(worker_id)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_nobody_is_given_up_for_an_outage(harness: Harness, method: str) -> None:
    """Every lease is past, and each worker sweeps before the others were heard."""
    runs = [harness.begin(http("a", method=method), slug=f"demo-{number}") for number in range(3)]
    claims = [harness.claim(run, harness.worker(f"w-{number}")) for number, run in enumerate(runs)]
    harness.clock.tick(OUTAGE_MS)
    for number in range(3):
        for _ in range(2):
            sweep_as(harness, f"w-{number}")
    harness.pass_time(LEASE_MS)
    sweep_as(harness, "w1")
    for number, run in enumerate(runs):
        assert harness.all_steps(run) == {"a": "RUNNING"}
        harness.finish(claims[number], Succeeded({}), runner=Runner(harness.rt, f"w-{number}", harness.tools))
        assert (harness.status(run), harness.step(run, "a").recoveries) == ("SUCCESS", 0)
        assert "late_result" not in harness.event_kinds(run)
        harness.check_books(run)


def test_who_died_in_an_outage_is_found_a_lease_after_it(harness: Harness) -> None:
    """Not before: until then it may only not have been heard yet."""
    run = harness.begin(http("a"))
    harness.claim(run, harness.worker("w2"))
    harness.alive.discard("w2")
    harness.clock.tick(OUTAGE_MS)
    sweep_as(harness, "w1")
    harness.pass_time(LEASE_MS - 1)
    sweep_as(harness, "w1")
    assert harness.all_steps(run) == {"a": "RUNNING"}
    harness.clock.tick(1)
    sweep_as(harness, "w1")
    assert harness.step(run, "a").recoveries == 1


def test_who_begins_in_an_outage_gives_nobody_up(harness: Harness) -> None:
    """A new worker knows no more than that it has just come; what an older one has seen counts for it, too."""
    run = harness.begin(http("a"))
    harness.claim(run, harness.worker("w2"))
    harness.alive -= {"w1", "w2"}
    harness.clock.tick(OUTAGE_MS)
    harness.worker("w3")
    sweep_as(harness, "w3")
    harness.pass_time(LEASE_MS - 1)
    sweep_as(harness, "w3")
    assert harness.all_steps(run) == {"a": "RUNNING"}
    harness.clock.tick(1)
    harness.worker("w4")
    sweep_as(harness, "w3")
    assert harness.step(run, "a").recoveries == 1


def test_one_who_is_silent_while_others_are_heard_is_given_up(harness: Harness) -> None:
    """A frozen process, or one that alone cannot reach the database: its lease ends by its silence."""
    run = harness.begin(http("a", method="POST"))
    harness.claim(run, harness.worker("frozen"))
    harness.alive.discard("frozen")
    harness.pass_time(LEASE_MS)
    sweep_as(harness, "w1")
    assert harness.all_steps(run) == {"a": "UNKNOWN"}
    assert not renew("frozen")


def test_short_gaps_are_no_outage(harness: Harness) -> None:
    """A renewal that comes late now and then keeps nobody from giving up who is dead."""
    run = harness.begin(http("a"))
    harness.claim(run, harness.worker("w2"))
    harness.alive.discard("w2")
    for _ in range(3):
        harness.clock.tick(workers.GAP_MS)
        harness.beat()
    sweep_as(harness, "w1")
    assert harness.step(run, "a").recoveries == 1


def test_whoever_has_lost_its_lease_claims_nothing(harness: Harness, target: Target) -> None:
    """It learns that before it claims, and does not sweep either."""
    run = harness.begin(http("a", target.url()))
    harness.worker("w2")
    with database.transaction():
        workers.end("w2")
    heartbeat = Heartbeat("w2")
    runner = Runner(harness.rt, "w2", harness.tools, heartbeat)
    runner.advance(run)
    assert (target.hits, harness.all_steps(run)) == ([], {"a": "READY"})
    assert heartbeat.lost.is_set()
    due: list[str] = []
    Sweeper(harness.rt, due.extend, 0, "w2", heartbeat).sweep()
    assert due == []


def test_a_lease_that_is_past_is_renewed_before_the_next_claim(harness: Harness, target: Target) -> None:
    """So that what it claims is held by a lease that runs."""
    run = harness.begin(http("a", target.url()))
    harness.worker("w2")
    harness.clock.tick(OUTAGE_MS)
    heartbeat = Heartbeat("w2")
    assert not heartbeat.holds()
    Runner(harness.rt, "w2", harness.tools, heartbeat).advance(run)
    assert harness.status(run) == "SUCCESS"
    assert heartbeat.holds()


def test_a_result_whose_commit_was_not_answered_is_not_told_as_late(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was recorded, so the second try finds it done and goes on with what follows."""
    run = harness.begin(http("a"), http("b"))
    claim = harness.claim(run)
    original, left = database.transaction, [1]

    @contextmanager
    def broken() -> Iterator[None]:
        with original():
            yield
        if left:
            left.clear()
            raise database.OperationalError("the connection was lost")

    monkeypatch.setattr(database, "transaction", broken)
    harness.finish(claim)
    assert harness.all_steps(run) == {"a": "SUCCESS", "b": "READY"}
    assert "late_result" not in harness.event_kinds(run)
    harness.check_books(run)


class Outage:
    """One kind of it: how it begins and ends, and where the workers' database is."""

    def __init__(
        self, url: str | None, begin: Callable[[Processes], object], end: Callable[[Processes], object]
    ) -> None:
        self.url, self.begin, self.end = url, begin, end


@contextmanager
def outages(kind: str, harness: Harness, request: pytest.FixtureRequest) -> Iterator[Outage]:
    where = harness.rt.settings.database_url
    stack = ExitStack()
    if kind == "locked":
        yield Outage(None, lambda _: stack.enter_context(locked(where.path)), lambda _: stack.close())
        stack.close()
    elif kind == "full":
        yield Outage(None, lambda them: most_written(them, 1), most_written)
    elif kind == "stopped":
        server = request.getfixturevalue("postgres")
        yield Outage(None, lambda _: server.stop(), lambda _: (server.start(), database.close_database()))
    else:
        proxy = Proxy(where.url)
        begin = proxy.cut if kind == "refused" else proxy.hang
        yield Outage(proxy.url, lambda _: begin(), lambda _: proxy.restore(flowing=kind != "lost"))
        proxy.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("database_kind", "kind", "seconds"),
    [
        ("postgresql", "refused", 10),
        ("postgresql", "refused", 25),
        ("postgresql", "hanging", 18),
        ("postgresql", "lost", 18),
        ("postgresql", "lost", 45),
        ("postgresql", "stopped", 18),
        ("sqlite", "locked", 18),
        ("sqlite", "locked", 45),
        ("sqlite", "full", 30),
    ],
    indirect=["database_kind"],
)
def test_an_outage_costs_no_call_and_no_worker(
    harness: Harness, target: Target, tmp_path: Path, kind: str, seconds: int, request: pytest.FixtureRequest
) -> None:
    """Calls under way when it begins, some that end in it and some after it: each is made once and none is UNKNOWN."""
    database.use_clock(None)
    harness.know_groups()
    kinds = [http(method.lower(), target.url(f"/{method}"), method=method) for method in ("POST", "PUT", "GET")]
    harness.publish(runbook("demo", *kinds, http("last", target.url("/last"), method="POST")))
    away = threading.Event()
    target.on_request = lambda _path: time.sleep(len(target.hits) % 7 / 2 if not away.is_set() else 1)
    with outages(kind, harness, request) as outage, ExitStack() as stack:
        found = [stack.enter_context(worker(harness.rt, tmp_path, target, outage.url)) for _ in range(2)]
        ids, processes = {worker_id for worker_id, _ in found}, [process for _, process in found]
        until(lambda: ids <= living(), 60)
        runs = [harness.start("demo") for _ in range(12)]
        until(lambda: len(target.hits) >= 8)
        away.set()
        outage.begin(processes)
        time.sleep(seconds)  # the outage itself
        outage.end(processes)
        more = [harness.start("demo") for _ in range(4)]
        until(lambda: all(executions.find(harness.rt, run).status.ended for run in runs + more), 90)
        assert [process.poll() for process in processes] == [None, None]
    logs = "".join(each.read_text() for each in tmp_path.glob("w-*.log"))
    assert {harness.status(run) for run in runs + more} == {"SUCCESS"}, logs[-3000:]
    assert max(step.recoveries for run in runs + more for step in harness.step_runs(run)) == 0
    assert set(target.seen_keys().values()) == {1}, logs[-3000:]
    assert len(logs) < 50_000, "the log says it too often"
    for run in runs + more:
        harness.check_books(run)


def test_a_process_that_finds_no_database_may_be_started_again(tmp_path: Path) -> None:
    """Its settings are not to blame: `runbook up` starts it until the database answers."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": "postgresql://u@127.0.0.1:9/x"}
    command = [sys.executable, "-P", "-m", "bot.cli", "worker"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "DATABASE_URL: The bot's database does not answer." in ended.stderr
    assert "Traceback" not in ended.stderr
