"""Redis stands still: how much later new runs begin and timers end than while it answers."""

from __future__ import annotations

import signal
import time

from bench import workloads
from bench.rig import Rig, wait_for
from engine.runs import executions
from storage import database
from storage import steps as kept

EVERY_S, NAP_MS = 0.37, 1_000
"""The pause between two runs is no part of a second, so that they fall on all parts of a sweep's."""


def measured(rig: Rig, seconds: float) -> str:
    """The latest first call and the latest timer of runs that come all the time, in seconds, without and with Redis."""
    _publish(rig)
    assert rig.redis_process is not None
    alive = _latest(rig, seconds)
    rig.redis_process.send_signal(signal.SIGSTOP)
    try:
        still = _latest(rig, seconds)
    finally:
        rig.redis_process.send_signal(signal.SIGCONT)
    told = [
        f"{what} {stood:.2f} s, {stood / max(answered, 0.001):.1f} × the {answered:.2f} s with Redis alive"
        for what, answered, stood in zip(("latest first call", "latest timer"), alive, still, strict=True)
    ]
    exited = sum(process.poll() is not None for process in rig.workers)
    return f"Redis stalled for {seconds:.0f} s: {'; '.join(told)}; {exited} workers exited"


def _latest(rig: Rig, seconds: float) -> tuple[float, float]:
    runs, over = [], time.monotonic() + seconds
    while time.monotonic() < over:
        runs.append(workloads.start(rig, "stalled"))
        time.sleep(EVERY_S)
    wait_for(lambda: all(executions.find(rig.rt, run).status.ended for run in runs), "runs to end", every=0.1)
    starts, timers = zip(*(_waits(rig, run) for run in runs), strict=True)
    return max(starts), max(timers)


def _waits(rig: Rig, run: str) -> tuple[float, float]:
    """Seconds from acceptance to the first call, and from a timer's time to its end, by the database's times."""
    with database.reading():
        steps = {step.path: step for step in kept.of_execution(run)}
    first, nap = steps["first"].started_at, steps["nap"]
    assert first is not None
    assert nap.started_at is not None
    assert nap.ended_at is not None
    asked = executions.find(rig.rt, run).created_at
    return (first - asked) / 1000, (nap.ended_at - nap.started_at - NAP_MS) / 1000


def _publish(rig: Rig) -> None:
    call = {"id": "first", "type": "http", "with": {"url": f"http://127.0.0.1:{rig.target}/step"}}
    book = workloads.book("stalled", [call, {"id": "nap", "type": "delay", "with": {"for": f"{NAP_MS}ms"}}])
    workloads.approve(rig, [book])
