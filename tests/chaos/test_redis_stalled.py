"""Redis stands still for 20 s: new runs and due timers begin within two seconds all the same, and no worker ends."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from counting import CountingServer
from harness import Clock, Harness, http, runbook
from worker_estate import Estate, worker_environment
from workers_apart import living, until

from bot import embedded_redis
from engine.runs import executions
from engine.runtime import Runtime

STALLED_S, EVERY_S, NAP_MS, SOON_MS = 20.0, 0.7, 1_000, 2_000


@pytest.mark.slow
@pytest.mark.skipif(embedded_redis.find() is None, reason="there is no Redis server's program here")
def test_nobody_waits_for_it(rt: Runtime, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the database's own times: from asking for a run to its first call, and from a timer's time to its end."""
    server, where = CountingServer(), rt.settings.database_url
    nap = {"id": "nap", "type": "delay", "with": {"for": f"{NAP_MS}ms"}}
    harness = Harness(rt, Clock())
    harness.publish(runbook("demo", http("first", f"{server.url}/first"), nap, http("then", f"{server.url}/then")))
    url = where.url or f"sqlite:///{where.path}"
    with Estate(tmp_path, worker_environment(url, tmp_path, server.server.port), None) as estate:
        harness.rt = replace(harness.rt, hint=estate.hints)
        until(lambda: {each.id for each in estate.workers} <= living(), 60)
        ended(harness, harness.start("demo"))
        estate.stall_redis()
        try:
            runs, over = [], time.monotonic() + STALLED_S
            while time.monotonic() < over:
                began = time.monotonic()
                runs.append(harness.start("demo"))
                assert time.monotonic() - began < SOON_MS / 1000, "whoever asked waited"
                time.sleep(EVERY_S)  # the pace of people
            for run in runs:
                ended(harness, run)
        finally:
            estate.wake_redis()
        exits = estate.exits
    server.close()
    starts, timers = zip(*(waits(harness, run) for run in runs), strict=True)
    with capsys.disabled():
        print(f"\n{len(runs)} runs: first call after {max(starts)} ms at most, timers {max(timers)} ms late at most")
    assert max(starts) < SOON_MS, sorted(starts)
    assert max(timers) < SOON_MS, sorted(timers)
    assert min(timers) >= 0, sorted(timers)
    assert exits == []


def ended(harness: Harness, run: str) -> None:
    until(lambda: executions.find(harness.rt, run).status == "SUCCESS", 20)


def waits(harness: Harness, run: str) -> tuple[int, int]:
    """Milliseconds from the run's acceptance to its first call, and from the timer's time to its end."""
    steps = {each.path: each for each in harness.step_runs(run)}
    asked = executions.find(harness.rt, run).created_at
    first, nap = steps["first"].started_at, steps["nap"]
    assert first is not None
    assert nap.started_at is not None
    assert nap.ended_at is not None
    return first - asked, nap.ended_at - nap.started_at - NAP_MS
