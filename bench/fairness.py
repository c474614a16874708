"""How long others wait beside runs that call slow servers: for a first step, a timer, a gate, what follows a vote."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from bench import workloads
from bench.rig import Rig, wait_for
from engine.errors import Conflict
from engine.runs import controls, executions, voting
from storage import approvals as gates
from storage import database
from storage import steps as kept
from storage.records import StepRunRecord
from storage.states import Decision

PROBES = 8
APART_S = 0.4
NAP_MS = 1_000
MEASURED = ("first step", "timer", "gate", "after a vote")
Lag = dict[str, float]


def measured(rig: Rig) -> str:
    """For each crowd, the longest wait of a run that comes meanwhile, in seconds."""
    _publish(rig)
    told = []
    for what, slug, count in (
        ("nobody", "", 0),
        ("199 calls of 2 s at once", "crowd", 1),
        ("two runs of 199, five at once", "narrow", 2),
        ("20 calls of 30 s", "twenty", 1),
        ("two loops, four at once", "rounds", 2),
        ("ten runs of 199 calls at once", "crowd", 10),
        ("ten loops of 1,000 messages", "loop-1000", 10),
    ):
        lags = _beside(rig, slug, count)
        worst = ", ".join(f"{name} {max(each[name] for each in lags):.2f}" for name in MEASURED)
        told.append(f"\n    beside {what}: {worst} s")
    return "".join(told)


def _beside(rig: Rig, slug: str, count: int) -> list[Lag]:
    crowd = [workloads.start(rig, slug) for _ in range(count)]
    wait_for(lambda: all(workloads.attempts(each) for each in crowd), "the crowd's first calls")
    try:
        with ThreadPoolExecutor(PROBES) as pool:
            probes = []
            for _ in range(PROBES):
                probes.append(pool.submit(_probe, rig))
                time.sleep(APART_S)
            return [each.result() for each in probes]
    finally:
        for each in crowd:
            with suppress(Conflict):  # it has ended
                controls.cancel(rig.rt, workloads.ADMIN, each, "measured", force=True)


def _probe(rig: Rig) -> Lag:
    """A call, a second's nap, a gate, and a call behind it: how much later than it could each of them began."""
    run = workloads.start(rig, "probe")
    _until(run, "ask", lambda step: step.status == "WAITING")
    voting.vote(rig.rt, workloads.ADMIN, run, "ask", Decision.APPROVE)
    steps = _until(run, "then", lambda step: step.started_at is not None)
    with database.reading():
        (gate,) = gates.of_execution(run)
    created = executions.find(rig.rt, run).created_at
    first, nap, then = (steps[name] for name in ("first", "nap", "then"))
    passed = {
        "first step": first.started_at - created,
        "timer": nap.ended_at - nap.started_at - NAP_MS,
        "gate": gate.opened_at - nap.ended_at,
        "after a vote": then.started_at - gate.decided_at,
    }
    return {name: ms / 1000 for name, ms in passed.items()}


def _until(run: str, path: str, holds: Callable[[StepRunRecord], bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def came() -> bool:
        with database.reading():
            found.update({step.path: step for step in kept.of_execution(run)})
        return holds(found[path])

    wait_for(came, f"{path} of {run}", every=0.02)
    return found


def _publish(rig: Rig) -> None:
    url = f"http://127.0.0.1:{rig.target}/slow"

    def call(name: str, seconds: float, **keys: Any) -> dict[str, Any]:
        return {"id": name, "type": "http", "with": {"url": f"{url}/{seconds:g}"}, "timeout": "60s", **keys}

    fan = [call(f"c{number}", 2, needs=[]) for number in range(199)]
    ask = {"approvers": {"roles": ["platform_admin"]}, "message": "Go on?", "allow_self": True}
    loop = {"items": list(range(100)), "max_parallel": 4, "steps": [call("slowly", 2)]}
    books = [
        workloads.book("crowd", fan, max_concurrent_steps=199),
        workloads.book("narrow", fan),
        workloads.book("twenty", [call(f"c{n}", 30, needs=[]) for n in range(20)], max_concurrent_steps=20),
        workloads.book("rounds", [{"id": "each", "type": "loop", "with": loop}]),
        workloads.book("probe", [
            call("first", 0),
            {"id": "nap", "type": "delay", "with": {"for": "1s"}},
            {"id": "ask", "type": "approval", "with": ask, "timeout": "1h"},
            call("then", 0),
        ]),
    ]  # fmt: skip
    workloads.approve(rig, books)
