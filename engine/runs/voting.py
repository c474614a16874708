"""Gates as people use them: voting, and what a vote decides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from engine.access import auditing, choosers, reasons
from engine.access.account_status import MEMBER, UNKNOWN, judged, standing_of
from engine.access.policy import Action, Actor, Gate, authorise, ruled
from engine.access.roles import candidates, unmet
from engine.definition import forms
from engine.errors import Conflict, ReasonRequired
from engine.expressions import ExpressionError
from engine.orchestration import gate_content, gate_reminders, received, step_completion
from engine.orchestration.run_phases import change
from engine.orchestration.transition import Transition
from engine.runs import vote_answers
from engine.runs.executions import GateView, find, gate_view
from engine.runtime import Runtime
from storage import approvals, database, executions, people, steps
from storage.records import ApprovalRecord, ExecutionRecord, Json, StepRunRecord, VoteRecord
from storage.states import ApprovalStatus, Decision, Severity

_LOOKED_AT = 200
"""Open gates that are looked at for one person."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open gate and the run that it is in."""

    gate: GateView
    execution: ExecutionRecord


def vote(
    rt: Runtime,
    actor: Actor,
    execution_id: str,
    path: str | None,
    decision: Decision,
    comment: str = "",
    digest: str | None = None,
    answers: Mapping[str, Json] | None = None,
) -> GateView:
    """Give one person's vote on a gate. One reject decides at once; enough approvals of distinct people do.

    `path` may be left out while only one gate is open; `digest` is that of what the person was shown. A reject needs a
    comment. Raises `NotAllowed`, `ReasonRequired`, and `Conflict` when the gate is decided, has expired, shows
    something else than it did, or this person has voted, under whichever account. An approval takes `answers` to the
    gate's form, and raises `InvalidParameters` for wrong ones. What would be done is worked out once
    more before the vote counts: where that has changed, the gate shows it and nobody has voted on it yet.
    """
    found = find(rt, execution_id)
    with database.reading():
        shown = _the_gate(found, path)
    authorise(rt, actor, Action.VOTE, Gate(shown, found))
    if decision is Decision.REJECT and not comment.strip():
        raise ReasonRequired('Say why it is rejected: comment="…".')
    reasons.must_be_stated(rt, actor, comment, "comment")
    said = forms.answered(shown.form or {}, answers or {}) if decision is Decision.APPROVE else None
    with change(rt, found.id, "vote") as transition:
        gate = _still_open(transition, shown, digest)
        authorise(rt, actor, Action.VOTE, Gate(gate, transition.execution))
        changed = _shows_something_else(transition, gate)
        if not changed:
            note, kept = received.mask(transition, rt.redactor().redact_json([comment.strip(), said or None]))
            given = VoteRecord(gate.id, actor.user_id, decision, note, transition.at, kept)
            _give(transition, actor, gate, given)
    if changed:
        raise _changed(gate)
    rt.hint([found.id])
    with database.reading():
        return next(gate_view(rt, each, found.team) for each in approvals.of_execution(found.id) if each.id == gate.id)


def _shows_something_else(transition: Transition, gate: ApprovalRecord) -> bool:
    try:
        return gate_content.refresh(transition, gate)
    except ExpressionError as error:
        raise Conflict(f"What {gate.path} of {gate.execution_id} asks cannot be shown now: {error}") from error


def _changed(gate: ApprovalRecord) -> Conflict:
    return Conflict(f"{gate.path} of {gate.execution_id} is not what you were shown. Look again before you decide.")


def _give(transition: Transition, actor: Actor, gate: ApprovalRecord, given: VoteRecord) -> None:
    rt = transition.rt
    earlier = {vote.person for vote in approvals.votes(gate.id)} & choosers.same_people(rt, [actor.user_id])
    if earlier or not approvals.record_vote(rt.workspace_id, given):
        account = "" if actor.user_id in earlier else f", as @{min(earlier)}"
        raise Conflict(f"You have voted on {gate.path} of {gate.execution_id} already{account}.")
    _count(rt, transition, gate, given)
    detail = {"step": gate.path, "decision": given.decision, "comment": given.comment, "digest": gate.digest}
    detail |= {"answers": given.answers} if given.answers else {}
    auditing.by_actor(rt, actor, "approval.vote", auditing.of_execution(gate.execution_id), detail)


