"""Handing a run over: who answers for it offers it, and it changes hands when the other takes it.

Whoever owned a run may not decide about it. So nobody becomes an owner without their own word, and nobody takes a run
over who has decided a gate of it.
"""

from __future__ import annotations

from engine.access import choosers, reasons
from engine.access.policy import Action, Actor, RequestedAction, authorise, ruled
from engine.errors import Conflict, NotAllowed
from engine.orchestration.run_phases import change
from engine.runs.controls import allowed, audited, must_be_open
from engine.runtime import Runtime
from storage import approvals, executions
from storage.records import ExecutionRecord


def offer(rt: Runtime, actor: Actor, execution_id: str, to: Actor, reason: str = "") -> ExecutionRecord:
    """Offer an open run to somebody who may run it; offered to oneself it is taken at once.

    An offer takes the place of an earlier one, and one to whom it is now takes that back. Raises `NotAllowed` about
    either, and `Conflict` when the run has ended or is theirs already.
    """
    found = allowed(rt, actor, Action.HANDOVER, execution_id)
    reasons.must_be_stated(rt, actor, reason)
    theirs = ruled(rt, to, Action.START, found, heed_freezes=False)
    if not theirs.allowed:
        why = theirs.rule or "Only people of this workspace who may run it take a run over."
        raise NotAllowed(f"{found.id} cannot be handed to @{to.user_id}. {why}", theirs.ask)
    if to.user_id == actor.user_id and found.responsible != actor.user_id:
        return _take(rt, actor, found, reason)
    with change(rt, found.id, "offer", RequestedAction(actor, Action.HANDOVER)) as transition:
        must_be_open(transition)
        now = transition.execution
        if now.responsible == to.user_id and now.offered_to is None:
            raise Conflict(f"{found.id} is @{to.user_id}'s already.")
        _must_not_have_decided(rt, found, to)
        offered = None if now.responsible == to.user_id else to.user_id
        transition.edit(offered_to=offered)
        transition.record_event("handover_offered", actor=actor.user_id, to=offered, reason=reason.strip())
        audited(rt, actor, "execution.offer", found, {"to": offered, "was": now.responsible, "reason": reason})
    return transition.execution


def accept(rt: Runtime, actor: Actor, execution_id: str) -> ExecutionRecord:
    """Take over a run that is offered to this person. Raises `NotAllowed`, and `Conflict` where it is not."""
    found = allowed(rt, actor, Action.HANDOVER, execution_id)
    if found.offered_to != actor.user_id:
        raise Conflict(f"{found.id} is not offered to you: whoever answers for it says `handover {found.id} @you`.")
    return _take(rt, actor, found, "")


def _take(rt: Runtime, actor: Actor, found: ExecutionRecord, reason: str) -> ExecutionRecord:
    with change(rt, found.id, "hand_over", RequestedAction(actor, Action.HANDOVER)) as transition:
        must_be_open(transition)
        now = transition.execution
        if now.responsible == actor.user_id or now.offered_to not in (found.offered_to, actor.user_id):
            raise Conflict(f"{found.id} has changed hands meanwhile: it is @{now.responsible}'s.")
        authorise(rt, actor, Action.START, now, heed_freezes=False)
        _must_not_have_decided(rt, now, actor)
        void = approvals.void_votes(executions.family(now.id), choosers.same_people(rt, [actor.user_id]))
        owners = [*(now.owners or ()), actor.user_id]
        transition.edit(owner=actor.user_id, owners=list(dict.fromkeys(owners)), offered_to=None)
        transition.record_event(
            "handed_over", actor=actor.user_id, to=actor.user_id, was=now.responsible, reason=reason.strip()
        )
        for run, path in void:
            transition.record_event("vote_withdrawn", path if run == now.id else f"{run} {path}", actor.user_id)
        audited(rt, actor, "execution.handover", found, {"to": actor.user_id, "was": now.responsible, "void": void})
    return transition.execution


def _must_not_have_decided(rt: Runtime, run: ExecutionRecord, person: Actor) -> None:
    """Raise `Conflict` for whoever decided a gate of the run: they would own what they approved."""
    if approvals.deciders_of(executions.family(run.id)) & choosers.same_people(rt, [person.user_id]):
        raise Conflict(
            f"@{person.user_id} has decided a gate of {run.id}: whoever decided about a run does not take it over."
        )
