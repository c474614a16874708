"""Looking at a channel that is named like an incident: only who may open one opens it by that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import CAROL, CHANNEL, OSCAR, Stage, ready, stage

from engine.orchestration import incidents


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, socket_mode=False, shows=False) as running:
        ready(running)
        yield running


def test_who_may_only_look_opens_no_incident(bot: Stage) -> None:
    """Oscar has no role: he is answered, or refused, and the channel is told nothing."""
    for words in ("incident", "catchup", "incident set severity=sev1"):
        bot.say(words, OSCAR)
        assert incidents.latest(bot.rt, CHANNEL) is None, words


@pytest.mark.parametrize("words", ["incident", "catchup", "incident set severity=sev1"])
def test_who_may_open_one_opens_it_by_looking(bot: Stage, words: str) -> None:
    """The channel's name says that it is one."""
    bot.say(words, CAROL)
    assert incidents.current(bot.rt, CHANNEL) is not None
