"""Concurrency groups: at most so many open executions of a group at once, the others queued or refused."""

from __future__ import annotations

from engine import context
from engine.definition.model import Runbook
from engine.errors import Conflict
from engine.expressions import render_text
from engine.transition import Transition
from storage import database, executions
from storage.records import ExecutionRecord


def take(execution: ExecutionRecord, runbook: Runbook) -> tuple[str | None, str | None]:
    """The group of a new or retried execution and what it gets there: a slot, or a place in the queue.

    Needs a transaction. Raises `Conflict` where the runbook says reject, naming who holds the slots.
    """
    wanted = runbook.concurrency
    if wanted is None:
        return None, None
    seen = context.of(execution, runbook, context.chains_in(wanted.group))
    group = render_text(wanted.group, seen)
    database.one_at_a_time(f"slot:{execution.workspace_id}:{group}")
    holders = executions.holders(execution.workspace_id, group)
    if len(holders) < wanted.limit:
        return group, "held"
    if wanted.on_conflict == "reject":
        raise Conflict(
            f"Only {wanted.limit} run{'s' if wanted.limit > 1 else ''} of {group} at a time: {', '.join(holders)}."
        )
    return group, "queued"


def free(transition: Transition) -> None:
    """Give the slot of an execution that ends to the one that has been queued longest."""
    execution = transition.execution
    if execution.slot != "held" or execution.slot_group is None:
        return
    database.one_at_a_time(f"slot:{execution.workspace_id}:{execution.slot_group}")
    admitted = executions.admit_next(execution.workspace_id, execution.slot_group, transition.at)
    if admitted is not None:
        transition.wake.append(admitted)
