"""Why a run is where it is: what it does or waits for, since when, until when, who can act and by which verbs.

Data, not text: every door says it in its own way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from engine.access import choosers
from engine.access.policy import Actor, named
from engine.access.roles import approver_ids, runners
from engine.definition.kinds import Awaits, kind_of
from engine.orchestration import tolerated_failures
from engine.orchestration.parameter_changes import Changed
from engine.runs import executions, skipping
from engine.runs.executions import ExecutionView, GateView
from engine.runtime import Runtime
from engine.text.mrkdwn import readable
from storage import attempts, database, events, slot_queue, workers
from storage.records import AttemptRecord, ExecutionRecord, Json, StepRunRecord
from storage.states import ApprovalStatus, ExecutionStatus, Phase, StepStatus, TaskStatus
from storage.task_records import TaskRecord

MOST = 20
"""Reasons in one explanation; a run with more in flight says how many are left out."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that a run does or waits for, or how it ended.

    `kind` is one of queued, starting, no_worker, running, checking, delayed, retrying, child, gate, manual, event,
    unknown, skip_asked, offered, paused, ending, failed, cancelled, succeeded. `path` is the step's, None for the
    run as a whole. `message` is the last thing that was said of it: an error, a pause's reason, a gate's question.
    `who` are the people and user groups (ids) who can act, and `verbs` by which words. `facts` are what only this
    kind has, as JSON.
    """

    kind: str
    path: str | None = None
    since: int | None = None
    until: int | None = None
    message: str = ""
    who: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reasons, the most telling first; `more` are those left out. `changes` are those of its parameters."""

    execution: ExecutionRecord
    reasons: tuple[Reason, ...]
    more: int = 0
    changes: tuple[Changed, ...] = ()


def explain(rt: Runtime, execution_id: str, actor: Actor | None = None) -> Explanation:
    """Why this run is where it is, as told to this person where one is named. Raises `NotFound`."""
    return explain_view(rt, executions.view(rt, execution_id, actor), actor)


def explain_view(rt: Runtime, view: ExecutionView, actor: Actor | None = None) -> Explanation:
    """The same of a run that was looked at already."""
    with database.reading():
        found = (
            [*_of_run(rt, view, actor), *_of_steps(rt, view)] if not view.execution.status.ended else _ended(rt, view)
        )
        if not found or all(reason.kind == "starting" for reason in found):
            found = [*_nobody(view), *found] or [Reason("starting", since=view.execution.status_since)]
        found += _asked(rt, view)
    return Explanation(view.execution, tuple(found[:MOST]), max(0, len(found) - MOST), view.changes)


def _of_run(rt: Runtime, view: ExecutionView, actor: Actor | None) -> Iterator[Reason]:
    """What holds up or ends the run as a whole."""
    run = view.execution
    who = runners(rt, run.team)
    if run.slot == "queued":
        before = slot_queue.ahead_of(rt.workspace_id, str(run.slot_group), run.id)
        facts = {
            "group": run.slot_group,
            "holders": list(view.ahead),
            "queued_before": named(rt, actor, before) if actor else before,
        }
        yield Reason("queued", since=run.created_at, who=who, verbs=("cancel",), facts=facts)
    if run.status is ExecutionStatus.PAUSED:
        event = events.last(run.id, "paused")
        facts = {"by": event.actor if event else None}
        why = run.paused_reason or ""
        yield Reason("paused", None, run.status_since, None, why, who, ("resume", "cancel"), facts)
    if (
        run.pending_result is not None and run.phase is not Phase.MAIN
    ) or run.pending_result is ExecutionStatus.CANCELLED:
        facts = {"result": run.pending_result, "phase": run.phase}
        yield Reason("ending", None, None, run.cleanup_until, _message(run.error), who, ("cancel force=yes",), facts)


def _asked(rt: Runtime, view: ExecutionView) -> list[Reason]:
    """What is asked of people while the run goes its way: to agree to a skip, to take the run over."""
    run = view.execution
    offer = Reason("offered", who=(str(run.offered_to),), verbs=("takeover",), facts={"by": run.responsible})
    offered = [offer] if run.offered_to is not None and not run.status.ended else []
    return offered + [
        Reason(
            "skip_asked", each.step.path, each.step.skip["at"], None, each.step.skip["reason"],
            skipping.asked_people(rt, each), ("agree",),
            {"by": each.step.skip["by"], "gates": [gate.approval.path for gate in each.gates]},
        )
        for each in skipping.requests(rt, view)
    ]  # fmt: skip


def _of_steps(rt: Runtime, view: ExecutionView) -> Iterator[Reason]:
    skippable = {step.id for step in skipping.skippable(view)}
    gates = {gate.approval.step_run_id: gate for gate in view.gates if gate.approval.status is ApprovalStatus.PENDING}
    tasks = {task.step_run_id: task for task in view.tasks if task.status is TaskStatus.OPEN}
    for step in view.steps:
        if step.status is StepStatus.UNKNOWN:
            verbs, who = ("resolve", *_skip(step, skippable)), runners(rt, view.execution.team)
            yield Reason("unknown", step.path, message=_message(step.error), who=who, verbs=verbs, facts=_tries(step))
    for step in view.steps:
        if step.status is StepStatus.WAITING and not kind_of(step).is_container:
            gate = gates.get(step.id)
            task = tasks.get(step.id)
            if task is not None:
                yield _manual(rt, view, task, _skip(step, skippable))
                continue
            yield _gate(rt, view, gate) if gate else _event(rt, view, step, _skip(step, skippable))
    for step in view.steps:
        if step.status is StepStatus.RUNNING and not kind_of(step).is_container:
            yield Reason("running", step.path, _begun(step), step.deadline_at, facts=_tries(step))
    if view.execution.status is not ExecutionStatus.PAUSED and view.execution.slot != "queued":
        yield from (_ready(step) for step in view.steps if step.status is StepStatus.READY)


