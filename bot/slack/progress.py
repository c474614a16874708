"""The projector: what happened in runs, shown in Slack. It follows; nothing waits for it.

Every message has one writer: only the process that holds the projector lease shows anything, in one thread, and it
renews that before each write. What was
shown and told is kept in the database after Slack took it, so a crash in between
shows something twice, never not at all.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.board import MESSAGE_GONE, Board
from bot.slack.callers import Callers
from bot.slack.client import error_code
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.herald import Herald
from bot.slack.pacing import Pace
from bot.slack.pictures import Pictures
from bot.slack.poster import Draw, Mark, NotNow, Poster
from bot.slack.views import card as cards
from bot.slack.views import thread
from bot.slack.views.parts import Message, said
from engine import channels, events, executions, projection, speaking
from engine.conversations import Unasked
from engine.executions import ExecutionView
from engine.runtime import Runtime
from storage.records import CardRecord, EventRecord

log = logging.getLogger(__name__)

LEASE_EVERY_S = 3.0
BUSY_WAIT_S = 0.2
IDLE_WAIT_S = 0.5
CARDS = 200

EXTERNAL = "external_channel"
"""The bot's own word for a channel that is shared with other workspaces, which nobody allowed."""
UNKNOWN = "channel_unknown"
"""The same, where Slack does not tell this bot whose channel it is."""
OUTSIDE_FRESH_S = 600.0
"""How long a channel is taken for the workspace's own, or not: Slack answers fifty such questions a minute."""
CHANNEL_GONE = {
    "channel_not_found",
    "is_archived",
    "not_in_channel",
    "restricted_action",
    "restricted_action_read_only_channel",
}
NO_ACCESS = {"token_revoked", "token_expired", "invalid_auth", "not_authed", "account_inactive", "missing_scope"}


class LeaseLost(Exception):
    """Another process shows now."""


