"""Runs, their steps and gates, as data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from bot.api.models.base import Json, Named, fields_of, moment
from bot.api.models.manual_tasks import ManualTask
from bot.api.models.parameter_changes import ParametersChanged
from engine.access.roles import describe_approvers
from engine.orchestration import skip_rules
from engine.orchestration.tolerated_failures import HELD_GATE
from engine.queries.evidence import RunLog, StepLog
from engine.queries.explain import Explanation as Explained
from engine.runs.executions import GateView
from engine.runs.time_spent import Spent
from storage.records import AttemptRecord, EventRecord, ExecutionRecord, StepRunRecord, VoteRecord
from storage.states import ApprovalStatus, AttemptStatus, Decision, ExecutionStatus, Phase, StepStatus


class Execution(Named):
    """One run of one version. `ending` is the result that is certain while the rest still finishes."""

    id: str
    runbook: str
    version: int
    digest: str
    team: str | None
    status: ExecutionStatus
    ending: ExecutionStatus | None
    phase: Phase
    parameters: Json
    trigger: str
    requester: str
    owner: Annotated[str, Field(description="Who answers for it: whom it was handed to, else who asked for it.")]
    offered_to: Annotated[str | None, Field(description="To whom it is offered, until they take it over.")]
    reason: str
    incident: Json = Field(description="What it is about; null where that belongs to a channel that is not yours.")
    result: Json
    error: Json
    paused_reason: str | None
    replay_of: str | None
    asking: int = Field(description="Gates that are asked again before anything else goes on.")
    queued_in: str | None = Field(description="The concurrency group whose slot it waits for.")
    last_event: int = Field(description="The number of its newest event.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    running_ms: int
    waiting_ms: int
    paused_ms: int
    expected_ms: int | None = Field(description="The running time that its runbook expects at most.")
    overran_at: datetime | None = Field(description="Since when it takes, or took, longer than that.")

    @staticmethod
    def of(record: ExecutionRecord) -> Execution:
        return Execution(**execution_fields(record))


def execution_fields(record: ExecutionRecord) -> dict[str, Any]:
    queue = record.slot_group if record.slot == "queued" else None
    renamed = {
        "owner": record.responsible,
        "runbook": record.slug,
        "version": record.number,
        "ending": record.pending_result,
        "asking": record.reopened_gates,
        "last_event": record.event_seq,
        "queued_in": queue,
    }
    return fields_of(Execution, record, **renamed)


class Skip(BaseModel):
    """Somebody's wish that a step be skipped, which is done when its turn comes.

    Until it is `agreed` it is only asked for: a gate has released the step, and one of its approvers has to agree.
    """

    by: str
    reason: str
    at: datetime
    agreed: bool
    agreed_by: list[str]

    @staticmethod
    def of(wish: Any) -> Skip | None:
        if not wish:
            return None
        who = list(dict.fromkeys(each for each in wish["agreed"].values() if each))
        agreed = skip_rules.skip_agreed(wish)
        return Skip(by=wish["by"], reason=wish["reason"], at=moment(wish["at"]), agreed=agreed, agreed_by=who)


class Step(BaseModel):
    """A step in an execution. `step` is its path, as the card writes it: `restart`, `each[3].check`.

    `tried_ms` is how long its tries took, `waited_ms` what lay between them and `paused_ms` the run's pauses; null
    before it begins, and for what an earlier run did.
    """

    step: str
    id: str
    kind: str
    phase: Phase
    status: StepStatus
    attempts: int
    outputs: Json
    error: Json
    note: str
    skip: Skip | None
    due_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    tried_ms: int | None
    waited_ms: int | None
    paused_ms: int | None

    @staticmethod
    def of(record: StepRunRecord, spent: Mapping[int, Spent]) -> Step:
        return Step(**step_fields(record, spent))


def step_fields(record: StepRunRecord, spent: Mapping[int, Spent]) -> dict[str, Any]:
    error = {key: value for key, value in (record.error or {}).items() if key != HELD_GATE} or None
    took = spent.get(record.id)
    times = {f"{name}_ms": getattr(took, name) if took else None for name in ("tried", "waited", "paused")}
    return fields_of(Step, record, step=record.path, id=record.step_id, skip=Skip.of(record.skip), error=error, **times)


class Attempt(BaseModel):
    """One try of a step, its request and response without secrets."""

    number: int
    status: AttemptStatus
    worker_id: str
    started_at: datetime
    ended_at: datetime | None
    request: Json
    response: Json
    error: Json

    @staticmethod
    def of(record: AttemptRecord) -> Attempt:
        return Attempt(**fields_of(Attempt, record))


class StepDetail(Step):
    """A step with all its tries."""

    tries: list[Attempt]


class Vote(BaseModel):
    """One person's vote."""

    person: str
    decision: Decision
    comment: str
    at: datetime
    answers: Json

    @staticmethod
    def of(record: VoteRecord) -> Vote:
        return Vote(**fields_of(Vote, record, at=moment(record.at)))


