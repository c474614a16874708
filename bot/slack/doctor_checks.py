"""What Slack says to this bot's tokens: whether they are good, and whether their scopes are all there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code, web_client
from bot.slack.directory import SLACK_TROUBLE
from engine.config.settings import Settings
from engine.doctor import CLOCK_WARN_S, Finding, Level

SCOPES = frozenset(
    {
        "app_mentions:read", "channels:history", "channels:read", "chat:write", "commands", "files:write",
        "groups:history", "groups:read", "im:history", "im:read", "im:write", "mpim:history", "mpim:read",
        "usergroups:read", "users:read", "users:read.email",
    }
)  # fmt: skip
"""What the bot's token has to be allowed; the manifest asks for the same."""
SIGNED_FOR_S = 300.0
"""Slack's requests older than this are refused, so a clock that is off by more refuses all of them."""


def findings(settings: Settings) -> Iterator[Finding]:
    """What is found of Slack; nothing is asked where no token is set."""
    if settings.slack_mode == "none":
        yield Finding(
            Level.WARN, "slack", "SLACK_BOT_TOKEN is not set: nobody reaches the bot through Slack",
            "Make the app from slack/manifest.yaml and set its tokens.",
        )  # fmt: skip
        return
    try:
        answer = web_client(settings).auth_test()
    except SlackApiError as error:
        yield _refused("SLACK_BOT_TOKEN", error)
        return
    except SLACK_TROUBLE as error:
        yield Finding(
            Level.BAD, "slack", f"{settings.slack_api_url} does not answer ({type(error).__name__})",
            "Look at Slack's status page, and whether this machine may connect to it.",
        )  # fmt: skip
        return
    yield Finding(Level.OK, "slack", f"connected to {answer.get('team')} as {answer.get('user')}")
    headers = {name.lower(): str(value) for name, value in answer.headers.items()}
    yield from _scopes(headers)
    yield from _clock(headers)
    if settings.slack_mode == "socket":
        yield from _app_token(settings)


def _scopes(headers: Mapping[str, str]) -> Iterator[Finding]:
    told = headers.get("x-oauth-scopes")
    if told is None:
        yield Finding(Level.WARN, "scopes", "Slack did not say what the token may do", "Ask again later.")
        return
    missing = SCOPES - {scope.strip() for scope in told.split(",")}
    if missing:
        advice = "Add them to the app (slack/manifest.yaml has them all) and install it to the workspace again."
        yield Finding(Level.BAD, "scopes", f"the bot's token lacks {', '.join(sorted(missing))}", advice)
    else:
        yield Finding(Level.OK, "scopes", "the bot's token has all it needs")


def _clock(headers: Mapping[str, str]) -> Iterator[Finding]:
    try:
        apart = abs(parsedate_to_datetime(headers["date"]).timestamp() - time.time()) - 1  # its Date has whole seconds
    except (KeyError, ValueError, OverflowError):
        return
    if apart >= CLOCK_WARN_S * 5:
        level = Level.BAD if apart >= SIGNED_FOR_S else Level.WARN
        yield Finding(level, "clock", f"is {apart:.0f} s off Slack's", "Let this machine follow a time server (NTP).")


def _app_token(settings: Settings) -> Iterator[Finding]:
    """Whether Socket Mode would be let in; the address that this asks for is not used."""
    try:
        web_client(settings, settings.slack_app_token).apps_connections_open(app_token=str(settings.slack_app_token))
    except SlackApiError as error:
        yield _refused("SLACK_APP_TOKEN", error)
    except SLACK_TROUBLE as error:
        detail = f"Socket Mode cannot be asked for ({type(error).__name__})"
        yield Finding(Level.WARN, "socket mode", detail, "Try again; look at Slack's status page.")
    else:
        yield Finding(Level.OK, "socket mode", "the app-level token is good")


def _refused(name: str, error: SlackApiError) -> Finding:
    advice = "Take it anew from the app's page: OAuth & Permissions, or Basic Information for the app-level token."
    return Finding(Level.BAD, "slack", f"{name} is refused: {error_code(error)}", advice)
