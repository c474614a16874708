"""Skipping a step: it replaces the step's own doing, in its turn, and nothing else.

A step not reached yet is marked and skipped when everything that it needs has ended. What is or holds a gate is not
skipped. What a gate has let on was approved: its skipping waits until one of that gate's approvers agrees who chose
nothing of it, unless the runbook says `skippable: true`.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine import asking, catalog, children, choosers, containers, context, decide, flow, gates, reopening
from engine.access import Action, Actor, Deed, Gate, admit, as_of_now, authorise, verdict
from engine.controls import allowed, audited, must_be_approved, needs_reason, step_at
from engine.errors import Conflict, NotAllowed
from engine.lifecycle import change
from engine.runtime import Runtime
from engine.standing import standing_of
from engine.transition import Transition
from storage import approvals, executions, steps
from storage.records import ApprovalRecord, ExecutionRecord, Json, StepRunRecord
from storage.states import ApprovalStatus, StepStatus

_OPEN = (StepStatus.BLOCKED, StepStatus.READY, StepStatus.WAITING, StepStatus.UNKNOWN)


def skip(rt: Runtime, actor: Actor, execution_id: str, path: str, reason: str) -> ExecutionRecord:
    """Skip a step that has not ended, or that failed the run, when its turn comes; what needs it goes on.

    Behind a gate that has let it on it is only asked for, and `agree` does it. Raises `ReasonRequired`, and `Conflict`
    for what is or holds a gate, also in a child run, and for what its runbook calls not skippable.
    """
    found = allowed(rt, actor, Action.SKIP, execution_id)
    needs_reason(reason, "Skipping a step needs a reason")
    with change(rt, found.id, "skip", Deed(actor, Action.SKIP)) as transition:
        step = step_at(found, path)
        _must_be_skippable(transition, step)
        decided = [] if transition.runbook.by_id[step.step_id].skippable else _let_on_by(rt, transition.execution, step)
        wish = {
            "by": actor.user_id, "reason": reason.strip(), "at": transition.at,
            "agreed": {str(gate.id): None for gate, _ in decided},
        }  # fmt: skip
        steps.edit(step, skip=wish)
        audited(rt, actor, "step.skip", found, {"step": path, "reason": reason, "gates": [g.path for g, _ in decided]})
        if decided:
            transition.tell("skip_requested", path, actor.user_id, reason=wish["reason"], gates=_paths(decided))
        else:
            _do(transition, actor, step, wish)
    return _done(rt, actor, transition)


def agree(rt: Runtime, actor: Actor, execution_id: str, path: str) -> ExecutionRecord:
    """Agree that a step is skipped which a gate has let on, as one of that gate's approvers who chose nothing of it.

    Who asked for it must still be allowed to. Raises `NotAllowed`, and `Conflict` where nobody asks for that any more.
    """
    admit(actor, Action.VOTE)
    found = allowed(rt, actor, Action.VIEW, execution_id)
    with change(rt, found.id, "agree_skip", Deed(actor, Action.VIEW)) as transition:
        step = step_at(found, path)
        if not step.skip or decide.skip_agreed(step.skip):
            raise Conflict(f"Nobody asks to skip {path} of {found.id}.")
        _must_be_skippable(transition, step)
        asked = Actor(step.skip["by"], standing=standing_of(rt, step.skip["by"]))
        authorise(rt, asked, Action.SKIP, transition.execution)
        decided = _let_on_by(rt, transition.execution, step)
        wish = {**step.skip, "agreed": _agreed(rt, actor, step.skip, decided)}
        steps.edit(step, skip=wish)
        transition.tell("skip_agreed", path, actor.user_id, by=wish["by"])
        audited(rt, actor, "step.skip_agree", found, {"step": path, "by": wish["by"], "reason": wish["reason"]})
        if decide.skip_agreed(wish):
            _do(transition, asked, step, wish)
    return _done(rt, actor, transition)


def _agreed(
    rt: Runtime, actor: Actor, wish: Json, decided: list[tuple[ApprovalRecord, ExecutionRecord]]
) -> dict[str, str | None]:
    """Who has agreed for each gate, with this person now. Raises `NotAllowed` where they may not for any."""
    if actor.user_id in choosers.same_people(rt, [wish["by"]]):
        raise NotAllowed("You asked for this yourself: one of the gate's other approvers has to agree.")
    said, actor = dict(wish["agreed"]), as_of_now(rt, actor)
    verdicts = {str(gate.id): verdict(rt, actor, Action.VOTE, Gate(gate, run)) for gate, run in decided}
    may = {gate_id for gate_id, found in verdicts.items() if found.allowed}
    if verdicts and not may:
        refused = next(iter(verdicts.values()))
        raise NotAllowed(refused.why, refused.ask)
    return {each: actor.user_id if each in may else said.get(each) for each in verdicts}


def _let_on_by(
    rt: Runtime, execution: ExecutionRecord, step: StepRunRecord
) -> list[tuple[ApprovalRecord, ExecutionRecord]]:
    """The decided gates that showed a step and have let it on, each with its run; outwards through the runs that wait
    for this one."""
    found = [(gate, execution) for gate in _showed(execution, step)]
    parent = executions.parent_of(execution)
    starter = steps.by_id(execution.parent_step) if execution.parent_step is not None else None
    return found + _let_on_by(rt, parent, starter) if parent is not None and starter is not None else found


def _showed(execution: ExecutionRecord, step: StepRunRecord) -> Iterator[ApprovalRecord]:
    ids = catalog.shown_at(execution.version_id).get(step.step_id, ())
    runbook = catalog.definition_of(execution.version_id)
    rows = {row.id: row for row in steps.of_steps(execution.id, ids)}
    latest = {gate.step_run_id: gate for gate in approvals.of_execution(execution.id)}
    for row_id, row in rows.items():
        gate = latest.get(row_id)
        beside = context.same_rounds(runbook, (row.step_id, row.scope), (step.step_id, step.scope))
        if gate is not None and gate.status is ApprovalStatus.APPROVED and beside:
            yield gate


def _do(transition: Transition, actor: Actor, step: StepRunRecord, wish: Json) -> None:
    """Skip the step now if its turn has come, else when it comes; open gates that show it are asked anew."""
    if step.status is StepStatus.FAILED:
        _reopen(transition, actor, step, wish)
    elif step.status is StepStatus.BLOCKED:
        transition.tell("skip_marked", step.path, wish["by"], reason=wish["reason"])
        (now,) = steps.known_at(step.execution_id, [step.path])
        if now.blocked == 0:
            flow.let_on_all(transition, [now])
    else:
        flow.skip(transition, step, decide.skip_note(wish), wish["by"])
    transition.close_gates()
    asking.refresh_all(transition)


def _must_be_skippable(transition: Transition, step: StepRunRecord) -> None:
    run, definition = transition.execution, transition.runbook.by_id[step.step_id]
    if definition.skippable is False:
        raise Conflict(f"{step.path} of {run.id} is not to be skipped: its runbook says `skippable: false`.")
    if gates.holds_gate(transition.rt, run.id, definition):
        raise Conflict(f"{step.path} is or holds a gate, which is decided by its approvers: nobody skips it.")
    if step.status not in (*_OPEN, StepStatus.FAILED):
        raise Conflict(f"{step.path} of {run.id} is {step.status}: only a step that has not ended can be skipped.")
    if step.status is StepStatus.FAILED:
        return
    if run.status.ended or step.phase is not run.phase:
        raise Conflict(f"{step.path} of {run.id} does not run any more: what it was a part of is over.")
    if step.kind in decide.CONTAINERS and step.started_at is not None:
        raise Conflict(f"{step.path} of {run.id} has begun: skip the steps in it.")


def _reopen(transition: Transition, actor: Actor, step: StepRunRecord, wish: Json) -> None:
    """Let a failed run go on without a step: its mark has it skipped now that its turn comes once more.

    What a branch or loop that had begun still held goes first.
    """
    must_be_approved(transition.execution)
    reopening.reopen(transition, actor, step)
    (now,) = steps.at_paths(step.execution_id, [step.path])
    if now.kind in decide.CONTAINERS and now.status is StepStatus.WAITING:
        containers.skip_rest(transition, now.path)
        flow.skip(transition, now, decide.skip_note(wish), wish["by"])


def _done(rt: Runtime, actor: Actor, transition: Transition) -> ExecutionRecord:
    children.cancel_bereft(rt, transition.execution.id, actor)
    rt.hint([transition.execution.id])
    return transition.execution


def _paths(decided: list[tuple[ApprovalRecord, ExecutionRecord]]) -> list[str]:
    return [gate.path for gate, _ in decided]
