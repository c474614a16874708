"""How often Slack is called, by a clock that the test turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.projector.pacing import UPDATES_PER_MINUTE, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0.0, 2.0), min_size=50, max_size=400))
def test_no_minute_sees_more_updates_than_slack_allows(pauses: list[float]) -> None:
    """However updates are asked for, any sixty seconds hold at most the workspace's budget."""
    clock = Clock()
    pace, made = Pace(clock), []
    for index, pause in enumerate(pauses):
        clock.now += pause
        if pace.may_update(f"C:{index}"):
            made.append(clock.now)
    for start in made:
        assert sum(start <= at < start + 60 for at in made) <= UPDATES_PER_MINUTE


def test_one_message_waits_a_second_and_others_do_not() -> None:
    """The interval is a message's own."""
    clock = Clock()
    pace = Pace(clock)
    assert pace.may_update("C:1")
    assert not pace.may_update("C:1")
    assert pace.may_update("C:2")
    clock.now += 1.0
    assert pace.may_update("C:1")


def test_posts_are_one_a_second_in_a_channel() -> None:
    """A few at once, and in as many seconds no more than those; another channel has its own budget."""
    clock = Clock()
    pace = Pace(clock)
    assert [pace.may_post("C") for _ in range(6)] == [True] * 4 + [False] * 2
    assert pace.may_post("D")
    clock.now += 3.9
    assert not pace.may_post("C")
    clock.now += 0.4
    assert [pace.may_post("C") for _ in range(5)] == [True] * 4 + [False]


def test_a_pause_binds_its_method_only() -> None:
    """What Slack asks for is kept for as long as it asked, and for that method."""
    clock = Clock()
    pace = Pace(clock)
    pace.pause("chat.update", 30)
    pace.pause("chat.update", 5)
    assert not pace.may_update("C:1")
    assert pace.may_post("C")
    clock.now += 29
    assert not pace.may_update("C:1")
    clock.now += 1
    assert pace.may_update("C:1")
    pace.pause("*", 10)
    assert not pace.may_post("C")
