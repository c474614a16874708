"""Short-lived permissions that Slack hands out with a payload: trigger ids and response URLs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

RESPONSE_USES = 5
RESPONSE_LIFETIME = 30 * 60.0
"""Uses and seconds of a response_url. Source: Slack's guide to handling user interaction."""


@dataclass(slots=True)
class Trigger:
    user: str
    expires: float
    used: bool = False


@dataclass(slots=True)
class Hook:
    """A response_url: who it answers, where, and the message it came from (None for a slash command)."""

    user: str
    channel: str
    origin: str | None
    thread_ts: str | None
    expires: float
    uses: int = 0


class TicketRefused(Exception):
    """The ticket cannot be used; the text is Slack's name for why."""


class Tickets:
    """All tickets handed out so far. `clock` is in seconds and monotonic."""

    def __init__(self, trigger_lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = trigger_lifetime
        self._clock = clock
        self._triggers: dict[str, Trigger] = {}
        self._hooks: dict[str, Hook] = {}

    def new_trigger(self, user: str) -> str:
        trigger_id = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**13)}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = Trigger(user, self._clock() + self._lifetime)
        return trigger_id

    def exchange(self, trigger_id: str) -> str:
        """Uses a trigger up and returns whose it was. Raises TicketRefused when unknown, late or already used."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise TicketRefused("invalid_trigger_id")
        if trigger.used:
            raise TicketRefused("exchanged_trigger_id")
        if self._clock() > trigger.expires:
            raise TicketRefused("expired_trigger_id")
        trigger.used = True
        return trigger.user

    def new_hook(self, user: str, channel: str, origin: str | None = None, thread_ts: str | None = None) -> str:
        token = secrets.token_urlsafe(18)
        self._hooks[token] = Hook(user, channel, origin, thread_ts, self._clock() + RESPONSE_LIFETIME)
        return token

    def use_hook(self, token: str) -> Hook:
        """Counts one use of a response_url. Raises TicketRefused when unknown, late or used up."""
        hook = self._hooks.get(token)
        if hook is None:
            raise TicketRefused("invalid_url")
        if self._clock() > hook.expires:
            raise TicketRefused("expired_url")
        if hook.uses >= RESPONSE_USES:
            raise TicketRefused("used_url")
        hook.uses += 1
        return hook
