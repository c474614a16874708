"""Requests that wait for the end of a freeze: released once, by choice, as their requester's, and checked anew."""

from __future__ import annotations

import pytest
from harness import ALICE, BOB, CAROL, HOUR, OSCAR, Harness, Target, at_once, gate, http, runbook

from engine.access import people
from engine.errors import Conflict, Frozen, NotAllowed, NotApproved, NotFound
from engine.orchestration.admission import Wanted
from engine.runs import controls, executions, freezing, held_requests, voting
from storage.people_records import PersonRecord
from storage.records import Filter
from storage.states import Decision

DAY = 24 * HOUR


@pytest.fixture
def harness(harness: Harness, target: Target) -> Harness:
    harness.publish(runbook("pay", gate("ask"), http("a", target.url("/pay"), needs=["ask"])))
    for each in (ALICE, BOB, CAROL):
        person = PersonRecord(each.user_id, each.user_id, None, "member", None, harness.clock.time)
        people.remember(harness.rt, person)
    freezing.freeze(harness.rt, ALICE, "pay", "release night", lasting="2h")
    return harness


def hold(harness: Harness, who=CAROL, **keys) -> str:
    return held_requests.hold(harness.rt, who, Wanted("pay", {}, "test", **keys)).held.id


def thaw(harness: Harness) -> None:
    freezing.unfreeze(harness.rt, ALICE, "pay")


def runs(harness: Harness) -> list:
    return executions.recent(harness.rt, Filter(), 50)


def test_it_is_listed_with_its_gates_and_released_after_the_freeze(harness: Harness) -> None:
    held = hold(harness, reason="x")
    (shown,) = held_requests.listing(harness.rt, OSCAR)
    assert (shown.held.id, shown.gates, "release night" in shown.frozen) == (held, ("ask",), True)
    with pytest.raises(Frozen):
        held_requests.release(harness.rt, ALICE, held)
    thaw(harness)
    run = held_requests.release(harness.rt, BOB, held).execution
    assert (run.requester, run.slug, run.reason) == (CAROL.user_id, "pay", "x")
    assert held_requests.listing(harness.rt, ALICE) == []
    with pytest.raises(Conflict, match="released or dropped before"):
        held_requests.release(harness.rt, BOB, held)
    with pytest.raises(NotFound):
        held_requests.release(harness.rt, BOB, "H-NOTHING")


def test_released_twice_at_once_it_starts_once(harness: Harness) -> None:
    held = hold(harness)
    thaw(harness)
    done = at_once(*[lambda: held_requests.release(harness.rt, BOB, held) for _ in range(4)])
    assert sum(isinstance(each, executions.Accepted) for each in done) == 1
    assert all(isinstance(each, executions.Accepted | Conflict) for each in done), done
    assert len(runs(harness)) == 1


def test_it_begins_by_the_rights_of_its_requester_and_never_by_greater_ones(harness: Harness) -> None:
    held = hold(harness)
    thaw(harness)
    with pytest.raises(NotAllowed):
        held_requests.release(harness.rt, OSCAR, held)
    harness.know_groups({"S0PLATFORM": ("platform", {"U0ALICE01"}), "S0PAYMENTS": ("payments", set())})
    with pytest.raises(NotAllowed):
        held_requests.release(harness.rt, ALICE, held)
    assert runs(harness) == []


def test_another_version_is_not_what_was_asked_for(harness: Harness, target: Target) -> None:
    held = hold(harness)
    thaw(harness)
    harness.publish(runbook("pay", http("b", target.url("/other"))))
    with pytest.raises(Conflict, match=r"asks for pay@1, and pay@2 would run now"):
        held_requests.release(harness.rt, BOB, held)


