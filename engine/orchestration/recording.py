"""What an attempt's outcome does to its step and run. Every function works inside an open `Transition`."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from engine.access import auditing
from engine.definition.kinds import kind_of
from engine.definition.model import Retry, Step
from engine.orchestration import (
    children,
    event_waits,
    gate_content,
    gate_reminders,
    manual_tasks,
    received,
    retry_backoff,
    step_completion,
)
from engine.orchestration.transition import Transition
from engine.steps import secret_destinations
from engine.steps.outcome import (
    Abandoned,
    Again,
    Assigned,
    Begun,
    Evidence,
    Failed,
    Later,
    Opened,
    Outcome,
    Posted,
    Succeeded,
    Unknown,
    Waiting,
)
from storage import approvals, waits
from storage.records import ApprovalRecord, StepRunRecord
from storage.states import ApprovalStatus, AttemptStatus, ExecutionStatus, Phase, Severity, StepStatus

log = logging.getLogger(__name__)

NOT_POSTED = "not posted: the run was not started in a channel"


def record(transition: Transition, step: StepRunRecord, outcome: Outcome) -> bool:
    """Apply an outcome to the step run it was claimed as; False, changing nothing, when it was taken away."""
    return _RECORDERS[type(outcome)](transition, step, received.masked(transition, outcome))


def _succeeded(transition: Transition, step: StepRunRecord, outcome: Succeeded) -> bool:
    if not step_completion.succeed(transition, step, outcome.outputs):
        return False
    received.keep(transition, step, outcome.received)
    _end_attempt(transition, step, AttemptStatus.SUCCESS, outcome.evidence)
    return True


def _failed(transition: Transition, step: StepRunRecord, outcome: Failed) -> bool:
    failures = step.failures + 1
    retry = _retry_of(transition, step)
    error = {"code": outcome.code, "message": outcome.message}
    if outcome.retryable and transition.may_start_steps and retry_backoff.may_retry(retry, failures):
        pause = retry_backoff.backoff_ms(retry, failures, random.random(), outcome.retry_after_ms)  # noqa: S311 - jitter
        done = transition.move(
            step, StepStatus.READY, due_at=transition.at + pause, failures=failures, error=error, worker_id=None
        )
        if done:
            transition.record_event(
                "step_retrying", step.path, attempt=step.attempts, delay_ms=pause, message=outcome.message
            )
    else:
        done = step_completion.fail(transition, step, outcome.code, outcome.message, outcome.outputs)
    if done:
        _audit_refusal(transition, step, outcome)
        _end_attempt(transition, step, AttemptStatus.FAILED, outcome.evidence, error)
    return done


def _audit_refusal(transition: Transition, step: StepRunRecord, outcome: Failed | Unknown) -> None:
    """A secret that was about to go where it may not is more than a step that failed."""
    if outcome.code == secret_destinations.CODE:
        detail = {"step": step.path, "reason": outcome.message}
        thing = auditing.of_execution(step.execution_id)
        auditing.by_bot(transition.rt, "secret.refused", thing, detail, Severity.WARNING)


def _again(transition: Transition, step: StepRunRecord, outcome: Again) -> bool:
    if not transition.may_start_steps:
        return _abandoned(transition, step, Abandoned("the run ended before it came true", outcome.evidence))
    due = transition.at + outcome.after_ms
    if step.deadline_at is not None and due > step.deadline_at:
        why = f"it did not come true in time; last: {outcome.message}"
        return _failed(transition, step, Failed("timeout", why, evidence=outcome.evidence))
    error = {"code": "not_yet", "message": outcome.message}
    if not transition.move(step, StepStatus.READY, due_at=due, failures=0, error=error, worker_id=None):
        return False
    _end_attempt(transition, step, AttemptStatus.FAILED, outcome.evidence, error)
    transition.prune_attempts(step)
    return True


def _unknown(transition: Transition, step: StepRunRecord, outcome: Unknown) -> bool:
    error = {"code": outcome.code, "message": outcome.message}
    if _cancelled(transition):
        return _abandoned(transition, step, Abandoned(outcome.message, outcome.evidence))
    if not transition.move(step, StepStatus.UNKNOWN, error=error, worker_id=None):
        return False
    transition.record_event("step_unknown", step.path, message=outcome.message)
    _audit_refusal(transition, step, outcome)
    _end_attempt(transition, step, AttemptStatus.UNKNOWN, outcome.evidence, error)
    return True


def _abandoned(transition: Transition, step: StepRunRecord, outcome: Abandoned) -> bool:
    error = {"code": "abandoned", "message": outcome.message}
    if not transition.move(step, StepStatus.CANCELLED, error=error, ended_at=transition.at, worker_id=None):
        return False
    _end_attempt(transition, step, AttemptStatus.ABANDONED, outcome.evidence, error)
    return True


def _opened(transition: Transition, step: StepRunRecord, outcome: Opened) -> bool:
    if not transition.may_start_steps:
        return _abandoned(transition, step, Abandoned("the run ended before the gate opened"))
    outcome = gate_content.eased(transition.execution, outcome)
    expires = transition.at + outcome.timeout_ms
    revision = transition.execution.revision
    if not transition.move(step, StepStatus.WAITING, deadline_at=expires, worker_id=None, revision=revision):
        return False
    _end_attempt(transition, step, AttemptStatus.SUCCESS, Evidence())
    definition = transition.runbook.by_id[step.step_id]
    gate = ApprovalRecord(
        id=0, execution_id=step.execution_id, step_run_id=step.id, path=step.path, status=ApprovalStatus.PENDING,
        min_approvals=outcome.min_approvals, approvers=outcome.approvers, allow_self=outcome.allow_self,
        message=outcome.message, preview=outcome.preview,
        digest=gate_content.digest_of(transition.execution, step.path, outcome),
        on_timeout=outcome.on_timeout, opened_at=transition.at, expires_at=expires, decided_at=None,
        remind_at=gate_reminders.next_reminder(transition.at, expires, transition.at),
        barred=gate_content.barred(transition.execution, transition.runbook, definition, step.scope),
        form=outcome.form,
    )  # fmt: skip
    approval_id = approvals.create(transition.rt.workspace_id, gate)
    transition.record_event("gate_opened", step.path, approval_id=approval_id)
    return True


def _assigned(transition: Transition, step: StepRunRecord, outcome: Assigned) -> bool:
    if not transition.may_start_steps:
        return _abandoned(transition, step, Abandoned("the run ended before anybody was asked to do it"))
    if not manual_tasks.open_task(transition, step, outcome):
        return False
    _end_attempt(transition, step, AttemptStatus.SUCCESS, Evidence())
    return True


def take_over(transition: Transition, step: StepRunRecord) -> bool:
    """Settle a step run whose worker is gone: run it again if that is safe, else let a person decide."""
    recoveries = step.recoveries + 1
    error = {"code": "worker_lost", "message": "The worker that ran this step is gone."}
    fresh = {"fence": step.fence + 1, "recoveries": recoveries, "worker_id": None}
    if _cancelled(transition):
        done = transition.move(step, StepStatus.CANCELLED, ended_at=transition.at, error=error, **fresh)
    elif recoveries > retry_backoff.MAX_RECOVERIES:
        done = step_completion.fail(
            transition, step, "worker_lost", f"{recoveries} workers in a row were lost while running this step."
        )
    elif step.idempotent and transition.may_start_steps:
        done = transition.move(step, StepStatus.READY, due_at=transition.at, error=error, **fresh)
        if done:
            transition.record_event("step_taken_over", step.path)
    elif step.idempotent:
        done = step_completion.fail(
            transition, step, "worker_lost", "The worker that ran this step is gone, and the run was ending."
        )
    else:
        message = "The worker that made this call is gone; whether the call took effect is not known."
        done = transition.move(step, StepStatus.UNKNOWN, error={"code": "worker_lost", "message": message}, **fresh)
        if done:
            transition.record_event("step_unknown", step.path, message=message)
    if done:
        transition.end_attempt(step, AttemptStatus.LOST, error=error)
    return done


def undo_lost_claim(transition: Transition, step: StepRunRecord) -> bool:
    """Let a step run be claimed anew whose claim nobody heard of: nothing of it was done."""
    if not transition.may_start_steps:
        return _abandoned(transition, step, Abandoned("the run ended before this step was begun"))
    error = {"code": "claim_lost", "message": "The database's answer to this claim was lost. Nothing was sent."}
    fresh = {"due_at": transition.at, "fence": step.fence + 1, "worker_id": None, "error": error}
    if not transition.move(step, StepStatus.READY, **fresh):
        return False
    transition.end_attempt(step, AttemptStatus.LOST, error=error)
    return True


def _cancelled(transition: Transition) -> bool:
    """Whether what runs now runs only because a cancel, or the end of the cleanup, has not reached it yet."""
    execution = transition.execution
    unwanted = execution.pending_result is ExecutionStatus.CANCELLED or execution.phase is not Phase.MAIN
    return unwanted and not transition.may_start_steps


def _end_attempt(
    transition: Transition, step: StepRunRecord, status: AttemptStatus, evidence: Evidence, error: Any = None
) -> None:
    transition.end_attempt(step, status, request=evidence.request, response=evidence.response, error=error)


def _retry_of(transition: Transition, step: StepRunRecord) -> Retry:
    definition: Step = transition.runbook.by_id[step.step_id]
    default = Retry(max_attempts=transition.rt.settings.default_max_attempts)
    return definition.retry or (default if kind_of(definition).calls_out else replace(default, max_attempts=1))


def _later(transition: Transition, step: StepRunRecord, outcome: Later) -> bool:
    """A delay: one row with a due time. When it is claimed again it is over."""
    if not transition.may_start_steps:
        return _abandoned(transition, step, Abandoned("the run ended before the delay was over"))
    due = transition.at + outcome.after_ms
    if not transition.move(step, StepStatus.READY, due_at=due, outputs=outcome.outputs, worker_id=None):
        return False
    _end_attempt(transition, step, AttemptStatus.SUCCESS, Evidence())
    return True


def _posted(transition: Transition, step: StepRunRecord, outcome: Posted) -> bool:
    """A message: an event that whoever shows executions posts, once this is committed.

    A run without a channel of its own is shown nowhere: its messages are kept with it, and are in the log. A file is
    kept with the attempt.
    """
    text, channel = outcome.text, outcome.channel
    shown = bool((transition.execution.incident or {}).get("channel"))
    why = f"not posted: {outcome.unposted}" if outcome.unposted else ""
    if not step_completion.succeed(transition, step, {"text": text}, why if shown else NOT_POSTED):
        return False
    transition.record_event(
        "message", step.path, text=text, channel=channel, thread=outcome.thread, by_value=outcome.by_value,
        posted=shown and not why, unposted=outcome.unposted, said=outcome.said, file=bool(outcome.file),
        attempt=step.attempts,
    )  # fmt: skip
    if not shown:
        log.info("%s of %s says, with no channel to say it in: %s", step.path, step.execution_id, text)
    kept = Evidence({"body": outcome.file}) if outcome.file else Evidence()
    _end_attempt(transition, step, AttemptStatus.SUCCESS, kept)
    return True


def _waiting(transition: Transition, step: StepRunRecord, outcome: Waiting) -> bool:
    if not transition.may_start_steps:
        return _abandoned(transition, step, Abandoned("the run ended before the wait began"))
    until = transition.at + outcome.timeout_ms
    changes = {"wait_key": outcome.key, "deadline_at": until, "worker_id": None}
    if not transition.move(step, StepStatus.WAITING, **changes):
        return False
    _end_attempt(transition, step, AttemptStatus.SUCCESS, Evidence())
    execution = transition.execution
    waits.begin(execution.workspace_id, step.id, execution.team, outcome.senders, shared=outcome.shared)
    transition.record_event("wait_started", step.path, key=outcome.key, until=until)
    event_waits.take_kept(transition, step, outcome.key)
    return True


_RECORDERS: Mapping[type, Callable[[Transition, StepRunRecord, Any], bool]] = {
    Succeeded: _succeeded,
    Failed: _failed,
    Again: _again,
    Unknown: _unknown,
    Abandoned: _abandoned,
    Opened: _opened,
    Assigned: _assigned,
    Later: _later,
    Posted: _posted,
    Waiting: _waiting,
    Begun: children.record,
}
