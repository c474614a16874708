"""Making step runs of a definition's steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.definition.model import Step
from engine.orchestration.transition import Transition
from engine.steps import context
from storage import step_changes, steps
from storage.records import StepRunRecord, changed
from storage.states import Phase, StepStatus


def make(
    transition: Transition, definitions: Iterable[Step], *, scope: str = "", phase: Phase = Phase.MAIN
) -> list[StepRunRecord]:
    """Write the step runs of one list of steps, BLOCKED, and count them. Those that need nothing have `blocked` 0."""
    wanted = [
        replace(
            blocked(transition.execution.id, position, step, scope=scope, phase=phase),
            revision=transition.execution.revision,
        )
        for position, step in enumerate(definitions)
    ]
    transition.edit(unfinished=transition.execution.unfinished + len(wanted))
    return write(transition, wanted)


def write(transition: Transition, planned: Sequence[StepRunRecord]) -> list[StepRunRecord]:
    """The planned step runs in the table: new ones, or those of an earlier cleanup made ready once more."""
    paths = [step.path for step in planned]
    again = [step for step in planned if step.phase is not Phase.MAIN]
    known = {step.path: step for step in transition.run.at([step.path for step in again])}
    for step in again:
        if step.path in known:
            step_changes.reset(transition.run, known[step.path], blocked=step.blocked, position=step.position)
    steps.create(transition.rt.workspace_id, [step for step in planned if step.path not in known])
    return transition.run.at(paths)


def make_main(transition: Transition, definitions: Sequence[Step]) -> bool:
    """Write the step runs of a new execution, whose `unfinished` counts them; what nothing holds back is READY.

    True says that steps are left whose condition has to be asked now.
    """
    rows = [blocked(transition.execution.id, position, step) for position, step in enumerate(definitions)]
    asked = [step.condition is not None and not step.needs for step in definitions]
    first = [not step.needs and step.condition is None for step in definitions]
    ready = {"status": StepStatus.READY, "due_at": transition.at}
    made = [changed(row, **ready) if goes else row for row, goes in zip(rows, first, strict=True)]
    steps.create(transition.rt.workspace_id, made)
    transition.count(StepStatus.BLOCKED, StepStatus.READY, sum(first))
    return any(asked)


def blocked(
    execution_id: str, position: int, step: Step, *, scope: str = "", phase: Phase = Phase.MAIN, path: str = ""
) -> StepRunRecord:
    """A new step run that waits for its needs; not written."""
    return StepRunRecord(
        id=0, execution_id=execution_id, path=path or context.join(scope, step.id), step_id=step.id, position=position,
        kind=step.kind, status=StepStatus.BLOCKED, fence=0, blocked=len(step.needs), due_at=None,
        deadline_at=None, attempts=0, failures=0, recoveries=0, idempotent=step.idempotent, worker_id=None,
        started_at=None, ended_at=None, outputs=None, error=None, note="", scope=scope, phase=phase,
    )  # fmt: skip


def done(row: StepRunRecord, outputs: object, note: str) -> StepRunRecord:
    """The row as a step that is SUCCESS from the start; for a replay that reuses what was done before."""
    return replace(row, status=StepStatus.SUCCESS, outputs=outputs, note=note, blocked=0)
