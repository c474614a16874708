"""What can be done with a run as it stands: pure rules that the card's buttons are made from.

They mirror what `engine.runs.controls` refuses, so that nothing is offered in vain; the engine has the last word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.slack.ids import Action
from engine.orchestration import retry_failed_run
from engine.runs import skipping
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import ExecutionStatus, Phase

if TYPE_CHECKING:
    from engine.runs.executions import ExecutionView

_WELL = (None, ExecutionStatus.SUCCESS)


def actions(view: ExecutionView) -> list[Action]:
    """The acts on the whole run that are possible now, in the order in which they are shown."""
    execution = view.execution
    if execution.status.ended:
        return [Action.SKIP] if skipping.skippable(view) else []
    paused = execution.status is ExecutionStatus.PAUSED
    found = [Action.RESUME if paused else Action.PAUSE]
    found += [Action.SKIP] if skipping.skippable(view) else []
    return [*found, Action.CANCEL if _in_main(execution) else Action.END_NOW]


def looks(view: ExecutionView) -> list[Action]:
    """What there is to be looked at: why a run is where it is or did not succeed, and what was sent and came back.

    While a run goes on both are always there, so that no other button ever takes their place.
    """
    execution = view.execution
    well = execution.status is ExecutionStatus.SUCCESS and execution.pending_result in _WELL
    tried = not execution.status.ended or any(step.attempts for step in view.steps)
    return [*([] if well else [Action.WHY]), *([Action.LOGS] if tried else [])]


def retryable(view: ExecutionView) -> list[StepRunRecord]:
    """The failed steps from which a FAILED run can go on; none once its undo has begun."""
    if view.execution.status is not ExecutionStatus.FAILED or any(step.phase is Phase.UNDO for step in view.steps):
        return []
    found = retry_failed_run.retryable(view.runbook, [step for step in view.steps if step.phase is Phase.MAIN])
    return sorted(found, key=view.steps.index)


def _in_main(execution: ExecutionRecord) -> bool:
    return execution.phase is Phase.MAIN and execution.pending_result is not ExecutionStatus.CANCELLED
