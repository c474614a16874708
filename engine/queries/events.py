"""What happened in an execution, for whoever tells of it."""

from __future__ import annotations

from collections.abc import Collection

from engine.runtime import Runtime
from storage import database, events, executions
from storage.records import EventRecord


def after(_rt: Runtime, execution_id: str, seq: int, limit: int = 100) -> list[EventRecord]:
    """The events of an execution that follow number `seq`, in order."""
    with database.reading():
        return events.after(execution_id, seq, limit)


def heads(_rt: Runtime, execution_ids: Collection[str]) -> dict[str, tuple[int, bool]]:
    """The number of the newest event of each of these executions, and whether the execution has ended."""
    with database.reading():
        return executions.heads(execution_ids)
