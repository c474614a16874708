"""What happened in an execution, in order. Written in the transaction of the change it tells of."""

from __future__ import annotations

from collections.abc import Sequence

from storage import rows, sql
from storage.records import EventRecord
from storage.tables import Event


def append(workspace_id: int, events: Sequence[EventRecord]) -> None:
    """Write events whose `seq` continues the execution's `event_seq`; needs the execution's lock."""
    if events:
        names = EventRecord.__slots__
        added = [{"workspace_id": workspace_id, **{name: getattr(event, name) for name in names}} for event in events]
        sql.insert(Event, added)


def last(execution_id: str, kind: str) -> EventRecord | None:
    """The last event of this kind in an execution."""
    query = rows.select(Event, EventRecord).where((Event.execution_id == execution_id) & (Event.kind == kind))
    return next(iter(rows.read(query.order_by(Event.seq.desc()).limit(1), EventRecord)), None)


def after(execution_id: str, seq: int, limit: int) -> list[EventRecord]:
    """The events of an execution that follow number `seq`."""
    query = (
        rows.select(Event, EventRecord)
        .where((Event.execution_id == execution_id) & (Event.seq > seq))
        .order_by(Event.seq)
        .limit(limit)
    )
    return rows.read(query, EventRecord)


def of_kinds(execution_id: str, kinds: Sequence[str]) -> list[EventRecord]:
    """The events of these kinds in an execution, in order."""
    query = rows.select(Event, EventRecord).where((Event.execution_id == execution_id) & Event.kind.in_(list(kinds)))
    return rows.read(query.order_by(Event.seq), EventRecord)
