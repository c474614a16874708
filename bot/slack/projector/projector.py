"""The projector: what happened in runs, shown in Slack. It follows; nothing waits for it.

Every message has one writer: only the process that holds the projector lease shows anything, in one thread, and it
renews that before each write. What was shown and told is kept in the database after Slack took it, so a crash in
between shows something twice, never not at all.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import replace

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.projector.announcer import Announcer
from bot.slack.projector.direct_notifier import DirectNotifier
from bot.slack.projector.pacing import Pace
from bot.slack.projector.poster import LeaseLost, Mark, NotNow, Poster
from bot.slack.projector.priorities import Part, Turn, in_order, turns_of
from bot.slack.projector.question_posts import MESSAGE_GONE
from bot.slack.projector.threads import CHANNEL_GONE, NO_ACCESS, Threads
from bot.slack.views import card as cards
from bot.slack.views.card import Called
from bot.slack.views.parts import Message
from engine.access import channels
from engine.conversations import Unasked
from engine.queries import projection
from engine.runs import executions
from engine.runs.executions import ExecutionView
from engine.runs.gate_notifications import calling
from engine.runtime import Runtime
from storage.records import CardRecord
from storage.states import ApprovalStatus

log = logging.getLogger(__name__)

LEASE_EVERY_S = 3.0
BUSY_WAIT_S = 0.2
IDLE_WAIT_S = 0.5
CARDS = 200
ROUND_S = 2.0
"""How long one round goes on before it is looked anew what is most urgent."""

EXTERNAL = "external_channel"
"""The bot's own word for a channel that is shared with other workspaces, which nobody allowed."""
UNKNOWN = "channel_unknown"
"""The same, where Slack does not tell this bot whose channel it is."""
OUTSIDE_FRESH_S = 600.0
"""How long a channel is taken for the workspace's own, or not: Slack answers fifty such questions a minute."""


