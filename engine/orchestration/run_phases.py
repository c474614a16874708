"""An execution's phases: main, then on failure or cancel undo and on_failure, and always finally.

Failure or cancel fixes the result and ends main; cleanup never changes the result and has a time limit of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine.access.policy import RequestedAction, authorise
from engine.catalog import catalog
from engine.errors import NotFound, Undecodable
from engine.expressions import ExpressionError, render
from engine.failpoints import committing
from engine.orchestration import (
    compensation,
    received,
    run_ending,
    run_status,
    slots,
    step_completion,
    step_runs,
    tolerated_failures,
)
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from engine.steps import context
from engine.text.storable import TooLarge, to_storable
from storage import freezes, run_state, step_changes, steps
from storage.records import ExecutionRecord, Json, StepRunRecord
from storage.states import ExecutionStatus, Phase

CLEANUP_MS = 3_600_000
"""How long undo, on_failure and finally may take together before the run ends without them."""

GATES_ONLY = "asks:"
"""How the trigger of a child begins that only asks gates again: it does nothing, so it has nothing to clean up."""

_NAMED = 10
"""Failed steps that are named in one sentence."""
_AFTER_SUCCESS = (Phase.MAIN, Phase.FINALLY)
_AFTER_FAILURE = (Phase.MAIN, Phase.UNDO, Phase.ON_FAILURE, Phase.FINALLY)


@contextmanager
def change(rt: Runtime, execution_id: str, what: str, requested: RequestedAction | None = None) -> Iterator[Transition]:
    """Lock an execution, let the caller change it, and write all of it or nothing. Raises `NotFound`.

    `what` names the change's failpoints. `requested` is whose act it is, None for what the bot does by itself:
    under the lock it is asked whether they may, which raises as `authorise`, and no freeze is set before this is
    written. Raises `Undecodable` after the execution has been ended for it.
    """
    try:
        with committing(what):
            run = run_state.lock(execution_id)
            if run is None or run.execution.workspace_id != rt.workspace_id:
                raise NotFound(f"There is no run {execution_id}.")
            if requested is not None:
                freezes.hold_runbook(run.execution.runbook_id)
                authorise(rt, requested.actor, requested.action, run.execution)
            transition = Transition(rt, run)
            yield transition
            save(transition)
    except Undecodable as error:
        run_ending.quarantine(rt, execution_id, error)
        raise
    if transition.wake:
        rt.hint(transition.wake)


def save(transition: Transition) -> ExecutionRecord:
    """Go on to the phases that follow, if this change has ended one, and write everything."""
    if transition.execution.status.ended:
        return transition.write_ended()
    over = False
    while not over and _phase_over(transition):
        over = not _next_phase(transition)
    result = _result(transition) if over and transition.execution.pending_result is ExecutionStatus.SUCCESS else None
    if over:
        received.forget(transition)
        slots.free(transition)
        run_ending.wake_parent(transition)
    return transition.write(over=over, result=result)


def _phase_over(transition: Transition) -> bool:
    execution = transition.execution
    if run_status.is_stuck(execution):
        return bool(tolerated_failures.untolerated_failures(transition))
    failing = execution.phase is not Phase.MAIN and (
        run_ending.cleanup_ended(execution, transition.at)
        or (execution.unfinished > 0 and tolerated_failures.scope_failed(transition, "", execution.phase))
    )
    return run_status.phase_over(execution, failing=failing and execution.phase is not Phase.UNDO)


def _set_result(transition: Transition) -> None:
    """Main has come to its end by itself: as a success, unless a failure is to be reported.

    Or, after a retry, another failed step is still there.
    """
    if transition.execution.unfinished == 0 and not tolerated_failures.scope_failed(transition, "", Phase.MAIN):
        if reported := tolerated_failures.reported_failures(transition):
            _report(transition, reported)
        else:
            transition.edit(pending_result=ExecutionStatus.SUCCESS)
        return
    failed = tolerated_failures.untolerated_failures(transition)[0]
    transition.fail_run(failed.error["code"], failed.error["message"], failed.path)


def _report(transition: Transition, failed: Sequence[StepRunRecord]) -> None:
    """Fix the result as FAILED for what the run went on in spite of; the first of it gives the code."""
    first = failed[0]
    more = f", and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    named = ", ".join(each.path for each in failed[:_NAMED])
    told = f"The run went on in spite of {named}{more}, and fails for it. {first.error['message']}"
    transition.fail_run(first.error["code"], told, first.path)


def _next_phase(transition: Transition) -> bool:
    """Begin the next phase that has anything to do; False when there is none."""
    execution = transition.execution
    if execution.pending_result is None:
        _set_result(transition)
    if run_ending.cleanup_ended(execution, transition.at) or execution.trigger.startswith(GATES_ONLY):
        return False
    order = _AFTER_SUCCESS if transition.execution.pending_result is ExecutionStatus.SUCCESS else _AFTER_FAILURE
    following = order[order.index(execution.phase) + 1 :]
    return any(_begin(transition, phase) for phase in following)


def _begin(transition: Transition, phase: Phase) -> bool:
    """Make the phase's step runs, the first ones READY; False when it has none."""
    execution = transition.execution
    if phase is Phase.UNDO:
        planned = compensation.plan(transition)
    else:
        listed = transition.runbook.on_failure if phase is Phase.ON_FAILURE else transition.runbook.finally_
        planned = [step_runs.blocked(execution.id, n, step, phase=phase) for n, step in enumerate(listed)]
    if not planned:
        return False
    until = execution.cleanup_until or transition.at + CLEANUP_MS
    transition.edit(phase=phase, cleanup_until=until, live=0, running=0, waiting_steps=0, unfinished=len(planned))
    transition.record_event("phase_started", phase=phase)
    step_changes.retire_inner(transition.run, phase)
    step_completion.unblock_all(
        transition, [step for step in step_runs.write(transition, planned) if step.blocked == 0]
    )
    return True


def _result(transition: Transition) -> Json:
    """What a finished run brought: the runbook's `outputs`, else the outputs of the steps that nothing else needed."""
    runbook, execution = transition.runbook, transition.execution
    if runbook.outputs:
        wanted: dict[str, Any] = dict(runbook.outputs)
        seen = context.of(execution, runbook, context.chains_in(wanted))
        try:
            return to_storable(render(wanted, seen))
        except (ExpressionError, TooLarge) as error:
            return {"error": f"The outputs cannot be kept: {error}"}
    following = catalog.successors_of(execution.version_id)
    last = [step.id for step in runbook.steps if not following[step.id]]
    return {path: outputs for path, outputs in steps.outputs(execution.id, last).items() if outputs}
