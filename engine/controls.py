"""What people do to a run under way: pause, cancel, retry, skip, hand over … Each with who, why and from where."""

from __future__ import annotations

from typing import Any

from engine import children, containers, decide, flow, lifecycle, reopening
from engine.access import Action, Actor, Deed, authorise, verdict
from engine.definition import graph
from engine.definition.parameters import validate
from engine.errors import Conflict, NotAllowed, ReasonRequired
from engine.executions import find
from engine.lifecycle import change
from engine.runtime import Runtime
from engine.transition import Transition
from storage import audit, runbooks, steps
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import ExecutionStatus, Phase, Severity, StepStatus, VersionStatus

CHOICES = ("retry", "done", "failed")


def pause(rt: Runtime, actor: Actor, execution_id: str, reason: str = "") -> ExecutionRecord:
    """Start nothing more until a resume; what runs now finishes. Raises `Conflict` when it has ended or is paused."""
    found = _allowed(rt, actor, Action.PAUSE, execution_id)
    with change(rt, found.id, "pause", Deed(actor, Action.PAUSE)) as transition:
        _must_be_open(transition)
        if transition.execution.status is ExecutionStatus.PAUSED:
            raise Conflict(f"{found.id} is paused already.")
        transition.pause(reason.strip() or "paused by hand", actor.user_id)
        _audit(rt, actor, "execution.pause", found, {"reason": reason, "was": found.status})
    return transition.execution


def resume(rt: Runtime, actor: Actor, execution_id: str, reason: str = "") -> ExecutionRecord:
    """Go on with a paused run. Raises `Conflict` when it is not paused or its version was deprecated."""
    found = _allowed(rt, actor, Action.RESUME, execution_id)
    with change(rt, found.id, "resume", Deed(actor, Action.RESUME)) as transition:
        now = transition.execution
        if now.status is not ExecutionStatus.PAUSED:
            raise Conflict(f"{now.id} is not paused: it is {now.status}.")
        _must_be_approved(now)
        begun = ExecutionStatus.RUNNING if now.started_at else ExecutionStatus.PENDING
        transition.edit(status=begun, paused_reason=None)
        transition.tell("resumed", actor=actor.user_id, reason=reason.strip())
        _audit(rt, actor, "execution.resume", found, {"reason": reason})
    rt.hint([found.id])
    return transition.execution


def cancel(rt: Runtime, actor: Actor, execution_id: str, reason: str = "", *, force: bool = False) -> ExecutionRecord:
    """End an execution as CANCELLED. Once this returns no new attempt of main starts; what runs now is abandoned.

    Cleanup follows; `force` ends that too. Raises `Conflict` when it has ended, or is cleaning up without `force`.
    """
    found = _allowed(rt, actor, Action.CANCEL, execution_id)
    with change(rt, found.id, "cancel", Deed(actor, Action.CANCEL)) as transition:
        _must_be_open(transition)
        now = transition.execution
        if force:
            lifecycle.force_end(transition, actor.user_id, reason.strip())
        elif now.phase is not Phase.MAIN:
            raise Conflict(f"{now.id} is cleaning up after it {_past(now)}. `cancel {now.id} force=yes` ends that too.")
        elif now.ending is ExecutionStatus.CANCELLED:
            raise Conflict(f"{now.id} is being cancelled already.")
        else:
            lifecycle.cancel(transition, actor.user_id, reason.strip())
        _audit(rt, actor, "execution.cancel", found, {"reason": reason, "was": now.status, "force": force})
    children.cancel_bereft(rt, found.id, actor)
    rt.hint([found.id])
    return transition.execution


