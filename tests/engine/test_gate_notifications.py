"""Whom an open gate calls, and when it says that it cannot pass."""

from __future__ import annotations

from typing import Any

from harness import ALICE, BOB, CAROL, DAVE, GROUPS, Harness, gate

from bot.slack.views.gate import call_words
from engine.access import people
from engine.access.policy import Actor
from engine.runs import executions, voting
from engine.runs.gate_notifications import Calling, calling, foreseen
from storage.people_records import PersonRecord
from storage.states import Decision

PLATFORM = {"roles": ["platform_admin"]}


def opened(harness: Harness, step: dict[str, Any]) -> str:
    run = harness.begin(step)
    harness.advance(run)
    return run


def called(harness: Harness, run: str) -> Calling:
    view = executions.view(harness.rt, run)
    return calling(harness.rt, view, view.gates[-1])


def one_person(harness: Harness, *accounts: Actor) -> None:
    """Let these accounts have one e-mail address."""
    for each in accounts:
        known = PersonRecord(each.user_id, each.user_id, "al@example.com", "member", None, people.now())
        people.remember(harness.rt, known)


def test_those_who_can_still_decide_are_called(harness: Harness) -> None:
    """Who has voted is not, nor who asked for the run; how they are called is the step's word, else the setting's."""
    run = opened(harness, gate("ask", min_approvals=2))
    assert called(harness, run) == Calling((ALICE.user_id, DAVE.user_id), False, ("S0PLATFORM",), "all")
    voting.vote(harness.rt, ALICE, run, "ask", Decision.APPROVE)
    assert called(harness, run).people == (DAVE.user_id,)
    assert called(harness, run).stuck == ""
    harness.settle_for(gate_calls="direct")
    assert called(harness, run).how == "direct"
    assert called(harness, opened(harness, {**gate("ask"), "notify": "none"})).how == "none"


def test_a_gate_that_too_few_can_decide_says_so(harness: Harness) -> None:
    """By number, and by minima that only who asked for the run could make up for."""
    run = opened(harness, gate("ask", min_approvals=3))
    assert called(harness, run).stuck == "3 more approvals needed, and only 2 people can still decide"
    approvers = {**PLATFORM, "users": [CAROL.user_id], "minima": [{"user": CAROL.user_id, "count": 1}]}
    run = opened(harness, gate("ask", approvers=approvers))
    assert "nobody who can still decide makes up for" in called(harness, run).stuck
    approvers = {**PLATFORM, "users": [BOB.user_id], "minima": [{"user": BOB.user_id, "count": 1}]}
    assert called(harness, opened(harness, gate("ask", approvers=approvers))).stuck == ""


def test_a_group_that_is_named_by_its_handle_is_called_by_its_id(harness: Harness) -> None:
    """More people are in it than are called by name; its handle would ring nobody."""
    members = [f"U0SECUR0{number}" for number in range(7)]
    harness.know_groups({**GROUPS, "S0SECURE1": ("security", set(members))})
    for each in members:
        people.remember(harness.rt, PersonRecord(each, each, None, "member", None, people.now()))
    run = opened(harness, gate("ask", approvers={"groups": ["security"]}))
    assert (called(harness, run).more, called(harness, run).groups) == (True, ("S0SECURE1",))
    assert call_words(called(harness, run)) == "<!subteam^S0SECURE1>"


def test_nothing_is_said_of_people_whom_slack_has_not_told_of(harness: Harness) -> None:
    """They may be members: then there are enough of them. Nobody who would be barred all the same matters."""
    run = opened(harness, gate("ask", min_approvals=2))
    alone = opened(harness, gate("ask", approvers={"users": [CAROL.user_id]}))
    harness.settle_for(slack_bot_token="xoxb-1", slack_signing_secret="s")
    assert called(harness, run).people == ()
    assert called(harness, run).stuck == ""
    assert called(harness, alone).stuck == "1 more approval needed, and nobody can still decide"


def test_two_accounts_of_one_person_count_once(harness: Harness) -> None:
    """Who has voted is not called under another account, and a gate for two of them is told of as one."""
    one_person(harness, ALICE, DAVE)
    run = opened(harness, gate("ask", min_approvals=2))
    assert called(harness, run).people == (ALICE.user_id,)
    assert called(harness, run).stuck == "2 more approvals needed, and only one person can still decide"
    assert foreseen(harness.rt, harness.execution(run))
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    assert (called(harness, run).people, bool(called(harness, run).stuck)) == ((), True)


def test_a_minimum_is_made_up_for_by_people_not_by_accounts(harness: Harness) -> None:
    """Either account of one person may fill it, and both together fill it once."""
    one_person(harness, ALICE, DAVE)
    named = {"users": [ALICE.user_id, DAVE.user_id]}
    run = opened(harness, gate("ask", approvers={**named, "minima": [{"user": DAVE.user_id, "count": 1}]}))
    assert called(harness, run).stuck == ""
    run = opened(harness, gate("ask", approvers={**named, "minima": [{"role": "platform_admin", "count": 2}]}))
    assert "nobody who can still decide makes up for 1 of platform admins" in called(harness, run).stuck
