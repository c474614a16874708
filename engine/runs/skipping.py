"""Skipping a step: it replaces the step's own doing, in its turn, and nothing else.

A step not reached yet is marked and skipped when everything that it needs has ended. What is or holds a gate is not
skipped. What a gate has released was approved: its skipping waits until one of that gate's approvers agrees who chose
nothing of it, unless the runbook says `skippable: true`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from engine.access import choosers, reasons
from engine.access.account_status import standing_of
from engine.access.external_policy import asking_before
from engine.access.policy import (
    Action,
    Actor,
    Gate,
    RequestedAction,
    Verdict,
    admit,
    as_of_now,
    authorise,
    ruled,
    verdict,
)
from engine.access.roles import approver_ids, candidates
from engine.catalog import catalog
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook, Step
from engine.errors import Conflict, NotAllowed
from engine.orchestration import (
    children,
    containers,
    gate_checks,
    gate_content,
    retry_failed_run,
    skip_rules,
    step_completion,
)
from engine.orchestration.run_phases import change
from engine.orchestration.transition import Transition
from engine.runs.controls import allowed, audited, must_be_approved, must_be_the_last, needs_reason, step_at
from engine.runs.executions import ExecutionView, find
from engine.runtime import Runtime
from engine.steps import context
from storage import approvals, database, executions, steps
from storage.records import ApprovalRecord, ExecutionRecord, Json, StepRunRecord
from storage.states import ApprovalStatus, Phase, StepStatus

_OPEN = (StepStatus.BLOCKED, StepStatus.READY, StepStatus.WAITING, StepStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Request:
    """A skip that waits for the word of approvers; `gates` are those that have released the step."""

    execution: ExecutionRecord
    step: StepRunRecord
    gates: tuple[Gate, ...]


def skip(
    rt: Runtime, actor: Actor, execution_id: str, path: str, reason: str, attempt: int | None = None
) -> ExecutionRecord:
    """Skip a step that has not ended, or that failed the run, when its turn comes; what needs it goes on.

    Behind a gate that has released it it is only asked for, and `agree` does it. `attempt` is the last try seen.
    Raises `ReasonRequired`, and `Conflict` when it was tried again meanwhile, for what is or holds a gate, also in a
    child run, and for what its runbook calls not skippable.
    """
    found = allowed(rt, actor, Action.SKIP, execution_id)
    needs_reason(reason, "Skipping a step needs a reason")
    reasons.must_be_stated(rt, actor, reason)
    with change(rt, found.id, "skip", RequestedAction(actor, Action.SKIP)) as transition:
        step = step_at(found, path)
        must_be_the_last(step, attempt)
        _must_be_skippable(transition, step)
        decided = (
            [] if transition.runbook.by_id[step.step_id].skippable else _released_by(rt, transition.execution, step)
        )
        wish = {
            "by": actor.user_id, "reason": reason.strip(), "at": transition.at,
            "agreed": {str(gate.approval.id): None for gate in decided},
        }  # fmt: skip
        transition.run.edit(step, skip=wish)
        audited(rt, actor, "step.skip", found, {"step": path, "reason": reason, "gates": _paths(decided)})
        if decided:
            transition.record_event("skip_requested", path, actor.user_id, reason=wish["reason"], gates=_paths(decided))
        else:
            _do(transition, actor, step, wish)
    return _done(rt, actor, transition)


def agree(rt: Runtime, actor: Actor, execution_id: str, path: str, asked_at: int | None = None) -> ExecutionRecord:
    """Agree that a step is skipped which a gate has released, as one of that gate's approvers who chose nothing of it.

    Who asked for it must still be allowed to. `asked_at` is when the request that was shown was made. Raises
    `NotAllowed`, and `Conflict` where nobody asks for that any more, or somebody has asked anew.
    """
    admit(actor, Action.VOTE)
    found = allowed(rt, actor, Action.VIEW, execution_id)
    return _done(rt, actor, asking_before(rt, partial(_agree, rt, actor, found, path, asked_at)))


def _agree(rt: Runtime, actor: Actor, found: ExecutionRecord, path: str, asked_at: int | None) -> Transition:
    with change(rt, found.id, "agree_skip", RequestedAction(actor, Action.VIEW)) as transition:
        step = step_at(found, path)
        if not step.skip or skip_rules.skip_agreed(step.skip):
            raise Conflict(f"Nobody asks to skip {path} of {found.id}.")
        if asked_at not in (None, step.skip["at"]):
            raise Conflict(f"What is asked about {path} of {found.id} is not what you were shown. Look again.")
        _must_be_skippable(transition, step)
        asked = Actor(step.skip["by"], standing=standing_of(rt, step.skip["by"]))
        authorise(rt, asked, Action.SKIP, transition.execution)
        decided = _released_by(rt, transition.execution, step)
        if not decided:
            raise Conflict(f"The gate that let {path} of {found.id} on is asked again: agree when it is decided.")
        wish = {**step.skip, "agreed": _agreed(rt, actor, step.skip, decided)}
        transition.run.edit(step, skip=wish)
        transition.record_event("skip_agreed", path, actor.user_id, by=wish["by"])
        audited(rt, actor, "step.skip_agree", found, {"step": path, "by": wish["by"], "reason": wish["reason"]})
        if skip_rules.skip_agreed(wish):
            _do(transition, asked, step, wish)
    return transition


def skippable(view: ExecutionView) -> list[StepRunRecord]:
    """The steps of a run whose skipping can be asked for, is not settled yet, and would let something go on."""
    run, main = view.execution, [step for step in view.steps if step.phase is Phase.MAIN]
    if run.phase is Phase.MAIN and run.pending_result is not None and not run.status.ended:
        return []
    failed = {step.id for step in retry_failed_run.retryable(view.runbook, main)}
    wanted = [step for step in view.steps if step.status is not StepStatus.FAILED or step.id in failed]
    return [step for step in wanted if not skip_rules.skip_agreed(step.skip) and not _refused(view, step)]


def requests(rt: Runtime, view: ExecutionView) -> list[Request]:
    """The skips in a run that wait for somebody's word."""
    with database.reading():
        return [
            Request(view.execution, step, tuple(_released_by(rt, view.execution, step)))
            for step in view.steps
            if is_asked(view, step)
        ]


