"""A workspace, alone and with a bot in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from practice import Bot, Hands, bot_by_http, bot_by_socket, hands_in

from bot.simulator import Config


@pytest.fixture
def workspace() -> Iterator[Hands]:
    """A workspace whose bot listens nowhere."""
    with hands_in(Config(bot_url="http://127.0.0.1:9/", ack_timeout=0.5, event_retry_delays=())) as hands:
        yield hands


@pytest.fixture(params=["http", "socket"])
def bot(request: pytest.FixtureRequest) -> Iterator[Bot]:
    """The bot in the workspace, once in each mode."""
    with bot_by_http() if request.param == "http" else bot_by_socket() as running:
        yield running
