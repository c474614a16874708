"""Which failed steps a run goes on in spite of, as `continue_on_error` says, and which keep it from its success."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.definition.model import Runbook
from engine.orchestration.transition import Transition
from engine.steps import context
from storage import steps
from storage.records import Json, StepRunRecord
from storage.states import Phase, StepStatus

REPORT = "report"
"""The word of `continue_on_error` for a run that goes on and ends FAILED."""
HELD_GATE = "held_gate"
"""The key of an error that says that the step was or held a gate: no runbook tolerates its failure."""


def tolerated(runbook: Runbook, step_id: str, error: Json) -> bool:
    """Whether a step that has failed with this error is tolerated."""
    step = runbook.by_id.get(step_id)
    return step is not None and bool(step.continue_on_error) and not (error or {}).get(HELD_GATE)


def reported(runbook: Runbook, step: StepRunRecord) -> bool:
    """Whether a step has failed, the run goes on in spite of that, and is to end FAILED for it."""
    said = runbook.by_id[step.step_id].continue_on_error if step.step_id in runbook.by_id else False
    failed = step.status is StepStatus.FAILED and step.phase is Phase.MAIN
    return failed and said == REPORT and tolerated(runbook, step.step_id, step.error)


def reported_failures(transition: Transition) -> list[StepRunRecord]:
    """The failed steps of main that the run went on in spite of and ends FAILED for, in the order of their failing."""
    runbook = transition.runbook
    if all(step.continue_on_error != REPORT for step in runbook.by_id.values()):
        return []
    failed = [each for each in transition.run.of_phase(Phase.MAIN) if reported(runbook, each)]
    return sorted(failed, key=lambda each: each.ended_seq)


def scope_failed(transition: Transition, scope: str, phase: Phase) -> bool:
    """Whether something directly in `scope` has failed and the runbook does not tolerate that."""
    failed = steps.failed_in(transition.execution.id, scope, phase)
    return any(not tolerated(transition.runbook, step_id, error) for step_id, error in failed)


def untolerated_failures(transition: Transition) -> list[StepRunRecord]:
    """The failed steps of main, the latest first, that keep the run from its success."""
    return untolerated(transition.runbook, transition.run.of_phase(Phase.MAIN))


def untolerated(runbook: Runbook, main: Iterable[StepRunRecord]) -> list[StepRunRecord]:
    """The failed ones of these step runs, the latest first, where neither they nor what holds them is tolerated."""
    rows = {each.path: each for each in main}
    failed = [
        each for each in rows.values() if each.status is StepStatus.FAILED and _is_untolerated(runbook, each, rows)
    ]
    return sorted(failed, key=lambda each: each.ended_seq, reverse=True)


def _is_untolerated(runbook: Runbook, step: StepRunRecord, rows: Mapping[str, StepRunRecord]) -> bool:
    around = [rows[context.container_path(each)[0]] for each in context.scopes_of(step.scope)]
    ended = (StepStatus.SUCCESS, StepStatus.SKIPPED, StepStatus.CANCELLED)
    failed = [each for each in (step, *around) if each.status is StepStatus.FAILED]
    if step.reopened:
        return True
    return not any(tolerated(runbook, each.step_id, each.error) for each in failed) and not any(
        each.status in ended for each in around
    )