class Projector:
    """Shows runs until it is told to stop."""

    def __init__(self, rt: Runtime, client: WebClient, holder: str = "", pace: Pace | None = None) -> None:
        self._rt = rt
        self._poster = Poster(client, pace, self._keep)
        self._callers = Callers(rt, client, self._poster)
        self._board = Board(rt, self._poster, self._callers)
        self._pictures = Pictures(rt, self._poster)
        self._herald = Herald(rt, client, self._poster)
        self._holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._pages = rt.settings.public_url is not None
        self._later: dict[str, tuple[float, float]] = {}
        self._gone: set[str] = set()
        self._unheard: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Show what there is to show until `stop`. Never raises: trouble is logged and tried again."""
        asked, mine = 0.0, False
        while not stop.is_set():
            busy = False
            try:
                if not mine:
                    asked, mine = time.monotonic(), self.hold()
                elif time.monotonic() - asked >= LEASE_EVERY_S:
                    asked = time.monotonic()
                    self._keep()
                busy = mine and self.round() > 0
            except LeaseLost:
                log.warning("Another process shows runs in Slack now: this one was silent for too long")
                mine = False
            except Exception:
                log.exception("Showing runs in Slack failed; trying again")
                mine = False
            stop.wait(BUSY_WAIT_S if busy else IDLE_WAIT_S)
        self._release()

    def hold(self) -> bool:
        """Become the one process that shows, where no other is; another one may have been before."""
        held = projection.hold_lease(self._rt, self._holder)
        if held:
            self._poster.take_over()
        return held

    def _keep(self) -> None:
        if not projection.keep_lease(self._rt, self._holder):
            raise LeaseLost

    def round(self) -> int:
        """Bring every card that lags as far as budgets allow now; says how many were tried.

        Raises `LeaseLost`, writing nothing more, as soon as another process shows.
        """
        now = time.monotonic()
        self._announce()
        due = [card for card in projection.stale_cards(self._rt, CARDS) if self._is_due(card, now)]
        for card in due:
            self._advance(card)
        return len(due)

    def _announce(self) -> None:
        """Tell what no run tells; trouble with that holds up no card."""
        try:
            self._herald.tell()
        except LeaseLost:
            raise
        except SLACK_TROUBLE as trouble:
            log.warning("Slack cannot be reached: %s", type(trouble).__name__)
            self._poster.rest("*", 2.0)
        except Exception:
            log.exception("What happened could not be told; trying again")

    def _is_due(self, card: CardRecord, now: float) -> bool:
        """Whether its back-off is over, also where somebody spoke up in a channel that could not be written to."""
        if card.execution_id in self._unheard and not card.trouble:
            self._unheard.discard(card.execution_id)
            self._later.pop(card.execution_id, None)
        return self._later.get(card.execution_id, (0.0, 0.0))[0] <= now

    def _advance(self, card: CardRecord) -> None:
        try:
            closed = self._closed_to_us(card)
            if closed:
                self._not_heard(card, closed)
                return
            view = executions.view(self._rt, card.execution_id)
            ts = self._updated_card(card, view)
            self._board.keep_up(view)
            self._tell(card, ts, view)
            self._later.pop(card.execution_id, None)
            self._unheard.discard(card.execution_id)
        except LeaseLost:
            raise
        except NotNow:
            return
        except SlackApiError as trouble:
            self._refused(card, trouble)
        except SLACK_TROUBLE as trouble:
            log.warning("Slack cannot be reached: %s", type(trouble).__name__)
            self._poster.rest("*", 2.0)
        except Exception:
            log.exception("%s could not be shown", card.execution_id)
            self._back_off(card)

    def _closed_to_us(self, card: CardRecord) -> str:
        """The word for why nothing may be shown in a card's channel, "" where it may. Raises NotNow as `post`."""
        try:
            return EXTERNAL if channels.outside(self._rt, card.channel, OUTSIDE_FRESH_S) else ""
        except Unasked as trouble:
            log.warning("%s is not shown in %s yet. %s", card.execution_id, card.channel, trouble)
            if not trouble.passing:
                return UNKNOWN
            self._back_off(card)
            raise NotNow from trouble

    # The card

    def _post_card(self, card: CardRecord, view: ExecutionView) -> str:
        ts = self._poster.post(
            card.channel, lambda level: draw_card(view, level, page=self._pages), _mark(view, "card")
        )
        projection.set_channel_ts(self._rt, card.execution_id, ts)
        projection.shown(self._rt, card.execution_id, 0 if self._poster.stood else view.execution.event_seq)
        self._gone.discard(card.execution_id)
        return ts

    def _updated_card(self, card: CardRecord, view: ExecutionView) -> str:
        """The card's ts, the card posted, or posted anew where somebody deleted it, or updated if it lags.

        An update is skipped when the budget is used up: the thread goes on, the card catches up.
        """
        if card.ts is None or card.execution_id in self._gone:
            return self._post_card(card, view)
        seq = view.execution.event_seq
        if card.shown_seq >= seq or not self._poster.may_update(card.channel, card.ts):
            return card.ts
        self._poster.update(card.channel, card.ts, lambda level: draw_card(view, level, page=self._pages))
        projection.shown(self._rt, card.execution_id, seq)
        return card.ts

    # The thread

    def _tell(self, card: CardRecord, ts: str, view: ExecutionView) -> None:
        """Tell what happened, in order; stops where a budget is used up and goes on from there."""
        for event in events.after(self._rt, card.execution_id, card.told_seq):
            if event.seq > view.execution.event_seq:
                return  # it came after the view was read, which therefore does not know what it tells of
            self._tell_of(card, ts, view, event)
            projection.told(self._rt, card.execution_id, event.seq)

    def _tell_of(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        if self._board.ask(card, ts, view, event):
            return
        if event.kind == "gate_reminder":
            self._board.remind(card, ts, view, event)
        elif event.kind == "gate_changed":
            self._board.look_again(card, ts, view, event)
        elif event.kind == "message":
            self._post_message(card, ts, view, event)
        elif event.kind == "ended":
            self._post_end(card, ts, view, event)
        elif (text := thread.line(event, view)) is not None:
            self._poster.post(card.channel, _same(said(text)), _mark(view, f"event:{event.seq}"), ts)

    def _post_message(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        """What a `message` step says: in the run's thread, or by itself in its channel.

        Another channel that cannot be written to, or in which the bot may not speak for who asked for the run, is said
        in the thread, and the run's own card goes on.
        """
        channel = event.data.get("channel") or card.channel
        mark = _mark(view, f"event:{event.seq}")
        if channel == card.channel and event.data.get("thread", True):
            self._poster.post(channel, _same(thread.message(event)), mark, ts)
            return
        why = speaking.why_not(self._rt, view.execution, event.data) if channel != card.channel else ""
        if why:
            self._poster.post(card.channel, _same(thread.unposted(event, channel, why)), mark, ts)
            return
        try:
            self._poster.post(channel, _same(thread.message(event)), mark)
        except SlackApiError as trouble:
            if channel == card.channel or error_code(trouble) not in CHANNEL_GONE:
                raise
            self._poster.post(card.channel, _same(thread.unposted(event, channel)), mark, ts)

    def _post_end(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        """The summary, and below it the picture. A picture that Slack does not take is no reason to say more."""
        key = f"event:{event.seq}"
        if self._posted(card, key) is None:
            end_ts = self._poster.post(card.channel, _same(said(thread.ended(event, view))), _mark(view, key), ts)
            projection.add_post(self._rt, card.execution_id, key, card.channel, end_ts)
            projection.settle_post(self._rt, card.execution_id, key)
        self._pictures.share(view, card.channel, ts, event.seq)

    def _posted(self, card: CardRecord, key: str) -> str | None:
        """The ts of what was posted under a key before, or None."""
        posts = projection.posts(self._rt, card.execution_id)
        return next((post.ts for post in posts if post.key == key), None)

    # Trouble

    def _refused(self, card: CardRecord, trouble: SlackApiError) -> None:
        code = error_code(trouble)
        if code in CHANNEL_GONE:
            self._not_heard(card, code)
            return
        if code in NO_ACCESS:
            log.error("Slack does not let this bot write (%s); trying again in a minute.", code)
            self._poster.rest("*", 60.0)
            return
        if code in MESSAGE_GONE:
            self._gone.add(card.execution_id)
            return
        wait = self._back_off(card)
        log.warning("%s could not be shown (%s); trying again in %.0f s.", card.execution_id, code, wait)

    def _not_heard(self, card: CardRecord, code: str) -> None:
        """Note that its channel cannot be written to, leave it for a while, and tell whom it concerns directly."""
        wait = self._back_off(card)
        log.warning("%s is not seen in %s (%s); trying again in %.0f s.", card.execution_id, card.channel, code, wait)
        view = executions.view(self._rt, card.execution_id)
        projection.unheard(self._rt, view.execution, code)
        self._unheard.add(card.execution_id)
        try:
            self._callers.unheard(view, card.channel, code)
        except NotNow:
            return
        except SLACK_TROUBLE as trouble:
            log.warning("Nobody could be told of that: %s", type(trouble).__name__)

    def _back_off(self, card: CardRecord) -> float:
        """Leave a card alone for a while, twice as long each time; says how long."""
        _, last = self._later.get(card.execution_id, (0.0, 1.0))
        wait = min(last * 2, 60.0)
        self._later[card.execution_id] = (time.monotonic() + wait, wait)
        return wait

    def _release(self) -> None:
        try:
            projection.release_lease(self._rt, self._holder)
        except Exception:  # noqa: BLE001 the lease runs out by itself
            log.info("The projector lease was not given back; it runs out by itself.")


def draw_card(view: ExecutionView, level: int, *, page: bool = False) -> Message:
    """The card at one of the levels of `Draw`; `page` says that runs have pages."""
    return cards.short_card(view, page=page) if level == 2 else cards.card(view, plan=level == 0, page=page)


def _same(message: Message) -> Draw:
    return lambda _: message


def _mark(view: ExecutionView, key: str) -> Mark:
    return Mark(view.execution.id, key, view.execution.created_at)
