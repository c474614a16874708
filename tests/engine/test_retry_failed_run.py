"""A failed run that goes on: what else had failed, what the failure had closed, and loops with rounds side by side."""

from __future__ import annotations

import pytest
from harness import ALICE, CAROL, DAVE, Harness, Target, gate, hang_up, http, poll, runbook
from local_server import answer
from test_containers_and_cleanup import branch, loop

from engine.errors import Conflict
from engine.orchestration import children, retry_failed_run
from engine.runs import controls, executions, skipping, voting
from storage.states import Decision

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")
FINE = answer(b'{"ok":true}', "200 OK", "Content-Type: application/json")


def test_a_gate_that_the_failure_closed_is_asked_again(harness: Harness, target: Target) -> None:
    """Nothing behind it runs without its approvers, and the run does not stay open for ever."""
    target.does["/b"] = [BROKEN, FINE]
    run = harness.begin(
        gate("ask", needs=[]), http("b", target.url("/b"), needs=[]), http("c", target.url("/c"), needs=["ask"])
    )
    assert harness.run(run) == "FAILED"
    assert harness.all_steps(run)["ask"] == "CANCELLED"
    controls.retry(harness.rt, CAROL, run)
    harness.run(run)
    assert (harness.status(run), target.paths()) == ("WAITING", ["/b", "/b"])
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/b", "/b", "/c"]
    harness.check_books(run)


def test_a_poll_that_the_failure_ended_asks_again(harness: Harness, target: Target) -> None:
    """With its whole time."""
    target.does["/b"] = [BROKEN, FINE]
    run = harness.begin(
        poll("healthy", target.url("/health"), "response.json.ok", needs=[]), http("b", target.url("/b"), needs=[])
    )
    asking, call = harness.claim(run), harness.claim(run)
    target.does["/health"] = [answer(b'{"ok":false}', "200 OK", "Content-Type: application/json"), FINE]
    harness.finish(call, harness.act(call))
    harness.finish(asking, harness.act(asking))
    assert harness.all_steps(run) == {"healthy": "CANCELLED", "b": "FAILED"}
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"


def test_several_failed_steps_are_retried_one_after_the_other(harness: Harness, target: Target) -> None:
    """With the first the run goes on as far as it can, and fails for the second; it never counts as done without it."""
    target.does |= {"/a": [BROKEN, FINE], "/b": [BROKEN, FINE]}
    run = harness.begin(
        http("a", target.url("/a"), needs=[]), http("b", target.url("/b"), needs=[]),
        http("c", target.url("/c"), needs=["b"]),
    )  # fmt: skip
    claims = [harness.claim(run), harness.claim(run)]
    for claim in claims:
        harness.finish(claim, harness.act(claim))
    with pytest.raises(Conflict, match="a, b"):
        controls.retry(harness.rt, CAROL, run)
    controls.retry(harness.rt, CAROL, run, "a")
    assert harness.run(run) == "FAILED"
    assert harness.execution(run).error["step"] == "b"
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"
    assert target.paths()[2:] == ["/a", "/b", "/c"]


def test_a_last_step_that_failed_is_not_forgotten_by_the_retry_of_another(harness: Harness, target: Target) -> None:
    """Although nothing is held back by it."""
    target.does |= {"/a": [BROKEN, FINE], "/b": [BROKEN]}
    run = harness.begin(http("a", target.url("/a"), needs=[]), http("b", target.url("/b"), needs=[]))
    claims = [harness.claim(run), harness.claim(run)]
    for claim in claims:
        harness.finish(claim, harness.act(claim))
    controls.retry(harness.rt, CAROL, run, "a")
    assert harness.run(run) == "FAILED"


def test_what_failed_beside_it_in_the_same_branch_runs_again_too(harness: Harness, target: Target) -> None:
    """The branch would start nothing while one of its steps stands as failed."""
    target.does |= {"/a": [BROKEN, FINE], "/b": [BROKEN, FINE]}
    inner = [http("a", target.url("/a"), needs=[]), http("b", target.url("/b"), needs=[])]
    run = harness.begin(branch("way", "true", inner))
    claims = [harness.claim(run), harness.claim(run)]
    for claim in claims:
        harness.finish(claim, harness.act(claim))
    controls.retry(harness.rt, CAROL, run, "way.a")
    assert harness.run(run) == "SUCCESS"


