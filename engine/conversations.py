"""What the engine may ask Slack about channels. Whoever opens the engine says who answers; nothing here knows how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

FRESH_S = 60.0
"""How long an answer about a channel and its members is taken for true."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A channel, group or direct message as Slack shows it to this bot.

    `private` says that only its members may know of it, `external` that people of other workspaces are in it or are
    invited (Slack Connect), `bot_is_member` that this bot is in it.
    """

    id: str
    name: str = ""
    topic: str = ""
    private: bool = True
    external: bool = False
    bot_is_member: bool = True


class Unasked(Exception):
    """Slack cannot be asked, or does not say. The message is a sentence: why, and what to do.

    `passing` says that it may be otherwise in a minute.
    """

    def __init__(self, why: str, *, passing: bool = True) -> None:
        self.passing = passing
        super().__init__(why)


class Conversations(Protocol):
    """Answers are remembered for a short time; safe to use from many threads."""

    def find(self, channel: str, fresh_s: float = FRESH_S, /) -> Conversation | None:
        """The channel, None where this bot knows no such one; asked anew after `fresh_s`. Raises `Unasked`."""

    def has(self, channel: str, person: str, /) -> bool:
        """Whether somebody is in it, False where this bot knows no such channel. Raises `Unasked`."""


class NoSlack:
    """For a deployment, or a process, that speaks to no Slack."""

    def find(self, _channel: str, _fresh_s: float = FRESH_S) -> Conversation | None:
        """Raise `Unasked`: there is nobody to ask."""
        raise Unasked(_NO_SLACK, passing=False)

    def has(self, _channel: str, _person: str) -> bool:
        """Raise `Unasked`: there is nobody to ask."""
        raise Unasked(_NO_SLACK, passing=False)


_NO_SLACK = "This bot is connected to no Slack. Set SLACK_BOT_TOKEN, or name no channel."