def skip(rt: Runtime, actor: Actor, execution_id: str, path: str, reason: str) -> ExecutionRecord:
    """Skip a step that has not ended, or that failed the run; what needs it goes on. Raises `ReasonRequired`.

    Raises `Conflict` for a gate and for what holds one: only its approvers let a run pass it.
    """
    found = _allowed(rt, actor, Action.SKIP, execution_id)
    _needs_reason(reason, "Skipping a step needs a reason")
    with change(rt, found.id, "skip", Deed(actor, Action.SKIP)) as transition:
        step = _step(found, path)
        _must_hold_no_gate(transition, step)
        if step.status is StepStatus.FAILED:
            step = _reopened(transition, actor, step)
        elif step.status not in (StepStatus.BLOCKED, StepStatus.READY, StepStatus.WAITING, StepStatus.UNKNOWN):
            raise Conflict(f"{path} of {found.id} is {step.status}: only a step that has not ended can be skipped.")
        elif transition.execution.status.ended or step.phase is not transition.execution.phase:
            raise Conflict(f"{path} of {found.id} does not run any more: what it was a part of is over.")
        elif step.kind in decide.CONTAINERS and step.started_at is not None:
            raise Conflict(f"{path} of {found.id} has begun: skip the steps in it.")
        flow.skip(transition, step, f"skipped by {actor.user_id}: {reason.strip()}", actor.user_id)
        transition.close_gates()
        _audit(rt, actor, "step.skip", found, {"step": path, "reason": reason})
    children.cancel_bereft(rt, found.id, actor)
    rt.hint([found.id])
    return transition.execution


def retry(
    rt: Runtime, actor: Actor, execution_id: str, path: str | None = None, parameters: dict[str, Any] | None = None,
    reason: str = "",
) -> ExecutionRecord:  # fmt: skip
    """Run the failed step of a FAILED run again, with fresh tries; the run goes on from there.

    With changed `parameters` every gate is asked again before anything else runs. `path` may be left out when one step
    has failed. Raises `Conflict` once undo has begun, `NotApproved`, `InvalidParameters`.
    """
    found = _allowed(rt, actor, Action.RETRY, execution_id)
    with change(rt, found.id, "retry", Deed(actor, Action.RETRY)) as transition:
        step = reopening.the_failed(transition, path)
        if parameters is not None:
            values = {**found.parameters, **parameters}
            transition.edit(parameters=validate(transition.runbook.parameters, values))
        changed = transition.execution.parameters != found.parameters
        _must_be_approved(transition.execution)
        reopening.reopen(transition, actor, step)
        if changed:
            transition.edit(revision=transition.execution.revision + 1)
            reopening.ask_again(transition)
        transition.tell("step_retried", step.path, actor.user_id, reason=reason.strip(), changed=changed)
        detail = {"step": step.path, "parameters": parameters, "reason": reason}
        _audit(rt, actor, "step.retry", found, detail)
    rt.hint([found.id])
    return transition.execution


def hand_over(rt: Runtime, actor: Actor, execution_id: str, to: Actor, reason: str = "") -> ExecutionRecord:
    """Make somebody else answer for an open run. They must be allowed to run it: raises `NotAllowed` about them too.

    Raises `Conflict` when it has ended or is theirs already.
    """
    found = _allowed(rt, actor, Action.HANDOVER, execution_id)
    theirs = verdict(rt, to, Action.START, found)
    if not theirs.allowed:
        why = theirs.rule or "Only people of this workspace who may run it take a run over."
        raise NotAllowed(f"{found.id} cannot be handed to @{to.user_id}. {why}", theirs.ask)
    with change(rt, found.id, "hand_over", Deed(actor, Action.HANDOVER)) as transition:
        _must_be_open(transition)
        before = transition.execution.responsible
        if before == to.user_id:
            raise Conflict(f"{found.id} is @{to.user_id}'s already.")
        transition.edit(owner=to.user_id)
        transition.tell("handed_over", actor=actor.user_id, to=to.user_id, was=before, reason=reason.strip())
        _audit(rt, actor, "execution.handover", found, {"to": to.user_id, "was": before, "reason": reason})
    return transition.execution


