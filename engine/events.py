"""What happened in an execution, for whoever tells of it."""

from __future__ import annotations

from engine.runtime import Runtime
from storage import database, events
from storage.records import EventRecord


def after(_rt: Runtime, execution_id: str, seq: int, limit: int = 100) -> list[EventRecord]:
    """The events of an execution that follow number `seq`, in order."""
    with database.reading():
        return events.after(execution_id, seq, limit)
