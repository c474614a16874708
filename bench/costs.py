"""What a step costs and what waiting costs, counted rather than timed; and how soon a dead worker's step goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import workloads
from bench.rig import Rig, stop, wait_for
from engine import boot
from engine.runtime import Runtime
from engine.text.redaction import Redactor
from engine.worker.runner import Runner
from storage import database, workers
from storage.columns import proxy

_RUNS = 20


def of_a_step(rig: Rig) -> str:
    """Statements and commits a step, counted in one thread, and Redis commands a step of runs by a worker process."""
    rt = replace(rig.rt, hint=lambda _ids: None)
    with database.transaction():
        workers.register(rt.workspace_id, "bench")
    runner = Runner(rt, "bench", boot.make_tools(rt, Redactor()))
    rig.start_workers(0)
    told = [f"a {what} {_of_kind(rig, rt, runner, slug)}" for what, slug in (("message", "linear"), ("call", "calls"))]
    rig.start_workers(1)
    before = Counter(rig.redis_calls())
    workloads.many(rig, "linear", _RUNS)
    after = Counter(rig.redis_calls())
    calls = sum((after - before - Counter({"info": after["info"]})).values())
    return f"{'; '.join(told)}; {calls / (_RUNS * workloads.STEPS):.1f} Redis commands a step"


def _of_kind(rig: Rig, rt: Runtime, runner: Runner, slug: str) -> str:
    runs = [workloads.start(replace(rig, rt=rt), slug) for _ in range(_RUNS)]
    counted = _counting(lambda: [runner.advance(run) for run in runs])
    steps = _RUNS * workloads.STEPS
    trips = "" if rig.kind == "sqlite" else f"{counted['trips'] / steps:.1f} round trips, "
    return f"{counted['statements'] / steps:.1f} statements, {trips}{counted['commits'] / steps:.1f} commits"


def _counting(act: Callable[[], object]) -> Counter[str]:
    """Statements that reach the database, commits, and on PostgreSQL the round trips that they take."""
    counts: Counter[str] = Counter()
    db = proxy.obj
    originals = {
        name: getattr(db, name) for name in ("_run", "_send", "_execute_cursor", "commit") if hasattr(db, name)
    }

    def counted(name: str, *args: Any) -> object:
        sent = len(args[0]) if name == "_send" else 1
        counts.update({"commits": 1} if name == "commit" else {"statements": sent, "trips": 1})
        return originals[name](*args)

    for name in originals:
        setattr(db, name, partial(counted, name))
    try:
        act()
    finally:
        for name in originals:
            delattr(db, name)
    return counts


def of_waiting(rig: Rig, gates: int) -> str:
    """Threads and memory of the worker process before and after so many runs wait at a gate."""
    pid = rig.workers[0].pid
    before = _threads_and_memory(pid)
    for _ in range(gates):
        workloads.start(rig, "gate")
    wait_for(lambda: workloads.waiting_runs() == gates, f"{gates} gates to open", every=0.05)
    after = _threads_and_memory(pid)
    return f"{gates} gates: threads {before[0]} → {after[0]}, memory {before[1]:.0f} → {after[1]:.0f} MB"


def _threads_and_memory(pid: int) -> tuple[int, float]:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["Threads"]), int(status["VmRSS"].split()[0]) / 1024


def of_a_death(rig: Rig) -> float:
    """Seconds from a worker's kill -9 under `runbook up` to the next attempt of the step that it was running."""
    environ = {name: value for name, value in rig.environ.items() if name != "REDIS_URL"} | {"PORT": "0"}
    root = str(Path(__file__).resolve().parents[1])
    with (rig.folder / "up.log").open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", "up"], cwd=rig.folder, stdout=out, stderr=out,
            env={**os.environ, **environ, "PYTHONPATH": root},
        )  # fmt: skip
    try:
        wait_for(lambda: workloads.live_worker(up.pid) is not None, "a worker of `runbook up`", every=0.1)
        run = workloads.start(rig, "slow")
        wait_for(lambda: workloads.attempts(run) == 1, "the step to begin", every=0.02)
        worker = workloads.live_worker(up.pid)
        assert worker is not None
        time.sleep(0.5)
        os.kill(worker, signal.SIGKILL)
        began = time.perf_counter()
        wait_for(lambda: workloads.attempts(run) == 2, "the step to be tried again", every=0.01)
        return time.perf_counter() - began
    finally:
        stop(up)