def withdraw(rt: Runtime, actor: Actor, execution_id: str, path: str | None) -> GateView:
    """Take one's vote back while the gate is not decided.

    Raises `NotAllowed` as `vote`, and `Conflict` when there is none to take back.
    """
    found = find(rt, execution_id)
    with database.reading():
        shown = _the_gate(found, path)
    authorise(rt, actor, Action.VOTE, Gate(shown, found))
    with change(rt, found.id, "withdraw") as transition:
        gate = _still_open(transition, shown, None)
        authorise(rt, actor, Action.VOTE, Gate(gate, transition.execution))
        if not approvals.withdraw_vote(gate.id, actor.user_id):
            raise Conflict(f"You have not voted on {gate.path} of {found.id}.")
        transition.record_event("vote_withdrawn", gate.path, actor.user_id)
        auditing.by_actor(rt, actor, "approval.withdraw", auditing.of_execution(found.id), {"step": gate.path})
    with database.reading():
        return next(gate_view(rt, each, found.team) for each in approvals.of_execution(found.id) if each.id == gate.id)


def expire(rt: Runtime, gate: ApprovalRecord) -> None:
    """End a gate whose time is up, as its step says: fail, count as a rejection, or approve."""
    with change(rt, gate.execution_id, "expire") as transition:
        status = ApprovalStatus.APPROVED if gate.on_timeout == "approve" else ApprovalStatus.EXPIRED
        if gate.expires_at > transition.at or not approvals.decide(gate, status, transition.at):
            return
        step = _step(gate)
        transition.record_event("gate_expired", gate.path, on_timeout=gate.on_timeout)
        if gate.on_timeout == "approve":
            step_completion.succeed(
                transition, step, {"approved_by": [], "on_timeout": "approve"}, "nobody decided in time"
            )
        elif gate.on_timeout == "reject":
            step_completion.fail(
                transition, step, "rejected", f"nobody decided {gate.path} in time, which counts as a rejection"
            )
        else:
            step_completion.fail(transition, step, "approval_timeout", f"nobody decided {gate.path} in time")
        thing = auditing.of_execution(gate.execution_id)
        detail = {"step": gate.path, "on_timeout": gate.on_timeout}
        auditing.by_bot(rt, "approval.expire", thing, detail, Severity.WARNING)
    rt.hint([gate.execution_id])


def remind(rt: Runtime, gate: ApprovalRecord) -> None:
    """Tell once more that a gate is open, for whoever shows it; `gate_reminders.next_reminder` says when."""
    with change(rt, gate.execution_id, "remind") as transition:
        following = gate_reminders.next_reminder(gate.opened_at, gate.expires_at, transition.at)
        due = gate.remind_at is not None and gate.remind_at <= transition.at < gate.expires_at
        if due and approvals.reminded(gate, following):
            left = gate.expires_at - transition.at
            transition.record_event("gate_reminder", gate.path, approval_id=gate.id, left_ms=left)


def waiting_for(rt: Runtime, actor: Actor, limit: int) -> list[Waiting]:
    """At most `limit` open gates that this person may decide and has not voted on, the most urgent first."""
    found: list[Waiting] = []
    with database.reading(), people.reads_cached():
        gates = approvals.soonest_open(rt.workspace_id, _LOOKED_AT)
        runs = executions.by_ids({gate.execution_id for gate in gates})
        voted = approvals.voted_by([gate.id for gate in gates], actor.user_id)
        for gate in gates:
            execution = runs[gate.execution_id]
            if gate.id not in voted and ruled(rt, actor, Action.VOTE, Gate(gate, execution)).allowed:
                found.append(Waiting(gate_view(rt, gate, execution.team), execution))
                if len(found) == limit:
                    break
    return found


def deciders(
    rt: Runtime, gate: GateView, limit: int, *, beside: Collection[str] = (), accounts: bool = False
) -> list[str]:
    """User ids of at most `limit` people who may vote on an open gate and have not, those named one by one first.

    Those in `beside` are left out, under whichever account. Of several accounts of one person the first is named, with
    `accounts` each of them.
    """
    execution = gate.foreseen_in or find(rt, gate.approval.execution_id)
    found: list[str] = []
    with database.reading(), people.reads_cached():
        done = set(choosers.same_people(rt, {*(vote.person for vote in gate.votes), *beside}))
        asked = list(candidates(rt, gate.approval.approvers))
        known = people.recall_all(rt.workspace_id, asked)
        for user in asked:
            if user in done:
                continue
            actor = Actor(user, standing=judged(rt, known.get(user)))
            if ruled(rt, actor, Action.VOTE, Gate(gate.approval, execution)).allowed:
                found.append(user)
                done |= set() if accounts else choosers.same_people(rt, [user])
                if len(found) == limit:
                    break
    return found


