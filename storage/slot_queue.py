"""The queue of a concurrency group: which executions hold its slots, and who gets one next, the longest queued first.

Every change is a compare-and-set.
"""

from __future__ import annotations

from typing import Any

from storage.columns import first, tuples
from storage.tables import Execution, StepRun


def holders(workspace_id: int, group: str) -> list[str]:
    """Ids of the executions that hold a slot of a concurrency group; needs the group's lock to stay true."""
    query = Execution.select(Execution.id).where(
        (Execution.workspace_id == workspace_id) & (Execution.slot_group == group) & (Execution.slot == "held")
    )
    return [row[0] for row in tuples(query.order_by(Execution.created_at))]


def ahead_of(workspace_id: int, group: str, execution_id: str) -> list[str]:
    """Ids of the executions that are queued for a group and will be let in before this one."""
    query = Execution.select(Execution.id).where(
        (Execution.workspace_id == workspace_id) & (Execution.slot_group == group) & (Execution.slot == "queued")
    )
    waiting = [row[0] for row in tuples(query.order_by(Execution.created_at, Execution.id))]
    return waiting[: waiting.index(execution_id)] if execution_id in waiting else []


def admit_next(workspace_id: int, group: str, at: int) -> str | None:
    """Give a freed slot to the execution that has been queued longest; its id, or None when none is queued.

    Needs the group's lock.
    """
    query = Execution.select(Execution.id).where(
        (Execution.workspace_id == workspace_id) & (Execution.slot_group == group) & (Execution.slot == "queued")
    )
    admitted = _give_slot(query, "queued")
    if admitted is not None:
        StepRun.update(due_at=at).where((StepRun.execution_id == admitted) & (StepRun.status == "READY")).execute()
    return admitted


def pass_to_child(workspace_id: int, group: str, ended: str) -> str | None:
    """Let an open child that shared the slot of `ended`, or of a parent that is gone, hold it; its id, or None."""
    parent = Execution.alias()
    query = (
        Execution.select(Execution.id)
        .join(StepRun, on=(StepRun.id == Execution.parent_step))
        .join(parent, on=(parent.id == StepRun.execution_id))
        .where((Execution.workspace_id == workspace_id) & (Execution.slot_group == group))
        .where((Execution.slot == "shared") & ((parent.id == ended) | parent.ended_at.is_null(False)))
    )
    return _give_slot(query, "shared")


def _give_slot(candidates: Any, instead_of: str) -> str | None:
    """Let the oldest of the candidates hold a slot; its id. One that ends at this moment is passed over."""
    while row := first(candidates.order_by(Execution.created_at, Execution.id).limit(1)):
        given = Execution.update(slot="held").where((Execution.id == row["id"]) & (Execution.slot == instead_of))
        if given.execute() == 1:
            return str(row["id"])
    return None