def test_a_failure_that_was_put_up_with_is_not_retried(harness: Harness, target: Target) -> None:
    """The run went on in spite of it: what needed the step has run, and must not be made ready twice."""
    target.does |= {"/a": [BROKEN], "/c": [BROKEN, FINE]}
    run = harness.begin(
        http("a", target.url("/a"), continue_on_error=True, needs=[]), http("b", target.url("/b"), needs=["a"]),
        http("c", target.url("/c"), needs=["b"]),
    )  # fmt: skip
    assert harness.run(run) == "FAILED"
    with pytest.raises(Conflict, match="no failed step a"):
        controls.retry(harness.rt, CAROL, run, "a")
    with pytest.raises(Conflict, match="in spite of a"):
        skipping.skip(harness.rt, CAROL, run, "a", "not needed")
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"


def test_a_loop_that_fails_in_one_round_lets_the_others_finish_their_step_only(
    harness: Harness, target: Target
) -> None:
    """With rounds side by side: the loop fails once nothing of it runs, and begins no round more."""
    target.does["/0"] = [BROKEN, FINE]
    each = loop(
        "each", http("one", target.url("/{{ item }}")), http("two", target.url("/two")), items=[0, 1, 2], max_parallel=2
    )
    run = harness.begin(each)
    claims = {claim.step_run.path: claim for claim in (harness.claim(run), harness.claim(run))}
    for path in ("each[0].one", "each[1].one"):
        harness.finish(claims[path], harness.act(claims[path]))
    assert harness.status(run) == "FAILED"
    assert target.paths() == ["/0", "/1"]
    harness.check_books(run)
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"
    assert sorted(target.paths()) == ["/0", "/0", "/1", "/2", "/two", "/two", "/two"]


def test_a_failed_branch_can_be_skipped_whole(harness: Harness, target: Target) -> None:
    """With what it still held."""
    target.does["/a"] = [BROKEN]
    run = harness.begin(
        branch("way", "true", [http("a", target.url("/a")), http("b", target.url("/b"))]),
        http("after", target.url("/after")),
    )
    assert harness.run(run) == "FAILED"
    skipping.skip(harness.rt, CAROL, run, "way", "done by hand")
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/a", "/after"]
    harness.check_books(run)


def test_a_retried_runbook_step_begins_another_run(harness: Harness, target: Target) -> None:
    """The one that failed stays as it is."""
    target.does["/child"] = [BROKEN, FINE]
    harness.publish(runbook("child", http("call", target.url("/child"))))
    run = harness.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}})
    harness.advance(run)
    first = str(harness.step(run, "sub").child)
    assert harness.run(first) == "FAILED"
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    harness.advance(run)
    second = str(harness.step(run, "sub").child)
    assert harness.run(second) == "SUCCESS"
    assert harness.run(run) == "SUCCESS"
    assert (first != second, executions.find(harness.rt, first).status) == (True, "FAILED")


def test_a_runbook_step_whose_child_ended_with_the_failure_begins_another(harness: Harness, target: Target) -> None:
    """A step that another's failure held back while its child was under way does not take what became of that one."""
    target.does["/bad"] = [BROKEN, FINE]
    harness.publish(runbook("child", gate("ask")))
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child"}, "needs": []}
    run = harness.begin(sub, http("bad", target.url("/bad"), needs=[]))
    while (claim := harness.try_claim(run)) is not None:
        harness.finish(claim, harness.act(claim))
        if claim.step.id == "sub":
            first = str(harness.step(run, "sub").child)
            harness.advance(first)
    harness.sweep()
    assert (harness.status(run), harness.status(first), harness.all_steps(run)["sub"]) == (
        "FAILED",
        "CANCELLED",
        "BLOCKED",
    )
    controls.retry(harness.rt, CAROL, run)
    harness.clock.tick(children.CHECK_EVERY_MS)
    harness.advance(run)
    second = str(harness.step(run, "sub").child)
    assert second not in (first, "None")
    harness.advance(second)
    voting.vote(harness.rt, ALICE, second, None, Decision.APPROVE)
    assert harness.run(second) == "SUCCESS"
    assert harness.run(run) == "SUCCESS"
    assert harness.status(first) == "CANCELLED"


