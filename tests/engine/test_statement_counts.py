"""What is asked of many at once costs as many statements as of a few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from harness import ALICE, BOB, GROUPS, Harness, gate, http, runbook

from engine.catalog import catalog
from engine.runs import executions, voting
from engine.worker.sweeper import Sweeper
from storage import database, workers
from storage import executions as kept
from storage.columns import proxy
from storage.records import Filter


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []
    db = proxy.obj
    names = ("execute_sql", "_send") if database.is_postgresql() else ("_run",)
    originals: dict[str, Callable[..., Any]] = {name: getattr(db, name) for name in names}

    def noting(name: str) -> Callable[..., Any]:
        def call(first: Any, *values: Any) -> Any:
            sent.extend([each for each, _ in first] if name == "_send" else [first])
            return originals[name](first, *values)

        return call

    for name in names:
        setattr(db, name, noting(name))
    try:
        yield sent
    finally:
        for name in names:
            delattr(db, name)


def test_the_deciders_among_many_people(harness: Harness) -> None:
    """Three or three hundred in a group that a gate asks, none of whom may decide: all are judged by one look."""
    harness.publish(runbook("demo", gate("ask", approvers={"groups": ["oncall"]})))
    run = harness.start("demo", ALICE)
    harness.advance(run)
    sent = []
    for size in (3, 300):
        people = {f"U0P{number:05}" for number in range(size)}
        harness.know_groups({**GROUPS, "S0ONCALL": ("oncall", {"U0CAROL01"}), "S0MANY": ("many", people)})
        (found,) = executions.view(harness.rt, run).gates
        with counted() as statements:
            assert voting.deciders(harness.rt, found, 9) == ["U0CAROL01"]
        sent.append(len(statements))
    assert sent[0] == sent[1] < 10


def test_the_gates_that_wait_for_somebody_among_many(harness: Harness) -> None:
    """Three or thirty that somebody else decides, and one that is theirs."""
    harness.publish(runbook("demo", gate("ask")), runbook("mine", gate("ask", approvers={"users": [BOB.user_id]})))
    sent = []
    for more in (3, 27):
        for _ in range(more):
            harness.advance(harness.start("demo"))
        if not sent:
            harness.clock.tick(1)
            mine = harness.start("mine")
            harness.advance(mine)
        with counted() as statements:
            assert [each.execution.id for each in voting.waiting_for(harness.rt, BOB, 5)] == [mine]
        sent.append(len(statements))
    assert sent[0] == sent[1] < 10


def test_the_steps_of_a_dead_worker_are_looked_up_once_a_run(harness: Harness) -> None:
    """However many it held: is any lease past, which runs does that concern, and all of one run in one change."""
    run = harness.begin(*[http(f"s{number}", needs=[]) for number in range(5)])
    dead = harness.worker("dead")
    for _ in range(5):
        harness.claim(run, dead)
    with database.transaction():
        workers.declare_dead("dead")
        workers.heartbeat("w1")
    with counted() as statements:
        Sweeper(harness.rt, lambda _ids: None, grace_ms=0).sweep()
    assert [each.status for each in harness.step_runs(run)] == ["READY"] * 5
    assert len([each for each in statements if "JOIN" in each and '"worker"' in each]) <= 3
    harness.check_books(run)


def test_open_runs_of_a_version_are_found_behind_any_number_of_others(harness: Harness) -> None:
    """Whoever withdraws a version is told of every run that stops."""
    run = harness.begin(http("a"))
    record = harness.execution(run)
    with database.transaction():
        for number in range(1_001):
            kept.create(
                replace(record, id=f"X-{number}", slug="other", created_at=record.created_at + 1, slot_group=None)
            )
    assert catalog.open_runs(harness.rt, "demo", [record.number]) == [run]


@pytest.mark.parametrize("door", ["requester", "owner"])
def test_the_runs_that_somebody_asked_for_or_answers_for(harness: Harness, door: str) -> None:
    """Both kinds together, the newest first, each once, and no more than are asked for."""
    harness.publish(runbook("demo", http("a")))
    runs = []
    for number in range(4):
        harness.clock.tick(1)
        runs.append(harness.start("demo", BOB if number % 2 else ALICE))
    with database.transaction():
        for run in runs[:3]:
            before = kept.by_id(run)
            assert before is not None
            kept.save(before, replace(before, owner=BOB.user_id if door == "owner" else None))
    with database.reading():
        mine = [each.id for each in kept.page(harness.rt.workspace_id, Filter(requester=BOB.user_id), limit=3)]
        least = kept.page(harness.rt.workspace_id, Filter(requester=BOB.user_id), limit=1)
    wanted = runs if door == "owner" else [runs[1], runs[3]]
    assert (mine, [each.id for each in least]) == (wanted[::-1][:3], [runs[3]])