def test_it_expires_a_day_after_the_freeze_and_within_seven(harness: Harness) -> None:
    first = hold(harness)
    freezing.freeze(harness.rt, ALICE, "pay", "long", lasting="30d")
    second = hold(harness, reason="for longer")
    ends = {each.held.id: each.held.expires_at - harness.clock.time for each in held_requests.listing(harness.rt, BOB)}
    assert ends == {first: 26 * HOUR, second: 7 * DAY}
    freezing.unfreeze(harness.rt, ALICE, "pay")
    harness.clock.tick(26 * HOUR)
    harness.know_groups()
    with pytest.raises(Conflict, match="has expired"):
        held_requests.release(harness.rt, BOB, first)


def test_what_is_dropped_never_starts_and_all_are_released_together(harness: Harness) -> None:
    dropped, kept = hold(harness, reason="a"), hold(harness, incident={"case": 2})
    with pytest.raises(NotAllowed):
        held_requests.drop(harness.rt, OSCAR, dropped)
    held_requests.drop(harness.rt, CAROL, dropped)
    assert isinstance(held_requests.release_each(harness.rt, BOB, ["all"])[kept], str)
    thaw(harness)
    assert list(held_requests.release_each(harness.rt, BOB, ["all"])) == [kept]
    assert len(runs(harness)) == 1


def test_only_what_is_frozen_and_may_be_started_is_held(harness: Harness) -> None:
    with pytest.raises(NotAllowed):
        hold(harness, OSCAR)
    thaw(harness)
    with pytest.raises(Conflict, match="Nothing freezes pay"):
        hold(harness)


def test_a_new_run_like_an_old_one_is_held_with_its_choosers(harness: Harness) -> None:
    """Whoever asked for the old one decides at no gate of the new one, whoever has it held."""
    thaw(harness)
    run = executions.start(harness.rt, ALICE, "pay", {}, trigger="test", reason="old")
    freezing.freeze(harness.rt, ALICE, "pay", "again", lasting="2h")
    with pytest.raises(Conflict, match="has not ended"):
        held_requests.hold_again(harness.rt, CAROL, run.id)
    controls.cancel(harness.rt, ALICE, run.id, force=True)
    with pytest.raises(NotAllowed):
        held_requests.hold_again(harness.rt, OSCAR, run.id)
    held = held_requests.hold_again(harness.rt, CAROL, run.id).held
    assert (held.requester, held.number, held.reason) == (CAROL.user_id, run.number, "old")
    thaw(harness)
    with pytest.raises(Conflict, match="Nothing freezes pay"):
        held_requests.hold_again(harness.rt, CAROL, run.id)
    new = held_requests.release(harness.rt, BOB, held.id).execution
    harness.run(new.id)
    with pytest.raises(NotAllowed, match="so others have to decide"):
        voting.vote(harness.rt, ALICE, new.id, "ask", Decision.APPROVE)


def test_an_old_run_of_a_version_that_is_replaced_is_not_held(harness: Harness, target: Target) -> None:
    """What would run then is not what ran."""
    thaw(harness)
    run = executions.start(harness.rt, ALICE, "pay", {}, trigger="test")
    controls.cancel(harness.rt, ALICE, run.id, force=True)
    harness.publish(runbook("pay", http("a", target.url("/other"))))
    freezing.freeze(harness.rt, ALICE, "pay", "again", lasting="2h")
    with pytest.raises(NotApproved):
        held_requests.hold_again(harness.rt, CAROL, run.id)


def test_the_same_asked_for_twice_at_once_is_held_once(harness: Harness) -> None:
    """Two presses of one button; by others, or for another reason, it is another."""
    first = hold(harness)
    again = at_once(*[lambda: hold(harness) for _ in range(4)])
    assert set(again) == {first}
    assert len({first, hold(harness, BOB), hold(harness, reason="another")}) == 3
    assert hold(harness, chosen_by=(ALICE.user_id,)) != first
    assert len(held_requests.listing(harness.rt, ALICE)) == 4
    held_requests.drop(harness.rt, ALICE, first)
    assert hold(harness) != first
