"""The `runbook` step: another execution, begun in the transaction that records it, and waited for.

A child is an execution of its own, with its own gates, audit and card beside the parent's; whoever asked for the
parent asks for the child and needs the right to. Its end lets the parent's step fall due, in the same commit; a look
from time to time that moves the due time and nothing else finds one that had no step to tell. A child whose parent does
not wait for it any more is cancelled.
"""

from __future__ import annotations

from dataclasses import replace

from engine.access import auditing, choosers, people
from engine.access.account_status import standing_of
from engine.access.policy import SYSTEM, Action, Actor, authorise
from engine.catalog import catalog
from engine.errors import EngineError
from engine.expressions import ExpressionError
from engine.orchestration import admission, received, replay_reuse, run_ending, run_phases, step_completion
from engine.orchestration.run_phases import change
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from engine.steps.outcome import Begun
from engine.text.storable import TooLarge
from storage import database, executions, step_changes, steps
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import AttemptStatus, ExecutionStatus, StepStatus

CHECK_EVERY_MS = 60_000
"""How long a child's end may go unnoticed where the parent's step could not be told of it, as while that is paused."""

MAX_DEPTH = 8


BATCH_SIZE = 200
"""How many children are looked at in one go."""


def record(transition: Transition, step: StepRunRecord, outcome: Begun) -> bool:
    """Begin the child, and wait for it. That is all of this attempt: waiting takes none."""
    if not transition.may_start_steps:
        return _cancel_unstarted(transition, step)
    due, limit = _next_check(transition, step.deadline_at or transition.deadline_of(step))
    if not transition.move(step, StepStatus.READY, due_at=due, deadline_at=limit, worker_id=None):
        return False
    _begin(transition, step, outcome)
    transition.end_attempt(step, AttemptStatus.SUCCESS)
    return True


def settle_child(transition: Transition, step: StepRunRecord) -> bool:
    """Take the child's result if it has ended, else look again later; True when the step has ended by that."""
    child = executions.by_id(step.child) if step.child else None
    if child is not None and child.status.ended:
        return _ended(transition, step, child)
    if step.deadline_at is not None and step.deadline_at <= transition.at:
        return time_out(transition, step)
    step_changes.postpone(transition.run, step, _next_check(transition, step.deadline_at)[0])
    return False


def time_out(transition: Transition, step: StepRunRecord) -> bool:
    """The step has waited for its child for as long as it may."""
    limit = (transition.runbook.by_id[step.step_id].timeout_ms or 0) / 1000
    return step_completion.fail(transition, step, "timeout", f"{step.child} did not end within {limit:g} s")


def cancel_orphans(rt: Runtime, execution_id: str, actor: Actor = SYSTEM) -> None:
    """Cancel the children that this execution does not wait for any more, and theirs in turn."""
    with database.reading():
        found = executions.orphaned_children(BATCH_SIZE, execution_id)
    for child, _parent in found:
        with change(rt, child, "cancel_child") as transition:
            if not cancel_if_orphaned(transition, actor):
                continue
        cancel_orphans(rt, child, actor)
        rt.hint([child])


def cancel_if_orphaned(transition: Transition, actor: Actor = SYSTEM) -> bool:
    """Cancel this run if it is a child that the run which started it does not wait for any more; True then."""
    child = transition.execution
    why = _why_cancelled(child)
    if why is None:
        return False
    run_ending.cancel(transition, actor.user_id, why)
    parent = executions.parent_of(child)
    detail = {"reason": why, "parent": parent.id if parent is not None else None}
    auditing.by_actor(transition.rt, actor, "execution.cancel", auditing.of_execution(child.id), detail)
    return True


def _why_cancelled(child: ExecutionRecord) -> str | None:
    """Why this child is to be cancelled; None when it has ended, is ending, or is waited for after all."""
    step = steps.by_id(child.parent_step) if child.parent_step is not None else None
    parent = executions.by_id(step.execution_id) if step else None
    if child.status.ended or child.pending_result is not None or step is None or parent is None:
        return None
    if step.child == child.id and step.status in (StepStatus.READY, StepStatus.RUNNING):
        return None
    reason = (parent.error or {}).get("message") or ""
    if parent.pending_result is ExecutionStatus.CANCELLED:
        return f"{parent.id} was cancelled. {reason}".strip()
    if step.status is StepStatus.SKIPPED:
        return f"{step.path} of {parent.id} was skipped"
    if step.status is StepStatus.FAILED:
        return f"{step.path} of {parent.id} has failed: {(step.error or {}).get('message')}"
    return f"{parent.id} does not wait for it any more"


