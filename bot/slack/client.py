"""The one way this bot speaks to Slack's Web API."""

from __future__ import annotations

import logging
from http.client import HTTPException
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.webhook import WebhookClient

from engine.config.settings import Settings

TIMEOUT_S = 10
"""Seconds for one call; views.open has to happen within three of the click, everything else is patient."""

QUIET = logging.getLogger("bot.slack.sdk")
"""Where the SDK and Bolt write. They tell of whole requests below ERROR, which belong in no log."""
QUIET.setLevel(logging.ERROR)


def in_one_line(record: logging.LogRecord) -> bool:
    """Let trouble on the way to Slack be told without its traceback: it is tried again, and no bug of ours."""
    trouble = record.exc_info[1] if record.exc_info else None
    if isinstance(trouble, OSError | HTTPException | SlackClientError):
        record.msg, record.args = f"{record.getMessage()} ({type(trouble).__name__}: {trouble})", ()
        record.exc_info = record.exc_text = None
    return True


QUIET.addFilter(in_one_line)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def web_client(settings: Settings, token: str | None = None) -> WebClient:
    """A client that tries each call once: a retried lost connection could post a message twice.

    Raises nothing; whether the token is any good shows at the first call. A proxy from the environment is not used
    for an address on this machine.
    """
    client = WebClient(
        token=token or settings.slack_bot_token,
        base_url=settings.slack_api_url,
        timeout=TIMEOUT_S,
        retry_handlers=[],
        logger=QUIET,
    )
    if urlsplit(client.base_url).hostname in _LOOPBACK:
        client.proxy = None
    return client


def webhook(url: str, client: WebClient) -> WebhookClient:
    """A client for a `response_url`, as patient and as single-minded as `client`."""
    hook = WebhookClient(url, timeout=TIMEOUT_S, retry_handlers=[], logger=QUIET, proxy=client.proxy)
    hook.proxy = client.proxy
    return hook


def error_code(error: SlackApiError) -> str:
    """Slack's word for what went wrong, `http_<status>` where the answer was not JSON."""
    response = error.response
    code = response.get("error") if isinstance(response.data, dict) else None
    return code if isinstance(code, str) and code and " " not in code else f"http_{response.status_code}"


def retry_after(error: SlackApiError) -> float | None:
    """Seconds that Slack wants to be left alone, None when it did not say so."""
    if error.response.status_code != 429 and error_code(error) not in ("ratelimited", "rate_limited"):
        return None
    wish = error.response.headers.get("Retry-After", error.response.headers.get("retry-after", "1"))
    try:
        return min(max(float(wish), 1.0), 600.0)
    except (TypeError, ValueError):
        return 30.0
