"""Where executions are shown: cards, gate messages, and how much of each has been posted.

Showing follows from events and never holds up a run. One process shows at a time, so every message has one writer.
"""

from __future__ import annotations

from engine.access import auditing
from engine.runtime import Runtime
from storage import cards, database, workers
from storage.records import CardRecord, ExecutionRecord, PostRecord
from storage.states import Severity

PROJECTOR_LEASE = "projector"
UNREACHABLE_MS = 86_400_000
"""How long after its end a run is still tried to be shown in a channel that can't be written to."""


def hold_lease(_rt: Runtime, holder: str) -> bool:
    """Become the one process that shows; False while another is."""
    with database.transaction():
        return workers.acquire_lease(PROJECTOR_LEASE, holder, workers.LEASE_MS)


def keep_lease(_rt: Runtime, holder: str) -> bool:
    """Stay the one process that shows, for a lease from now; False when another is or was meanwhile."""
    with database.transaction():
        return workers.renew_lease(PROJECTOR_LEASE, holder, workers.LEASE_MS)


def release_lease(_rt: Runtime, holder: str) -> None:
    """Stop being the one process that shows, so that another one need not wait for the lease to end."""
    with database.transaction():
        workers.release_lease(PROJECTOR_LEASE, holder)


def outdated_cards(rt: Runtime, limit: int = 50) -> list[CardRecord]:
    """Cards that do not show or tell all of their execution yet, the most urgent first."""
    with database.reading():
        return cards.outdated(rt.workspace_id, limit)


def card_of(_rt: Runtime, execution_id: str) -> CardRecord | None:
    """Where an execution is shown, or None when nowhere."""
    with database.reading():
        return cards.find(execution_id)


def run_shown_at(rt: Runtime, channel: str, ts: str) -> str | None:
    """The id of the execution whose card this message is, or None."""
    with database.reading():
        return cards.execution_shown_at(rt.workspace_id, channel, ts)


def set_channel_ts(_rt: Runtime, execution_id: str, ts: str) -> None:
    """Keep the message's `ts` that a card got when it was posted."""
    with database.transaction():
        cards.set_ts(execution_id, ts)


def mark_shown(_rt: Runtime, execution_id: str, seq: int) -> None:
    """Note that the card shows everything up to event `seq`."""
    with database.transaction():
        cards.set_shown_seq(execution_id, seq)


def mark_posted(_rt: Runtime, execution_id: str, seq: int) -> None:
    """Note that everything up to event `seq` was posted in the thread."""
    with database.transaction():
        cards.set_posted_seq(execution_id, seq)


def posts(_rt: Runtime, execution_id: str) -> list[PostRecord]:
    """The messages beside the card that may have to be changed."""
    with database.reading():
        return cards.posts(execution_id)


def add_post(rt: Runtime, execution_id: str, key: str, channel: str, ts: str) -> None:
    """Remember the message that was posted beside the card, to change it when what it shows changes."""
    with database.transaction():
        cards.add_post(rt.workspace_id, PostRecord(execution_id, key, channel, ts, settled=False))


def settle_post(_rt: Runtime, execution_id: str, key: str) -> None:
    """The message shows its end and is not changed again."""
    with database.transaction():
        cards.settle_post(execution_id, key)


def note_unreachable(rt: Runtime, execution: ExecutionRecord, reason: str) -> None:
    """The channel can't be written to now: that is noted, and given up only long after the run has ended."""
    if execution.ended_at is not None and database.now() - execution.ended_at >= UNREACHABLE_MS:
        give_up(rt, execution.id, reason)
        return
    with database.transaction():
        cards.note_trouble(execution.id, reason)


def retry_channel(rt: Runtime, channel: str) -> None:
    """Somebody spoke to the bot in a channel: what could not be shown there is tried again at once."""
    with database.reading():
        waiting = cards.unreachable(rt.workspace_id, channel) if channel else []
    if not waiting:
        return
    with database.transaction():
        for card in waiting:
            cards.note_trouble(card.execution_id, "")


def give_up(rt: Runtime, execution_id: str, reason: str) -> None:
    """The channel can't be written to: the run goes on unseen, and the audit says why."""
    with database.transaction():
        cards.give_up(execution_id, reason)
        thing = auditing.of_execution(execution_id)
        auditing.by_bot(rt, "slack.give_up", thing, {"reason": reason}, Severity.WARNING)
