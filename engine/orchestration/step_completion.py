"""What follows when a step ends: its successors are unblocked, its branch or loop round ends, or the run fails.

A step costs the same however many steps the execution has: only its successors and its own scope are looked at.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from engine.catalog import catalog
from engine.definition.kinds import kind_of
from engine.definition.model import Step
from engine.errors import Undecodable
from engine.expressions import ExpressionError, holds, render
from engine.orchestration import compensation, containers, gate_checks, manual_overrides, skip_rules, tolerated_failures
from engine.orchestration.transition import Transition
from engine.steps import context
from engine.text.storable import to_storable
from storage import steps
from storage.records import Json, StepRunRecord
from storage.states import Phase, StepStatus

BY_HAND = (
    "it holds a gate, and which way it goes comes from a step that a person has skipped, settled or cancelled, or that "
    "was done for other parameters or by another version: nobody goes past a gate by that. Replay from that step"
)


def succeed(transition: Transition, step: StepRunRecord, outputs: Json, note: str = "") -> bool:
    """The step is done: its outputs are kept and what needs it is unblocked. False when it was changed meanwhile."""
    done = {"outputs": outputs, "error": None, "note": note, **_ended(transition)}
    if not transition.move(step, StepStatus.SUCCESS, **done):
        return False
    transition.record_event("step_succeeded", step.path)
    if step.reopened:
        transition.run.edit(step, reopened=False)
        transition.edit(reopened_gates=transition.execution.reopened_gates - 1)
        unblock_reopened_gates(transition)
        unblock_held(transition)
    else:
        _continue_after(transition, step)
    return True


def fail(transition: Transition, step: StepRunRecord, code: str, message: str, outputs: Json = None) -> bool:
    """The step has failed for good, and with it its round, branch or run, unless the runbook tolerates that.

    What had unblocked others before and was reopened fails the run, wherever it stands.
    """
    error: dict[str, Any] = {"code": code, "message": message}
    tolerated = tolerates_failure(transition, step.step_id)
    if transition.runbook.by_id[step.step_id].continue_on_error and not tolerated:
        error[tolerated_failures.HELD_GATE] = True
    if not transition.move(step, StepStatus.FAILED, outputs=outputs, error=error, **_ended(transition)):
        return False
    transition.record_event("step_failed", step.path, code=code, message=message, attempt=step.attempts)
    if step.reopened:
        transition.fail_run(code, message, step.path)
    elif tolerated or step.phase is Phase.UNDO:
        _continue_after(transition, step)
    elif step.scope:
        transition.stop_phase(step.scope)
        containers.settle_scope(transition, step.scope, step.phase)
    elif step.phase is Phase.MAIN:
        transition.fail_run(code, message, step.path)
    else:
        transition.stop_phase()
    return True


def skip(transition: Transition, step: StepRunRecord, reason: str, actor: str | None = None) -> bool:
    """Skip a step by its own condition or by a person's word; what needs it goes on."""
    skipped = _skipped(transition, step, reason, actor)
    for each in skipped:
        _continue_after(transition, each)
    return bool(skipped)


def mapped(transition: Transition, step: StepRunRecord, outputs: dict[str, Json]) -> Json:
    """What the step's own `outputs` make of its kind's; those themselves where it has none.

    Raises `ExpressionError` and `TooLarge`.
    """
    wanted = dict(transition.runbook.by_id[step.step_id].outputs)
    if not wanted:
        return to_storable(outputs)
    chains = context.chains_in(wanted)
    seen = context.of(transition.execution, transition.runbook, chains, step.scope, step.started_at)
    return to_storable(render(wanted, {**seen, "outputs": outputs}))


def tolerates_failure(transition: Transition, step_id: str) -> bool:
    """Whether the runbook tolerates a failure of this step: never where it is or holds a gate."""
    step = transition.runbook.by_id[step_id]
    return step.continue_on_error and not gate_checks.holds_gate(transition.rt, transition.execution.id, step)


def paths_to_load(version_id: int, step: StepRunRecord) -> list[str]:
    """The paths of the step runs that the end of a step reads: its own, and those of the steps that need it."""
    try:
        after = catalog.successors_of(version_id).get(step.step_id, ())
    except Undecodable:  # this only says what to read beforehand; whoever needs the definition is told
        after = ()
    return [step.path, *(context.join(step.scope, each) for each in after)]


def unblock_all(transition: Transition, ready: list[StepRunRecord]) -> None:
    """Unblock steps that need nothing more, and whatever their skipping unblocks in turn."""
    for step in ready:
        if may_start_steps(transition, step.scope, step.phase):
            for ended in _unblock(transition, step):
                _continue_after(transition, ended)


