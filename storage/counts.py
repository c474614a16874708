"""What is counted for the metrics: all of it a few rows by an index, however large the tables are."""

from __future__ import annotations

import peewee as pw

from storage.columns import tuples
from storage.records import EventToCount
from storage.tables import Approval, Event, Execution, StepRun, Worker


def open_by_status(workspace_id: int) -> dict[str, int]:
    """How many executions that have not ended are in each status."""
    query = Execution.select(Execution.status, pw.fn.COUNT(Execution.id)).where(
        (Execution.workspace_id == workspace_id) & Execution.ended_at.is_null()
    )
    return {str(status): int(count) for status, count in tuples(query.group_by(Execution.status))}


def longer_than_expected(workspace_id: int) -> int:
    """How many executions that have not ended take longer than expected."""
    query = Execution.select().where((Execution.workspace_id == workspace_id) & Execution.ended_at.is_null())
    return int(query.where(Execution.overran_at.is_null(False)).count())


def open_gates(workspace_id: int) -> int:
    """How many gates wait for a decision."""
    query = Approval.select().where((Approval.workspace_id == workspace_id) & (Approval.status == "PENDING"))
    return int(query.count())


def sweeps(workspace_id: int) -> int:
    """How often all workers there ever were have swept."""
    found = Worker.select(pw.fn.SUM(Worker.sweeps)).where(Worker.workspace_id == workspace_id).scalar()
    return int(found or 0)


def newest_event() -> int:
    """The id of the newest event of all, 0 before the first."""
    return int(Event.select(pw.fn.MAX(Event.id)).scalar() or 0)


def events_between(after: int, before: int, limit: int) -> list[EventToCount]:
    """The events behind the one with the id `after`, in the order of their ids, up to the first not before `before`.

    An event is left for the next time while it is that young: one with a smaller id may still be about to be committed.
    """
    query = (
        Event.select(
            Event.id, Event.at, Event.kind, StepRun.kind, StepRun.started_at, StepRun.ended_at, Execution.status,
            Execution.created_at, Execution.ended_at,
        )
        .join(Execution, on=(Execution.id == Event.execution_id))
        .join(
            StepRun, pw.JOIN.LEFT_OUTER,
            on=((StepRun.execution_id == Event.execution_id) & (StepRun.path == Event.path)),
        )
        .where(Event.id > after)
    )  # fmt: skip
    found = []
    for row in tuples(query.order_by(Event.id).limit(limit)):
        if row[1] >= before:
            break
        found.append(EventToCount(*row))
    return found