def is_asked(view: ExecutionView, step: StepRunRecord) -> bool:
    """Whether a step's skipping waits for somebody's word."""
    return bool(step.skip) and not skip_rules.skip_agreed(step.skip) and not _refused(view, step)


def may_agree(rt: Runtime, actor: Actor, request: Request) -> Verdict:
    """Whether a person may agree to a skip for any of the gates that released the step."""
    found = list(_verdicts(rt, actor, request.step.skip, request.gates, ruled).values())
    again = Verdict(False, "The gate that released it is asked again: agree when it is decided.")
    return next((each for each in found if each.allowed), found[0]) if found else again


def asked_people(rt: Runtime, request: Request) -> tuple[str, ...]:
    """The people and user groups, by id, one of whom is to agree."""
    chose = choosers.same_people(rt, [request.step.skip["by"]])
    named: list[str] = []
    for gate in request.gates:
        barred = chose | (frozenset() if gate.approval.allow_self else choosers.of_gate(rt, *_both(gate)))
        named += [each for each in approver_ids(rt, gate.approval.approvers, gate.execution.team) if each not in barred]
    return tuple(dict.fromkeys(named))


def who_may_agree(rt: Runtime, request: Request, limit: int, *, beside: Collection[str] = ()) -> list[str]:
    """User ids of at most `limit` people who may agree, those named one by one first, without those in `beside`."""
    found: list[str] = []
    for user in dict.fromkeys(each for gate in request.gates for each in candidates(rt, gate.approval.approvers)):
        if len(found) == limit:
            break
        if user not in beside and may_agree(rt, Actor(user, standing=standing_of(rt, user)), request).allowed:
            found.append(user)
    return found


def released_by(rt: Runtime, execution_id: str, path: str) -> list[Gate]:
    """The decided gates that have released a step. Raises `NotFound`, and `Conflict` where there is no such step."""
    found = find(rt, execution_id)
    with database.reading():
        return _released_by(rt, found, step_at(found, path))


def _agreed(rt: Runtime, actor: Actor, wish: Json, decided: list[Gate]) -> dict[str, str | None]:
    """Who has agreed for each gate, with this person now. Raises `NotAllowed` where they may not for any."""
    verdicts = _verdicts(rt, as_of_now(rt, actor), wish, decided, verdict)
    if not any(each.allowed for each in verdicts.values()):
        refused = next(iter(verdicts.values()))
        raise NotAllowed(refused.why, refused.ask)
    return {gate: actor.user_id if found.allowed else wish["agreed"].get(gate) for gate, found in verdicts.items()}


def _verdicts(
    rt: Runtime,
    actor: Actor,
    wish: Json,
    gates: Iterable[Gate],
    judge: Callable[[Runtime, Actor, Action, Gate], Verdict],
) -> dict[str, Verdict]:
    """By the id of each gate whether this person may agree for it, as `judge` (`verdict` or `ruled`) says."""
    own = actor.user_id in choosers.same_people(rt, [wish["by"]])
    no = Verdict(False, "You asked for this yourself: one of the gate's other approvers has to agree.", _OWN)
    return {str(gate.approval.id): no if own else judge(rt, actor, Action.VOTE, gate) for gate in gates}


_OWN = "Nobody agrees to what they asked for themselves."


