"""Socket Mode: the connection comes back, and a message that comes twice is heard once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import CAROL, CHANNEL, Stage, ready, stage, wait_for

from bot.slack.transport.socket import request_key


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in Socket Mode."""
    with stage(tmp_path_factory.mktemp("socket"), socket_mode=True) as running:
        ready(running)
        yield running


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
def test_a_refreshed_connection_is_replaced(bot: Stage, reason: str) -> None:
    """Slack hangs up every few hours, with or without a warning: commands are heard again right after."""
    assert bot.post("disconnect", reason=reason)["ok"]
    wait_for(lambda: bot.command("help")["ok"])
    assert "Find a runbook and run it" in bot.say("help")


def test_a_message_that_comes_twice_is_heard_once(bot: Stage) -> None:
    """The same payload again is acked and does nothing; a new one has another trigger and is heard."""
    payload = {
        "command": "/runbook",
        "text": "help",
        "user_id": CAROL,
        "channel_id": CHANNEL,
        "trigger_id": "1.2.first",
    }
    again = {**payload, "trigger_id": "1.2.second"}
    before = len(bot.private())
    for each in (payload, payload, dict(reversed(payload.items())), again):
        assert bot.door.dispatch(each, request_key(each)).status == 200
    wait_for(lambda: len(bot.private()) >= before + 2)
    bot.say("runs")
    assert len(bot.private()) == before + 3