def _next_check(transition: Transition, limit: int | None) -> tuple[int, int | None]:
    """When to look again, at the latest when the step's time is up, and when that is."""
    due = transition.at + CHECK_EVERY_MS
    return (due if limit is None else min(due, limit)), limit


def _begin(transition: Transition, step: StepRunRecord, outcome: Begun) -> None:
    rt, parent = transition.rt, transition.execution
    (ready,) = steps.at_paths(parent.id, [step.path])
    asks = executions.by_id((step.items or {}).get("asks") or "")
    try:
        if _depth(parent) >= MAX_DEPTH:
            raise EngineError(f"runbooks call runbooks more than {MAX_DEPTH} deep")
        wanted = admission.Wanted(
            outcome.slug, outcome.parameters, trigger=f"step:{parent.id}", reason=parent.reason, parent_step=step.id,
            incident=dict(parent.incident or {}), chosen_by=tuple(choosers.of_values(parent)),
        )  # fmt: skip
        child = _accept(rt, parent, wanted) if asks is None else _start_gates_only(rt, parent, wanted, asks)
    except EngineError as error:
        step_completion.fail(transition, ready, error.code, f"{outcome.slug} could not be started: {error}")
        return
    if child.status.ended:
        transition.run.forget()  # its end has made the step due, in the database
    transition.run.edit(step, child=child.id, revision=parent.revision)
    transition.record_event("child_started", step.path, execution=child.id, runbook=child.slug)
    transition.wake.append(child.id)


def _accept(rt: Runtime, parent: ExecutionRecord, wanted: admission.Wanted) -> ExecutionRecord:
    """The child, if all who chose values for it may run it; its requester is the parent's. Raises `EngineError`."""
    first, *others = (_actor(rt, each) for each in choosers.of_values(parent))
    checked = admission.check(rt, first, wanted)
    for each in others:
        runbook = catalog.get(rt, wanted.slug)
        authorise(rt, each, Action.START, runbook, checked.about, heed_freezes=wanted.is_start)
    return admission.accept(rt, _actor(rt, parent.requester), checked)


def _actor(rt: Runtime, user_id: str) -> Actor:
    known = people.recall(rt, user_id)
    return Actor(user_id, known.name if known else "", standing=standing_of(rt, user_id))


def _start_gates_only(
    rt: Runtime, parent: ExecutionRecord, wanted: admission.Wanted, old: ExecutionRecord
) -> ExecutionRecord:
    """A child that asks the gates of an earlier one again and takes everything else over from it."""
    again = replace(
        wanted, trigger=f"{run_phases.GATES_ONLY}{old.id}", number=old.number, replay_of=old.id, prefill=False
    )
    child = _accept(rt, parent, again)
    main = [step.id for step in catalog.definition_of(child.version_id).steps]
    return replay_reuse.reuse_steps(rt, child, old, main)


def _cancel_unstarted(transition: Transition, step: StepRunRecord) -> bool:
    error = {"code": "abandoned", "message": "the run ended before the other runbook did"}
    done = transition.move(step, StepStatus.CANCELLED, error=error, ended_at=transition.at, worker_id=None)
    if done:
        transition.end_attempt(step, AttemptStatus.ABANDONED, error=error)
    return done


def _depth(execution: ExecutionRecord) -> int:
    depth = 0
    while execution.parent_step is not None and depth <= MAX_DEPTH:
        step = steps.by_id(execution.parent_step)
        parent = executions.by_id(step.execution_id) if step else None
        if parent is None:
            break
        execution, depth = parent, depth + 1
    return depth


def _ended(transition: Transition, step: StepRunRecord, child: ExecutionRecord) -> bool:
    outputs = {"execution": child.id, "status": child.status, "outputs": received.mask(transition, child.result)}
    if child.status is ExecutionStatus.SUCCESS:
        try:
            return step_completion.succeed(transition, step, step_completion.mapped(transition, step, outputs))
        except (ExpressionError, TooLarge) as error:
            return step_completion.fail(transition, step, "outputs", str(error))
    why = received.mask(transition, (child.error or {}).get("message")) or child.status
    return step_completion.fail(
        transition, step, "child_failed", f"{child.slug} {child.id} ended as {child.status}: {why}", outputs
    )
