"""Making step runs of a definition's steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine import context
from engine.definition.model import Step
from engine.transition import Transition
from storage import steps
from storage.records import Phase, StepRunRecord, StepStatus


def make(
    transition: Transition, definitions: Iterable[Step], *, scope: str = "", phase: Phase = Phase.MAIN
) -> list[StepRunRecord]:
    """Write the step runs of one list of steps, BLOCKED, and count them. Those that need nothing have `blocked` 0."""
    wanted = [
        blocked(transition.execution.id, position, step, scope=scope, phase=phase)
        for position, step in enumerate(definitions)
    ]
    steps.create(transition.rt.workspace_id, wanted)
    transition.edit(unfinished=transition.execution.unfinished + len(wanted))
    return steps.at_paths(transition.execution.id, [step.path for step in wanted])


def blocked(
    execution_id: str, position: int, step: Step, *, scope: str = "", phase: Phase = Phase.MAIN, path: str = ""
) -> StepRunRecord:
    """A new step run that waits for its needs; not written."""
    return StepRunRecord(
        id=0, execution_id=execution_id, path=path or context.join(scope, step.id), step_id=step.id, position=position,
        kind=step.kind, status=StepStatus.BLOCKED, fence=0, blocked=len(step.needs), poisoned=False, due_at=None,
        deadline_at=None, attempts=0, failures=0, recoveries=0, idempotent=step.idempotent, worker_id=None,
        started_at=None, ended_at=None, outputs=None, error=None, note="", scope=scope, phase=phase,
    )  # fmt: skip


def done(row: StepRunRecord, outputs: object, note: str) -> StepRunRecord:
    """The row as a step that is SUCCESS from the start; for a replay that reuses what was done before."""
    return replace(row, status=StepStatus.SUCCESS, outputs=outputs, note=note, blocked=0)
