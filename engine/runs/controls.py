"""What people do to a run under way: pause, cancel, retry … Each with who, why and from where.

Skipping is `engine.runs.skipping`, handing over `engine.runs.handover`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.access import auditing, choosers, overrides, reasons
from engine.access.policy import Action, Actor, RequestedAction, authorise
from engine.definition.parameters import validate
from engine.errors import Conflict, ReasonRequired
from engine.orchestration import (
    admission,
    children,
    gate_checks,
    option_checks,
    parameter_changes,
    retry_failed_run,
    run_ending,
    step_completion,
)
from engine.orchestration.run_phases import change
from engine.orchestration.transition import Transition
from engine.runs.executions import find
from engine.runtime import Runtime
from engine.text.words import nearest
from storage import database, events, freezes, runbooks, steps
from storage.records import ExecutionRecord, Json, StepRunRecord
from storage.states import ExecutionStatus, Phase, StepStatus, VersionStatus

CHOICES = ("retry", "done", "failed")


def pause(rt: Runtime, actor: Actor, execution_id: str, reason: str = "") -> ExecutionRecord:
    """Start nothing more until a resume; what runs now finishes. Raises `Conflict` when it has ended or is paused."""
    found = allowed(rt, actor, Action.PAUSE, execution_id)
    reasons.must_be_stated(rt, actor, reason)
    with change(rt, found.id, "pause", RequestedAction(actor, Action.PAUSE)) as transition:
        must_be_open(transition)
        if transition.execution.status is ExecutionStatus.PAUSED:
            raise Conflict(f"{found.id} is paused already.")
        transition.pause(reason.strip() or "paused by hand", actor.user_id)
        audited(rt, actor, "execution.pause", found, {"reason": reason, "was": found.status})
    return transition.execution


def resume(rt: Runtime, actor: Actor, execution_id: str, reason: str = "") -> ExecutionRecord:
    """Go on with a paused run. Raises `Conflict` when it is not paused or its version was deprecated."""
    found = allowed(rt, actor, Action.RESUME, execution_id)
    reasons.must_be_stated(rt, actor, reason)
    with change(rt, found.id, "resume", RequestedAction(actor, Action.RESUME)) as transition:
        now = transition.execution
        if now.status is not ExecutionStatus.PAUSED:
            raise Conflict(f"{now.id} is not paused: it is {now.status}.")
        if not overrides.lets_draft_run(now):
            must_be_approved(now)
        begun = ExecutionStatus.RUNNING if now.started_at else ExecutionStatus.PENDING
        transition.edit(status=begun, paused_reason=None)
        freezes.forget_paused(now.id)
        transition.record_event("resumed", actor=actor.user_id, reason=reason.strip())
        audited(rt, actor, "execution.resume", found, {"reason": reason})
    rt.hint([found.id])
    return transition.execution


def cancel(rt: Runtime, actor: Actor, execution_id: str, reason: str = "", *, force: bool = False) -> ExecutionRecord:
    """End an execution as CANCELLED. Once this returns no new attempt of main starts; what runs now is abandoned.

    Cleanup follows; `force` ends that too. Raises `Conflict` when it has ended, or is cleaning up without `force`.
    """
    found = allowed(rt, actor, Action.CANCEL, execution_id)
    reasons.must_be_stated(rt, actor, reason)
    with change(rt, found.id, "cancel", RequestedAction(actor, Action.CANCEL)) as transition:
        must_be_open(transition)
        now = transition.execution
        if force:
            run_ending.force_end(transition, actor.user_id, reason.strip())
        elif now.phase is not Phase.MAIN:
            raise Conflict(f"{now.id} is cleaning up after it {_past(now)}. `cancel {now.id} force=yes` ends that too.")
        elif now.pending_result is ExecutionStatus.CANCELLED:
            raise Conflict(f"{now.id} is being cancelled already.")
        else:
            run_ending.cancel(transition, actor.user_id, reason.strip())
        audited(rt, actor, "execution.cancel", found, {"reason": reason, "was": now.status, "force": force})
    children.cancel_orphans(rt, found.id, actor)
    rt.hint([found.id])
    return transition.execution


def retry(
    rt: Runtime, actor: Actor, execution_id: str, path: str | None = None, parameters: dict[str, Any] | None = None,
    reason: str = "", attempt: int | None = None,
) -> ExecutionRecord:  # fmt: skip
    """Run the failed step of a FAILED run again, with fresh tries; the run goes on from there.

    With changed `parameters` every gate that was passed is asked again before anything else runs, those in branches,
    loops and children too, and whoever changed them may not decide. `path` may be left out when one step has failed;
    `attempt` is the try that was seen to fail. Raises `Conflict` once undo has begun, when the step was tried again
    meanwhile, for a child run with other parameters, and where the run would have come by other gates with them, or
    would go another way in a branch or loop that it is in; `NotApproved`, `InvalidParameters`.
    """
    found = allowed(rt, actor, Action.RETRY, execution_id)
    reasons.must_be_stated(rt, actor, reason)
    if parameters:  # asked before the run is locked, and again once they are the run's
        authorise(rt, actor, Action.RETRY, replace(found, parameters={**found.parameters, **parameters}))
    unchecked = _unchecked(rt, found, parameters or {})
    with change(rt, found.id, "retry", RequestedAction(actor, Action.RETRY)) as transition:
        step = retry_failed_run.find_failed(transition, path)
        must_be_the_last(step, attempt)
        _must_be_let_on(transition)
        changed = _change_parameters(transition, actor, parameters)
        must_be_approved(transition.execution)
        if changed:
            authorise(rt, actor, Action.RETRY, transition.execution)
            retry_failed_run.restart_unfinished(transition)
        retry_failed_run.reopen(transition, actor, step)
        if changed:
            retry_failed_run.reopen_gates(transition)
        facts: dict[str, Json] = {"reason": reason.strip(), "changed": bool(changed)}
        told: dict[str, Json] = {"changes": changed} if changed else {}
        told |= {"unchecked": list(unchecked)} if unchecked else {}
        transition.record_event("step_retried", step.path, actor.user_id, **facts, **told)
        detail = {"step": step.path, "parameters": parameters, "reason": reason, **told}
        audited(rt, actor, "step.retry", found, detail)
    if changed:
        children.cancel_orphans(rt, found.id)
    rt.hint([found.id])
    return transition.execution


def resolve(
    rt: Runtime, actor: Actor, execution_id: str, path: str | None, choice: str, note: str, attempt: int | None = None
) -> ExecutionRecord:
    """Settle a step whose outcome nobody saw: run it again, take it as done, or take it as failed.

    `path` may be left out while only one step is UNKNOWN; `attempt` is the try that the note is about. Raises
    `ReasonRequired` without a note, and `Conflict` when the step was tried again meanwhile.
    """
    if choice not in CHOICES:
        raise Conflict(f"Choose one of {', '.join(CHOICES)}.")
    found = allowed(rt, actor, Action.RESOLVE, execution_id)
    needs_reason(note, "Say what you know about the outcome", "note")
    reasons.must_be_stated(rt, actor, note, "note")
    with change(rt, found.id, "resolve", RequestedAction(actor, Action.RESOLVE)) as transition:
        step = _the_unknown(found.id, path)
        must_be_the_last(step, attempt)
        transition.record_event("step_resolved", step.path, actor.user_id, choice=choice, note=note)
        said = f"{choice}, said by {actor.user_id}: {note.strip()}"
        if choice == "retry" and not transition.may_start_steps:
            raise Conflict(f"{found.id} is ending and starts nothing more: choose done or failed.")
        if choice == "retry":
            transition.move(step, StepStatus.READY, due_at=transition.at, failures=0, note=said)
        else:
            transition.run.edit(step, settled_by=actor.user_id)
        if choice == "done":
            step_completion.succeed(transition, step, {}, said)
        elif choice == "failed":
            step_completion.fail(transition, step, "marked_failed", said)
        audited(rt, actor, "step.resolve", found, {"step": step.path, "choice": choice, "note": note})
    rt.hint([found.id])
    return transition.execution


def _change_parameters(transition: Transition, actor: Actor, given: dict[str, Any] | None) -> list[dict[str, Json]]:
    """Take the given parameters into the run; what that changes, secrets masked. Raises `Conflict` for a child run."""
    run = transition.execution
    values = validate(transition.runbook.parameters, {**run.parameters, **given}) if given is not None else None
    if values is None or values == run.parameters:
        return []
    if run.parent_step is not None:
        raise Conflict(f"The parameters of {run.id} come from the run that started it: retry or replay that one.")
    chose = list(dict.fromkeys([*choosers.of_values(run), actor.user_id]))
    same = admission.same_as(run.digest, values, run.incident or {})
    transition.edit(parameters=values, revision=run.revision + 1, chosen_by=chose, same_as=same)
    masked: list[dict[str, Json]] = transition.rt.redactor().redact_json(
        parameter_changes.between(run.parameters, values)
    )
    return parameter_changes.kept(masked)


def _unchecked(rt: Runtime, run: ExecutionRecord, given: dict[str, Any]) -> tuple[str, ...]:
    """Those of the changed values that no system could be asked for; asked before the run is locked.

    Raises `InvalidParameters` for what is not offered.
    """
    changed = [name for name, value in given.items() if run.parameters.get(name) != value]
    with database.reading():
        version = runbooks.version_by_id(run.version_id) if changed else None
    if version is None or version.status is not VersionStatus.APPROVED:
        return ()  # the retry itself is refused
    return option_checks.must_be_offered(rt, version, given, changed)


def _must_be_let_on(transition: Transition) -> None:
    """Raise `Conflict` for a child of a run whose gates before it have not released it as that run stands now."""
    undecided = gate_checks.undecided_around(transition.rt, transition.execution)
    if undecided:
        behind = ", ".join(undecided)
        raise Conflict(f"{transition.execution.id} stands behind {behind}, which has to release it first.")


def allowed(rt: Runtime, actor: Actor, action: Action, execution_id: str) -> ExecutionRecord:
    """The run, if this person may do this to it. Raises `NotFound` and `NotAllowed`."""
    found = find(rt, execution_id)
    authorise(rt, actor, action, found)
    return found


def must_be_open(transition: Transition) -> None:
    """Raise `Conflict` for a run that has ended."""
    now = transition.execution
    if now.status.ended:
        raise Conflict(f"{now.id} has ended already: {now.status}.")


def must_be_approved(execution: ExecutionRecord) -> None:
    """Raise `Conflict` for a run whose version is not approved any more."""
    version = runbooks.version_by_id(execution.version_id)
    assert version is not None
    if version.status is not VersionStatus.APPROVED:
        raise Conflict(f"{version.slug}@{version.number} is {version.status}: {execution.id} can only be cancelled.")


def _past(execution: ExecutionRecord) -> str:
    return {"SUCCESS": "succeeded", "FAILED": "failed", "CANCELLED": "was cancelled"}[str(execution.pending_result)]


def must_be_the_last(step: StepRunRecord, attempt: int | None) -> None:
    """Raise `Conflict` where somebody acts on a try of a step that was followed by another; None is what came last."""
    if attempt in (None, step.attempts):
        return
    told = [events.last(step.execution_id, kind) for kind in ("step_retried", "step_resolved")]
    latest = max((each for each in told if each and each.path == step.path), key=lambda each: each.seq, default=None)
    by = f" by @{latest.actor}" if latest is not None and latest.actor else ""
    raise Conflict(
        f"{step.path} of {step.execution_id} was tried again meanwhile{by}: "
        f"you were shown try {attempt}, and the last one is {step.attempts}. Look again."
    )


def needs_reason(text: str, sentence: str, word: str = "reason") -> None:
    """Raise `ReasonRequired` where nothing was said."""
    if not text.strip():
        raise ReasonRequired(f'{sentence}: {word}="…".')


def step_at(found: ExecutionRecord, path: str) -> StepRunRecord:
    """The step run at a path. Raises `Conflict`, naming the nearest, where there is none."""
    for step in steps.at_paths(found.id, [path]):
        return step
    near = nearest(path, [step.path for step in steps.of_execution(found.id)])
    raise Conflict(f"{found.id} has no step {path}." + (f" Did you mean {near}?" if near else ""))


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


def audited(rt: Runtime, actor: Actor, action: str, found: ExecutionRecord, detail: dict[str, Any]) -> None:
    """Write the audit row of an act; needs its transaction."""
    auditing.by_actor(rt, actor, action, auditing.of_execution(found.id), detail)
