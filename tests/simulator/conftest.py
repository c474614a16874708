"""A workspace, alone and with a bot in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from practice import Bot, Hands, bot_by_http, bot_by_socket, hands_in

from bot.simulator import Config


@pytest.fixture(scope="module")
def lonely() -> Iterator[Hands]:
    with hands_in(Config(bot_url="http://127.0.0.1:9/", ack_timeout=0.5, event_retry_delays=())) as hands:
        yield hands


@pytest.fixture
def workspace(lonely: Hands) -> Hands:
    """A fresh workspace whose bot listens nowhere."""
    lonely.post("reset")
    return lonely


@pytest.fixture(scope="module", params=["http", "socket"])
def installed(request: pytest.FixtureRequest) -> Iterator[Bot]:
    with bot_by_http() if request.param == "http" else bot_by_socket() as running:
        yield running


@pytest.fixture
def bot(installed: Bot) -> Bot:
    """A fresh workspace with the bot in it, once in each mode."""
    installed.hands.post("reset")
    installed.heard.clear()
    return installed