def test_votes_of_a_gate_that_is_asked_again_count_anew(harness: Harness, target: Target) -> None:
    """A vote on the gate that the failure closed is worth nothing."""
    target.does["/b"] = [BROKEN, FINE]
    run = harness.begin(gate("ask", min_approvals=2, needs=[]), http("b", target.url("/b"), needs=[]))
    call = harness.claim(run)
    voting.vote(harness.rt, ALICE, run, "ask", Decision.APPROVE)
    harness.finish(call, harness.act(call))
    assert harness.status(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    harness.run(run)
    voting.vote(harness.rt, DAVE, run, "ask", Decision.APPROVE)
    assert harness.run(run) == "WAITING"
    voting.vote(harness.rt, ALICE, run, "ask", Decision.APPROVE)
    assert harness.run(run) == "SUCCESS"


def test_skipping_the_last_step_that_failed_makes_the_run_a_success(harness: Harness, target: Target) -> None:
    """Nothing else is left to do."""
    target.does["/a"] = [BROKEN]
    run = harness.begin(http("a", target.url("/a")))
    assert harness.run(run) == "FAILED"
    skipping.skip(harness.rt, CAROL, run, "a", "done by hand")
    assert harness.status(run) == "SUCCESS"


def test_what_can_be_retried_is_known_without_trying(harness: Harness, target: Target) -> None:
    """Not what the run went on in spite of, nor a branch that failed for a step in it."""
    target.does |= {"/a": [BROKEN], "/b": [BROKEN]}
    run = harness.begin(
        http("a", target.url("/a"), continue_on_error=True), branch("way", "true", [http("b", target.url("/b"))])
    )
    assert harness.run(run) == "FAILED"
    seen = executions.view(harness.rt, run)
    assert [step.path for step in retry_failed_run.retryable(seen.runbook, seen.steps)] == ["way.b"]


def test_a_retry_is_of_the_try_that_was_seen_to_fail(harness: Harness, target: Target) -> None:
    """Two people see one failure: the second is told, also once the first one's retry has failed too."""
    target.does["/a"] = [BROKEN, BROKEN, FINE]
    run = harness.begin(http("a", target.url("/a"), method="POST"))
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "a", attempt=1)
    assert harness.run(run) == "FAILED"
    with pytest.raises(Conflict, match=f"tried again meanwhile by @{CAROL.user_id}: you were shown try 1.*is 2"):
        controls.retry(harness.rt, ALICE, run, "a", attempt=1)
    with pytest.raises(Conflict, match="tried again meanwhile"):
        skipping.skip(harness.rt, ALICE, run, "a", "not needed", attempt=1)
    assert (harness.run(run), target.paths()) == ("FAILED", ["/a", "/a"])
    controls.retry(harness.rt, ALICE, run, "a", attempt=2)
    assert (harness.run(run), target.paths()) == ("SUCCESS", ["/a"] * 3)


def test_an_outcome_is_settled_for_the_try_that_was_looked_at(harness: Harness, target: Target) -> None:
    """Whoever looked at the target before it was called once more has not seen what came of that."""
    target.does["/a"] = [hang_up]
    run = harness.begin(http("a", target.url("/a"), method="POST"))
    harness.run(run)
    controls.resolve(harness.rt, CAROL, run, "a", "retry", "It is not there.", attempt=1)
    harness.run(run)
    for choice in controls.CHOICES:
        with pytest.raises(Conflict, match=f"tried again meanwhile by @{CAROL.user_id}"):
            controls.resolve(harness.rt, ALICE, run, "a", choice, "It is not there.", attempt=1)
    controls.resolve(harness.rt, ALICE, run, "a", "done", "It is there.", attempt=2)
    assert (harness.run(run), target.paths()) == ("SUCCESS", ["/a", "/a"])
