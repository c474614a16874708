"""Who may come in, who has to go, and whose time is up, decided without a network."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.serving.connections import Connections, Phase, source_of
from bot.serving.server_limits import Limits, within


class One:
    """A connection that notes what is done to it."""

    def __init__(self, all_of_them: Connections, source: str | None = None) -> None:
        self.phase, self.since, self.source = Phase.INCOMPLETE, all_of_them.clock(), source
        self.size = 0
        self.done: list[str] = []
        assert all_of_them.has_room()
        assert all_of_them.admit(source)
        all_of_them.opened(self)

    def unread(self) -> int:
        return self.size

    def overdue(self) -> None:
        self.done.append("overdue")

    def end_after_answer(self) -> None:
        self.done.append("last")

    def drop(self) -> None:
        self.done.append("dropped")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def of(clock: Clock, **changed: int) -> Connections:
    return Connections(replace(Limits(), **changed), clock)


def test_who_costs_least_goes_first(clock: Clock) -> None:
    """Half a request, the oldest first; then who does not read; then who is idle; never who is at work."""
    crowd = of(clock, connections=5)
    at_work, idle, deaf, older, newer = (One(crowd) for _ in range(5))
    crowd.moved(at_work, Phase.AT_WORK)
    crowd.moved(idle, Phase.IDLE)
    crowd.moved(deaf, Phase.AT_WORK)
    crowd.blocked(deaf, blocked=True)
    for expected in (older, newer, deaf, idle):
        assert expected.done == []
        late = One(crowd)
        crowd.moved(late, Phase.AT_WORK)
        assert expected.done == ["dropped"]
    assert not crowd.has_room()
    assert at_work.done == ["last"]
    assert len(crowd) == 5


def test_an_address_that_has_its_share_is_refused_and_others_are_not(clock: Clock) -> None:
    """Until it gives one back."""
    crowd = of(clock, by_address=2)
    first, _second = One(crowd, "192.0.2.1"), One(crowd, "192.0.2.1")
    assert not crowd.admit("192.0.2.1")
    One(crowd, "192.0.2.2")
    for _ in range(3):
        One(crowd, None)
    crowd.closed(first)
    assert crowd.admit("192.0.2.1")


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        (("8.8.8.8", 1), "8.8.8.8"),
        (("::ffff:8.8.8.8", 1, 0, 0), "8.8.8.8"),
        (("2a00:1450:4001:827::200e", 1, 0, 0), "2a00:1450:4001:827::/64"),
        (("2a00:1450:4001:827:ffff::1", 1, 0, 0), "2a00:1450:4001:827::/64"),
        (("127.0.0.1", 1), None),
        (("10.1.2.3", 1), None),
        (("::1", 1, 0, 0), None),
        (("fe80::1%eth0", 1, 0, 2), None),
        ("", None),
    ],
)
def test_whom_a_connection_is_counted_for(peer: object, source: str | None) -> None:
    """Proxies on the same machine or in the same network speak for everybody; a whole /64 is one client."""
    assert source_of(peer) == source


def test_a_head_has_its_time(clock: Clock) -> None:
    """From when the connection was opened, or from its next request's first byte."""
    crowd = of(clock)
    early, at_work, late = One(crowd), One(crowd), One(crowd)
    crowd.moved(at_work, Phase.AT_WORK)
    clock.now += 5
    crowd.moved(late, Phase.INCOMPLETE)
    clock.now += 5
    crowd.enforce()
    assert (early.done, at_work.done, late.done) == (["overdue"], [], [])


def test_an_answer_has_its_time_and_its_size_gives_it_more(clock: Clock) -> None:
    """The time starts anew whenever all was taken."""
    crowd = of(clock)
    small, large, reader = One(crowd), One(crowd), One(crowd)
    for each in (small, large, reader):
        crowd.moved(each, Phase.AT_WORK)
    small.size, large.size = 100, crowd.limits.slowest * 100
    for second in range(60):
        reader.size = second % 2
        crowd.enforce()
        clock.now += 1
    assert (small.done, large.done, reader.done) == (["dropped"], [], [])


def test_unread_answers_are_bounded_together(clock: Clock) -> None:
    """Who has not read for longest goes."""
    crowd = of(clock, unread=250)
    clients = [One(crowd) for _ in range(3)]
    for each in clients:
        each.size = 100
        crowd.enforce()
        clock.now += 1
    assert [each.done for each in clients] == [["dropped"], [], []]


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "go", "move", "block", "read", "tick"]), st.integers(0, 9)), max_size=80
    )
)
def test_it_always_knows_how_many_there_are(deeds: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, never more than allowed, and every address gets its share back."""
    clock = Clock()
    crowd = of(clock, connections=6, by_address=3)
    there: list[One] = []
    for deed, number in deeds:
        clock.now += number
        there = [each for each in there if "dropped" not in each.done]
        source = "192.0.2.1" if number % 2 else None
        if deed == "come" and crowd.has_room():
            mine = [each for each in there if "dropped" not in each.done and each.source == source]
            if source is None or len(mine) < 3:
                there.append(One(crowd, source))
        elif deed == "tick":
            crowd.enforce()
        elif there:
            one = there[number % len(there)]
            if deed == "go":
                crowd.closed(one)
                there.remove(one)
            elif deed == "move":
                crowd.moved(one, list(Phase)[number % 3])
            else:
                crowd.blocked(one, blocked=deed == "block")
        there = [each for each in there if "dropped" not in each.done]
        assert len(crowd) == len(there) <= 6
    for each in there:
        crowd.closed(each)
    assert len(crowd) == 0
    assert all(crowd.admit("192.0.2.1") for _ in range(3))


@pytest.mark.parametrize("descriptors", [64, 256, 1024, 4096, 20_000, 1 << 20])
def test_limits_leave_descriptors_for_everything_else(descriptors: int) -> None:
    """Databases, files and Slack need some; and of connections some are kept for Slack and health."""
    found = within(descriptors)
    assert found.connections + min(128, descriptors // 2) <= descriptors or descriptors < 160
    assert 0 < found.streams <= found.at_work < found.connections <= 2000
    assert 0 < found.by_address <= found.connections
    assert 0 < found.streams_each <= found.streams
