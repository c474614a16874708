"""Runs that start runs: a child never outlives its parent's interest in it, nor waits for its parent's slot."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, CAROL, Harness, Target, gate, http, runbook
from local_server import answer

from engine.errors import Conflict
from engine.orchestration import children, claiming, run_ending
from engine.orchestration.run_phases import change
from engine.runs import controls, executions, skipping, voting
from engine.steps.outcome import Begun
from storage import audit, database, step_changes, steps
from storage.records import Filter, StepRunRecord
from storage.run_state import RunState
from storage.states import Decision

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")
SUB: dict[str, Any] = {"id": "sub", "type": "runbook", "with": {"id": "child"}, "needs": []}
GROUP = {"group": "g", "limit": 1}


def begun(harness: Harness, run: str) -> str:
    """Advance the parent and its child; the child's id."""
    harness.advance(run)
    child = str(harness.step(run, "sub").child)
    harness.advance(child)
    return child


def why(harness: Harness, child: str) -> str:
    return str(harness.execution(child).error["message"])


def test_a_parent_that_fails_cancels_its_child(harness: Harness, target: Target) -> None:
    """Within a sweep, on record with the parent's name."""
    target.does["/bad"] = [BROKEN]
    harness.publish(runbook("child", gate("ask")))
    run = harness.begin(SUB, http("bad", target.url("/bad"), needs=[]))
    child = begun(harness, run)
    harness.run(run)
    harness.sweep()
    assert (harness.status(run), harness.status(child)) == ("FAILED", "CANCELLED")
    assert why(harness, child) == f"{run} does not wait for it any more"
    with database.reading():
        (row,) = [
            each
            for each in audit.of_thing(harness.rt.workspace_id, f"execution:{child}", 10)
            if each.action == "execution.cancel"
        ]
    assert (row.actor, row.detail["parent"]) == ("system", run)


def test_a_cancelled_parent_cancels_its_child_and_that_ones_child(harness: Harness) -> None:
    """At once, all the way down."""
    harness.publish(runbook("grandchild", gate("ask")))
    harness.publish(runbook("child", {**SUB, "with": {"id": "grandchild"}}))
    run = harness.begin(SUB)
    child = begun(harness, run)
    grandchild = begun(harness, child)
    controls.cancel(harness.rt, CAROL, run, "wrong service")
    assert {harness.status(each) for each in (run, child, grandchild)} == {"CANCELLED"}
    assert why(harness, child) == f"{run} was cancelled. wrong service"


def test_a_skipped_runbook_step_cancels_its_child(harness: Harness, target: Target) -> None:
    """And the run goes on without it."""
    harness.publish(runbook("child", {"id": "hear", "type": "wait", "with": {"key": "k"}}))
    run = harness.begin(SUB, http("after", target.url("/after"), needs=["sub"]))
    child = begun(harness, run)
    skipping.skip(harness.rt, CAROL, run, "sub", "not today")
    assert harness.run(run) == "SUCCESS"
    assert (harness.status(child), why(harness, child)) == ("CANCELLED", f"sub of {run} was skipped")


