"""Runs that start runs: a child never outlives its parent's interest in it, nor waits for its parent's slot."""

from __future__ import annotations

from typing import Any

import pytest
from house import ALICE, CAROL, House, Target, gate, http, runbook
from local_server import answer

from engine.errors import Conflict
from engine.orchestration import children
from engine.runs import controls, executions, skipping, voting
from storage import audit, database, step_changes, steps
from storage.records import Filter, StepRunRecord
from storage.run_state import RunState
from storage.states import Decision

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")
SUB: dict[str, Any] = {"id": "sub", "type": "runbook", "with": {"id": "child"}, "needs": []}
GROUP = {"group": "g", "limit": 1}


def begun(house: House, run: str) -> str:
    """Advance the parent and its child; the child's id."""
    house.advance(run)
    child = str(house.step(run, "sub").child)
    house.advance(child)
    return child


def why(house: House, child: str) -> str:
    return str(house.execution(child).error["message"])


def test_a_parent_that_fails_cancels_its_child(house: House, target: Target) -> None:
    """Within a sweep, on record with the parent's name."""
    target.does["/bad"] = [BROKEN]
    house.publish(runbook("child", gate("ask")))
    run = house.begin(SUB, http("bad", target.url("/bad"), needs=[]))
    child = begun(house, run)
    house.run(run)
    house.sweep()
    assert (house.status(run), house.status(child)) == ("FAILED", "CANCELLED")
    assert why(house, child) == f"{run} does not wait for it any more"
    with database.reading():
        (row,) = [
            each
            for each in audit.of_thing(house.rt.workspace_id, f"execution:{child}", 10)
            if each.action == "execution.cancel"
        ]
    assert (row.actor, row.detail["parent"]) == ("system", run)


def test_a_cancelled_parent_cancels_its_child_and_that_ones_child(house: House) -> None:
    """At once, all the way down."""
    house.publish(runbook("grandchild", gate("ask")))
    house.publish(runbook("child", {**SUB, "with": {"id": "grandchild"}}))
    run = house.begin(SUB)
    child = begun(house, run)
    grandchild = begun(house, child)
    controls.cancel(house.rt, CAROL, run, "wrong service")
    assert {house.status(each) for each in (run, child, grandchild)} == {"CANCELLED"}
    assert why(house, child) == f"{run} was cancelled. wrong service"


def test_a_skipped_runbook_step_cancels_its_child(house: House, target: Target) -> None:
    """And the run goes on without it."""
    house.publish(runbook("child", {"id": "hear", "type": "wait", "with": {"key": "k"}}))
    run = house.begin(SUB, http("after", target.url("/after"), needs=["sub"]))
    child = begun(house, run)
    skipping.skip(house.rt, CAROL, run, "sub", "not today")
    assert house.run(run) == "SUCCESS"
    assert (house.status(child), why(house, child)) == ("CANCELLED", f"sub of {run} was skipped")


def test_a_paused_parent_leaves_its_child_alone(house: House, target: Target) -> None:
    """It takes the child's result when it goes on."""
    house.publish(runbook("child", http("a", target.url("/a"))))
    run = house.begin(SUB)
    house.advance(run)
    child = str(house.step(run, "sub").child)
    controls.pause(house.rt, CAROL, run)
    house.sweep()
    assert house.run(child) == "SUCCESS"
    controls.resume(house.rt, CAROL, run)
    assert house.run(run) == "SUCCESS"


def test_a_child_in_its_parents_group_shares_the_slot(house: House, target: Target) -> None:
    """Else each would wait for the other for ever. Nobody else gets in meanwhile."""
    house.publish(
        runbook("child", gate("ask"), concurrency=GROUP),
        runbook("other", http("o", target.url("/o")), concurrency=GROUP),
    )
    run = house.begin(SUB, concurrency=GROUP)
    child = begun(house, run)
    other = house.start("other")
    assert (house.status(child), house.execution(child).slot) == ("WAITING", "shared")
    house.advance(other)
    assert house.status(other) == "PENDING"
    voting.vote(house.rt, ALICE, child, None, Decision.APPROVE)
    assert house.run(child) == "SUCCESS"
    house.advance(other)
    assert house.status(other) == "PENDING"
    assert house.run(run) == "SUCCESS"
    assert house.run(other) == "SUCCESS"


