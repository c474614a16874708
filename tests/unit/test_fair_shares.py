"""Places for calls are shared out by team, then by run, and whoever comes finds some free."""

from __future__ import annotations

import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.worker.fair_shares import TURN_S, Share, Shares

A, B = Share("payments", "A"), Share("payments", "B")
OTHER = Share("", "C")


def taken_by(shares: Shares, share: Share) -> int:
    """How many places a run gets that wants all there are."""
    count = 0
    while shares.take(share):
        count += 1
    return count


def test_a_run_by_itself_takes_a_third() -> None:
    """What is left is for others."""
    assert taken_by(Shares(12, lambda _run: None), A) == 4


def test_a_team_takes_a_half_however_many_runs_it_has() -> None:
    """The other half is there for whoever comes."""
    shares = Shares(12, lambda _run: None)
    each = [taken_by(shares, Share("payments", str(number))) for number in range(20)]
    assert sum(each) == 6
    assert taken_by(shares, OTHER) == 2


def test_one_place_is_used() -> None:
    """A share of it is better than none."""
    assert taken_by(Shares(1, lambda _run: None), A) == 1


def test_whoever_waited_longest_of_the_same_claim_is_next() -> None:
    """A place that comes free is reserved for it, and taken by nobody else."""
    granted: list[str] = []
    shares = Shares(1, granted.append)
    assert shares.take(A)
    assert not shares.take(B)
    assert not shares.take(OTHER)
    shares.give_back(A)
    assert granted == ["B"]
    assert not shares.take(A)
    assert shares.take(B)
    shares.give_back(B)
    assert granted == ["B", "C"]


def test_the_team_with_the_fewest_calls_is_next() -> None:
    """Also where another has waited longer; within a team it is the run with the fewest."""
    granted: list[str] = []
    shares = Shares(4, granted.append)
    for share in (A, A, OTHER, Share("ops", "D")):
        assert shares.take(share)
    for share in (A, B, Share("", "E"), Share("new", "F")):
        assert not shares.take(share)
    shares.give_back(A)
    assert granted == ["F"]
    shares.give_back(A)
    assert granted == ["F", "A"]
    assert shares.take(A)
    shares.give_back(OTHER)
    assert granted == ["F", "A", "E"]


def test_a_run_keeps_its_place_while_nobody_has_a_better_claim() -> None:
    """And gives way, at the end of a call, to whoever has."""
    granted: list[str] = []
    shares = Shares(4, granted.append)
    assert taken_by(shares, A) == 2
    assert shares.keep(A, time.monotonic())
    more = [Share(name, name) for name in "XYZ"]
    assert [shares.take(each) for each in more] == [True, True, False]
    assert not shares.keep(A, time.monotonic())
    shares.give_back(A)
    assert granted == ["Z"]
    assert shares.take(more[2])
    for each in more:
        assert granted == ["Z"]  # what is free now is kept for whoever comes
        shares.give_back(each)
    assert granted == ["Z", "A"]


def test_a_run_goes_on_for_a_turn_beside_one_with_as_good_a_claim() -> None:
    """And then lets it go first."""
    shares = Shares(1, lambda _run: None)
    assert shares.take(A)
    assert not shares.take(B)
    assert shares.keep(A, time.monotonic())
    assert not shares.keep(A, time.monotonic() - TURN_S)


def test_a_place_that_nobody_came_to_use_goes_on() -> None:
    """The run was paused meanwhile, or another worker was first."""
    granted: list[str] = []
    shares = Shares(1, granted.append)
    assert shares.take(A)
    assert not shares.take(B)
    assert not shares.take(OTHER)
    shares.give_back(A)
    shares.settle("B", shares.reserved("B"))
    assert granted == ["B", "C"]
    shares.settle("C", 0)  # whoever asked before the place was reserved does not lose it
    assert shares.waits("C")
    assert shares.take(OTHER)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.lists(st.tuples(st.sampled_from("tks"), st.integers(0, 5)), max_size=80))
def test_no_place_is_lost_and_nobody_who_waits_is_forgotten(most: int, acts: list[tuple[str, int]]) -> None:
    """Whatever is taken, kept and given back in whatever order: there are never more, and all have their turn."""
    granted: list[str] = []
    shares = Shares(most, granted.append)
    runs = [Share(f"team-{number % 3}", str(number)) for number in range(6)]
    under_way: Counter[Share] = Counter()
    for act, number in acts:
        share = runs[number]
        if act == "t" and shares.take(share):
            under_way[share] += 1
        elif (act == "k" and under_way[share] and not shares.keep(share, 0.0)) or (act == "s" and under_way[share]):
            under_way[share] -= 1
            shares.give_back(share)
        assert 0 <= sum(under_way.values()) <= shares.census()[0] <= most
    for share in under_way.elements():
        shares.give_back(share)
    while any(shares.reserved(share.run) for share in runs):
        for share in runs:
            shares.settle(share.run, shares.reserved(share.run))
    assert shares.census() == (0, 0)
