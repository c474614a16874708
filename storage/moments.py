"""When something falls due next, whatever it is: for whoever turns the clock instead of waiting."""

from __future__ import annotations

from typing import Any

import peewee as pw

from storage.states import ApprovalStatus, StepStatus
from storage.steps import UNFINISHED
from storage.tables import Approval, Execution, StepRun


def next_moment(after: int) -> int | None:
    """The first moment behind `after` at which a step, gate or limit of an open run is due; None where none is."""
    open_runs = Execution.select(Execution.id).where(Execution.ended_at.is_null())
    ours = StepRun.execution_id.in_(open_runs)
    found = [
        _first(StepRun.due_at, after, ours & (StepRun.status == StepStatus.READY)),
        _first(StepRun.deadline_at, after, ours & StepRun.status.in_(UNFINISHED)),
        _first(Approval.expires_at, after, Approval.status == ApprovalStatus.PENDING),
        _first(Execution.deadline_at, after, Execution.ended_at.is_null()),
        _first(Execution.cleanup_until, after, Execution.ended_at.is_null()),
    ]
    return min((each for each in found if each is not None), default=None)


def _first(column: Any, after: int, where: Any) -> int | None:
    found = column.model.select(pw.fn.MIN(column)).where(where & (column > after)).scalar()
    return None if found is None else int(found)