class Gate(Named):
    """What a run waits for people to decide. Send `digest` along with a vote to decide about exactly what was shown.

    `missing` is how many more approvals it needs; `unmet` says which of its minima nobody meets yet. `barred` are those
    who had a step of `preview` skipped, or gave answers that it shows, and so may not decide; nor may who asked for the
    run, owned it or chose its values. An entry of `preview` with `instead` is not done, or not done again, and says
    why. `rejected_before` are the rejections of an open gate when it was asked earlier, also in a run that this one
    replays, the newest first.
    """

    step: str
    status: ApprovalStatus
    message: str
    form: Json
    preview: Json
    digest: str
    min_approvals: int
    approvers: str
    missing: int
    unmet: list[str]
    barred: list[str]
    opened_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    votes: list[Vote]
    rejected_before: list[Vote]

    @staticmethod
    def of(view: GateView, team: str | None) -> Gate:
        gate = view.approval
        more = {
            "step": gate.path, "approvers": describe_approvers(gate.approvers, team), "missing": view.missing,
            "unmet": list(view.unmet), "barred": list(gate.barred or ()),
            "votes": [Vote.of(each) for each in view.votes],
            "rejected_before": [Vote.of(each) for each in view.rejected_before],
        }  # fmt: skip
        return Gate(**fields_of(Gate, gate, **more))


class ExecutionDetail(Execution):
    """A run with its steps, gates and manual steps; `behind` are the runs that hold the slots it waits for.

    `changes` are the changes of its parameters, in order.
    """

    steps: list[Step]
    gates: list[Gate]
    tasks: list[ManualTask]
    behind: list[str]
    changes: list[ParametersChanged]


class Started(Named):
    """What came of asking: `how` is started, open (the same run is under way) or reused (it ended lately).

    `warnings` are sentences about what will hold up a run that was started, such as a gate that nobody can pass.
    """

    how: Literal["started", "open", "reused"]
    execution: Execution
    warnings: list[str]


class Cause(BaseModel):
    """One thing that a run does or waits for, or how it ended. `who` can act on it, by one of `verbs`."""

    kind: str
    step: str | None
    since: datetime | None
    until: datetime | None
    message: str
    who: list[str]
    verbs: list[str]
    facts: Json


class Explanation(Named):
    """Why a run is where it is, the most telling reason first; `more` are left out.

    `changes` are the changes of its parameters, in order.
    """

    execution: str
    status: ExecutionStatus
    reasons: list[Cause]
    more: int
    changes: list[ParametersChanged]

    @staticmethod
    def of(found: Explained) -> Explanation:
        reasons = [
            Cause(
                kind=each.kind, step=each.path, since=moment(each.since) if each.since else None,
                until=moment(each.until) if each.until else None, message=each.message, who=list(each.who),
                verbs=list(each.verbs), facts=dict(each.facts),
            )
            for each in found.reasons
        ]  # fmt: skip
        run, changes = found.execution, [ParametersChanged.of(each) for each in found.changes]
        return Explanation(execution=run.id, status=run.status, reasons=reasons, more=found.more, changes=changes)


class Event(Named):
    """Something that happened in a run. `seq` counts from 1 without gaps."""

    seq: int
    at: datetime
    kind: str
    step: str | None
    actor: str | None
    data: Json

    @staticmethod
    def of(record: EventRecord) -> Event:
        return Event(**fields_of(Event, record, step=record.path, at=moment(record.at)))


class StepLogged(StepDetail):
    """A step with its tries and the events that name it."""

    events: list[Event]

    @staticmethod
    def of_log(log: StepLog, spent: Mapping[int, Spent]) -> StepLogged:
        tries = [Attempt.of(each) for each in log.attempts]
        return StepLogged(**step_fields(log.step, spent), tries=tries, events=[Event.of(each) for each in log.events])


class Logs(Named):
    """What is on record of a run's steps; `events` are those that name no step."""

    execution: str
    steps: list[StepLogged]
    events: list[Event]

    @staticmethod
    def of(log: RunLog, spent: Mapping[int, Spent]) -> Logs:
        steps = [StepLogged.of_log(each, spent) for each in log.steps]
        return Logs(execution=log.execution.id, steps=steps, events=[Event.of(each) for each in log.events])
