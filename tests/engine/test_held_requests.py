"""Requests that wait for the end of a freeze: released once, by choice, as their requester's, and checked anew."""

from __future__ import annotations

import pytest
from house import ALICE, BOB, CAROL, HOUR, OSCAR, House, Target, at_once, gate, http, runbook

from engine.access import people
from engine.errors import Conflict, Frozen, NotAllowed, NotFound
from engine.orchestration.admission import Wanted
from engine.runs import executions, freezing, held_requests
from storage.people_records import PersonRecord
from storage.records import Filter

DAY = 24 * HOUR


@pytest.fixture
def house(house: House, target: Target) -> House:
    house.publish(runbook("pay", gate("ask"), http("a", target.url("/pay"), needs=["ask"])))
    for each in (ALICE, BOB, CAROL):
        person = PersonRecord(each.user_id, each.user_id, None, "member", None, house.clock.time)
        people.remember(house.rt, person)
    freezing.freeze(house.rt, ALICE, "pay", "release night", lasting="2h")
    return house


def hold(house: House, who=CAROL, **keys) -> str:
    return held_requests.hold(house.rt, who, Wanted("pay", {}, "test", **keys)).held.id


def thaw(house: House) -> None:
    freezing.unfreeze(house.rt, ALICE, "pay")


def runs(house: House) -> list:
    return executions.recent(house.rt, Filter(), 50)


def test_it_is_listed_with_its_gates_and_released_after_the_freeze(house: House) -> None:
    held = hold(house, reason="x")
    (shown,) = held_requests.listing(house.rt, OSCAR)
    assert (shown.held.id, shown.gates, "release night" in shown.frozen) == (held, ("ask",), True)
    with pytest.raises(Frozen):
        held_requests.release(house.rt, ALICE, held)
    thaw(house)
    run = held_requests.release(house.rt, BOB, held).execution
    assert (run.requester, run.slug, run.reason) == (CAROL.user_id, "pay", "x")
    assert held_requests.listing(house.rt, ALICE) == []
    with pytest.raises(Conflict, match="released or dropped before"):
        held_requests.release(house.rt, BOB, held)
    with pytest.raises(NotFound):
        held_requests.release(house.rt, BOB, "H-NOTHING")


def test_released_twice_at_once_it_starts_once(house: House) -> None:
    held = hold(house)
    thaw(house)
    done = at_once(*[lambda: held_requests.release(house.rt, BOB, held) for _ in range(4)])
    assert sum(isinstance(each, executions.Accepted) for each in done) == 1
    assert all(isinstance(each, executions.Accepted | Conflict) for each in done), done
    assert len(runs(house)) == 1


def test_it_begins_by_the_rights_of_its_requester_and_never_by_greater_ones(house: House) -> None:
    held = hold(house)
    thaw(house)
    with pytest.raises(NotAllowed):
        held_requests.release(house.rt, OSCAR, held)
    house.know_groups({"S0PLATFORM": ("platform", {"U0ALICE01"}), "S0PAYMENTS": ("payments", set())})
    with pytest.raises(NotAllowed):
        held_requests.release(house.rt, ALICE, held)
    assert runs(house) == []


def test_another_version_is_not_what_was_asked_for(house: House, target: Target) -> None:
    held = hold(house)
    thaw(house)
    house.publish(runbook("pay", http("b", target.url("/other"))))
    with pytest.raises(Conflict, match=r"asks for pay@1, and pay@2 would run now"):
        held_requests.release(house.rt, BOB, held)


def test_it_expires_a_day_after_the_freeze_and_within_seven(house: House) -> None:
    first = hold(house)
    freezing.freeze(house.rt, ALICE, "pay", "long", lasting="30d")
    second = hold(house)
    ends = {each.held.id: each.held.expires_at - house.clock.time for each in held_requests.listing(house.rt, BOB)}
    assert ends == {first: 26 * HOUR, second: 7 * DAY}
    freezing.unfreeze(house.rt, ALICE, "pay")
    house.clock.tick(26 * HOUR)
    house.know_groups()
    with pytest.raises(Conflict, match="has expired"):
        held_requests.release(house.rt, BOB, first)


def test_what_is_dropped_never_starts_and_all_are_released_together(house: House) -> None:
    dropped, kept = hold(house, reason="a"), hold(house, incident={"case": 2})
    with pytest.raises(NotAllowed):
        held_requests.drop(house.rt, OSCAR, dropped)
    held_requests.drop(house.rt, CAROL, dropped)
    assert isinstance(held_requests.release_each(house.rt, BOB, ["all"])[kept], str)
    thaw(house)
    assert list(held_requests.release_each(house.rt, BOB, ["all"])) == [kept]
    assert len(runs(house)) == 1


def test_only_what_is_frozen_and_may_be_started_is_held(house: House) -> None:
    with pytest.raises(NotAllowed):
        hold(house, OSCAR)
    thaw(house)
    with pytest.raises(Conflict, match="Nothing freezes pay"):
        hold(house)
