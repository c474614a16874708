"""Where executions are shown in Slack and how much of each has been told there."""

from __future__ import annotations

import peewee as pw

from storage import rows
from storage.columns import tuples
from storage.database import now
from storage.records import CardRecord, PostRecord
from storage.states import ExecutionStatus
from storage.tables import Card, Event, Execution, Post


def outdated(workspace_id: int, limit: int) -> list[CardRecord]:
    """Cards whose execution has moved on since they were last shown or told, the most urgent first.

    First come those of executions that wait for people or have failed, then those that have ended; among equals the
    longest unshown. Those in trouble come last, so that however many they are, they keep no other waiting.
    """
    urgency = pw.Case(
        None,
        (
            (Execution.status == ExecutionStatus.WAITING, 0),
            (Execution.status == ExecutionStatus.FAILED, 1),
            (Execution.ended_at.is_null(False), 2),
        ),
        3,
    )
    query = (
        rows.select(Card, CardRecord)
        .join(Execution, on=(Execution.id == Card.execution_id))
        .where((Card.workspace_id == workspace_id) & (~Card.settled))
        .where((Execution.event_seq > Card.shown_seq) | (Execution.event_seq > Card.posted_seq))
        .order_by(Card.trouble != "", urgency, Card.shown_at)
        .limit(limit)
    )
    return rows.read(query, CardRecord)


def oldest_unshown(workspace_id: int) -> int | None:
    """When the oldest event happened that a card does not show or a thread does not tell yet; None where none is."""
    following = Event.seq.in_([Card.shown_seq + 1, Card.posted_seq + 1])
    query = (
        Card.select(pw.fn.MIN(Event.at))
        .join(Event, on=((Event.execution_id == Card.execution_id) & following))
        .where((Card.workspace_id == workspace_id) & (~Card.settled))
    )
    oldest: int | None = query.scalar()
    return oldest


def find(execution_id: str) -> CardRecord | None:
    """The card of an execution; None for one that is shown nowhere."""
    found = tuples(rows.select(Card, CardRecord).where(Card.execution_id == execution_id))
    return CardRecord(*found[0]) if found else None


def execution_shown_at(workspace_id: int, channel: str, ts: str) -> str | None:
    """The execution whose card this message is."""
    query = Card.select(Card.execution_id).where(
        (Card.workspace_id == workspace_id) & (Card.channel == channel) & (Card.ts == ts)
    )
    return next((str(row[0]) for row in tuples(query)), None)


def set_ts(execution_id: str, ts: str) -> None:
    """Note which message the card is: `ts` is Slack's name for it in its channel."""
    Card.update(ts=ts).where(Card.execution_id == execution_id).execute()


def set_shown_seq(execution_id: str, seq: int) -> None:
    """Note that the card shows every event up to `seq`, and that nothing keeps it from being shown any more."""
    Card.update(shown_seq=seq, shown_at=now(), trouble="").where(Card.execution_id == execution_id).execute()
    _settle(execution_id)


def set_posted_seq(execution_id: str, seq: int) -> None:
    """Note that the thread tells every event up to `seq`, and that nothing keeps it from being told any more."""
    Card.update(posted_seq=seq, trouble="").where(Card.execution_id == execution_id).execute()
    _settle(execution_id)


def unreachable(workspace_id: int, channel: str | None = None) -> list[CardRecord]:
    """Cards that are still tried, and whose channel (or this channel) could not be written to the last time."""
    query = (
        rows.select(Card, CardRecord)
        .where((Card.workspace_id == workspace_id) & (~Card.settled) & (Card.trouble != ""))
        .order_by(Card.execution_id)
    )
    return rows.read(query.where(Card.channel == channel) if channel else query, CardRecord)


def note_trouble(execution_id: str, trouble: str) -> None:
    """What keeps a card from being shown now; the next of those in trouble have their turn before it."""
    Card.update(trouble=trouble, shown_at=now()).where(Card.execution_id == execution_id).execute()


def give_up(execution_id: str, trouble: str) -> None:
    """Stop showing an execution whose channel can't be written to."""
    Card.update(settled=True, trouble=trouble).where(Card.execution_id == execution_id).execute()


def _settle(execution_id: str) -> None:
    """A card whose execution has ended and that shows and tells all of it needs no more looking at."""
    done = Execution.select(Execution.event_seq).where(
        (Execution.id == execution_id) & Execution.ended_at.is_null(False)
    )
    Card.update(settled=True).where(
        (Card.execution_id == execution_id) & (Card.shown_seq >= done) & (Card.posted_seq >= done)
    ).execute()


def posts(execution_id: str) -> list[PostRecord]:
    """The messages that were posted beside the card, the oldest first."""
    query = rows.select(Post, PostRecord).where(Post.execution_id == execution_id).order_by(Post.id)
    return rows.read(query, PostRecord)


def add_post(workspace_id: int, post: PostRecord) -> None:
    """Keep which message was posted under this key; one that is posted anew takes the place of the one before."""
    row = {name: getattr(post, name) for name in PostRecord.__slots__}
    Post.insert(workspace_id=workspace_id, **row).on_conflict(
        conflict_target=[Post.execution_id, Post.key], update={"channel": post.channel, "ts": post.ts}
    ).execute()


def settle_post(execution_id: str, key: str) -> None:
    """Note that the message of this key shows its end and is not changed again."""
    Post.update(settled=True).where((Post.execution_id == execution_id) & (Post.key == key)).execute()


def reopen(execution_id: str) -> None:
    """Show an execution again that goes on after its end."""
    Card.update(settled=False).where((Card.execution_id == execution_id) & (Card.trouble == "")).execute()
