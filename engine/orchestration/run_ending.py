"""Ending a run before its steps do: by a cancel, by force, for a gate that was bypassed, by its time, as unreadable."""

from __future__ import annotations

from engine.access import auditing
from engine.errors import Undecodable
from engine.failpoints import committing
from engine.orchestration import slots
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from storage import events, run_state, secret_outputs, steps
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import ExecutionStatus, Phase, Severity


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
    """End a run in which a step was about to begin behind gates that have not released it: a bug, or tampering.

    In main the result is FAILED and cleanup follows; in cleanup the rest of that is left out. Nothing of the step ran.
    """
    message = f"{step.path} was about to begin, and {', '.join(undecided)} had not released it. Nothing of it was done."
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
        secret_outputs.forget(execution_id)
        transition.record_event("quarantined", message=str(error))
        detail = {"reason": str(error), "was": execution.status, "version": execution.number}
        thing = auditing.of_execution(execution_id)
        auditing.by_bot(rt, "execution.quarantine", thing, detail, Severity.WARNING)
        slots.free(transition)
        wake_parent(transition)
        transition.write(over=True)
    rt.hint(transition.wake)


def cleanup_ended(execution: ExecutionRecord, at: int) -> bool:
    """Whether the cleanup's time is up, by the clock or by a person's word."""
    return execution.cleanup_until is not None and execution.cleanup_until <= at


def wake_parent(transition: Transition) -> None:
    """Let the step that started this execution fall due, now that it has ended."""
    if transition.execution.parent_step is not None:
        parent = steps.make_due(transition.execution.parent_step, transition.at)
        if parent is not None:
            transition.wake.append(parent)