def _skip(step: StepRunRecord, skippable: Collection[int]) -> tuple[str, ...]:
    return ("skip",) if step.id in skippable else ()


def _gate(rt: Runtime, view: ExecutionView, gate: GateView) -> Reason:
    asked = gate.approval
    facts: dict[str, Json] = {
        "needed": asked.min_approvals, "missing": gate.missing, "unmet": list(gate.unmet), "then": asked.on_timeout,
        "votes": [{"person": vote.person, "decision": vote.decision, "at": vote.at} for vote in gate.votes],
        "rejected_before": [{"person": vote.person, "comment": vote.comment} for vote in gate.rejected_before],
    }  # fmt: skip
    run, voted = view.execution, {vote.person for vote in gate.votes}
    own = frozenset() if asked.allow_self or rt.settings.allow_self_approval else choosers.of_gate(rt, asked, run)
    who = tuple(each for each in approver_ids(rt, asked.approvers, run.team) if each not in voted | own)
    verbs = ("approve", "reject")
    return Reason("gate", asked.path, asked.opened_at, asked.expires_at, asked.message, who, verbs, facts)


def _manual(rt: Runtime, view: ExecutionView, task: TaskRecord, skip: tuple[str, ...]) -> Reason:
    team = view.execution.team
    who = approver_ids(rt, task.assignees, team) if task.assignees else runners(rt, team)
    verbs = ("done", "could-not", *skip)
    return Reason("manual", task.path, task.opened_at, task.expires_at, readable(task.instructions), who, verbs)


def _event(rt: Runtime, view: ExecutionView, step: StepRunRecord, verbs: tuple[str, ...]) -> Reason:
    who = runners(rt, view.execution.team)
    facts = {"key": step.wait_key}
    return Reason("event", step.path, step.started_at, step.deadline_at, who=who, verbs=verbs, facts=facts)


_BEGUN: dict[Awaits | None, str] = {Awaits.ANSWER: "checking", Awaits.TIME: "delayed", Awaits.RUN: "child"}
"""What a step that is READY again waits for, as a reason's `kind`."""


def _ready(step: StepRunRecord) -> Reason:
    """A step that is to be claimed: now, or at its due time."""
    if not step.attempts:
        return Reason("starting", step.path, step.due_at)
    kind = _BEGUN.get(kind_of(step).awaits, "retrying")
    if kind == "child":
        return Reason("child", step.path, step.started_at, step.deadline_at, facts={"execution": step.child})
    until = step.due_at if kind != "checking" else step.deadline_at
    facts = {**_tries(step), "next": step.due_at}
    return Reason(kind, step.path, step.started_at, until, _message(step.error), facts=facts)


def _nobody(view: ExecutionView) -> list[Reason]:
    """Said where nothing but a worker is missing, and none is alive."""
    alive = workers.alive(database.now())
    return [] if alive else [Reason("no_worker", since=view.execution.status_since)]


def _ended(rt: Runtime, view: ExecutionView) -> list[Reason]:
    run = view.execution
    if run.status is ExecutionStatus.SUCCESS:
        return [Reason("succeeded", since=run.ended_at, facts={"result": run.result})]
    if run.status is ExecutionStatus.CANCELLED:
        event, who = events.last(run.id, "cancel_requested"), runners(rt, run.team)
        facts = {"by": event.actor if event else None}
        return [
            Reason(
                "cancelled", since=run.ended_at, message=_message(run.error), who=who, verbs=("replay",), facts=facts
            )
        ]
    failed = [step for step in view.steps if step.phase is Phase.MAIN and step.status is StepStatus.FAILED]
    leaves = [step for step in failed if not kind_of(step).is_container] or failed
    skippable = {step.id for step in skipping.skippable(view)}
    return [_failed(rt, view, step, _skip(step, skippable)) for step in leaves] or [_failed(rt, view, None)]


def _failed(rt: Runtime, view: ExecutionView, step: StepRunRecord | None, skip: tuple[str, ...] = ()) -> Reason:
    """What failed the run, what the other side said, and what can be done now."""
    run = view.execution
    error = step.error if step is not None else run.error
    undone = any(each.phase is Phase.UNDO for each in view.steps)
    went_on = step is not None and tolerated_failures.tolerated(view.runbook, step.step_id, step.error)
    verbs: tuple[str, ...] = ("replay",) if undone or step is None or went_on else ("retry", *skip, "replay")
    facts: dict[str, Json] = {"code": error.get("code", "") if isinstance(error, dict) else "", "undone": undone}
    if step is not None:
        last = attempts.last(step.id)
        facts |= {**_tries(step), "response": _answer(last)}
    who = runners(rt, run.team)
    path, since = (step.path, step.ended_at) if step is not None else (None, run.ended_at)
    return Reason("failed", path, since, message=_message(error), who=who, verbs=verbs, facts=facts)


def _answer(attempt: AttemptRecord | None) -> Json:
    """The telling part of what came back: status and the beginning of the body; None where nothing did."""
    response = attempt.response if attempt is not None else None
    if not isinstance(response, dict):
        return None
    return {key: response[key] for key in ("status", "code", "body") if response.get(key) not in (None, "")}


def _tries(step: StepRunRecord) -> dict[str, Json]:
    return {"tries": step.attempts, "failures": step.failures}


def _begun(step: StepRunRecord) -> int | None:
    last = attempts.last(step.id)
    return last.started_at if last is not None else step.started_at


def _message(error: Json) -> str:
    value = error.get("message") if isinstance(error, dict) else None
    return value if isinstance(value, str) else ""