def _both(gate: Gate) -> tuple[ApprovalRecord, ExecutionRecord]:
    return gate.approval, gate.execution


def _released_by(rt: Runtime, execution: ExecutionRecord, step: StepRunRecord) -> list[Gate]:
    """The decided gates that showed a step and have released it; outwards through the runs that wait for this one."""
    found = [Gate(gate, execution) for gate in _showed(execution, step)]
    parent = executions.parent_of(execution)
    starter = steps.by_id(execution.parent_step) if execution.parent_step is not None else None
    return found + _released_by(rt, parent, starter) if parent is not None and starter is not None else found


def _showed(execution: ExecutionRecord, step: StepRunRecord) -> Iterator[ApprovalRecord]:
    ids = catalog.shown_at(execution.version_id).get(step.step_id, ())
    runbook = catalog.definition_of(execution.version_id)
    rows = {row.id: row for row in steps.of_steps(execution.id, ids)}
    latest = {gate.step_run_id: gate for gate in approvals.of_execution(execution.id)}
    for row_id, row in rows.items():
        gate = latest.get(row_id)
        beside = context.same_rounds(runbook, (row.step_id, row.scope), (step.step_id, step.scope))
        if gate is None or gate.status is not ApprovalStatus.APPROVED or not beside:
            continue
        if gate_content.releases(execution, runbook, row, step.step_id):
            yield gate


def _do(transition: Transition, actor: Actor, step: StepRunRecord, wish: Json) -> None:
    """Skip the step now if its turn has come, else when it comes; open gates that show it are asked anew."""
    if step.status is StepStatus.FAILED:
        _reopen(transition, actor, step, wish)
    elif step.status is StepStatus.BLOCKED:
        transition.record_event("skip_marked", step.path, wish["by"], reason=wish["reason"])
        (now,) = transition.run.at([step.path])
        if now.blocked == 0:
            step_completion.unblock_all(transition, [now])
    else:
        step_completion.skip(transition, step, skip_rules.skip_note(wish), wish["by"])
    transition.close_gates()
    gate_content.refresh_all(transition)


def _must_be_skippable(transition: Transition, step: StepRunRecord) -> None:
    run = transition.execution
    why = _refusal(
        run, transition.runbook, step, steps.of_execution(run.id),
        lambda each: gate_checks.holds_gate(transition.rt, run.id, each),
    )  # fmt: skip
    if why:
        raise Conflict(why)


def _refused(view: ExecutionView, step: StepRunRecord) -> str:
    return _refusal(view.execution, view.runbook, step, view.steps, lambda each: each.id in view.holding)


def _refusal(
    run: ExecutionRecord,
    runbook: Runbook,
    step: StepRunRecord,
    rows: Iterable[StepRunRecord],
    holds_gate: Callable[[Step], bool],
) -> str:
    """Why a step of a run, one of its `rows`, cannot be skipped, as a sentence; "" where it can."""
    definition = runbook.by_id.get(step.step_id)
    if definition is None or definition.skippable is False:
        return f"{step.path} of {run.id} is not to be skipped: its runbook says `skippable: false`."
    if holds_gate(definition):
        return f"{step.path} is or holds a gate, which is decided by its approvers: nobody skips it."
    asked = gate_checks.gates_depending_on(runbook, definition.id, holds_gate)
    if asked:
        return f"What {step.path} comes to decides whether {', '.join(asked)} is asked: nobody skips it."
    if step.status is StepStatus.FAILED:
        return retry_failed_run.refusal(run, runbook, step, rows)
    if step.status not in _OPEN:
        return f"{step.path} of {run.id} is {step.status}: only a step that has not ended can be skipped."
    if run.status.ended or step.phase is not run.phase:
        return f"{step.path} of {run.id} does not run any more: what it was a part of is over."
    if kind_of(step).is_container and step.started_at is not None:
        return f"{step.path} of {run.id} has begun: skip the steps in it."
    return ""


def _reopen(transition: Transition, actor: Actor, step: StepRunRecord, wish: Json) -> None:
    """Let a failed run go on without a step: its mark has it skipped now that its turn comes once more.

    What a branch or loop that had begun still held goes first.
    """
    must_be_approved(transition.execution)
    retry_failed_run.reopen(transition, actor, step)
    (now,) = steps.at_paths(step.execution_id, [step.path])
    if kind_of(now).is_container and now.status is StepStatus.WAITING:
        containers.skip_rest(transition, now.path)
        step_completion.skip(transition, now, skip_rules.skip_note(wish), wish["by"])


def _done(rt: Runtime, actor: Actor, transition: Transition) -> ExecutionRecord:
    children.cancel_orphans(rt, transition.execution.id, actor)
    rt.hint([transition.execution.id])
    return transition.execution


def _paths(decided: list[Gate]) -> list[str]:
    return [gate.approval.path for gate in decided]
