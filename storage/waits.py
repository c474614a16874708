"""Events from outside and the steps that wait for them. Both sides hold the key's lock, so neither misses the other."""

from __future__ import annotations

from storage.database import now, one_at_a_time
from storage.records import Json, WaitEventRecord
from storage.states import StepStatus
from storage.tables import StepRun, WaitEvent, columns, first, tuples

KEEP_MS = 3_600_000
"""How long an event is kept for a wait that has not begun yet."""


def lock_key(workspace_id: int, key: str) -> None:
    """Hold the key until this transaction ends."""
    one_at_a_time(f"wait:{workspace_id}:{key}")


def receive(workspace_id: int, key: str, event_id: str, sender: str, data: Json) -> int | None:
    """Keep an event; its id, or None when this sender's event of this id was received before."""
    added = (
        WaitEvent.insert(
            workspace_id=workspace_id, key=key, event_id=event_id, sender=sender, data=data, received_at=now(),
            taken_by=None,
        )
        .on_conflict_ignore()
        .execute()
    )  # fmt: skip
    return None if added is None else int(added)


def oldest_free(workspace_id: int, key: str, at: int) -> WaitEventRecord | None:
    """The first event of this key that nothing has taken and that is not too old, or None."""
    query = (
        WaitEvent.select(*columns(WaitEvent, WaitEventRecord))
        .where((WaitEvent.workspace_id == workspace_id) & (WaitEvent.key == key) & WaitEvent.taken_by.is_null())
        .where(WaitEvent.received_at >= at - KEEP_MS)
        .order_by(WaitEvent.id)
        .limit(1)
    )
    row = first(query)
    return WaitEventRecord(**row) if row else None


def take(event: WaitEventRecord, step_run_id: int) -> bool:
    """Let the event satisfy this step run; False when it satisfies another one already."""
    query = WaitEvent.update(taken_by=step_run_id)
    return bool(query.where((WaitEvent.id == event.id) & WaitEvent.taken_by.is_null()).execute() == 1)


def waiting(workspace_id: int, key: str) -> list[tuple[str, int]]:
    """Execution and step run that wait for this key, the longest waiting first."""
    query = (
        StepRun.select(StepRun.execution_id, StepRun.id)
        .where((StepRun.workspace_id == workspace_id) & (StepRun.wait_key == key))
        .where(StepRun.status == StepStatus.WAITING)
        .order_by(StepRun.started_at, StepRun.id)
    )
    return [(execution_id, step_id) for execution_id, step_id in tuples(query)]


def served(at: int, limit: int) -> list[tuple[str, int, str]]:
    """Execution, step run and key of the waits whose event is kept although nothing gave it to them.

    That is what a process leaves behind that dies between keeping an event and giving it.
    """
    kept = (WaitEvent.workspace_id == StepRun.workspace_id) & (WaitEvent.key == StepRun.wait_key)
    query = (
        StepRun.select(StepRun.execution_id, StepRun.id, StepRun.wait_key)
        .join(WaitEvent, on=kept)
        .where((StepRun.status == StepStatus.WAITING) & StepRun.wait_key.is_null(False))
        .where(WaitEvent.taken_by.is_null() & (WaitEvent.received_at >= at - KEEP_MS))
        .order_by(StepRun.started_at, StepRun.id)
        .limit(limit)
    )
    return [(execution_id, step_id, key) for execution_id, step_id, key in tuples(query)]


def overdue(at: int, limit: int) -> list[tuple[str, int]]:
    """Execution and step run of the waits whose time is up."""
    query = (
        StepRun.select(StepRun.execution_id, StepRun.id)
        .where((StepRun.status == StepStatus.WAITING) & StepRun.wait_key.is_null(False) & (StepRun.deadline_at <= at))
        .order_by(StepRun.deadline_at)
        .limit(limit)
    )
    return [(execution_id, step_id) for execution_id, step_id in tuples(query)]


def forget_old(at: int) -> int:
    """Drop events that no wait can take any more: taken or not, after a day. How many."""
    return int(WaitEvent.delete().where(WaitEvent.received_at < at - 24 * KEEP_MS).execute())
