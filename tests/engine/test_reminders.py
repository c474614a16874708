"""Reminders of open gates: told at half of the time and near its end, once each, also after a silence."""

from __future__ import annotations

from harness import ALICE, BOB, CAROL, DAVE, MINUTE, Harness, Target, gate, http
from hypothesis import given
from hypothesis import strategies as st

from engine.orchestration import gate_reminders
from engine.runs import executions, voting
from storage.states import Decision


def reminders(harness: Harness, run: str) -> list[int]:
    return [event.data["left_ms"] for event in harness.events(run) if event.kind == "gate_reminder"]


def at_gate(harness: Harness, target: Target, **keys) -> str:
    run = harness.begin(gate("ask", min_approvals=1, **keys), http("after", target.url("/after")))
    harness.advance(run)
    return run


def test_people_are_reminded_twice(harness: Harness, target: Target) -> None:
    """At half of the time and when a tenth is left; a sweep in between says nothing."""
    run = at_gate(harness, target, timeout="20m")
    for minutes, expected in ((9, []), (1, [10]), (1, [10]), (6, [10]), (1, [10, 2]), (1, [10, 2])):
        harness.clock.tick(minutes * MINUTE)
        harness.sweep(work=False)
        assert [left // MINUTE for left in reminders(harness, run)] == expected


def test_a_long_silence_is_made_up_for_once(harness: Harness, target: Target) -> None:
    """Whoever was away at both moments reminds once; after the end nobody is reminded."""
    run = at_gate(harness, target, timeout="20m")
    late = at_gate(harness, target, timeout="10m")
    harness.clock.tick(19 * MINUTE)
    harness.sweep(work=False)
    harness.sweep(work=False)
    assert [left // MINUTE for left in reminders(harness, run)] == [1]
    assert reminders(harness, late) == []


def test_nobody_is_reminded_of_a_decided_gate(harness: Harness, target: Target) -> None:
    """A vote that settles it ends the reminders."""
    run = at_gate(harness, target)
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    harness.clock.tick(8 * MINUTE)
    harness.sweep(work=False)
    assert reminders(harness, run) == []


def test_those_who_may_decide_are_known_by_name(harness: Harness, target: Target) -> None:
    """Roles and groups are people; who asked, and who has voted, is not asked; no more than wanted are named."""
    run = at_gate(harness, target, approvers={"roles": ["platform_admin", "team_admin"]})
    (found,) = executions.view(harness.rt, run).gates
    everyone = {ALICE.user_id, DAVE.user_id, BOB.user_id}
    assert set(voting.deciders(harness.rt, found, 9)) == everyone - {CAROL.user_id}
    assert voting.deciders(harness.rt, found, 1) == [BOB.user_id]


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_reminder_comes_while_there_is_time(span: int, opened: int, after: int) -> None:
    """Whatever the times, the next reminder lies ahead and before the end."""
    at = gate_reminders.next_reminder(opened, opened + span, opened + after)
    assert at is None or opened + after < at < opened + span
