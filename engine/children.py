"""The `runbook` step: another execution, begun in the transaction that records it, and looked at until it has ended.

A child is an execution of its own, with its own gates, audit and card beside the parent's; whoever asked for the
parent asks for the child and needs the right to. Its end lets the parent's step fall due at once.
"""

from __future__ import annotations

from engine import accepting, flow
from engine.access import Actor
from engine.errors import EngineError
from engine.expressions import ExpressionError
from engine.steps.outcome import Begun
from engine.storable import TooLarge
from engine.transition import Transition
from storage import executions, people, steps
from storage.records import AttemptStatus, ExecutionRecord, ExecutionStatus, StepRunRecord, StepStatus

LOOK_EVERY_MS = 5_000
"""How long a child's end may go unnoticed where its nudge is lost."""

MAX_DEPTH = 8


def record(transition: Transition, step: StepRunRecord, outcome: Begun) -> bool:
    """Begin the child if there is none yet, take its result if it has ended, else look again later."""
    child = executions.child_of(step.id)
    if child is not None and child.status.ended:
        done = _ended(transition, step, child)
    elif not transition.goes_on:
        return _dropped(transition, step)
    else:
        done = transition.move(step, StepStatus.READY, due_at=transition.at + LOOK_EVERY_MS, worker_id=None)
        if done and child is None:
            _begin(transition, step, outcome)
    if done:
        steps.end_attempt(step, AttemptStatus.SUCCESS, transition.at)
    return done


def _begin(transition: Transition, step: StepRunRecord, outcome: Begun) -> None:
    rt, parent = transition.rt, transition.execution
    (ready,) = steps.at_paths(parent.id, [step.path])
    known = people.recall(rt.workspace_id, parent.requester)
    actor = Actor(parent.requester, name=known.name if known else "", standing=known.standing if known else "member")
    try:
        if _depth(parent) >= MAX_DEPTH:
            raise EngineError(f"runbooks call runbooks more than {MAX_DEPTH} deep")
        wanted = accepting.Wanted(
            outcome.slug, outcome.parameters, trigger=f"step:{parent.id}", reason=parent.reason, parent_step=step.id,
            incident=dict(parent.incident or {}),
        )  # fmt: skip
        child = accepting.accept(rt, actor, accepting.check(rt, actor, wanted))
    except EngineError as error:
        flow.fail(transition, ready, error.code, f"{outcome.slug} could not be started: {error}")
        return
    transition.tell("child_started", step.path, execution=child.id, runbook=child.slug)
    transition.wake.append(child.id)


def _dropped(transition: Transition, step: StepRunRecord) -> bool:
    error = {"code": "abandoned", "message": "the run ended before the other runbook did"}
    done = transition.move(step, StepStatus.CANCELLED, error=error, ended_at=transition.at, worker_id=None)
    if done:
        steps.end_attempt(step, AttemptStatus.ABANDONED, transition.at, error=error)
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
    outputs = {"execution": child.id, "status": child.status, "outputs": child.result}
    if child.status is ExecutionStatus.SUCCESS:
        try:
            return flow.succeed(transition, step, flow.mapped(transition, step, outputs))
        except (ExpressionError, TooLarge) as error:
            return flow.fail(transition, step, "outputs", str(error))
    why = (child.error or {}).get("message") or child.status
    return flow.fail(
        transition, step, "child_failed", f"{child.slug} {child.id} ended as {child.status}: {why}", outputs
    )