def unknown_person_may_vote(rt: Runtime, gate: GateView) -> bool:
    """Whether anybody may vote on an open gate if only Slack says that they are a member, which it did not lately."""
    execution = gate.foreseen_in or find(rt, gate.approval.execution_id)
    with database.reading(), people.reads_cached():
        asked = candidates(rt, gate.approval.approvers)
        known = people.recall_all(rt.workspace_id, asked)
        unheard = (Actor(user, standing=MEMBER) for user in asked if judged(rt, known.get(user)) == UNKNOWN)
        return any(ruled(rt, each, Action.VOTE, Gate(gate.approval, execution)).allowed for each in unheard)


def _count(rt: Runtime, transition: Transition, gate: ApprovalRecord, given: VoteRecord) -> None:
    """Decide the gate if this vote settles it."""
    counting = _counting(rt, gate, transition.execution, given.answers)
    counted = choosers.persons(rt, [each.person for each in counting])
    needed = gate.min_approvals
    transition.record_event(
        "vote",
        gate.path,
        given.person,
        decision=given.decision,
        comment=given.comment,
        approvals=len(counted),
        needed=needed,
    )
    if given.decision is Decision.REJECT:
        approvals.decide(gate, ApprovalStatus.REJECTED, transition.at)
        transition.record_event("gate_rejected", gate.path, given.person, comment=given.comment)
        why = f": {given.comment}" if given.comment else ""
        step_completion.fail(transition, _step(gate), "rejected", f"{gate.path} was rejected{why}")
    elif len(counted) >= needed and not unmet(rt, gate.approvers, counted, transition.execution.team):
        approvals.decide(gate, ApprovalStatus.APPROVED, transition.at)
        transition.record_event("gate_approved", gate.path)
        comments = [{"by": each.person, "comment": each.comment} for each in counting if each.comment]
        outputs = {**(given.answers or {}), "approved_by": counted, "approvals": len(counted), "comments": comments}
        step_completion.succeed(transition, _step(gate), outputs)


def _counting(rt: Runtime, gate: ApprovalRecord, execution: ExecutionRecord, answers: Json) -> list[VoteRecord]:
    """The approvals with these answers of who may still give one: somebody who lost the role no longer counts."""
    return [
        each
        for each in vote_answers.alike(approvals.votes(gate.id), answers)
        if ruled(
            rt, Actor(each.person, standing=standing_of(rt, each.person)), Action.VOTE, Gate(gate, execution)
        ).allowed
    ]


def _the_gate(found: ExecutionRecord, path: str | None) -> ApprovalRecord:
    gates = [gate for gate in approvals.of_execution(found.id) if path is None or gate.path == path]
    waiting = [gate for gate in gates if gate.status is ApprovalStatus.PENDING]
    if len(waiting) > 1:
        raise Conflict(f"Several gates of {found.id} are open: {', '.join(g.path for g in waiting)}. Say which.")
    if waiting:
        return waiting[0]
    if gates:
        raise Conflict(f"{gates[-1].path} of {found.id} is {gates[-1].status.lower()} already.")
    raise Conflict(f"{found.id} has no gate{f' {path}' if path else ''} waiting for a decision.")


def _still_open(transition: Transition, shown: ApprovalRecord, digest: str | None) -> ApprovalRecord:
    gate = next(each for each in approvals.of_execution(shown.execution_id) if each.id == shown.id)
    if gate.status is not ApprovalStatus.PENDING:
        raise Conflict(f"{gate.path} of {gate.execution_id} is {gate.status.lower()} already.")
    if gate.expires_at <= transition.at:
        raise Conflict(f"The time for deciding {gate.path} of {gate.execution_id} is up.")
    if digest is not None and digest != gate.digest:
        raise _changed(gate)
    return gate


def _step(gate: ApprovalRecord) -> StepRunRecord:
    step = steps.by_id(gate.step_run_id)
    assert step is not None
    return step
