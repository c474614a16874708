"""A FAILED run that goes on: its failed step runs again, what the failure closed is asked again, the rest goes on."""

from __future__ import annotations

from collections.abc import Iterable

from engine.access.policy import Actor
from engine.catalog import approval_expiry, approved_targets
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook, Step
from engine.errors import Conflict
from engine.expressions import ExpressionError
from engine.orchestration import (
    containers,
    gate_checks,
    received,
    skip_rules,
    slots,
    step_completion,
    tolerated_failures,
)
from engine.orchestration.transition import Transition
from engine.steps import context
from storage import executions, runbooks, step_changes, steps
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import ExecutionStatus, Phase, StepStatus


def retryable(runbook: Runbook, main: Iterable[StepRunRecord]) -> list[StepRunRecord]:
    """The failed ones of these step runs that a retry can begin with, the latest first."""
    return [step for step in tolerated_failures.untolerated(runbook, main) if _is_own_failure(step)]


def find_failed(transition: Transition, path: str | None) -> StepRunRecord:
    """The failed step that a retry means: the one at `path`, or the only one. Raises `Conflict`.

    A branch or loop is one only when its own time was up: else it is the step in it that failed.
    """
    found = transition.execution
    failed = tolerated_failures.untolerated_failures(transition)
    leaves = [step for step in failed if path == step.path or (path is None and _is_own_failure(step))]
    if not leaves:
        raise Conflict(f"{found.id} has no failed step{f' {path}' if path else ''} that the run waits for.")
    if len(leaves) > 1:
        named = ", ".join(each.path for each in reversed(leaves))
        raise Conflict(f"Several steps of {found.id} have failed: {named}. Say which.")
    if not _is_own_failure(leaves[0]):
        raise Conflict(
            f"{leaves[0].path} of {found.id} has begun: retry the step in it that failed, or replay the run."
        )
    return leaves[0]


def reopen(transition: Transition, actor: Actor, step: StepRunRecord) -> None:
    """Make a FAILED run go on: its failed step is READY, its containers wait again, what was held back may start.

    What failed beside it in the same branch or round runs again too. Raises `Conflict`, and `NotApproved` where the
    approval has expired: this begins anew, and does not only go on.
    """
    execution = transition.execution
    version = runbooks.version_by_id(execution.version_id)
    assert version is not None
    approval_expiry.must_hold(transition.rt, version, transition.runbook)
    approved_targets.must_hold(transition.rt, version)
    why = refusal(execution, transition.runbook, step, steps.of_execution(execution.id))
    if why:
        raise Conflict(why)
    failed = tolerated_failures.untolerated_failures(transition)
    group, slot = slots.take(transition.rt, actor, execution, transition.runbook)
    if slot == "queued":
        raise Conflict(f"{execution.id} needs a slot of {group}, and all are taken. Try again when one is free.")
    _revive(transition, step, _with_siblings(step, failed))
    transition.reopen(steps.count_by_status(execution.id, Phase.MAIN), slot_group=group, slot=slot)
    _begin_reopened(transition)
    step_completion.unblock_held(transition)
    _resume_containers(transition)


def refusal(run: ExecutionRecord, runbook: Runbook, step: StepRunRecord, rows: Iterable[StepRunRecord]) -> str:
    """Why a run cannot go on from a failed step, one of its `rows`, as a sentence; "" where it can."""
    if run.status is not ExecutionStatus.FAILED:
        return f"{run.id} is {run.status}: only a run that has FAILED can go on from its failed step."
    rows = list(rows)
    if any(row.phase is Phase.UNDO for row in rows):
        return f"{run.id} has begun to undo what it did: replay it instead."
    failed = tolerated_failures.untolerated(runbook, [row for row in rows if row.phase is Phase.MAIN])
    if step.path not in [each.path for each in failed]:
        return f"{run.id} went on in spite of {step.path}, which has failed: replay the run instead."
    return received.forgotten(run.id, runbook, rows)


def restart_unfinished(transition: Transition) -> None:
    """Have what was under way when the run failed begin anew: the parameters have changed.

    A delay takes its new time, and another child is started: the one that was waited for is to be cancelled. What is
    asked again keeps its outputs, which others read meanwhile.
    """
    fresh = {"due_at": None, "failures": 0, "recoveries": 0, "error": None, "child": None}
    for row in transition.run.of_phase(Phase.MAIN):
        if row.status is StepStatus.BLOCKED and not kind_of(row).is_container:
            transition.run.edit(row, **fresh, outputs=row.outputs if row.reopened else None)


def reopen_gates(transition: Transition) -> None:
    """Have every gate that was passed before decided anew, before anything else runs: the parameters have changed.

    A child run whose gates were passed asks them in a new child, which does nothing else. Raises `Conflict` where with
    the new parameters the run would have come by other gates than it did, or a branch or loop in which it is would go
    another way: the gates show that one.
    """
    rows = transition.run.of_phase(Phase.MAIN)
    for row in rows:
        _must_keep_begun_path(transition, row)
    passed = [row for row in rows if _must_reopen(transition, row)]
    if any(passed):
        transition.stop_phase()
    for row in passed:
        asks = {"items": {"asks": row.child}, "child": None} if row.child else {}
        transition.move(row, StepStatus.BLOCKED, reopened=True, **asks)
    _begin_reopened(transition)


