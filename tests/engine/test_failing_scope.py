"""What the failure of a step closes: the open gates and held back steps of its own round, branch or phase, at once."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, CAROL, Harness, Target, gate, http
from local_server import answer
from test_containers_and_cleanup import branch, loop

from engine.errors import Conflict
from engine.runs import controls
from engine.runs import voting as voting
from engine.steps.outcome import Failed
from storage import approvals, database
from storage.states import ApprovalStatus, Decision

INNER = (gate("ask", needs=[]), http("bad", needs=[]), http("busy", needs=[]), http("later", needs=["busy"]))
HOLDERS: dict[str, dict[str, Any]] = {
    "way": branch("way", "true", list(INNER)),
    "each[0]": loop("each", *INNER, items=[1]),
}


def gates_of(harness: Harness, run: str) -> dict[str, ApprovalStatus]:
    with database.reading():
        return {each.path: each.status for each in approvals.of_execution(run)}


@pytest.mark.parametrize("scope", HOLDERS)
def test_a_gate_beside_a_failed_step_is_closed_at_once(harness: Harness, scope: str) -> None:
    """Although its round or branch has not ended: something in it still runs. Nobody decides it any more."""
    run = harness.begin(HOLDERS[scope], http("elsewhere", needs=[]))
    harness.finish(harness.claim(run))  # elsewhere
    claims = {claim.step_run.path: claim for claim in (harness.claim(run), harness.claim(run))}
    harness.try_claim(run)
    assert gates_of(harness, run) == {f"{scope}.ask": "PENDING"}
    harness.finish(claims[f"{scope}.bad"], Failed("bad", "it is bad"))
    assert gates_of(harness, run) == {f"{scope}.ask": "CANCELLED"}
    seen = harness.all_steps(run)
    assert (seen[f"{scope}.ask"], seen[f"{scope}.busy"], harness.status(run)) == ("CANCELLED", "RUNNING", "RUNNING")
    harness.check_books(run)
    with pytest.raises(Conflict, match="is cancelled already"):
        voting.vote(harness.rt, ALICE, run, f"{scope}.ask", Decision.APPROVE)
    harness.finish(claims[f"{scope}.busy"])
    assert harness.status(run) == "FAILED"
    assert harness.all_steps(run)[f"{scope}.later"] == "BLOCKED"
    harness.check_books(run)


def test_the_failure_of_a_round_leaves_the_gates_of_others_open(harness: Harness) -> None:
    """Until the loop itself fails for it: then all are closed."""
    run = harness.begin(
        loop("each", gate("ask", needs=[]), http("bad", needs=[]), http("busy", needs=[]), items=[1, 2], max_parallel=2)
    )
    claims = {}
    while (claim := harness.try_claim(run)) is not None:
        claims[claim.step_run.path] = claim
    harness.finish(claims["each[0].bad"], Failed("bad", "it is bad"))
    assert gates_of(harness, run) == {"each[0].ask": "CANCELLED", "each[1].ask": "PENDING"}
    harness.finish(claims["each[0].busy"])
    assert gates_of(harness, run) == {"each[0].ask": "CANCELLED", "each[1].ask": "CANCELLED"}
    for path in ("each[1].bad", "each[1].busy"):
        harness.finish(claims[path])
    assert harness.status(run) == "FAILED"
    harness.check_books(run)


@pytest.mark.parametrize("phase", ["on_failure", "finally"])
def test_a_gate_of_a_cleanup_is_closed_by_a_failure_beside_it(harness: Harness, phase: str) -> None:
    """While another step of that cleanup still runs, and what comes after it is not begun."""
    cleanup = [gate("ask", needs=[]), http("bad", needs=[]), http("busy", needs=[]), http("later", needs=["busy"])]
    run = harness.begin(http("a"), **{phase: cleanup})
    harness.finish(harness.claim(run), Failed("bad", "it is bad"))
    claims = {claim.step_run.path: claim for claim in (harness.claim(run), harness.claim(run))}
    harness.try_claim(run)
    assert gates_of(harness, run) == {"ask": "PENDING"}
    harness.finish(claims["bad"], Failed("bad", "it is bad"))
    assert gates_of(harness, run) == {"ask": "CANCELLED"}
    assert (harness.all_steps(run)["busy"], harness.status(run)) == ("RUNNING", "RUNNING")
    harness.check_books(run)
    harness.finish(claims["busy"])
    assert harness.status(run) == "FAILED"
    harness.check_books(run)


def test_a_gate_that_was_closed_in_a_branch_is_asked_again_by_a_retry(harness: Harness, target: Target) -> None:
    """With the branch, and nothing behind it runs before that."""
    target.does["/bad"] = [answer(b"no", "400 Bad Request"), answer(b"{}", "200 OK")]
    run = harness.begin(
        branch("way", "true", [gate("ask", needs=[]), http("bad", target.url("/bad"), needs=[]),
                               http("after", target.url("/after"), needs=["ask"])])
    )  # fmt: skip
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "WAITING"
    assert gates_of(harness, run) == {"way.ask": "PENDING"}
    assert target.paths() == ["/bad", "/bad"]
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/bad", "/bad", "/after"]
