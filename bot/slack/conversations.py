"""What Slack says of channels and of who is in them, remembered for a short time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code, retry_after, web_client
from bot.slack.directory import SLACK_TROUBLE
from engine.conversations import FRESH_S, Conversation, Unasked
from engine.runtime import Runtime

log = logging.getLogger(__name__)

NOT_THERE = frozenset({"channel_not_found", "not_in_channel", "invalid_channel"})
"""What Slack says of a channel that is none, or private without this bot in it."""
MISSED_FRESH_S = 10.0
"""How long somebody is taken not to be in a channel: who has just joined does not want to wait."""
_PAGE, _PAGES = 1_000, 30
"""Members asked for at a time, and how often: of a channel with more of them nobody is known to be in it."""
_KEPT = 2_000
_AWAY_S = 5.0
"""How long Slack is left alone after it did not answer, so that a list of channels waits for it once."""


class SlackConversations:
    """Asks Slack; safe to use from many threads. See `engine.conversations.Conversations`."""

    def __init__(self, client: WebClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, Conversation | None]] = {}
        self._members: dict[str, tuple[float, frozenset[str]]] = {}
        self._rests: dict[str, tuple[float, Unasked]] = {}

    def find(self, channel: str, fresh_s: float = FRESH_S, /) -> Conversation | None:
        """The channel, None where this bot knows no such one. Raises `Unasked`."""
        with self._lock:
            known = self._found.get(channel)
        if known is not None and self._clock() - known[0] < fresh_s:
            return known[1]
        answer = self._asked("conversations.info", channel=channel) if channel else None
        info = (answer or {}).get("channel")
        found = read_conversation(channel, info) if isinstance(info, dict) else None
        self._keep(self._found, channel, found)
        return found

    def has(self, channel: str, person: str, /) -> bool:
        """Whether somebody is in it, False where this bot knows no such channel. Raises `Unasked`."""
        with self._lock:
            known = self._members.get(channel)
        age = self._clock() - known[0] if known is not None else FRESH_S
        if known is not None and age < (FRESH_S if person in known[1] else MISSED_FRESH_S):
            return person in known[1]
        members = self._everybody(channel) if channel else frozenset()
        self._keep(self._members, channel, members)
        return person in members

    def _everybody(self, channel: str) -> frozenset[str]:
        found: set[str] = set()
        cursor = ""
        for _ in range(_PAGES):
            answer = self._asked("conversations.members", channel=channel, limit=_PAGE, cursor=cursor)
            if answer is None:
                return frozenset()
            found.update(map(str, answer.get("members") or ()))
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return frozenset(found)
        raise Unasked(f"More than {_PAGE * _PAGES} people are in it: use a smaller channel.", passing=False)

    def _asked(self, method: str, **arguments: Any) -> Mapping[str, Any] | None:
        """The answer to one call, None where there is no such channel. Raises `Unasked`."""
        with self._lock:
            until, trouble = self._rests.get(method, (0.0, None))
        if trouble is not None and self._clock() < until:
            raise trouble
        call = self._client.conversations_info if method.endswith("info") else self._client.conversations_members
        try:
            return call(**{name: value for name, value in arguments.items() if value != ""})  # type: ignore[return-value]
        except SlackApiError as refusal:
            if error_code(refusal) in NOT_THERE:
                return None
            raise self._rested(method, *_unasked(refusal)) from refusal
        except SLACK_TROUBLE as away:
            log.warning("%s: %s", method, type(away).__name__)
            raise self._rested(method, _AWAY_S, Unasked(_AWAY)) from away

    def _rested(self, method: str, seconds: float, trouble: Unasked) -> Unasked:
        with self._lock:
            self._rests[method] = (self._clock() + seconds, trouble)
        return trouble

    def _keep(self, where: dict[str, tuple[float, Any]], channel: str, found: Any) -> None:
        with self._lock:
            if len(where) >= _KEPT:
                where.clear()
            where[channel] = (self._clock(), found)


_AWAY = "Slack does not answer. Try again in a minute."


def _unasked(refusal: SlackApiError) -> tuple[float, Unasked]:
    """For how long not to ask again, and what to tell who wanted to know."""
    code = error_code(refusal)
    wait = retry_after(refusal)
    if wait is not None:
        return wait, Unasked("Slack asks for patience. Try again in a minute.")
    log.warning("Slack does not say who is in a channel: %s", code)
    if code == "missing_scope":
        needed = str(refusal.response.get("needed") or "channels:read, groups:read, im:read and mpim:read")
        what = f"The app lacks the scope {needed}: install it again with slack/manifest.yaml."
        return 0.0, Unasked(what, passing=False)
    return 0.0, Unasked(f"Slack says {code}. `runbook doctor` knows more.")


def connected(rt: Runtime) -> Runtime:
    """The same runtime, which asks Slack about channels where there is a Slack to ask."""
    if rt.settings.slack_mode == "none":
        return rt
    return replace(rt, conversations=SlackConversations(web_client(rt.settings)))


def read_conversation(channel: str, info: Mapping[str, Any]) -> Conversation:
    """What conversations.info says of a channel. What is not said to be public is private."""
    topic = info.get("topic")
    public = info.get("is_channel") is True and info.get("is_private") is False
    direct = bool(info.get("is_im"))
    return Conversation(
        id=channel,
        name=str(info.get("name") or ""),
        topic=str(topic.get("value") or "") if isinstance(topic, dict) else "",
        private=not public,
        external=any(info.get(key) for key in ("is_ext_shared", "is_pending_ext_shared", "pending_shared")),
        bot_is_member=direct or info.get("is_member") is not False,
    )
