"""What a run takes over from an earlier one instead of doing it again. Votes are never taken over.

A gate among what is taken over is asked again before anything else runs, wherever it stands: those of branches and
loops in the run itself, those of a child in a new child that takes everything else over and does nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from engine.catalog import catalog
from engine.definition.gate_graph import holders
from engine.definition.kinds import kind_of
from engine.definition.model import Step
from engine.errors import Conflict
from engine.orchestration import (
    gate_checks,
    manual_overrides,
    retry_failed_run,
    run_phases,
    skip_rules,
    step_completion,
)
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from engine.steps import context
from storage import run_state, steps
from storage.records import ExecutionRecord, StepRunRecord, changed
from storage.states import Phase, StepStatus

BY_HAND_REVISION = -1
"""The revision of what is taken over and leads past no gate: `manual_overrides.touched_when_reused`."""


def reuse_steps(
    rt: Runtime, execution: ExecutionRecord, old: ExecutionRecord, keep: Collection[str]
) -> ExecutionRecord:
    """Give a run that was just accepted what `old` came to for these main steps. Needs the accepting transaction."""
    run = run_state.lock(execution.id)
    assert run is not None
    transition = Transition(rt, run)
    past = _earlier_steps(old, run.execution)
    rows = {row.path: row for row in run.of_phase(Phase.MAIN)}
    wanted = [step for step in transition.runbook.steps if step.id in keep]
    fresh = [step for step in wanted if rows[step.id].status in (StepStatus.BLOCKED, StepStatus.READY)]
    asked = [step for step in fresh if gate_checks.holds_gate(rt, old.id, step) or (step.blocks and any(holders(step)))]
    for step in [
        each for each in fresh if each not in asked
    ] + asked:  # conditions of the asked read what the others did
        take = _reopen_gate if step in asked else _reuse
        take(transition, step, rows[step.id], past)
    _check_paths_again(transition, ("steps",) if transition.execution.parameters != old.parameters else ())
    _count_needs(transition, [step.id for step in fresh], keep)
    transition.edit(reopened_gates=len(steps.reopened_gates(execution.id)))
    step_completion.unblock_reopened_gates(transition)
    step_completion.unblock_held(transition)
    return run_phases.save(transition)


def _earlier_steps(old: ExecutionRecord, run: ExecutionRecord) -> dict[str, StepRunRecord]:
    """The main steps of the old run by path, with the revision that they are taken over with."""
    marked = manual_overrides.touched_when_reused(old, run)
    rows = steps.of_phase(old.id, Phase.MAIN)
    return {row.path: changed(row, revision=BY_HAND_REVISION if row.step_id in marked else 0) for row in rows}


def must_be_reusable(rt: Runtime, old: ExecutionRecord, step: Step) -> None:
    """Raise `Conflict` for a step that is or holds a gate and that cannot be taken over with it."""
    before = catalog.definition_of(old.version_id)
    was = before.by_id.get(step.id)
    if not gate_checks.holds_gate(rt, old.id, step) and (was is None or not gate_checks.holds_gate(rt, old.id, was)):
        return
    if was != step:
        raise Conflict(f"{step.id} is or holds a gate, and is not what it was in {old.id}: start there or before it.")
    not_passed = gate_checks.not_passed_by(rt, old, before, was)
    if not_passed:
        raise Conflict(f"{old.id} did not pass {', '.join(not_passed)}: start at {step.id} or before it.")


def _reuse(transition: Transition, step: Step, row: StepRunRecord, past: dict[str, StepRunRecord]) -> None:
    old = past[step.id]
    fields = {"ended_at": transition.at, "due_at": None, "note": _note(old), "outputs": old.outputs, "error": old.error}
    fields |= {
        "revision": old.revision,
        "child": old.child,
        "skip": old.skip,
        "settled_by": old.settled_by,
    }
    transition.move(row, old.status, **fields)
    transition.record_event("step_reused", row.path, execution=old.execution_id)


def _reopen_gate(transition: Transition, step: Step, row: StepRunRecord, past: dict[str, StepRunRecord]) -> None:
    """Have a gate, or what a step holds of gates, decided again; where the run went past it that is looked at anew.

    A branch or loop that holds runs without gates is taken over with what is in it, so that this can be seen.
    """
    old = past[step.id]
    if old.status is StepStatus.SKIPPED and old.note != skip_rules.CONDITION_NOT_MET:
        _reuse(transition, step, row, past)
        return
    if old.status is StepStatus.SKIPPED:
        if step_completion.condition_holds(transition, row):
            raise Conflict(f"{old.execution_id} went past {step.id}, and would not now: start there or before it.")
        gone = {"ended_at": transition.at, "due_at": None, "note": skip_rules.CONDITION_NOT_MET}
        transition.move(row, StepStatus.SKIPPED, revision=transition.execution.revision, **gone)
        return
    if not kind_of(row).is_container:
        transition.run.edit(row, reopened=True, outputs=old.outputs, items=_child_to_reopen(old))
        return
    done = {"ended_at": transition.at, "due_at": None, "note": _note(old), "outputs": old.outputs}
    shape = {"items": old.items, "rounds": old.rounds, "revision": transition.execution.revision}
    transition.move(row, StepStatus.SUCCESS, **done, **shape)
    _copy_inside(transition, row, past)


def _copy_inside(transition: Transition, container: StepRunRecord, past: dict[str, StepRunRecord]) -> None:
    """Copy the steps of a container's branch or rounds; those that are or start a gate are asked again."""
    inner = [each for each in past.values() if context.inside(each.scope, container.path)]
    copies = [_copy(transition, each) for each in inner]
    steps.create(transition.rt.workspace_id, copies)
    asked = sum(each.status is StepStatus.BLOCKED for each in copies)
    transition.edit(unfinished=transition.execution.unfinished + asked)