class Projector:
    """Shows runs until it is told to stop."""

    def __init__(self, rt: Runtime, client: WebClient, holder: str = "", pace: Pace | None = None) -> None:
        self._rt = rt
        self._poster = Poster(client, pace, self._keep_lease)
        self._notifier = DirectNotifier(rt, client, self._poster)
        self._threads = Threads(rt, self._poster, self._notifier)
        self._announcer = Announcer(rt, client, self._poster)
        self._holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._pages = rt.settings.public_url is not None
        self._back_offs: dict[str, tuple[float, float]] = {}
        self._deleted: set[str] = set()
        self._unreachable: set[str] = set()
        self._blocked_this_round: set[str] = set()
        """Runs of which nothing more can be shown in this round."""

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
                    self._keep_lease()
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

    def _keep_lease(self) -> None:
        if not projection.keep_lease(self._rt, self._holder):
            raise LeaseLost

    def round(self) -> int:
        """Bring every card that lags as far as budgets allow now; says how many were tried.

        Raises `LeaseLost`, writing nothing more, as soon as another process shows.
        """
        began = time.monotonic()
        self._blocked_this_round.clear()
        self._announce()
        due = [card for card in projection.outdated_cards(self._rt, CARDS) if self._is_due(card, began)]
        for turn in in_order([turn for card in due for turn in self._turns(card)]):
            if turn.card.execution_id not in self._blocked_this_round:
                self._do_turn(turn)
            if time.monotonic() - began > ROUND_S:
                break
        return len(due)

    def _announce(self) -> None:
        """Tell what no run tells; trouble with that holds up no card."""
        try:
            self._announcer.announce()
        except LeaseLost:
            raise
        except SLACK_TROUBLE as trouble:
            log.warning("Slack cannot be reached: %s", type(trouble).__name__)
            self._poster.pause("*", 2.0)
        except Exception:
            log.exception("What happened could not be told; trying again")

    def _turns(self, card: CardRecord) -> list[Turn]:
        try:
            view = executions.view(self._rt, card.execution_id)
            return turns_of(card, view, projection.posts(self._rt, card.execution_id))
        except Exception:
            log.exception("%s could not be read", card.execution_id)
            self._back_off(card)
            return []

    def _is_due(self, card: CardRecord, now: float) -> bool:
        """Whether its back-off is over, also where somebody spoke up in a channel that could not be written to."""
        if card.execution_id in self._unreachable and not card.trouble:
            self._unreachable.discard(card.execution_id)
            self._back_offs.pop(card.execution_id, None)
        return self._back_offs.get(card.execution_id, (0.0, 0.0))[0] <= now

    def _do_turn(self, turn: Turn) -> None:
        card, view = turn.card, turn.view
        try:
            closed = self._why_closed(card)
            if closed:
                self._note_unreachable(card, closed)
            elif turn.part is Part.CARD:
                self._update_card(card, view)
            elif (ts := self._card_ts(card)) is not None:
                self._threads.catch_up(card, ts, view, pictures=turn.part is Part.PICTURE)
                self._clear_back_off(card)
        except LeaseLost:
            raise
        except NotNow:
            return
        except SlackApiError as trouble:
            self._refused(card, trouble)
        except SLACK_TROUBLE as trouble:
            log.warning("Slack cannot be reached: %s", type(trouble).__name__)
            self._poster.pause("*", 2.0)
        except Exception:
            log.exception("%s could not be shown", card.execution_id)
            self._back_off(card)

    def _why_closed(self, card: CardRecord) -> str:
        """The word for why nothing may be shown in a card's channel, "" where it may. Raises NotNow as `post`."""
        try:
            return EXTERNAL if channels.outside(self._rt, card.channel, OUTSIDE_FRESH_S) else ""
        except Unasked as trouble:
            log.warning("%s is not shown in %s yet. %s", card.execution_id, card.channel, trouble)
            if not trouble.passing:
                return UNKNOWN
            self._blocked_this_round.add(card.execution_id)
            self._back_off(card)
            raise NotNow from trouble

    # The card

    def _post_card(self, card: CardRecord, view: ExecutionView) -> None:
        silent = {number: replace(each, how="none") for number, each in self._called(view).items()}
        ts = self._poster.post(
            card.channel, lambda level: draw_card(view, level, page=self._pages, called=silent), _mark(view, "card")
        )
        projection.set_channel_ts(self._rt, card.execution_id, ts)
        projection.mark_shown(
            self._rt, card.execution_id, 0 if self._poster.found_existing else view.execution.event_seq
        )
        self._deleted.discard(card.execution_id)

    def _card_ts(self, card: CardRecord) -> str | None:
        """The ts of a card as it stands now, None where it was not posted yet or somebody deleted it."""
        if card.execution_id in self._deleted:
            return None
        if card.ts is not None:
            return card.ts
        now = projection.card_of(self._rt, card.execution_id)
        return now.ts if now is not None else None

    def _update_card(self, card: CardRecord, view: ExecutionView) -> None:
        """Post a card, also anew where somebody deleted it, or update it if it lags.

        An update is skipped when the budget is used up: the thread goes on, the card catches up.
        """
        if card.ts is None or card.execution_id in self._deleted:
            self._post_card(card, view)
            return
        seq = view.execution.event_seq
        if card.shown_seq >= seq or not self._poster.may_update(card.channel, card.ts):
            return
        called = self._called(view)
        self._poster.update(
            card.channel, card.ts, lambda level: draw_card(view, level, page=self._pages, called=called)
        )
        projection.mark_shown(self._rt, card.execution_id, seq)

    def _called(self, view: ExecutionView) -> Called:
        """Whom the open gates call. A card that is posted names nobody, for that rings: the thread does so, once."""
        open_now = [gate for gate in view.gates if gate.approval.status is ApprovalStatus.PENDING]
        if open_now:
            self._notifier.refresh_people()
        return {gate.approval.id: calling(self._rt, view, gate) for gate in open_now[: cards.GATES]}

    # Trouble

    def _refused(self, card: CardRecord, trouble: SlackApiError) -> None:
        code = error_code(trouble)
        if code in CHANNEL_GONE:
            self._note_unreachable(card, code)
            return
        if code in NO_ACCESS:
            log.error(
                "Slack does not let this bot write (%s); trying again in %.0f s.", code, self._poster.pause_locked_out()
            )
            return
        if code in MESSAGE_GONE:
            self._deleted.add(card.execution_id)
            return
        wait = self._back_off(card)
        log.warning("%s could not be shown (%s); trying again in %.0f s.", card.execution_id, code, wait)

    def _note_unreachable(self, card: CardRecord, code: str) -> None:
        """Note that its channel cannot be written to, leave it for a while, and tell whom it concerns directly."""
        self._blocked_this_round.add(card.execution_id)
        wait = self._back_off(card)
        log.warning("%s is not seen in %s (%s); trying again in %.0f s.", card.execution_id, card.channel, code, wait)
        view = executions.view(self._rt, card.execution_id)
        projection.note_unreachable(self._rt, view.execution, code)
        self._unreachable.add(card.execution_id)
        try:
            self._notifier.report_unreachable(view, card.channel, code)
        except NotNow:
            return
        except SLACK_TROUBLE as trouble:
            log.warning("Nobody could be told of that: %s", type(trouble).__name__)

    def _clear_back_off(self, card: CardRecord) -> None:
        """Forget a back-off, unless it began in this very round."""
        self._unreachable.discard(card.execution_id)
        if self._back_offs.get(card.execution_id, (0.0, 0.0))[0] <= time.monotonic():
            self._back_offs.pop(card.execution_id, None)

    def _back_off(self, card: CardRecord) -> float:
        """Leave a card alone for a while, twice as long each time; says how long."""
        _, last = self._back_offs.get(card.execution_id, (0.0, 1.0))
        wait = min(last * 2, 60.0)
        self._back_offs[card.execution_id] = (time.monotonic() + wait, wait)
        return wait

    def _release(self) -> None:
        try:
            projection.release_lease(self._rt, self._holder)
        except Exception:  # noqa: BLE001 the lease runs out by itself
            log.info("The projector lease was not given back; it runs out by itself.")


def draw_card(view: ExecutionView, level: int, *, page: bool = False, called: Called | None = None) -> Message:
    """The card at one of the levels of `Draw`; `page` says that runs have pages, `called` whom its gates call."""
    if level == 2:
        return cards.short_card(view, page=page)
    return cards.card(view, plan=level == 0, page=page, called=called)


def _mark(view: ExecutionView, key: str) -> Mark:
    return Mark(view.execution.id, key, view.execution.created_at)
