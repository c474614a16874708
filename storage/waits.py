"""Events from outside and the steps that wait for them. Both sides hold the key's lock, so neither misses the other.

An event is for one team or, by a sender who speaks for all of them, for every team. Of each team that it is for it
satisfies one wait, so that no team takes it from another.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import peewee as pw

from storage import rows
from storage.columns import first, tuples
from storage.database import now, one_at_a_time
from storage.records import Json, WaitEventRecord
from storage.states import StepStatus
from storage.tables import StepRun, WaitEvent, WaitFor, WaitTaken

KEEP_MS = 3_600_000
"""How long an event is kept for a wait that has not begun yet."""

GLOBAL = ""
"""The team of a wait in a runbook that belongs to none."""


def lock_key(workspace_id: int, key: str) -> None:
    """Hold the key until this transaction ends."""
    one_at_a_time(f"wait:{workspace_id}:{key}")


def lock_sender(workspace_id: int, sender: str) -> None:
    """Hold what a sender has sent until this transaction ends; after `lock_key`, where both are needed."""
    one_at_a_time(f"sender:{workspace_id}:{sender}")


def receive(
    workspace_id: int,
    key: str,
    event_id: str,
    sender: str,
    data: Json,
    *,
    team: str | None = None,
    delivery_id: str | None = None,
) -> int | None:
    """Keep an event; its id, or None when this sender's event of this id, or its delivery, was received before."""
    added = (
        WaitEvent.insert(
            workspace_id=workspace_id, key=key, event_id=event_id, sender=sender, data=data, received_at=now(),
            team=team, delivery_id=delivery_id, size=len(json.dumps(data)),
        )
        .on_conflict_ignore()
        .execute()
    )  # fmt: skip
    return None if added is None else int(added)


def early(workspace_id: int, sender: str, at: int) -> tuple[int, int, int]:
    """Of this sender's events that are kept and that nothing has taken: how many, their bytes, when the first came."""
    query = WaitEvent.select(
        pw.fn.count(WaitEvent.id), pw.fn.coalesce(pw.fn.sum(WaitEvent.size), 0), pw.fn.min(WaitEvent.received_at)
    ).where(
        (WaitEvent.workspace_id == workspace_id)
        & (WaitEvent.sender == sender)
        & (WaitEvent.received_at >= at - KEEP_MS)
        & ~pw.fn.EXISTS(WaitTaken.select().where(WaitTaken.event == WaitEvent.id))
    )
    ((count, size, since),) = tuples(query)
    return int(count), int(size), int(since or at)


def begin(
    workspace_id: int, step_run_id: int, team: str | None, senders: Collection[str] | None, *, shared: bool
) -> None:
    """Let a step run hear these senders, any when None: their events for its team, `shared` for whatever team."""
    WaitFor.delete().where(WaitFor.step_run_id == step_run_id).execute()
    row = {"workspace_id": workspace_id, "step_run_id": step_run_id, "team": team or GLOBAL, "shared": shared}
    accepted: Collection[str | None] = senders if senders is not None else [None]
    WaitFor.insert_many([{**row, "sender": sender} for sender in accepted]).execute()


def _fits() -> Any:
    """Whether an event may satisfy a wait: the sender is one that it hears, and the event is for its team."""
    accepted = WaitFor.sender.is_null() | (WaitFor.sender == WaitEvent.sender)
    meant = WaitFor.shared | WaitEvent.team.is_null() | (WaitEvent.team == WaitFor.team)
    taken = WaitTaken.select().where((WaitTaken.event == WaitEvent.id) & (WaitTaken.team == WaitFor.team))
    return accepted & meant & ~pw.fn.EXISTS(taken)


def oldest_free(workspace_id: int, step_run_id: int, key: str, at: int) -> WaitEventRecord | None:
    """The first event of this key that this step run may have, is free and not too old, or None."""
    query = (
        rows.select(WaitEvent, WaitEventRecord)
        .join(WaitFor, on=(WaitFor.step_run_id == step_run_id))
        .where((WaitEvent.workspace_id == workspace_id) & (WaitEvent.key == key) & _fits())
        .where(WaitEvent.received_at >= at - KEEP_MS)
        .order_by(WaitEvent.id)
        .limit(1)
    )
    row = first(query)
    return WaitEventRecord(**row) if row else None


def take(workspace_id: int, event: WaitEventRecord, step_run_id: int, team: str | None) -> bool:
    """Let the event satisfy this step run of `team`; False when it satisfies another one of that team already."""
    taken = WaitTaken.insert(
        workspace_id=workspace_id, event=event.id, team=team or GLOBAL, step_run_id=step_run_id
    ).on_conflict_ignore()
    return bool(taken.execute())


def replace_data(event: WaitEventRecord, data: Json) -> None:
    """Keep this of what came with an event."""
    WaitEvent.update(data=data, size=len(json.dumps(data))).where(WaitEvent.id == event.id).execute()


def waiting(event: int) -> list[tuple[str, int]]:
    """Execution and step run that wait for this event, the longest waiting first."""
    query = (
        StepRun.select(StepRun.execution_id, StepRun.id)
        .join(WaitEvent, on=((WaitEvent.id == event) & _same_key()))
        .join(WaitFor, on=(WaitFor.step_run_id == StepRun.id))
        .where((StepRun.status == StepStatus.WAITING) & StepRun.wait_key.is_null(False) & _fits())
        .order_by(StepRun.started_at, StepRun.id)
    )
    return [(execution_id, step_id) for execution_id, step_id in tuples(query)]


def served(at: int, limit: int) -> list[tuple[str, int, str]]:
    """Execution, step run and key of the waits whose event is kept although nothing gave it to them.

    That is what a process leaves behind that dies between keeping an event and giving it.
    """
    query = (
        StepRun.select(StepRun.execution_id, StepRun.id, StepRun.wait_key)
        .join(WaitEvent, on=_same_key())
        .join(WaitFor, on=(WaitFor.step_run_id == StepRun.id))
        .where((StepRun.status == StepStatus.WAITING) & StepRun.wait_key.is_null(False) & _fits())
        .where(WaitEvent.received_at >= at - KEEP_MS)
        .order_by(StepRun.started_at, StepRun.id)
        .limit(limit)
    )
    return [(execution_id, step_id, key) for execution_id, step_id, key in tuples(query)]


def _same_key() -> Any:
    return (WaitEvent.workspace_id == StepRun.workspace_id) & (WaitEvent.key == StepRun.wait_key)


def overdue(at: int, limit: int) -> list[tuple[str, int]]:
    """Execution and step run of the waits whose time is up."""
    query = (
        StepRun.select(StepRun.execution_id, StepRun.id)
        .where((StepRun.status == StepStatus.WAITING) & StepRun.wait_key.is_null(False) & (StepRun.deadline_at <= at))
        .order_by(StepRun.deadline_at)
        .limit(limit)
    )
    return [(execution_id, step_id) for execution_id, step_id in tuples(query)]


def forget_data(at: int) -> int:
    """Drop what came with events that no wait can take any more; their ids stay, to know them again. How many."""
    query = WaitEvent.update(data=None, size=0)
    return int(query.where((WaitEvent.received_at < at - KEEP_MS) & (WaitEvent.size > 0)).execute())


def forget_old(at: int) -> int:
    """Drop events after a day, when nobody sends them again any more. How many."""
    return int(WaitEvent.delete().where(WaitEvent.received_at < at - 24 * KEEP_MS).execute())