def resolve(rt: Runtime, actor: Actor, execution_id: str, path: str | None, choice: str, note: str) -> ExecutionRecord:
    """Settle a step whose outcome nobody saw: run it again, take it as done, or take it as failed.

    `path` may be left out while only one step is UNKNOWN. Raises `ReasonRequired` without a note.
    """
    if choice not in CHOICES:
        raise Conflict(f"Choose one of {', '.join(CHOICES)}.")
    found = _allowed(rt, actor, Action.RESOLVE, execution_id)
    _needs_reason(note, "Say what you know about the outcome", "note")
    with change(rt, found.id, "resolve", Deed(actor, Action.RESOLVE)) as transition:
        step = _the_unknown(found.id, path)
        transition.tell("step_resolved", step.path, actor.user_id, choice=choice, note=note)
        said = f"{choice}, said by {actor.user_id}: {note.strip()}"
        if choice == "retry" and not transition.goes_on:
            raise Conflict(f"{found.id} is ending and starts nothing more: choose done or failed.")
        if choice == "retry":
            transition.move(step, StepStatus.READY, due_at=transition.at, failures=0, note=said)
        elif choice == "done":
            flow.succeed(transition, step, {}, said)
        else:
            flow.fail(transition, step, "marked_failed", said)
        _audit(rt, actor, "step.resolve", found, {"step": step.path, "choice": choice, "note": note})
    rt.hint([found.id])
    return transition.execution


def _reopened(transition: Transition, actor: Actor, step: StepRunRecord) -> StepRunRecord:
    """A failed step of a run that goes on, ready to be skipped; what a failed branch or loop still held goes first."""
    _must_be_approved(transition.execution)
    reopening.reopen(transition, actor, step)
    if step.kind in decide.CONTAINERS:
        containers.skip_rest(transition, f"{step.path}")
    (now,) = steps.at_paths(step.execution_id, [step.path])
    return now


def _allowed(rt: Runtime, actor: Actor, action: Action, execution_id: str) -> ExecutionRecord:
    found = find(rt, execution_id)
    authorise(rt, actor, action, found)
    return found


def _must_be_open(transition: Transition) -> None:
    now = transition.execution
    if now.status.ended:
        raise Conflict(f"{now.id} has ended already: {now.status}.")


def _must_hold_no_gate(transition: Transition, step: StepRunRecord) -> None:
    if graph.holds_gate(transition.runbook.by_id[step.step_id]):
        raise Conflict(f"{step.path} is or holds a gate, which is decided by its approvers: nobody skips it.")


def _must_be_approved(execution: ExecutionRecord) -> None:
    version = runbooks.version_by_id(execution.version_id)
    assert version is not None
    if version.status is not VersionStatus.APPROVED:
        raise Conflict(f"{version.slug}@{version.number} is {version.status}: {execution.id} can only be cancelled.")


def _past(execution: ExecutionRecord) -> str:
    return {"SUCCESS": "succeeded", "FAILED": "failed", "CANCELLED": "was cancelled"}[str(execution.ending)]


def _needs_reason(text: str, sentence: str, word: str = "reason") -> None:
    if not text.strip():
        raise ReasonRequired(f'{sentence}: {word}="…".')


def _step(found: ExecutionRecord, path: str) -> StepRunRecord:
    for step in steps.at_paths(found.id, [path]):
        return step
    raise Conflict(f"{found.id} has no step {path}.")


def _the_unknown(execution_id: str, path: str | None) -> StepRunRecord:
    waiting = steps.unknown(execution_id)
    if path is not None:
        waiting = [step for step in waiting if step.path == path]
    if not waiting:
        raise Conflict(f"{execution_id} has no step{f' {path}' if path else ''} whose outcome is unknown.")
    if len(waiting) > 1:
        names = ", ".join(step.path for step in waiting)
        raise Conflict(f"Several steps of {execution_id} have an unknown outcome: {names}. Say which.")
    return waiting[0]


def _audit(rt: Runtime, actor: Actor, action: str, found: ExecutionRecord, detail: dict[str, Any]) -> None:
    thing = f"execution:{found.id}"
    audit.write(rt.workspace_id, actor.user_id, action, thing, Severity.NOTICE, {**detail, "door": actor.door})
