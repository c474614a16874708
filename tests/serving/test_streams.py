"""How many streams may be open: of all, and of one person."""

from __future__ import annotations

from dataclasses import replace

from bot.serving.server_limits import Limits
from bot.serving.streams import Streams


def test_streams_are_bounded_of_all_and_of_one() -> None:
    """What is given back can be taken again."""
    streams = Streams(replace(Limits(), streams=3, streams_each=2))
    assert [streams.take(who) for who in "aaabb"] == [True, True, False, True, False]
    streams.give("a")
    assert streams.take("b")
