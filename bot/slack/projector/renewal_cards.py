"""One card that asks for renewals: in the channel that is set, else to each platform admin. Used by the projector."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code
from bot.slack.projector.poster import Mark, NotNow, Poster
from bot.slack.views import renewal
from engine.access import channels
from engine.catalog import notices, renewals
from engine.catalog.renewals import Approval
from engine.conversations import Unasked
from engine.runtime import Runtime
from storage.catalog_records import RenewalCardRecord

log = logging.getLogger(__name__)

EVERY_S = 60.0
MOST = 10
"""Platform admins who are told directly, where no channel is set: with more of them, being told means nothing."""


class RenewalCards:
    """Posts a card once when there is something to renew, keeps it up, and rings nobody a second time for it."""

    def __init__(self, rt: Runtime, client: WebClient, poster: Poster) -> None:
        self._rt = rt
        self._client = client
        self._poster = poster
        self._next = 0.0

    def keep_up(self) -> None:
        """Bring every card up to what is due, at most once a minute. Raises as `Poster.post` for an outage."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        due, cards = renewals.due(self._rt), {each.channel: each for each in renewals.cards(self._rt)}
        wanted = dict(self._wanted(due)) if due else {}
        for channel in {**wanted, **cards}:
            try:
                self._keep(channel, wanted.get(channel, []), cards.get(channel))
            except NotNow:
                self._next = 0.0
            except SlackApiError as trouble:
                log.warning("What is to be renewed could not be shown in %s: %s", channel, error_code(trouble))
                renewals.keep_card(self._rt, channel, "", [])  # somebody may have deleted it: the next is a new one
            except Unasked as trouble:
                log.info("What is to be renewed is not shown in %s. %s", channel, trouble)

    def _wanted(self, due: list[Approval]) -> Iterator[tuple[str, list[Approval]]]:
        """Each channel and what its card has to show."""
        if self._rt.settings.admin_channel is not None:
            yield self._rt.settings.admin_channel, due
            return
        for admin in notices.admins(self._rt, MOST):
            if theirs := renewals.for_person(self._rt, admin, due):
                try:
                    yield str(self._client.conversations_open(users=admin.user_id)["channel"]["id"]), theirs
                except SlackApiError as trouble:
                    log.info("%s could not be told of renewals: %s", admin.user_id, error_code(trouble))

    def _keep(self, channel: str, found: list[Approval], card: RenewalCardRecord | None) -> None:
        drawn, shown = renewal.renewals_view(found), renewal.shown(found)
        if card is not None and card.shown != shown:
            if not self._poster.may_update(channel, card.ts):
                raise NotNow
            self._poster.update(channel, card.ts, lambda _: drawn)
            renewals.keep_card(self._rt, channel, card.ts, shown)
        elif card is None and found and not channels.outside(self._rt, channel):
            mark = Mark(f"renewals:{channel}", ":".join(map(str, shown[0][:3])), 0)
            renewals.keep_card(self._rt, channel, self._poster.post(channel, lambda _: drawn, mark), shown)
