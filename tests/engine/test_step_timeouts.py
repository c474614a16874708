"""The `timeout` of a whole branch, loop or runbook step, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from house import CAROL, MINUTE, House, Target, gate, http, runbook
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


def child_of(house: House, run: str) -> ExecutionRecord:
    return executions.find(house.rt, str(house.step(run, "sub").child))


def test_a_branch_that_takes_too_long_fails_with_timeout(house: House, target: Target) -> None:
    """What waits in it for its time does not go on, and the run fails at the limit, not before."""
    run = house.begin(branch("way", "true", [pause("calm", "1h"), http("a", target.url("/a"))], timeout="10m"))
    house.advance(run)
    house.clock.tick(10 * MINUTE - 1)
    house.sweep()
    assert house.status(run) == "RUNNING"
    house.clock.tick(1)
    house.sweep()
    assert house.status(run) == "FAILED"
    assert house.execution(run).error["code"] == "timeout"
    assert house.step(run, "way").error == {"code": "timeout", "message": "it was not done within 600 s"}
    assert target.hits == []
    house.check_books(run)


def test_a_loop_has_one_limit_for_all_its_rounds(house: House, target: Target) -> None:
    """It counts from the first round; a round that has not begun by then never does."""
    each = loop("each", http("ask", target.url("/{{ item }}")), pause("calm", "4m"), items=["a", "b", "c", "d"])
    run = house.begin({**each, "timeout": "10m"})
    assert house.run(run) == "FAILED"
    assert target.paths() == ["/a", "/b", "/c"]
    assert house.step(run, "each").error["code"] == "timeout"


def test_a_failure_for_the_limit_is_put_up_with_like_any_other(house: House, target: Target) -> None:
    """`continue_on_error` lets the run go on, and what the branch still held is skipped."""
    wait = {"id": "hear", "type": "wait", "with": {"key": "k"}}
    way = branch("way", "true", [wait, http("a", target.url("/a"))], timeout="1m", continue_on_error=True)
    run = house.begin(way, http("after", target.url("/after")))
    house.advance(run)
    house.clock.tick(MINUTE)
    assert house.sweep() == [run]
    assert house.run(run) == "SUCCESS"
    assert target.paths() == ["/after"]
    assert house.all_steps(run) == {"way": "FAILED", "after": "SUCCESS", "way.hear": "CANCELLED", "way.a": "SKIPPED"}


@pytest.mark.parametrize("outcome", ["done", "unknown"])
def test_what_runs_in_it_finishes_first(house: House, target: Target, outcome: str) -> None:
    """Nothing else starts meanwhile, in no round of it; an outcome that nobody saw is settled by a person first."""
    each = loop(
        "each", http("a", target.url("/a"), method="POST"), http("b", target.url("/b")), items=[1, 2, 3], max_parallel=2
    )
    run = house.begin({**each, "timeout": "1m"}, http("never", target.url("/never")))
    first, second = house.claim(run), house.claim(run)
    house.clock.tick(MINUTE)
    house.sweep(work=False)
    house.finish(first, house.act(first))
    house.advance(run)
    assert (house.status(run), target.paths()) == ("RUNNING", ["/a"])
    if outcome == "unknown":
        house.finish(second, Unknown("timeout", "No answer."))
        assert house.status(run) == "WAITING"
        controls.resolve(house.rt, CAROL, run, second.step_run.path, "done", "It is there.")
    else:
        house.finish(second, house.act(second))
    assert house.execution(run).error["code"] == "timeout"
    assert house.status(run) == "FAILED"
    house.check_books(run)


def test_a_limit_inside_another_ends_the_inner_one_alone(house: House, target: Target) -> None:
    """A round that fails for its own limit counts as a failed round."""
    inner = branch("way", "item == 'slow'", [pause("calm", "1h")], [http("a", target.url("/a"))], timeout="1m")
    run = house.begin(loop("each", inner, items=["slow", "fast"], max_failures=1, timeout="1h"))
    house.advance(run)
    house.clock.tick(MINUTE)
    assert house.run(run) == "SUCCESS"
    assert target.paths() == ["/a"]
    assert house.step(run, "each").outputs["failures"] == 1


def test_limits_of_two_rounds_that_are_over_at_once_count_one_failure(house: House, target: Target) -> None:
    """The first fails the loop and begins the cleanup; the second belongs to what is over, and counts for nothing."""
    undo = {"type": "http", "with": {"url": target.url("/undo/{{ item }}"), "method": "DELETE"}}
    inner = branch("way", "true", [http("a", target.url("/{{ item }}"), undo=undo), pause("calm", "1h")], timeout="1m")
    run = house.begin(loop("each", inner, items=[1, 2], max_parallel=2))
    house.advance(run)
    house.clock.tick(MINUTE)
    house.sweep(work=False)
    assert house.execution(run).phase == "undo"
    house.check_books(run)
    assert house.run(run) == "FAILED"
    assert sorted(target.paths()) == ["/1", "/2", "/undo/1", "/undo/2"]
    house.check_books(run)


def test_a_pause_does_not_stop_the_limit_and_what_follows_waits(house: House, target: Target) -> None:
    """That the time was up is recorded at once; what follows starts with the resume."""
    wait = {"id": "hear", "type": "wait", "with": {"key": "k"}}
    way = branch("way", "true", [wait], timeout="1m", continue_on_error=True)
    run = house.begin(way, http("after", target.url("/after")))
    house.advance(run)
    controls.pause(house.rt, CAROL, run)
    house.clock.tick(MINUTE)
    house.sweep()
    assert house.step(run, "way").status == "FAILED"
    assert (house.status(run), target.hits) == ("PAUSED", [])
    controls.resume(house.rt, CAROL, run)
    assert house.run(run) == "SUCCESS"
    assert target.paths() == ["/after"]


def test_a_runbook_step_that_takes_too_long_ends_and_cancels_its_child(house: House, target: Target) -> None:
    """The child ends as cancelled, and its story and the audit name the parent and say why."""
    house.publish(runbook("child", gate("ask"), **{"finally": [http("tidy", target.url("/tidy"))]}))
    run = house.begin(sub(timeout="10m"))
    house.advance(run)
    house.run(child_of(house, run).id)
    house.clock.tick(10 * MINUTE)
    house.sweep()
    assert house.status(run) == "FAILED"
    assert house.step(run, "sub").error["code"] == "timeout"
    child = child_of(house, run)
    assert house.run(child.id) == "CANCELLED"
    assert child.error["message"] == f"sub of {run} has failed: {child.id} did not end within 600 s"
    assert target.paths() == ["/tidy"]


def test_a_child_that_ends_in_time_is_taken_although_nobody_looked_in_time(house: House, target: Target) -> None:
    """What counts at the limit is whether it has ended."""
    house.publish(runbook("child", http("a", target.url("/a"))))
    run = house.begin(sub(timeout="10m"))
    house.advance(run)
    assert house.run(child_of(house, run).id) == "SUCCESS"
    house.advance(run)
    assert house.status(run) == "SUCCESS"


def test_a_retry_gives_a_branch_its_whole_time_again(house: House, target: Target) -> None:
    """It goes on where it was: its gate is asked again, and what was done is not done again."""
    run = house.begin(branch("way", "true", [http("a", target.url("/a")), gate("ask")], timeout="10m"))
    house.advance(run)
    house.clock.tick(10 * MINUTE)
    house.sweep()
    assert house.status(run) == "FAILED"
    controls.retry(house.rt, CAROL, run)
    house.run(run, patience_ms=MINUTE)
    assert (house.status(run), target.paths()) == ("WAITING", ["/a"])
    house.clock.tick(10 * MINUTE - 1)
    house.sweep()
    assert house.status(run) == "WAITING"
    house.clock.tick(1)
    house.sweep()
    assert house.status(run) == "FAILED"
    house.check_books(run)


def test_a_retry_of_a_loop_that_was_between_rounds_begins_the_next(house: House, target: Target) -> None:
    """Although nothing in it is left to run, and wherever it stands among the steps."""
    rounds = loop("each", http("ask", target.url("/{{ item }}")), items=["a", "b"], timeout="10m")
    run = house.begin(http("before"), rounds)
    house.finish(house.claim(run))
    house.finish(house.claim(run))
    house.clock.tick(10 * MINUTE)
    house.sweep(work=False)
    assert (house.status(run), house.step(run, "each").rounds) == ("FAILED", 1)
    controls.retry(house.rt, CAROL, run, "each")
    assert house.run(run) == "SUCCESS"
    assert target.paths() == ["/b"]


def test_a_limit_is_over_with_the_run(house: House) -> None:
    """A run that is failing already is not failed again by it: what it failed for stands."""
    run = house.begin(
        branch("way", "true", [http("a", method="POST")], timeout="1m", needs=[]), http("b", needs=[], method="POST")
    )
    claims = {claim.step.id: claim for claim in (house.claim(run), house.claim(run))}
    house.finish(claims["b"], Failed("http_status", "no"))
    house.clock.tick(MINUTE)
    house.sweep(work=False)
    house.finish(claims["a"])
    assert (house.status(run), house.execution(run).error["step"]) == ("FAILED", "b")
    assert house.step(run, "way").error is None
    house.check_books(run)


def test_a_container_that_failed_for_a_step_in_it_names_that(house: House, target: Target) -> None:
    """Its own retry is offered only where its own time was up."""
    target.does["/a"] = [BROKEN]
    run = house.begin(branch("way", "true", [http("a", target.url("/a"))], timeout="1m"))
    assert house.run(run) == "FAILED"
    with pytest.raises(Conflict, match="retry the step in it"):
        controls.retry(house.rt, CAROL, run, "way")
