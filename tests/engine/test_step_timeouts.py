"""The `timeout` of a whole branch, loop or runbook step, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from harness import CAROL, MINUTE, Harness, Target, gate, http, runbook
from local_server import answer
from test_containers_and_cleanup import branch, loop

from engine.errors import Conflict
from engine.runs import controls, executions
from engine.steps.outcome import Failed, Unknown
from storage.records import ExecutionRecord

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")


def pause(name: str, long: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "type": "delay", "with": {"for": long}, **keys}


def sub(**keys: Any) -> dict[str, Any]:
    return {"id": "sub", "type": "runbook", "with": {"id": "child"}, **keys}


def child_of(harness: Harness, run: str) -> ExecutionRecord:
    return executions.find(harness.rt, str(harness.step(run, "sub").child))


def test_a_branch_that_takes_too_long_fails_with_timeout(harness: Harness, target: Target) -> None:
    """What waits in it for its time does not go on, and the run fails at the limit, not before."""
    run = harness.begin(branch("way", "true", [pause("calm", "1h"), http("a", target.url("/a"))], timeout="10m"))
    harness.advance(run)
    harness.clock.tick(10 * MINUTE - 1)
    harness.sweep()
    assert harness.status(run) == "RUNNING"
    harness.clock.tick(1)
    harness.sweep()
    assert harness.status(run) == "FAILED"
    assert harness.execution(run).error["code"] == "timeout"
    assert harness.step(run, "way").error == {"code": "timeout", "message": "it was not done within 600 s"}
    assert target.hits == []
    harness.check_books(run)


def test_a_loop_has_one_limit_for_all_its_rounds(harness: Harness, target: Target) -> None:
    """It counts from the first round; a round that has not begun by then never does."""
    each = loop("each", http("ask", target.url("/{{ item }}")), pause("calm", "4m"), items=["a", "b", "c", "d"])
    run = harness.begin({**each, "timeout": "10m"})
    assert harness.run(run) == "FAILED"
    assert target.paths() == ["/a", "/b", "/c"]
    assert harness.step(run, "each").error["code"] == "timeout"


def test_a_failure_for_the_limit_is_put_up_with_like_any_other(harness: Harness, target: Target) -> None:
    """`continue_on_error` lets the run go on, and what the branch still held is skipped."""
    wait = {"id": "hear", "type": "wait", "with": {"key": "k"}}
    way = branch("way", "true", [wait, http("a", target.url("/a"))], timeout="1m", continue_on_error=True)
    run = harness.begin(way, http("after", target.url("/after")))
    harness.advance(run)
    harness.clock.tick(MINUTE)
    assert harness.sweep() == [run]
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/after"]
    assert harness.all_steps(run) == {"way": "FAILED", "after": "SUCCESS", "way.hear": "CANCELLED", "way.a": "SKIPPED"}


@pytest.mark.parametrize("outcome", ["done", "unknown"])
def test_what_runs_in_it_finishes_first(harness: Harness, target: Target, outcome: str) -> None:
    """Nothing else starts meanwhile, in no round of it; an outcome that nobody saw is settled by a person first."""
    each = loop(
        "each", http("a", target.url("/a"), method="POST"), http("b", target.url("/b")), items=[1, 2, 3], max_parallel=2
    )
    run = harness.begin({**each, "timeout": "1m"}, http("never", target.url("/never")))
    first, second = harness.claim(run), harness.claim(run)
    harness.clock.tick(MINUTE)
    harness.sweep(work=False)
    harness.finish(first, harness.act(first))
    harness.advance(run)
    assert (harness.status(run), target.paths()) == ("RUNNING", ["/a"])
    if outcome == "unknown":
        harness.finish(second, Unknown("timeout", "No answer."))
        assert harness.status(run) == "WAITING"
        controls.resolve(harness.rt, CAROL, run, second.step_run.path, "done", "It is there.")
    else:
        harness.finish(second, harness.act(second))
    assert harness.execution(run).error["code"] == "timeout"
    assert harness.status(run) == "FAILED"
    harness.check_books(run)


def test_a_limit_inside_another_ends_the_inner_one_alone(harness: Harness, target: Target) -> None:
    """A round that fails for its own limit counts as a failed round."""
    inner = branch("way", "item == 'slow'", [pause("calm", "1h")], [http("a", target.url("/a"))], timeout="1m")
    run = harness.begin(loop("each", inner, items=["slow", "fast"], max_failures=1, timeout="1h"))
    harness.advance(run)
    harness.clock.tick(MINUTE)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/a"]
    assert harness.step(run, "each").outputs["failures"] == 1


def test_limits_of_two_rounds_that_are_over_at_once_count_one_failure(harness: Harness, target: Target) -> None:
    """The first fails the loop and begins the cleanup; the second belongs to what is over, and counts for nothing."""
    undo = {"type": "http", "with": {"url": target.url("/undo/{{ item }}"), "method": "DELETE"}}
    inner = branch("way", "true", [http("a", target.url("/{{ item }}"), undo=undo), pause("calm", "1h")], timeout="1m")
    run = harness.begin(loop("each", inner, items=[1, 2], max_parallel=2))
    harness.advance(run)
    harness.clock.tick(MINUTE)
    harness.sweep(work=False)
    assert harness.execution(run).phase == "undo"
    harness.check_books(run)
    assert harness.run(run) == "FAILED"
    assert sorted(target.paths()) == ["/1", "/2", "/undo/1", "/undo/2"]
    harness.check_books(run)


def test_a_pause_does_not_stop_the_limit_and_what_follows_waits(harness: Harness, target: Target) -> None:
    """That the time was up is recorded at once; what follows starts with the resume."""
    wait = {"id": "hear", "type": "wait", "with": {"key": "k"}}
    way = branch("way", "true", [wait], timeout="1m", continue_on_error=True)
    run = harness.begin(way, http("after", target.url("/after")))
    harness.advance(run)
    controls.pause(harness.rt, CAROL, run)
    harness.clock.tick(MINUTE)
    harness.sweep()
    assert harness.step(run, "way").status == "FAILED"
    assert (harness.status(run), target.hits) == ("PAUSED", [])
    controls.resume(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/after"]


def test_a_runbook_step_that_takes_too_long_ends_and_cancels_its_child(harness: Harness, target: Target) -> None:
    """The child ends as cancelled, and its story and the audit name the parent and say why."""
    harness.publish(runbook("child", gate("ask"), **{"finally": [http("tidy", target.url("/tidy"))]}))
    run = harness.begin(sub(timeout="10m"))
    harness.advance(run)
    harness.run(child_of(harness, run).id)
    harness.clock.tick(10 * MINUTE)
    harness.sweep()
    assert harness.status(run) == "FAILED"
    assert harness.step(run, "sub").error["code"] == "timeout"
    child = child_of(harness, run)
    assert harness.run(child.id) == "CANCELLED"
    assert child.error["message"] == f"sub of {run} has failed: {child.id} did not end within 600 s"
    assert target.paths() == ["/tidy"]


def test_a_child_that_ends_in_time_is_taken_although_nobody_looked_in_time(harness: Harness, target: Target) -> None:
    """What counts at the limit is whether it has ended."""
    harness.publish(runbook("child", http("a", target.url("/a"))))
    run = harness.begin(sub(timeout="10m"))
    harness.advance(run)
    assert harness.run(child_of(harness, run).id) == "SUCCESS"
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"


def test_a_retry_gives_a_branch_its_whole_time_again(harness: Harness, target: Target) -> None:
    """It goes on where it was: its gate is asked again, and what was done is not done again."""
    run = harness.begin(branch("way", "true", [http("a", target.url("/a")), gate("ask")], timeout="10m"))
    harness.advance(run)
    harness.clock.tick(10 * MINUTE)
    harness.sweep()
    assert harness.status(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    harness.run(run, patience_ms=MINUTE)
    assert (harness.status(run), target.paths()) == ("WAITING", ["/a"])
    harness.clock.tick(10 * MINUTE - 1)
    harness.sweep()
    assert harness.status(run) == "WAITING"
    harness.clock.tick(1)
    harness.sweep()
    assert harness.status(run) == "FAILED"
    harness.check_books(run)


def test_a_retry_of_a_loop_that_was_between_rounds_begins_the_next(harness: Harness, target: Target) -> None:
    """Although nothing in it is left to run, and wherever it stands among the steps."""
    rounds = loop("each", http("ask", target.url("/{{ item }}")), items=["a", "b"], timeout="10m")
    run = harness.begin(http("before"), rounds)
    harness.finish(harness.claim(run))
    harness.finish(harness.claim(run))
    harness.clock.tick(10 * MINUTE)
    harness.sweep(work=False)
    assert (harness.status(run), harness.step(run, "each").rounds) == ("FAILED", 1)
    controls.retry(harness.rt, CAROL, run, "each")
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/b"]


def test_a_limit_is_over_with_the_run(harness: Harness) -> None:
    """A run that is failing already is not failed again by it: what it failed for stands."""
    run = harness.begin(
        branch("way", "true", [http("a", method="POST")], timeout="1m", needs=[]), http("b", needs=[], method="POST")
    )
    claims = {claim.step.id: claim for claim in (harness.claim(run), harness.claim(run))}
    harness.finish(claims["b"], Failed("http_status", "no"))
    harness.clock.tick(MINUTE)
    harness.sweep(work=False)
    harness.finish(claims["a"])
    assert (harness.status(run), harness.execution(run).error["step"]) == ("FAILED", "b")
    assert harness.step(run, "way").error is None
    harness.check_books(run)


def test_a_container_that_failed_for_a_step_in_it_names_that(harness: Harness, target: Target) -> None:
    """Its own retry is offered only where its own time was up."""
    target.does["/a"] = [BROKEN]
    run = harness.begin(branch("way", "true", [http("a", target.url("/a"))], timeout="1m"))
    assert harness.run(run) == "FAILED"
    with pytest.raises(Conflict, match="retry the step in it"):
        controls.retry(harness.rt, CAROL, run, "way")