def test_a_paused_parent_leaves_its_child_alone(harness: Harness, target: Target) -> None:
    """It takes the child's result when it goes on."""
    harness.publish(runbook("child", http("a", target.url("/a"))))
    run = harness.begin(SUB)
    harness.advance(run)
    child = str(harness.step(run, "sub").child)
    controls.pause(harness.rt, CAROL, run)
    harness.sweep()
    assert harness.run(child) == "SUCCESS"
    controls.resume(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"


def test_a_child_in_its_parents_group_shares_the_slot(harness: Harness, target: Target) -> None:
    """Else each would wait for the other for ever. Nobody else gets in meanwhile."""
    harness.publish(
        runbook("child", gate("ask"), concurrency=GROUP),
        runbook("other", http("o", target.url("/o")), concurrency=GROUP),
    )
    run = harness.begin(SUB, concurrency=GROUP)
    child = begun(harness, run)
    other = harness.start("other")
    assert (harness.status(child), harness.execution(child).slot) == ("WAITING", "shared")
    harness.advance(other)
    assert harness.status(other) == "PENDING"
    voting.vote(harness.rt, ALICE, child, None, Decision.APPROVE)
    assert harness.run(child) == "SUCCESS"
    harness.advance(other)
    assert harness.status(other) == "PENDING"
    assert harness.run(run) == "SUCCESS"
    assert harness.run(other) == "SUCCESS"


def test_a_slot_is_not_free_before_the_cleanup_of_a_child_that_shares_it(harness: Harness, target: Target) -> None:
    """The parent ended first: its child holds the slot until its own end."""
    harness.publish(
        runbook("child", gate("ask"), concurrency=GROUP, **{"finally": [http("tidy", target.url("/tidy"))]}),
        runbook("other", http("o", target.url("/o")), concurrency=GROUP),
    )
    run = harness.begin(SUB, concurrency=GROUP)
    child = begun(harness, run)
    other = harness.start("other")
    controls.cancel(harness.rt, CAROL, run, "enough")
    assert (harness.status(run), harness.execution(child).slot) == ("CANCELLED", "held")
    harness.advance(other)
    assert (harness.status(other), target.hits) == ("PENDING", [])
    assert harness.run(child) == "CANCELLED"
    assert harness.run(other) == "SUCCESS"
    assert target.paths() == ["/tidy", "/o"]


def test_a_child_of_a_run_that_rejects_company_is_no_company(harness: Harness, target: Target) -> None:
    """`on_conflict: reject` refuses other people's runs, not the run's own child."""
    reject = {**GROUP, "on_conflict": "reject"}
    harness.publish(runbook("child", http("a", target.url("/a")), concurrency=reject))
    run = harness.begin(SUB, concurrency=reject)
    child = begun(harness, run)
    assert harness.run(child) == "SUCCESS"
    assert harness.run(run) == "SUCCESS"
    holder = harness.begin(gate("ask"), slug="holder", concurrency=reject)
    with pytest.raises(Conflict, match=holder):
        harness.start("child")


def test_a_queued_run_that_is_cancelled_ends_at_once(harness: Harness, target: Target) -> None:
    """It was never admitted, so it executes no step, not even those of `finally`; its place goes to nobody."""
    top: dict[str, Any] = {"concurrency": GROUP, "finally": [http("tidy", target.url("/tidy"))]}
    harness.publish(runbook("demo", gate("ask"), **top))
    first, second, third = (harness.start("demo") for _ in range(3))
    harness.advance(first)
    controls.cancel(harness.rt, CAROL, second, "not needed")
    assert harness.status(second) == "CANCELLED"
    harness.check_books(second)
    assert harness.event_kinds(second)[-1] == "ended"
    controls.cancel(harness.rt, CAROL, first, "not needed")
    assert harness.run(first) == "CANCELLED"
    harness.advance(third)
    assert harness.status(third) == "WAITING"
    assert target.paths() == ["/tidy"]


def test_two_children_side_by_side_share_too(harness: Harness, target: Target) -> None:
    """However many."""
    harness.publish(runbook("child", http("a", target.url("/a")), concurrency=GROUP))
    run = harness.begin(SUB, {**SUB, "id": "also"}, concurrency=GROUP)
    harness.advance(run)
    for each in executions.recent(harness.rt, Filter(open=True)):
        if each.id != run:
            assert harness.run(each.id) == "SUCCESS"
    assert harness.run(run) == "SUCCESS"


def test_waiting_for_a_child_costs_no_rows(harness: Harness) -> None:
    """However long it takes: the parent has made one attempt, and looks now and then without another."""
    harness.publish(runbook("child", gate("ask", timeout="12h")))
    run = harness.begin(SUB, timeout="20h")
    child = begun(harness, run)
    fence = harness.step(run, "sub").fence
    for _ in range(5):
        harness.clock.tick(children.CHECK_EVERY_MS)
        harness.sweep()
    step = harness.step(run, "sub")
    assert (step.status, step.attempts, step.fence) == ("READY", 1, fence)
    assert step.due_at == harness.clock.time + children.CHECK_EVERY_MS
    assert [each.status for each in harness.attempts(run, "sub")] == ["SUCCESS"]
    assert harness.execution(run).running == 0
    voting.vote(harness.rt, ALICE, child, None, Decision.APPROVE)
    assert harness.run(child) == "SUCCESS"
    harness.advance(run)
    assert (harness.status(run), harness.step(run, "sub").attempts) == ("SUCCESS", 1)
    harness.check_books(run)


def test_a_nudge_during_a_look_is_not_lost(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child ended between the look at it and the new due time: the parent's step stays due."""
    harness.publish(runbook("child", gate("ask")))
    run = harness.begin(SUB)
    begun(harness, run)
    harness.clock.tick(children.CHECK_EVERY_MS)
    postpone = step_changes.postpone

    def made_due(locked: RunState, step: StepRunRecord, due_at: int) -> None:
        steps.make_due(step.id, harness.clock.time - 1)
        postpone(locked, step, due_at)

    monkeypatch.setattr(step_changes, "postpone", made_due)
    harness.advance(run)
    assert harness.step(run, "sub").due_at == harness.clock.time - 1


def test_a_child_that_ends_while_its_parent_is_paused_is_seen_at_resume(harness: Harness, target: Target) -> None:
    harness.publish(runbook("child", http("a", target.url("/a"))))
    run = harness.begin(SUB)
    harness.advance(run)
    child = str(harness.step(run, "sub").child)
    controls.pause(harness.rt, CAROL, run)
    assert harness.run(child) == "SUCCESS"
    controls.resume(harness.rt, CAROL, run)
    harness.sweep()
    assert harness.status(run) == "SUCCESS"


def test_a_child_with_nothing_to_do_releases_its_parent_at_once(harness: Harness) -> None:
    """It ends in the change that begins it, which sees that its own step is due by that."""
    harness.publish(runbook("child", http("a", if_="false"), http("b", if_="false", needs=["a"])))
    run = harness.begin(SUB, gate("after", needs=["sub"]))
    harness.advance(run)
    assert harness.all_steps(run)["sub"] == "SUCCESS"
    assert (harness.status(run), harness.status(str(harness.step(run, "sub").child))) == ("WAITING", "SUCCESS")
    harness.check_books(run)


@pytest.mark.parametrize("ending", [False, True])
def test_an_attempt_that_begins_a_child_ends_with_the_change_it_began_in(harness: Harness, ending: bool) -> None:
    """As any attempt does, by the transition: whether it was on record before or not."""
    harness.publish(runbook("child", gate("ask")))
    run = harness.begin(SUB)
    with change(harness.rt, run, "test") as transition:
        (step,) = transition.run.at(["sub"])
        claim = claiming.claim(transition, step, "w1")
        assert claim is not None
        if ending:
            run_ending.cancel(transition, CAROL.user_id, "enough")
        assert children.record(transition, claim.step_run, Begun("child", {}))
    (attempt,) = harness.attempts(run, "sub")
    assert (attempt.status, attempt.ended_at) == ("ABANDONED" if ending else "SUCCESS", harness.clock.time)
    harness.check_books(run)
