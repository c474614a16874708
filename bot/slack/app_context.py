"""Where the work behind every ack is done: our own threads, and one place that turns trouble into an answer.

Bolt's listeners only ack and hand over. An exception inside a listener would take its ack back, and five slow ones
would stop the sixth from being acked at all.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from slack_sdk import WebClient

from bot.grammar import GrammarError
from bot.slack.directory import Directory
from bot.slack.payload_values import BadValue
from bot.slack.reply import Reply, ReplyTo
from bot.slack.views import errors as views
from bot.slack.views.parts import said
from engine import database_errors
from engine.access import channels
from engine.access.policy import Actor
from engine.conversations import Unasked
from engine.errors import ChannelNotAllowed, EngineError
from engine.runs import idempotency
from engine.runtime import Runtime

log = logging.getLogger(__name__)

THREADS = 16
Work = Callable[[Reply], None]


class AppContext:
    """What every handler holds: the runtime, Slack, who is who, and threads to work in."""

    def __init__(self, rt: Runtime, client: WebClient, directory: Directory | None = None) -> None:
        self.rt = rt
        self.client = client
        self.directory = directory or Directory(rt, client)
        self._looking_up: set[str] = set()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="slack")

    @property
    def command(self) -> str:
        """What people type to reach this bot."""
        return self.rt.settings.slack_command

    def invoked_as(self, reply_to: ReplyTo) -> str:
        """What people type to reach this bot there: in a thread only a mention works."""
        return f"@{self.directory.my_name()}" if reply_to.mention else self.command

    def actor_at(self, reply_to: ReplyTo) -> Actor:
        """Who typed or clicked there, as somebody who is in that channel now."""
        return replace(self.directory.identify(reply_to.user), here=reply_to.channel)

    def channel_facts(self, channel: str) -> tuple[str, str]:
        """A channel's name and topic, empty where Slack does not say."""
        try:
            found = self.rt.conversations.find(channel)
        except Unasked:
            return "", ""
        return (found.name, found.topic) if found is not None else ("", "")

    def run_in_background(self, key: str | None, reply: Reply, work: Work) -> None:
        """Do `work` in a thread, once for a `key`. Returns at once and never raises."""
        try:
            self._pool.submit(self._do, key, reply, work)
        except RuntimeError:
            log.warning("Something was asked while stopping, and is not done.")

    def known(self, user: str) -> Actor | None:
        """Who this is, for use before an ack: at once. None where Slack must be asked, which is then begun."""
        actor = self.directory.known(user)
        if actor is None and user not in self._looking_up:
            self._looking_up.add(user)
            self.run_in_background(None, Reply(self.client, ReplyTo(user=user)), lambda _: self._look_up(user))
        return actor

    def once(self, key: str | None) -> bool:
        """Whether a request with this key comes for the first time; without a key always."""
        return key is None or idempotency.first_time(self.rt, key)

    def close(self) -> None:
        """Finish what was handed over and take nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=False)

    def _look_up(self, user: str) -> None:
        try:
            self.directory.identify(user)
        finally:
            self._looking_up.discard(user)

    def _must_be_inside(self, channel: str) -> None:
        """Refuse what comes from a channel shared with another workspace; what is posted is judged once more."""
        try:
            why = channels.outside(self.rt, channel) if channel else ""
        except Unasked:
            return
        if why:
            raise ChannelNotAllowed(why)

    def _do(self, key: str | None, reply: Reply, work: Work) -> None:
        try:
            if self.once(key):
                self._must_be_inside(reply.reply_to.channel)
                work(reply)
        except EngineError as error:
            log.info("A request from Slack was refused: %s", error)
            reply.privately(views.refusal(error, self.invoked_as(reply.reply_to)))
        except GrammarError as error:
            reply.privately(views.misunderstood(error, self.invoked_as(reply.reply_to)))
        except BadValue:
            reply.privately(said("This button is from an older version of the bot. Ask for the message again."))
        except Exception as error:
            error_id = secrets.token_hex(4)
            log.exception("A request from Slack failed (id %s)", error_id)
            reply.privately(views.accident(error_id, database_errors.in_words(error)))