def unblock_reopened_gates(transition: Transition) -> None:
    """Unblock those reopened gates that no other gate before them holds back; each in its turn, as at first."""
    for step in steps.reopened_gates(transition.execution.id):
        held_back = step.status is StepStatus.BLOCKED and transition.may_start_steps
        if held_back and not gate_checks.undecided(transition.rt, transition.execution, transition.runbook, step):
            transition.move(step, StepStatus.READY, due_at=transition.at)


def unblock_held(transition: Transition) -> None:
    """Unblock what was held back while the run could not go on, now that it can."""
    held = [each for each in transition.run.of_phase(Phase.MAIN) if each.status is StepStatus.BLOCKED]
    unblock_all(transition, [each for each in held if each.blocked == 0])


def _continue_after(transition: Transition, step: StepRunRecord) -> None:
    if step.phase is Phase.UNDO:
        compensation.unblock_next(transition, step)
        return
    _release_successors(transition, step)
    if step.scope:
        containers.settle_scope(transition, step.scope, step.phase)


def _release_successors(transition: Transition, step: StepRunRecord) -> None:
    """Take one need off every step that needs `step`, and unblock those that need nothing more."""
    ended = deque([step])
    while ended:
        step = ended.popleft()
        after = catalog.successors_of(transition.execution.version_id).get(step.step_id, ())
        if not after:
            continue
        paths = [context.join(step.scope, each) for each in after]
        following = transition.run.count_down(paths)
        if not may_start_steps(transition, step.scope, step.phase):
            continue
        for each in following:
            if each.blocked == 0 and each.status is StepStatus.BLOCKED:
                ended.extend(_unblock(transition, each))


def may_start_steps(transition: Transition, scope: str, phase: Phase) -> bool:
    """Whether the run, and the branch or round at `scope`, still start steps."""
    if not transition.may_start_steps or (transition.execution.reopened_gates and phase is Phase.MAIN):
        return False
    if phase is not Phase.MAIN and tolerated_failures.scope_failed(transition, "", phase):
        return False
    around = context.scopes_of(scope)
    return not any(
        tolerated_failures.scope_failed(transition, each, phase) for each in around
    ) and not containers.stopping_containers(transition, scope)


def _unblock(transition: Transition, step: StepRunRecord) -> list[StepRunRecord]:
    """The turn of a step that needs nothing more: it is READY, or it is skipped and returned."""
    if skip_rules.skip_agreed(step.skip):
        if not gate_checks.holds_gate(transition.rt, step.execution_id, transition.runbook.by_id[step.step_id]):
            return _skipped(transition, step, skip_rules.skip_note(step.skip), step.skip["by"])
        transition.record_event("skip_dropped", step.path, reason="its runbook holds a gate by now")
    try:
        wanted = condition_holds(transition, step)
    except ExpressionError as error:
        fail(transition, step, "condition", str(error))
        return []
    definition = transition.runbook.by_id[step.step_id]
    if not wanted and path_decided_by_hand(transition, definition):
        if not kind_of(step).is_gate:
            fail(transition, step, "by_hand", BY_HAND)
            return []
        wanted = True  # a gate is asked unless the run itself went past it
    if not wanted:
        return _skipped(transition, step, skip_rules.CONDITION_NOT_MET)
    transition.move(step, StepStatus.READY, due_at=max(step.due_at or 0, transition.at))
    return []


def path_decided_by_hand(transition: Transition, step: Step) -> bool:
    """Whether a step that holds a gate would go its way by hand, or by what was done for other parameters.

    By hand is what a person has skipped, settled or cancelled.
    """
    return manual_overrides.decides_path(transition.rt, transition.execution, transition.runbook, step)


def condition_holds(transition: Transition, step: StepRunRecord) -> bool:
    """Whether the step's own `if` holds, as the run stands. Raises `ExpressionError`."""
    condition = transition.runbook.by_id[step.step_id].condition
    if condition is None:
        return True
    chains = context.chains_in_condition(condition)
    return holds(condition, context.of(transition.execution, transition.runbook, chains, step.scope))


def _skipped(transition: Transition, step: StepRunRecord, reason: str, actor: str | None = None) -> list[StepRunRecord]:
    fields = {"note": reason, "revision": transition.execution.revision, **_ended(transition)}
    if not transition.move(step, StepStatus.SKIPPED, **fields):
        return []
    transition.record_event("step_skipped", step.path, actor, reason=reason)
    return [step]


def _ended(transition: Transition) -> dict[str, Any]:
    return {"ended_at": transition.at, "due_at": None, "ended_seq": transition.seq + 1, "worker_id": None}