def _must_reopen(transition: Transition, row: StepRunRecord) -> bool:
    """Whether a step is to be asked again; one that the run went past for other parameters has to stay that way."""
    step = transition.runbook.by_id.get(row.step_id)
    if step is None or not gate_checks.holds_gate(transition.rt, row.execution_id, step):
        return False
    asked = not kind_of(row).is_container
    if asked and row.status is StepStatus.SUCCESS:
        _must_not_read_old_outputs(transition, row, step)
        return True
    now_on_path = would_take_other_path(transition, row)
    if now_on_path and asked:
        return True
    if now_on_path is not None:
        must_keep_path(now_on_path, row)
        transition.run.edit(row, revision=transition.execution.revision)
    return False


def _must_not_read_old_outputs(transition: Transition, row: StepRunRecord, step: Step) -> None:
    """Raise `Conflict` for a child whose parameters come from outputs for the old ones, and decide about its gates."""
    child = executions.by_id(row.child) if row.child else None
    reads_steps = any(chain[0] == "steps" for chain in context.chains_in(step.with_.get("params")))
    must_keep_path(child is not None and reads_steps and gate_checks.has_conditional_gate(transition.rt, child), row)


def would_take_other_path(
    transition: Transition, row: StepRunRecord, stale: tuple[str, ...] = ("steps",)
) -> bool | None:
    """Whether a step takes another way, as the run stands now, than it took; None where it took none yet.

    What is `stale` was for other parameters, as what other steps came to: whoever goes by that may go another way.
    """
    try:
        if row.status is StepStatus.SKIPPED:
            by_that = bool(stale) and gate_checks.path_depends_on(transition.runbook.by_id[row.step_id], *stale)
            went_past = row.note == skip_rules.CONDITION_NOT_MET
            return (by_that or step_completion.condition_holds(transition, row)) if went_past else None
        return containers.takes_other_path(transition, row, stale) if kind_of(row).is_container else None
    except ExpressionError as error:
        raise Conflict(f"With these parameters it cannot be told which way {row.path} goes: {error}") from error


def _must_keep_begun_path(transition: Transition, row: StepRunRecord) -> None:
    is_in_it = kind_of(row).is_container and row.status in steps.UNFINISHED
    if is_in_it and would_take_other_path(transition, row, stale=()):
        raise Conflict(
            f"{row.execution_id} is in {row.path}, which would go another way with these parameters: start a new run."
        )


def must_keep_path(elsewhere: bool, row: StepRunRecord) -> None:
    """Raise `Conflict` where a run would have gone `elsewhere` at a step that holds a gate."""
    if elsewhere:
        raise Conflict(
            f"As things stand {row.execution_id} would go another way at {row.path}, by other gates: start a new run."
        )


def _begin_reopened(transition: Transition) -> None:
    """Let what is asked again be asked; everything else waits for it."""
    transition.edit(reopened_gates=len(steps.reopened_gates(transition.execution.id)))
    step_completion.unblock_reopened_gates(transition)


def _is_own_failure(step: StepRunRecord) -> bool:
    begun = kind_of(step).is_container and step.started_at is not None
    return not begun or step.error["code"] in _OWN_FAILURES


_OWN_FAILURES = ("timeout", "template", "outputs", "too_many_rounds")
"""Why a branch or loop fails although nothing in it has to."""


def _holders(step: StepRunRecord) -> set[str]:
    """The paths of the containers around a step."""
    return {context.container_path(scope)[0] for scope in context.scopes_of(step.scope)}


def _with_siblings(step: StepRunRecord, failed: list[StepRunRecord]) -> set[str]:
    """The paths of the step and of what failed beside it in the branches and rounds around it, and inside that."""
    around, holders = context.scopes_of(step.scope), _holders(step)
    heads = {step.path, *(each.path for each in failed if each.scope in around and each.path not in holders)}
    return heads | {each.path for each in failed if heads & _holders(each)}


def _revive(transition: Transition, step: StepRunRecord, again: set[str]) -> None:
    """Steps that failed or were closed by the failure may run again, in containers that go on."""
    rows = transition.run.of_phase(Phase.MAIN)
    open_again = set[str]()
    for row in rows:
        begun = kind_of(row).is_container and row.started_at is not None
        unfinished = row.status in (StepStatus.WAITING, StepStatus.READY)
        if begun and (unfinished or row.path in again | _holders(step)):
            step_changes.reopen_container(transition.run, row, transition.deadline_of(row))
            open_again.add(row.path)
    for row in rows:
        meant = row.path in again or row.status is StepStatus.CANCELLED
        if meant and row.path not in open_again and (row.reopened or _holders(row) <= open_again):
            step_changes.reopen(transition.run, row)
        elif row.status is StepStatus.BLOCKED and row.child and _is_over(row.child):
            transition.run.edit(row, child=None)
    step_changes.renew_time(transition.run, Phase.MAIN)


def _is_over(child_id: str) -> bool:
    child = executions.by_id(child_id)
    return child is None or child.status.ended or child.pending_result is not None


def _resume_containers(transition: Transition) -> None:
    """Have containers whose time was up between their steps or rounds seen to: nothing in them would do so."""
    for row in transition.run.of_phase(Phase.MAIN):
        if not kind_of(row).is_container or row.status is not StepStatus.WAITING:
            continue
        if kind_of(row).repeats and step_completion.may_start_steps(transition, row.scope, Phase.MAIN):
            transition.move(row, StepStatus.READY, due_at=transition.at)
        elif not kind_of(row).repeats:
            containers.settle_scope(transition, row.path, Phase.MAIN)
