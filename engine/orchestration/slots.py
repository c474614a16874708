"""Concurrency groups: at most so many open executions of a group at once, the others queued or refused."""

from __future__ import annotations

from engine.access.policy import ELSEWHERE, Actor, named
from engine.definition.model import Runbook
from engine.errors import Conflict
from engine.expressions import render_text
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from engine.steps import context
from storage import database, executions, slot_queue, steps
from storage.records import ExecutionRecord


def take(rt: Runtime, actor: Actor, execution: ExecutionRecord, runbook: Runbook) -> tuple[str | None, str | None]:
    """The group of a new or retried execution and what it gets there: a slot, a share of one, or a place in the queue.

    A run shares the slot of the run that started it: that waits for it, so for another slot it would wait for ever.
    Needs a transaction. Raises `Conflict` where the runbook says reject, naming those that hold the slots
    as far as `actor` may see them.
    """
    wanted = runbook.concurrency
    if wanted is None:
        return None, None
    seen = context.of(execution, runbook, context.chains_in(wanted.group))
    group = render_text(wanted.group, seen)
    database.one_at_a_time(f"slot:{execution.workspace_id}:{group}")
    if _parent_holds(execution, group):
        return group, "shared"
    holders = slot_queue.holders(execution.workspace_id, group)
    if len(holders) < wanted.limit:
        return group, "held"
    if wanted.on_conflict == "reject":
        seen_ahead = ", ".join(named(rt, actor, holders))
        raise Conflict(f"Only {wanted.limit} run{'s' if wanted.limit > 1 else ''} of {group} at a time: {seen_ahead}.")
    return group, "queued"


def ahead_of(execution: ExecutionRecord, group: str) -> list[str]:
    """The runs that hold the group's slots, for the record of this one, which its whole team may read."""
    ids = slot_queue.holders(execution.workspace_id, group)
    teams = {each: run.team for each in ids if (run := executions.by_id(each))}
    return [each if teams.get(each, "") in (None, execution.team) else ELSEWHERE for each in ids]


def free(transition: Transition) -> None:
    """Give the slot of an execution that ends to a child that shared it and goes on, else to the longest queued one."""
    execution = transition.execution
    if execution.slot != "held" or execution.slot_group is None:
        return
    workspace, group = execution.workspace_id, execution.slot_group
    database.one_at_a_time(f"slot:{workspace}:{group}")
    if slot_queue.pass_to_child(workspace, group, execution.id) is not None:
        return
    admitted = slot_queue.admit_next(workspace, group, transition.at)
    if admitted is not None:
        transition.wake.append(admitted)


def _parent_holds(execution: ExecutionRecord, group: str) -> bool:
    """Whether a run that waits for this one, directly or through others, has a slot of the group."""
    step = steps.by_id(execution.parent_step) if execution.parent_step is not None else None
    parent = executions.by_id(step.execution_id) if step else None
    if parent is None or parent.status.ended:
        return False
    return (parent.slot_group == group and parent.slot in ("held", "shared")) or _parent_holds(parent, group)
