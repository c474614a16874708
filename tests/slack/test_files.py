"""Files in threads: they arrive whole, where they belong."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.simulator import Simulator, running_simulator
from bot.slack.files import upload

CHANNEL, UNHEARD = "C0INC0001", "C0PRIVATE"


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with running_simulator() as running:
        yield running


def client(sim: Simulator) -> WebClient:
    found = WebClient(sim.config.bot_token, base_url=sim.api_url, retry_handlers=[])
    found.proxy = None
    return found


def test_a_file_is_shared_in_its_thread(sim: Simulator) -> None:
    """The bytes come back as they were sent, under the title they were given, behind the message they belong to."""
    slack = client(sim)
    ts = str(slack.chat_postMessage(channel=CHANNEL, text="card")["ts"])
    upload(slack, CHANNEL, ts, "run.png", "A run", b"\x89PNG\x00\xff", "three bars")
    control = httpx.Client(base_url=f"{sim.url}/control/", trust_env=False)
    thread = control.get("messages", params={"channel": CHANNEL, "thread_ts": ts}).json()["messages"]
    (file,) = thread[-1]["files"]
    assert file["title"] == "A run"
    assert httpx.get(file["url_private"], trust_env=False).content == b"\x89PNG\x00\xff"
    assert control.get("problems").json()["problems"] == []
    control.close()


def test_a_channel_that_the_bot_is_not_in_refuses(sim: Simulator) -> None:
    """The refusal is Slack's own error, for whoever called to deal with."""
    with pytest.raises(SlackApiError, match="not_in_channel"):
        upload(client(sim), UNHEARD, None, "run.png", "A run", b"x")
