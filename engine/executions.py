"""Executions as people use them: starting, looking, cancelling, and settling what nobody saw the end of."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from engine import catalog
from engine.access import Action, Actor, authorise
from engine.definition.model import Runbook, Step
from engine.definition.parameters import validate
from engine.errors import Conflict, NotFound, ReasonRequired
from engine.runtime import Runtime
from engine.transition import Transition, change
from storage import approvals, audit, database, executions, runbooks, steps
from storage.records import (
    ApprovalRecord,
    ExecutionRecord,
    ExecutionStatus,
    Severity,
    StepRunRecord,
    StepStatus,
    VersionRecord,
    VoteRecord,
)

_ID_LETTERS = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"
"""No 0, 1, I, O or U: an id is read aloud at night and never spells a word."""

_ID_TRIES = 5
CHOICES = ("retry", "done", "failed")


@dataclass(frozen=True, slots=True)
class GateView:
    """A gate with its votes; `missing` is how many more approvals it needs, 0 once it is decided."""

    approval: ApprovalRecord
    votes: tuple[VoteRecord, ...]
    missing: int


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution with all that is shown of it."""

    execution: ExecutionRecord
    runbook: Runbook
    steps: tuple[StepRunRecord, ...]
    gates: tuple[GateView, ...]


def prepare(rt: Runtime, actor: Actor, slug: str, number: int | None = None) -> tuple[VersionRecord, Runbook]:
    """The version that a run would run. Raises `NotFound`, `NotAllowed` and `NotApproved` as `start` would."""
    runbook = catalog.get(rt, slug)
    authorise(rt, actor, Action.START, runbook)
    with database.reading():
        version = catalog.runnable(rt, runbook, number)
    return version, catalog.definition(version)


def start(
    rt: Runtime,
    actor: Actor,
    slug: str,
    parameters: dict[str, Any],
    *,
    number: int | None = None,
    trigger: str,
    reason: str = "",
    incident: dict[str, Any] | None = None,
) -> ExecutionRecord:
    """Accept a run: when this returns it is committed, and it will be run.

    `incident` may hold channel, channel_name and permalink; with a channel the run gets a card there.
    Raises as `prepare` does, and `InvalidParameters` and `ReasonRequired`.
    """
    version, definition = prepare(rt, actor, slug, number)
    values = validate(definition.parameters, parameters)
    if definition.risk == "high" and not reason.strip():
        raise ReasonRequired(f'{version.slug} is high risk: say why, with reason="…".')
    for left in reversed(range(_ID_TRIES)):
        try:
            execution = _accept(rt, actor, version, definition, values, trigger, reason.strip(), incident or {})
            break
        except database.IntegrityError:  # the id is taken: draw another
            if not left:
                raise
    rt.hint([execution.id])
    return execution


def _accept(
    rt: Runtime,
    actor: Actor,
    version: VersionRecord,
    definition: Runbook,
    values: dict[str, Any],
    trigger: str,
    reason: str,
    incident: dict[str, Any],
) -> ExecutionRecord:
    with database.transaction():
        runbook = runbooks.lock(rt.workspace_id, version.slug)
        assert runbook is not None
        catalog.runnable(rt, runbook, version.number)
        execution = _new(rt, actor, version, definition, values, trigger, reason, incident)
        executions.create(execution)
        steps.create(rt.workspace_id, [_blocked(execution.id, n, step) for n, step in enumerate(definition.steps)])
        transition = Transition(rt, execution)
        transition.tell("started", actor=actor.user_id, reason=reason)
        transition.let_on_roots()
        detail = {
            "parameters": values,
            "reason": reason,
            "digest": version.digest,
            "door": actor.door,
            "from": incident,
        }
        thing = f"execution:{execution.id}"
        audit.write(rt.workspace_id, actor.user_id, "execution.start", thing, Severity.INFO, detail)
        return transition.save()


def _new(
    rt: Runtime,
    actor: Actor,
    version: VersionRecord,
    definition: Runbook,
    values: dict[str, Any],
    trigger: str,
    reason: str,
    incident: dict[str, Any],
) -> ExecutionRecord:
    return ExecutionRecord(
        id="R-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(6)),
        workspace_id=rt.workspace_id, runbook_id=version.runbook_id, version_id=version.id, slug=version.slug,
        number=version.number, digest=version.digest, team=definition.team, status=ExecutionStatus.PENDING, ending=None,
        parameters=values, trigger=trigger, requester=actor.user_id, reason=reason, incident=incident, result=None,
        error=None, created_at=database.now(), started_at=None, ended_at=None, timeout_ms=definition.timeout_ms,
        running_ms=0, running_since=None, deadline_at=None,
        max_concurrent=definition.max_concurrent_steps or rt.settings.max_concurrent_steps, live=0, running=0,
        parked=0, unfinished=len(definition.steps), event_seq=0, paused_reason=None,
    )  # fmt: skip


