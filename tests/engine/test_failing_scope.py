"""What the failure of a step closes: the open gates and held back steps of its own round, branch or phase, at once."""

from __future__ import annotations

from typing import Any

import pytest
from house import ALICE, CAROL, House, Target, gate, http
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


def gates_of(house: House, run: str) -> dict[str, ApprovalStatus]:
    with database.reading():
        return {each.path: each.status for each in approvals.of_execution(run)}


@pytest.mark.parametrize("scope", HOLDERS)
def test_a_gate_beside_a_failed_step_is_closed_at_once(house: House, scope: str) -> None:
    """Although its round or branch has not ended: something in it still runs. Nobody decides it any more."""
    run = house.begin(HOLDERS[scope], http("elsewhere", needs=[]))
    house.finish(house.claim(run))  # elsewhere
    claims = {claim.step_run.path: claim for claim in (house.claim(run), house.claim(run))}
    house.try_claim(run)
    assert gates_of(house, run) == {f"{scope}.ask": "PENDING"}
    house.finish(claims[f"{scope}.bad"], Failed("bad", "it is bad"))
    assert gates_of(house, run) == {f"{scope}.ask": "CANCELLED"}
    seen = house.all_steps(run)
    assert (seen[f"{scope}.ask"], seen[f"{scope}.busy"], house.status(run)) == ("CANCELLED", "RUNNING", "RUNNING")
    house.check_books(run)
    with pytest.raises(Conflict, match="is cancelled already"):
        voting.vote(house.rt, ALICE, run, f"{scope}.ask", Decision.APPROVE)
    house.finish(claims[f"{scope}.busy"])
    assert house.status(run) == "FAILED"
    assert house.all_steps(run)[f"{scope}.later"] == "BLOCKED"
    house.check_books(run)


def test_the_failure_of_a_round_leaves_the_gates_of_others_open(house: House) -> None:
    """Until the loop itself fails for it: then all are closed."""
    run = house.begin(
        loop("each", gate("ask", needs=[]), http("bad", needs=[]), http("busy", needs=[]), items=[1, 2], max_parallel=2)
    )
    claims = {}
    while (claim := house.try_claim(run)) is not None:
        claims[claim.step_run.path] = claim
    house.finish(claims["each[0].bad"], Failed("bad", "it is bad"))
    assert gates_of(house, run) == {"each[0].ask": "CANCELLED", "each[1].ask": "PENDING"}
    house.finish(claims["each[0].busy"])
    assert gates_of(house, run) == {"each[0].ask": "CANCELLED", "each[1].ask": "CANCELLED"}
    for path in ("each[1].bad", "each[1].busy"):
        house.finish(claims[path])
    assert house.status(run) == "FAILED"
    house.check_books(run)


@pytest.mark.parametrize("phase", ["on_failure", "finally"])
def test_a_gate_of_a_cleanup_is_closed_by_a_failure_beside_it(house: House, phase: str) -> None:
    """While another step of that cleanup still runs, and what comes after it is not begun."""
    cleanup = [gate("ask", needs=[]), http("bad", needs=[]), http("busy", needs=[]), http("later", needs=["busy"])]
    run = house.begin(http("a"), **{phase: cleanup})
    house.finish(house.claim(run), Failed("bad", "it is bad"))
    claims = {claim.step_run.path: claim for claim in (house.claim(run), house.claim(run))}
    house.try_claim(run)
    assert gates_of(house, run) == {"ask": "PENDING"}
    house.finish(claims["bad"], Failed("bad", "it is bad"))
    assert gates_of(house, run) == {"ask": "CANCELLED"}
    assert (house.all_steps(run)["busy"], house.status(run)) == ("RUNNING", "RUNNING")
    house.check_books(run)
    house.finish(claims["busy"])
    assert house.status(run) == "FAILED"
    house.check_books(run)


def test_a_gate_that_was_closed_in_a_branch_is_asked_again_by_a_retry(house: House, target: Target) -> None:
    """With the branch, and nothing behind it runs before that."""
    target.does["/bad"] = [answer(b"no", "400 Bad Request"), answer(b"{}", "200 OK")]
    run = house.begin(
        branch("way", "true", [gate("ask", needs=[]), http("bad", target.url("/bad"), needs=[]),
                               http("after", target.url("/after"), needs=["ask"])])
    )  # fmt: skip
    assert house.run(run) == "FAILED"
    controls.retry(house.rt, CAROL, run)
    assert house.run(run) == "WAITING"
    assert gates_of(house, run) == {"way.ask": "PENDING"}
    assert target.paths() == ["/bad", "/bad"]
    voting.vote(house.rt, ALICE, run, None, Decision.APPROVE)
    assert house.run(run) == "SUCCESS"
    assert target.paths() == ["/bad", "/bad", "/after"]
