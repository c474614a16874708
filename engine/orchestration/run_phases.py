"""An execution's phases: main, then on failure or cancel undo and on_failure, and always finally.

Failure or cancel fixes the result and ends main; cleanup never changes the result and has a time limit of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.access import auditing
from engine.access.policy import Deed, authorise
from engine.catalog import catalog
from engine.errors import NotFound, Undecodable
from engine.expressions import ExpressionError, render
from engine.failpoints import committing
from engine.orchestration import compensation, run_status, slots, step_completion, step_runs, tolerated_failures
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from engine.steps import context
from engine.text.storable import TooLarge, to_storable
from storage import events, run_state, step_changes, steps
from storage.records import ExecutionRecord, Json, StepRunRecord
from storage.states import ExecutionStatus, Phase, Severity

CLEANUP_MS = 3_600_000
"""How long undo, on_failure and finally may take together before the run ends without them."""

GATES_ONLY = "asks:"
"""How the trigger of a child begins that only asks gates again: it does nothing, so it has nothing to clean up."""

_AFTER_SUCCESS = (Phase.MAIN, Phase.FINALLY)
_AFTER_FAILURE = (Phase.MAIN, Phase.UNDO, Phase.ON_FAILURE, Phase.FINALLY)


@contextmanager
def change(rt: Runtime, execution_id: str, what: str, deed: Deed | None = None) -> Iterator[Transition]:
    """Lock an execution, let the caller change it, and write all of it or nothing. Raises `NotFound`.

    `what` names the change's failpoints. `deed` is whose act it is, None for what the bot does by itself: under the
    lock it is asked whether they may, which raises as `authorise`. Raises `Undecodable` after the execution has been
    ended for it.
    """
    try:
        with committing(what):
            run = run_state.lock(execution_id)
            if run is None or run.execution.workspace_id != rt.workspace_id:
                raise NotFound(f"There is no run {execution_id}.")
            if deed is not None:
                authorise(rt, deed.actor, deed.action, run.execution)
            transition = Transition(rt, run)
            yield transition
            save(transition)
    except Undecodable as error:
        quarantine(rt, execution_id, error)
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
        slots.free(transition)
        _wake_parent(transition)
    return transition.write(over=over, result=result)


def cancel(transition: Transition, actor: str, reason: str) -> None:
    """Fix the result as CANCELLED, unless it is fixed already; what is not being run right now ends with it.

    Cleanup follows, except for a run that was never admitted to its concurrency group: that executes no step.
    """
    transition.record_event("cancel_requested", actor=actor, reason=reason)
    if transition.execution.pending_result is None:
        error = {"code": "cancelled", "message": reason, "step": None}
        transition.edit(pending_result=ExecutionStatus.CANCELLED, error=error)
    if transition.execution.status is ExecutionStatus.PAUSED:  # its cleanup runs
        begun = ExecutionStatus.RUNNING if transition.execution.started_at else ExecutionStatus.PENDING
        transition.edit(status=begun, paused_reason=None)
    if transition.execution.slot == "queued":
        transition.edit(cleanup_until=transition.at)
    transition.cancel_idle()


def force_end(transition: Transition, actor: str | None, reason: str) -> None:
    """End the run without cleanup, or without the rest of it; what runs right now is abandoned."""
    if transition.execution.phase is Phase.MAIN:
        cancel(transition, actor or "system", reason)
    else:
        transition.record_event("cleanup_ended", actor=actor, reason=reason)
        transition.cancel_idle()
    transition.edit(cleanup_until=transition.at)


def end_gate_bypassed(transition: Transition, step: StepRunRecord, undecided: list[str]) -> None:
    """End a run in which a step was about to begin behind gates that have not let it on: a bug, or tampering.

    In main the result is FAILED and cleanup follows; in cleanup the rest of that is left out. Nothing of the step ran.
    """
    message = f"{step.path} was about to begin, and {', '.join(undecided)} had not let it on. Nothing of it was done."
    transition.record_event("gate_bypassed", step.path, gates=undecided)
    if step.phase is Phase.MAIN:
        transition.fail_run("gate_bypassed", message, step.path)
    else:
        transition.cancel_idle()
        transition.edit(cleanup_until=transition.at)
    detail = {"step": step.path, "gates": undecided}
    thing = auditing.of_execution(step.execution_id)
    auditing.by_bot(transition.rt, "gate.bypassed", thing, detail, Severity.CRITICAL)


def end_overdue(transition: Transition) -> None:
    """End a cleanup whose time is up, once: calls under way may outlive that for a while."""
    execution = transition.execution
    # Main has such an end by force only.
    if not cleanup_ended(execution, transition.at) or execution.phase is Phase.MAIN:
        return
    begun, ended = (events.last(execution.id, kind) for kind in ("phase_started", "cleanup_ended"))
    if ended is None or (begun is not None and begun.seq > ended.seq):
        force_end(transition, None, "the cleanup used up its time")


def quarantine(rt: Runtime, execution_id: str, error: Undecodable) -> None:
    """End a run whose definition cannot be read, without cleanup: nothing can be known of its steps.

    The result is FAILED, unless it was fixed as CANCELLED before. What runs right now is abandoned.
    """
    with committing("quarantine"):
        run = run_state.lock(execution_id)
        if run is None or run.execution.status.ended:
            return
        transition, execution = Transition(rt, run), run.execution
        transition.abandon_all(error.code, str(error))
        transition.record_event("quarantined", message=str(error))
        detail = {"reason": str(error), "was": execution.status, "version": execution.number}
        thing = auditing.of_execution(execution_id)
        auditing.by_bot(rt, "execution.quarantine", thing, detail, Severity.WARNING)
        slots.free(transition)
        _wake_parent(transition)
        transition.write(over=True)
    rt.hint(transition.wake)


def cleanup_ended(execution: ExecutionRecord, at: int) -> bool:
    """Whether the cleanup's time is up, by the clock or by a person's word."""
    return execution.cleanup_until is not None and execution.cleanup_until <= at


def _wake_parent(transition: Transition) -> None:
    """Let the step that started this execution fall due, now that it has ended."""
    if transition.execution.parent_step is not None:
        parent = steps.make_due(transition.execution.parent_step, transition.at)
        if parent is not None:
            transition.wake.append(parent)


def _phase_over(transition: Transition) -> bool:
    execution = transition.execution
    if run_status.is_stuck(execution):
        return bool(tolerated_failures.untolerated_failures(transition))
    failing = execution.phase is not Phase.MAIN and (
        cleanup_ended(execution, transition.at)
        or (execution.unfinished > 0 and tolerated_failures.scope_failed(transition, "", execution.phase))
    )
    return run_status.phase_over(execution, failing=failing and execution.phase is not Phase.UNDO)


def _set_result(transition: Transition) -> None:
    """Main has come to its end by itself: as a success, unless after a retry another failed step is still there."""
    if transition.execution.unfinished == 0 and not tolerated_failures.scope_failed(transition, "", Phase.MAIN):
        transition.edit(pending_result=ExecutionStatus.SUCCESS)
        return
    failed = tolerated_failures.untolerated_failures(transition)[0]
    transition.fail_run(failed.error["code"], failed.error["message"], failed.path)


def _next_phase(transition: Transition) -> bool:
    """Begin the next phase that has anything to do; False when there is none."""
    execution = transition.execution
    if execution.pending_result is None:
        _set_result(transition)
    if cleanup_ended(execution, transition.at) or execution.trigger.startswith(GATES_ONLY):
        return False
    order = _AFTER_SUCCESS if transition.execution.pending_result is ExecutionStatus.SUCCESS else _AFTER_FAILURE
    following = order[order.index(execution.phase) + 1 :]
    return any(_begin(transition, phase) for phase in following)


def _begin(transition: Transition, phase: Phase) -> bool:
    """Make the phase's step runs and let on the first; False when it has none."""
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