def _copy(transition: Transition, old: StepRunRecord) -> StepRunRecord:
    execution = transition.execution
    step = transition.runbook.by_id[old.step_id]
    holds = gate_checks.holds_gate(transition.rt, old.execution_id, step)
    copy = changed(
        old, execution_id=execution.id, fence=0, attempts=0, failures=0, recoveries=0, worker_id=None, deadline_at=None,
        due_at=None, ended_seq=0, reopened=False, wait_key=None, note=_note(old), ended_at=transition.at,
        revision=execution.revision if holds else old.revision,
    )  # fmt: skip
    if not holds or kind_of(old).is_container or old.status is not StepStatus.SUCCESS:
        return copy
    again = {"status": StepStatus.BLOCKED, "ended_at": None, "reopened": True, "note": ""}
    return changed(copy, child=None, items=_child_to_reopen(old), **again)


def _child_to_reopen(old: StepRunRecord) -> dict[str, str] | None:
    """For a `runbook` step the run whose gates are to be asked again in its child."""
    return {"asks": old.child} if kind_of(old).starts_run and old.child else None


def _note(old: StepRunRecord) -> str:
    """Where it is from; that the run itself went past a step stays what it was."""
    return old.note if old.note == skip_rules.CONDITION_NOT_MET else f"taken over from {old.execution_id}"


def _check_paths_again(transition: Transition, stale: tuple[str, ...]) -> None:
    """A gate that was gone past and would not be now is asked; what would go another way is not taken over.

    Another person may ask now, for another reason, with other parameters; `stale` is what was made for those of then.
    """
    for row in transition.run.of_phase(Phase.MAIN):
        step = transition.runbook.by_id[row.step_id]
        done = row.status in (StepStatus.SUCCESS, StepStatus.SKIPPED)
        if row.reopened or not done or not gate_checks.holds_gate(transition.rt, row.execution_id, step):
            continue
        elsewhere = bool(retry_failed_run.would_take_other_path(transition, row, stale))
        retry_failed_run.must_keep_path(elsewhere and not kind_of(row).is_gate, row)
        if elsewhere:
            transition.move(row, StepStatus.BLOCKED, reopened=True)


def _count_needs(transition: Transition, taken: list[str], keep: Collection[str]) -> None:
    """Take off the needs that the steps taken over have met."""
    successors = catalog.successors_of(transition.execution.version_id)
    for step_id in taken:
        transition.run.count_down([each for each in successors[step_id] if each not in keep])
