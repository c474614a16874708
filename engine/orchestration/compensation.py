"""Undo: what was done is reversed one by one, the last done first; one that fails does not keep the others from it."""

from __future__ import annotations

from dataclasses import replace

from engine.orchestration import step_runs
from engine.orchestration.transition import Transition
from storage import steps
from storage.records import StepRunRecord
from storage.states import Phase, StepStatus


def plan(transition: Transition) -> list[StepRunRecord]:
    """The step runs that reverse what has succeeded, in the order in which they run; not written."""
    reversible = {step.id: step.undo for step in transition.runbook.by_id.values() if step.undo is not None}
    found = steps.succeeded(transition.execution.id, reversible) if reversible else []
    planned = []
    mine = [step for step in found if step.ended_seq]  # what was taken over from another run was not done by this one
    for position, step in enumerate(mine):
        undo = reversible[step.step_id]
        path = f"{step.path}.undo"
        row = step_runs.blocked(transition.execution.id, position, undo, scope=step.scope, phase=Phase.UNDO, path=path)
        planned.append(replace(row, blocked=int(position > 0)))
    return planned


def unblock_next(transition: Transition, step: StepRunRecord) -> None:
    """Make ready the undo that comes after `step`, however that ended."""
    for each in transition.run.of_phase(Phase.UNDO):
        if each.position == step.position + 1 and each.status is StepStatus.BLOCKED:
            transition.move(each, StepStatus.READY, due_at=transition.at, blocked=0)
