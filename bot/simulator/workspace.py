"""The workspace as a whole: its state, and the few things that every door asks of it."""

from __future__ import annotations

import secrets

from bot.simulator.config import Config
from bot.simulator.directory import (
    APP_ID,
    BOT_ID,
    BOT_USER_ID,
    CHANNELS,
    PEOPLE,
    SLACKBOT_ID,
    TEAM_ID,
    Channel,
    direct_channel,
    direct_channel_id,
)
from bot.simulator.feed import Feed
from bot.simulator.journal import Journal
from bot.simulator.json_value import Json
from bot.simulator.messages import Messages, Posted
from bot.simulator.tickets import Tickets
from bot.simulator.view_store import Views


class Workspace:
    """All that a practice workspace knows. Lives in one event loop, so nothing here needs a lock.

    `url` is the workspace's own address without a slash at the end; it is known once the server listens.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.url = ""
        self.feed = Feed()
        self._socket_tickets: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """Forgets everything that was said and done; connections stay."""
        self.journal = Journal()
        self.messages = Messages(self.feed)
        self.views = Views(self.feed)
        self.tickets = Tickets(self.config.trigger_lifetime)
        self.files: dict[str, dict[str, Json]] = {}
        self._direct: dict[str, Channel] = {}
        self.feed.publish("reset")

    def channel(self, channel_id: str) -> Channel | None:
        return CHANNELS.get(channel_id) or self._direct.get(channel_id)

    def channel_named(self, name: str) -> Channel | None:
        return next((channel for channel in CHANNELS.values() if channel.name == name), None)

    def open_direct(self, user: str) -> Channel:
        """The direct message between a person and the bot, opened when it was not."""
        return self._direct.setdefault(direct_channel_id(user), direct_channel(user))

    def socket_ticket(self) -> str:
        """A new ticket that opens one Socket Mode connection."""
        ticket = secrets.token_urlsafe(24)
        self._socket_tickets.add(ticket)
        return ticket

    def use_socket_ticket(self, ticket: str) -> bool:
        """Whether the ticket was good; it is used up."""
        known = ticket in self._socket_tickets
        self._socket_tickets.discard(ticket)
        return known

    def post_as_person(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Posted:
        message: dict[str, Json] = {"user": user, "text": text, "team": TEAM_ID}
        if thread_ts:
            message["thread_ts"] = thread_ts
        return self.messages.add(channel, message)

    def whisper(self, user: str, channel: str, text: str) -> Posted:
        """What Slack itself tells one person, such as that a command failed."""
        message = {"user": SLACKBOT_ID, "username": "Slackbot", "text": text, "notice": True}
        return self.messages.add(channel, message, only=user)

    def notify(self, user: str, text: str) -> None:
        """What the person's screen says of itself, such as that a button did not work."""
        self.feed.publish("notice", user=user, text=text)


def bot_message(text: str, blocks: list[Json], **more: Json) -> dict[str, Json]:
    """A message from the bot; values that are None are left out."""
    message = {
        "user": BOT_USER_ID,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "team": TEAM_ID,
        "text": text,
        "bot_profile": {"id": BOT_ID, "app_id": APP_ID, "name": PEOPLE[BOT_USER_ID].name, "team_id": TEAM_ID},
        "blocks": blocks or None,
        **more,
    }
    return {name: value for name, value in message.items() if value is not None}
