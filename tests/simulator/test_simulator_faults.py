"""Trouble on demand, and Slack's rate limits."""

from __future__ import annotations

import pytest
from practice import CHANNEL, Hands, hands_in
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import ConnectionErrorRetryHandler

from bot.simulator import Config
from bot.simulator.web_api.rates import Rates


def test_a_429_says_how_long_to_wait(workspace: Hands) -> None:
    """A rate-limited call carries Retry-After and happens the next time."""
    workspace.post("faults", method="chat.postMessage", kind="429", retry_after=7)
    with pytest.raises(SlackApiError) as raised:
        workspace.client().chat_postMessage(channel=CHANNEL, text="x")
    assert raised.value.response.status_code == 429
    assert raised.value.response.headers["Retry-After"] == "7"
    assert workspace.client().chat_postMessage(channel=CHANNEL, text="x")["ok"]


def test_faults_are_counted_and_can_be_taken_back(workspace: Hands) -> None:
    """A fault meets as many calls as it was asked to, and none after it was cleared."""
    workspace.post("faults", method="*", kind="error:fatal_error", times=2)
    with pytest.raises(SlackApiError, match="fatal_error"):
        workspace.client().auth_test()
    assert workspace.get("faults")[0]["times"] == 1
    workspace.http.delete("faults")
    assert workspace.client().auth_test()["ok"]


def test_a_server_error_is_a_500(workspace: Hands) -> None:
    """Slack itself can fail."""
    workspace.post("faults", method="auth.test", kind="500")
    with pytest.raises(SlackApiError) as raised:
        workspace.client().auth_test()
    assert raised.value.response.status_code == 500


def test_a_reset_after_commit_posts_twice_when_retried(workspace: Hands) -> None:
    """The SDK's own retry of a lost connection doubles a message that had already been posted."""
    workspace.post("faults", method="chat.postMessage", kind="reset_after_commit")
    client = WebClient(workspace.sim.config.bot_token, base_url=workspace.sim.api_url)
    assert any(isinstance(handler, ConnectionErrorRetryHandler) for handler in client.retry_handlers)
    client.chat_postMessage(channel=CHANNEL, text="once?")
    texts = [each["text"] for each in workspace.get("messages", channel=CHANNEL)]
    assert texts == ["once?", "once?"]


def test_a_reset_posts_nothing(workspace: Hands) -> None:
    """A connection lost before the commit leaves no message."""
    workspace.post("faults", method="chat.postMessage", kind="reset")
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on how far the client got
        workspace.client().chat_postMessage(channel=CHANNEL, text="x")
    assert workspace.get("messages", channel=CHANNEL) == []


def test_a_hang_never_answers(workspace: Hands) -> None:
    """A hanging call runs into the client's own timeout."""
    workspace.post("faults", method="auth.test", kind="hang")
    client = WebClient(workspace.sim.config.bot_token, base_url=workspace.sim.api_url, timeout=1)
    client.retry_handlers.clear()
    with pytest.raises(TimeoutError):
        client.auth_test()


def test_an_unknown_fault_is_refused(workspace: Hands) -> None:
    """A mistyped kind is said, not ignored."""
    assert "unknown kind 'oops'" in workspace.post("faults", method="*", kind="oops")["error"]


def test_rates_are_slacks() -> None:
    """chat.update holds at 50 a minute and postMessage at one a second per channel after a short burst."""
    now = [0.0]
    rates = Rates(lambda: now[0])
    assert [rates.wait("chat.update", "C1") for _ in range(51)] == [0] * 50 + [60]
    assert [rates.wait("chat.postMessage", "C1") for _ in range(5)] == [0] * 4 + [4]
    assert rates.wait("chat.postMessage", "C2") == 0
    now[0] = 60.0
    assert rates.wait("chat.update", "C1") == 0


def test_rates_are_applied_when_asked_for() -> None:
    """A workspace with rate limits answers 429 to the fifth message in a row."""
    with hands_in(Config(rate_limits=True)) as hands:
        for _ in range(4):
            hands.client().chat_postMessage(channel=CHANNEL, text="x")
        with pytest.raises(SlackApiError) as raised:
            hands.client().chat_postMessage(channel=CHANNEL, text="x")
        assert raised.value.response.status_code == 429
        assert 1 <= int(raised.value.response.headers["Retry-After"]) <= 4
