"""Answering one person about one thing they typed or clicked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code, webhook
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.views.parts import Message

log = logging.getLogger(__name__)

SAFE: Mapping[str, Any] = {"parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}
"""How everything is posted: Slack turns no text into mentions or links, and fetches nothing that is linked to."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where something was asked. `thread_ts` is that of a thread that stands already, not of a message by itself.

    `mention` says that it was asked by mentioning the bot, which is the one way to ask in a thread.
    What was clicked in a modal or in the Home tab has its `view_id`, and `metadata`, which that view carries. `why` is
    the reason that a form asked for after the click.
    """

    user: str
    channel: str = ""
    channel_name: str = ""
    thread_ts: str | None = None
    message_ts: str | None = None
    response_url: str | None = None
    trigger_id: str | None = None
    ephemeral: bool = False
    mention: bool = False
    view_id: str | None = None
    metadata: str = ""
    in_modal: bool = False
    why: str = ""


class Reply:
    """Ways to answer whoever asked there. None of them raises: an answer that cannot be given is logged."""

    def __init__(self, client: WebClient, reply_to: ReplyTo) -> None:
        self._client = client
        self.reply_to = reply_to

    def privately(self, message: Message) -> None:
        """To the person alone: where they asked, else as a direct message.

        What an act did is told in its run's thread, to all and once; what somebody wants to know concerns nobody else.
        """
        for way in (self._by_url, self._ephemeral, self._direct):
            try:
                if way(message):
                    return
            except SLACK_TROUBLE as trouble:
                log.info("Answering by %s failed: %s", way.__name__, _said(trouble))
        log.warning(
            "An answer to %s in %s could not be given.", self.reply_to.user, self.reply_to.channel or "no channel"
        )

    def instead(self, message: Message) -> None:
        """In place of the private message whose button was clicked."""
        try:
            if self.reply_to.ephemeral and self._by_url(message, replace=True):
                return
        except SLACK_TROUBLE as trouble:
            log.info("Replacing a message failed: %s", _said(trouble))
        self.privately(message)

    def _by_url(self, message: Message, *, replace: bool = False) -> bool:
        if not self.reply_to.response_url:
            return False
        answer = webhook(self.reply_to.response_url, self._client).send(
            text=message.text, blocks=list(message.blocks), response_type="ephemeral", replace_original=replace
        )
        return answer.status_code == 200

    def _ephemeral(self, message: Message) -> bool:
        reply_to = self.reply_to
        if not reply_to.channel:
            return False
        self._client.chat_postEphemeral(
            channel=reply_to.channel,
            user=reply_to.user,
            thread_ts=reply_to.thread_ts,
            text=message.text,
            blocks=list(message.blocks),
            parse="none",
            link_names=False,
        )
        return True

    def _direct(self, message: Message) -> bool:
        self._client.chat_postMessage(
            channel=self.reply_to.user, text=message.text, blocks=list(message.blocks), **SAFE
        )
        return True


def _said(trouble: Exception) -> str:
    return error_code(trouble) if isinstance(trouble, SlackApiError) else type(trouble).__name__