def test_a_slot_is_not_free_before_the_cleanup_of_a_child_that_shares_it(house: House, target: Target) -> None:
    """The parent ended first: its child holds the slot until its own end."""
    house.publish(
        runbook("child", gate("ask"), concurrency=GROUP, **{"finally": [http("tidy", target.url("/tidy"))]}),
        runbook("other", http("o", target.url("/o")), concurrency=GROUP),
    )
    run = house.begin(SUB, concurrency=GROUP)
    child = begun(house, run)
    other = house.start("other")
    controls.cancel(house.rt, CAROL, run, "enough")
    assert (house.status(run), house.execution(child).slot) == ("CANCELLED", "held")
    house.advance(other)
    assert (house.status(other), target.hits) == ("PENDING", [])
    assert house.run(child) == "CANCELLED"
    assert house.run(other) == "SUCCESS"
    assert target.paths() == ["/tidy", "/o"]


def test_a_child_of_a_run_that_rejects_company_is_no_company(house: House, target: Target) -> None:
    """`on_conflict: reject` refuses other people's runs, not the run's own child."""
    reject = {**GROUP, "on_conflict": "reject"}
    house.publish(runbook("child", http("a", target.url("/a")), concurrency=reject))
    run = house.begin(SUB, concurrency=reject)
    child = begun(house, run)
    assert house.run(child) == "SUCCESS"
    assert house.run(run) == "SUCCESS"
    holder = house.begin(gate("ask"), slug="holder", concurrency=reject)
    with pytest.raises(Conflict, match=holder):
        house.start("child")


def test_a_queued_run_that_is_cancelled_ends_at_once(house: House, target: Target) -> None:
    """It was never admitted, so it executes no step, not even those of `finally`; its place goes to nobody."""
    top: dict[str, Any] = {"concurrency": GROUP, "finally": [http("tidy", target.url("/tidy"))]}
    house.publish(runbook("demo", gate("ask"), **top))
    first, second, third = (house.start("demo") for _ in range(3))
    house.advance(first)
    controls.cancel(house.rt, CAROL, second, "not needed")
    assert house.status(second) == "CANCELLED"
    house.check_books(second)
    assert house.event_kinds(second)[-1] == "ended"
    controls.cancel(house.rt, CAROL, first, "not needed")
    assert house.run(first) == "CANCELLED"
    house.advance(third)
    assert house.status(third) == "WAITING"
    assert target.paths() == ["/tidy"]


def test_two_children_side_by_side_share_too(house: House, target: Target) -> None:
    """However many."""
    house.publish(runbook("child", http("a", target.url("/a")), concurrency=GROUP))
    run = house.begin(SUB, {**SUB, "id": "also"}, concurrency=GROUP)
    house.advance(run)
    for each in executions.recent(house.rt, Filter(open=True)):
        if each.id != run:
            assert house.run(each.id) == "SUCCESS"
    assert house.run(run) == "SUCCESS"


def test_waiting_for_a_child_costs_no_rows(house: House) -> None:
    """However long it takes: the parent has made one attempt, and looks now and then without another."""
    house.publish(runbook("child", gate("ask", timeout="12h")))
    run = house.begin(SUB, timeout="20h")
    child = begun(house, run)
    fence = house.step(run, "sub").fence
    for _ in range(5):
        house.clock.tick(children.CHECK_EVERY_MS)
        house.sweep()
    step = house.step(run, "sub")
    assert (step.status, step.attempts, step.fence) == ("READY", 1, fence)
    assert step.due_at == house.clock.time + children.CHECK_EVERY_MS
    assert [each.status for each in house.attempts(run, "sub")] == ["SUCCESS"]
    assert house.execution(run).running == 0
    voting.vote(house.rt, ALICE, child, None, Decision.APPROVE)
    assert house.run(child) == "SUCCESS"
    house.advance(run)
    assert (house.status(run), house.step(run, "sub").attempts) == ("SUCCESS", 1)
    house.check_books(run)


def test_a_nudge_during_a_look_is_not_lost(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child ended between the look at it and the new due time: the parent's step stays due."""
    house.publish(runbook("child", gate("ask")))
    run = house.begin(SUB)
    begun(house, run)
    house.clock.tick(children.CHECK_EVERY_MS)
    postpone = step_changes.postpone

    def made_due(locked: RunState, step: StepRunRecord, due_at: int) -> None:
        steps.make_due(step.id, house.clock.time - 1)
        postpone(locked, step, due_at)

    monkeypatch.setattr(step_changes, "postpone", made_due)
    house.advance(run)
    assert house.step(run, "sub").due_at == house.clock.time - 1


def test_a_child_that_ends_while_its_parent_is_paused_is_seen_at_resume(house: House, target: Target) -> None:
    house.publish(runbook("child", http("a", target.url("/a"))))
    run = house.begin(SUB)
    house.advance(run)
    child = str(house.step(run, "sub").child)
    controls.pause(house.rt, CAROL, run)
    assert house.run(child) == "SUCCESS"
    controls.resume(house.rt, CAROL, run)
    house.sweep()
    assert house.status(run) == "SUCCESS"
