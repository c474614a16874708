"""What came back from the bot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from bot.simulator.json_value import Json

Kind = Literal["events_api", "interactive", "slash_commands"]


@dataclass(frozen=True, slots=True)
class Ack:
    """The bot's answer to one payload.

    `error` is None when it was acknowledged in time, else Slack's word: `operation_timeout` or `dispatch_failed`.
    `reason` is Slack's x-slack-retry-reason. `body` is what came with the ack, JSON or text, or None.
    `status` is the HTTP status, None in Socket Mode and when none came. `ms` is how long it took.
    """

    ms: int
    error: str | None = None
    reason: str = ""
    status: int | None = None
    body: Json = None
    no_retry: bool = False

    @property
    def ok(self) -> bool:
        return self.error is None


class Delivery(Protocol):
    """A way to the bot."""

    async def send(self, kind: Kind, payload: dict[str, Json], attempt: int = 0, reason: str = "") -> Ack:
        """Delivers a payload and waits for its ack; `attempt` counts an event's retries, `reason` says why one is."""
        ...