def _blocked(execution_id: str, position: int, step: Step) -> StepRunRecord:
    return StepRunRecord(
        id=0, execution_id=execution_id, path=step.id, step_id=step.id, position=position, kind=step.kind,
        status=StepStatus.BLOCKED, fence=0, blocked=len(step.needs), poisoned=False, due_at=None, deadline_at=None,
        attempts=0, failures=0, recoveries=0, idempotent=step.idempotent, worker_id=None, started_at=None,
        ended_at=None, outputs=None, error=None, note="",
    )  # fmt: skip


def find(rt: Runtime, execution_id: str) -> ExecutionRecord:
    """The execution of this id, in whatever case it was typed. Raises `NotFound`."""
    with database.reading():
        found = executions.find(rt.workspace_id, execution_id.strip().upper())
    if found is None:
        raise NotFound(f"There is no execution {execution_id!r}. `runs` lists the latest.")
    return found


def view(rt: Runtime, execution_id: str) -> ExecutionView:
    """Everything that is shown of an execution. Raises `NotFound`."""
    with database.reading():
        execution = find(rt, execution_id)
        return ExecutionView(
            execution=execution,
            runbook=catalog.definition_of(execution.version_id),
            steps=tuple(steps.of_execution(execution.id)),
            gates=tuple(gate_view(gate) for gate in approvals.of_execution(execution.id)),
        )


def gate_view(approval: ApprovalRecord) -> GateView:
    """A gate with its votes; needs an open connection."""
    votes = tuple(approvals.votes(approval.id))
    approving = sum(vote.decision == "APPROVE" for vote in votes)
    # At least one while the gate is open: somebody who approved may have lost the right to since.
    missing = max(1, approval.min_approvals - approving) if approval.status == "PENDING" else 0
    return GateView(approval, votes, missing)


def recent(
    rt: Runtime,
    *,
    channel: str | None = None,
    requester: str | None = None,
    open_only: bool = False,
    limit: int = 10,
) -> list[ExecutionRecord]:
    """The newest executions first."""
    with database.reading():
        return executions.recent(
            rt.workspace_id, channel=channel, requester=requester, open_only=open_only, limit=limit
        )


def cancel(rt: Runtime, actor: Actor, execution_id: str, reason: str = "") -> ExecutionRecord:
    """End an execution. Once this returns no new attempt starts; what runs right now is abandoned.

    The result is CANCELLED, but stays FAILED where a failure came first: then only what it still waits for is ended.
    """
    found = find(rt, execution_id)
    authorise(rt, actor, Action.CANCEL, found)
    with change(rt, found.id) as transition:
        now = transition.execution
        if now.status.ended:
            raise Conflict(f"{now.id} has ended already: {now.status}.")
        if now.ending is ExecutionStatus.CANCELLED:
            raise Conflict(f"{now.id} is being cancelled already.")
        transition.cancel(actor.user_id, reason.strip())
        _audit(rt, actor, "execution.cancel", found, {"reason": reason, "was": now.status})
    rt.hint([found.id])
    return transition.execution


def resolve(rt: Runtime, actor: Actor, execution_id: str, path: str | None, choice: str, note: str) -> ExecutionRecord:
    """Settle a step whose outcome nobody saw: run it again, take it as done, or take it as failed.

    `path` may be left out while only one step is UNKNOWN. Raises `ReasonRequired` without a note.
    """
    if choice not in CHOICES:
        raise Conflict(f"Choose one of {', '.join(CHOICES)}.")
    found = find(rt, execution_id)
    authorise(rt, actor, Action.RESOLVE, found)
    if not note.strip():
        raise ReasonRequired('Say what you know about the outcome: note="…".')
    with change(rt, found.id) as transition:
        step = _the_unknown(found.id, path)
        transition.tell("step_resolved", step.path, actor.user_id, choice=choice, note=note)
        _settle(transition, step, choice, f"{choice}, said by {actor.user_id}: {note.strip()}")
        _audit(rt, actor, "step.resolve", found, {"step": step.path, "choice": choice, "note": note})
    rt.hint([found.id])
    return transition.execution


def _settle(transition: Transition, step: StepRunRecord, choice: str, note: str) -> None:
    if choice == "retry" and transition.execution.ending is not None:
        raise Conflict(f"{transition.execution.id} is ending and starts nothing more: choose done or failed.")
    if choice == "retry":
        transition.move(step, StepStatus.READY, due_at=transition.at, note=note)
    elif choice == "done":
        transition.succeed(step, {}, note)
    else:
        transition.fail(step, "marked_failed", note)


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
