"""Gates with a form: who approves answers it, and only those who answer alike approve the same."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, DAVE, Harness, Target, gate, http, runbook
from hypothesis import given
from hypothesis import strategies as st

from engine.definition.load import examine
from engine.errors import Conflict, InvalidParameters, NotAllowed
from engine.runs import executions, vote_answers, voting
from storage.records import VoteRecord
from storage.states import Decision

FORM = {"type": "object", "required": ["region"], "properties": {"region": {"type": "string", "enum": ["eu", "us"]}}}
EU, US = {"region": "eu"}, {"region": "us"}


def asked(harness: Harness, target: Target, needed: int = 1) -> str:
    roles = {"roles": ["platform_admin", "team_admin"]}
    act = http("act", target.url("/{{ steps.ask.outputs.region }}"))
    run = harness.begin(gate("ask", form=FORM, min_approvals=needed, approvers=roles), act)
    harness.advance(run)
    return run


def approve(harness: Harness, who: Any, run: str, answers: Any, comment: str = "") -> Any:
    return voting.vote(harness.rt, who, run, None, Decision.APPROVE, comment, answers=answers)


def test_an_approver_chooses(harness: Harness, target: Target) -> None:
    run = asked(harness, target)
    approve(harness, ALICE, run, EU, "the other is full")
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/eu"]
    outputs = harness.step(run, "ask").outputs
    assert outputs["comments"] == [{"by": ALICE.user_id, "comment": "the other is full"}]
    assert (outputs["region"], outputs["approved_by"]) == ("eu", [ALICE.user_id])


@pytest.mark.parametrize("answers", [None, {}, {"region": "asia"}, {"region": "eu", "approved_by": ["x"]}])
def test_wrong_answers_are_no_vote(harness: Harness, target: Target, answers: Any) -> None:
    run = asked(harness, target)
    with pytest.raises(InvalidParameters):
        approve(harness, ALICE, run, answers)
    assert executions.view(harness.rt, run).gates[0].votes == ()


def test_who_asked_for_the_run_does_not_choose(harness: Harness, target: Target) -> None:
    run = asked(harness, target)
    with pytest.raises(NotAllowed):
        approve(harness, CAROL, run, EU)


def test_only_the_same_answers_count_together(harness: Harness, target: Target) -> None:
    """Two who chose differently have not approved the same; who thinks again withdraws and votes anew."""
    run = asked(harness, target, 2)
    assert approve(harness, ALICE, run, EU).missing == 1
    assert approve(harness, BOB, run, US).missing == 1
    with pytest.raises(Conflict, match="voted"):
        approve(harness, BOB, run, EU)
    voting.withdraw(harness.rt, BOB, run, None)
    approve(harness, BOB, run, EU)
    assert harness.run(run) == "SUCCESS"
    assert harness.step(run, "ask").outputs["approved_by"] == [ALICE.user_id, BOB.user_id]


def test_the_one_who_chose_otherwise_is_no_approver(harness: Harness, target: Target) -> None:
    run = asked(harness, target, 2)
    for who, answers in ((ALICE, US), (BOB, EU), (DAVE, EU)):
        approve(harness, who, run, answers)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/eu"]
    assert harness.step(run, "ask").outputs["approved_by"] == [BOB.user_id, DAVE.user_id]


def test_a_reject_needs_no_answers(harness: Harness, target: Target) -> None:
    run = asked(harness, target)
    voting.vote(harness.rt, ALICE, run, None, Decision.REJECT, "no")
    assert harness.run(run) == "FAILED"


VOTES = st.lists(st.tuples(st.sampled_from(list(Decision)), st.sampled_from([EU, US, None, {}, {"n": 1}, {"n": True}])))


@given(VOTES)
def test_those_who_count_together_said_the_same(given_: list[tuple[Decision, Any]]) -> None:
    """Nobody who rejected is among them, and no other answer has more approvals."""
    votes = [VoteRecord(1, f"U{n}", decision, "", n, answers) for n, (decision, answers) in enumerate(given_)]
    leading = vote_answers.leading(votes)
    assert len({repr(each.answers or {}) for each in leading}) <= 1
    assert all(each.decision is Decision.APPROVE for each in leading)
    assert all(len(vote_answers.alike(votes, each.answers)) <= len(leading) for each in votes)


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (gate("ask", form={"type": "object", "properties": {"comments": {}}}), "`comments` is an output of every such"),
        (gate("ask", form=FORM, on_timeout="approve"), "not allowed beside `form`"),
    ],
)
def test_what_is_wrong_is_told(step: dict[str, Any], complaint: str) -> None:
    assert complaint in str(examine(runbook("demo", step).encode(), "demo.yaml").problems)
