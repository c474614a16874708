"""What the API says and takes, as data. Times are RFC 3339 in UTC, durations are milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from engine.executions import GateView
from engine.roles import describe_approvers
from storage.records import (
    ApprovalStatus,
    AttemptRecord,
    AttemptStatus,
    Decision,
    ExecutionRecord,
    ExecutionStatus,
    Phase,
    RunbookRecord,
    StepRunRecord,
    StepStatus,
    VersionRecord,
    VersionStatus,
)

Json = Any
T = TypeVar("T")
Reason = Annotated[str, Field(max_length=2000, description="Why; it goes into the record.")]
Values = Annotated[dict[str, Any], Field(description="Values by the parameter's name.")]


def moment(ms: int | None) -> datetime | None:
    """Epoch milliseconds as a time."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def time_of(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _of(model: type[BaseModel], record: object, **more: Any) -> dict[str, Any]:
    """A model's fields: those in `more`, and all others by their name in the record; times are made of milliseconds."""
    found = {name: getattr(record, name) for name in model.model_fields if name not in more}
    times = {name: moment(value) for name, value in found.items() if name.endswith("_at")}
    return {**found, **times, **more}


class Asked(BaseModel):
    """A body. What it does not know it refuses, so that a misspelt word is not taken for silence."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """A part of a list. `next` goes into `cursor` for the part behind it; null at the end."""

    items: list[T]
    next: str | None = None


class Runbook(BaseModel):
    """A runbook. `file` is where it comes from; null for one that lives in the database."""

    id: str
    name: str
    description: str
    team: str | None
    tags: list[str]
    risk: str
    status: VersionStatus
    version: int
    file: str | None
    updated_at: datetime

    @staticmethod
    def of(record: RunbookRecord) -> Runbook:
        renamed = {"id": record.slug, "version": record.current_number, "file": record.source_path}
        return Runbook(**_of(Runbook, record, **renamed))


class Version(BaseModel):
    """One immutable version of a runbook. `author` and `decided_by` are Slack user ids."""

    number: int
    status: VersionStatus
    digest: str
    author: str | None
    source_commit: str | None
    note: str
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @staticmethod
    def of(record: VersionRecord) -> Version:
        return Version(**_of(Version, record))


class Execution(BaseModel):
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
    reason: str
    incident: Json
    result: Json
    error: Json
    paused_reason: str | None
    replay_of: str | None
    queued_in: str | None = Field(description="The concurrency group whose slot it waits for.")
    last_event: int = Field(description="The number of its newest event.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    running_ms: int
    waiting_ms: int
    paused_ms: int

    @staticmethod
    def of(record: ExecutionRecord) -> Execution:
        return Execution(**execution_fields(record))


def execution_fields(record: ExecutionRecord) -> dict[str, Any]:
    queue = record.slot_group if record.slot == "queued" else None
    renamed = {"runbook": record.slug, "version": record.number, "last_event": record.event_seq, "queued_in": queue}
    return _of(Execution, record, **renamed)


class Step(BaseModel):
    """A step in an execution. `step` is its path, as the card writes it: `restart`, `each[3].check`."""

    step: str
    id: str
    kind: str
    phase: Phase
    status: StepStatus
    attempts: int
    outputs: Json
    error: Json
    note: str
    due_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None

    @staticmethod
    def of(record: StepRunRecord) -> Step:
        return Step(**step_fields(record))


def step_fields(record: StepRunRecord) -> dict[str, Any]:
    return _of(Step, record, step=record.path, id=record.step_id)


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
        return Attempt(**_of(Attempt, record))


class StepDetail(Step):
    """A step with all its tries."""

    tries: list[Attempt]


class Vote(BaseModel):
    """One person's vote."""

    person: str
    decision: Decision
    comment: str
    at: datetime


class Gate(BaseModel):
    """What a run waits for people to decide. Send `digest` along with a vote to decide about exactly what was shown.

    `missing` is how many more approvals it needs; `unmet` says which of its minima nobody meets yet.
    """

    step: str
    status: ApprovalStatus
    message: str
    preview: Json
    digest: str
    min_approvals: int
    approvers: str
    missing: int
    unmet: list[str]
    opened_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    votes: list[Vote]

    @staticmethod
    def of(view: GateView, team: str | None) -> Gate:
        gate = view.approval
        votes = [
            Vote(person=each.person, decision=each.decision, comment=each.comment, at=time_of(each.at))
            for each in view.votes
        ]
        who = describe_approvers(gate.approvers, team)
        more = {"step": gate.path, "approvers": who, "missing": view.missing, "unmet": list(view.unmet), "votes": votes}
        return Gate(**_of(Gate, gate, **more))


class ExecutionDetail(Execution):
    """A run with its steps and gates; `behind` are the runs that hold the slots it waits for."""

    steps: list[Step]
    gates: list[Gate]
    behind: list[str]


class Start(Asked):
    """A run that is asked for."""

    runbook: Annotated[str, Field(max_length=100, description="The runbook's id.")]
    version: Annotated[int | None, Field(ge=1, le=2**31, description="Only the version that would run anyway.")] = None
    parameters: Values = {}
    reason: Reason = ""
    incident: Annotated[
        dict[str, Any] | None, Field(description="What it is about: `case`, and `channel`, where its card then goes.")
    ] = None
    force: Annotated[bool, Field(description="Start it although the same run is open; needs a reason.")] = False
    reuse_within_ms: Annotated[
        int, Field(ge=0, le=86_400_000, description="Take a run that succeeded so lately instead.")
    ] = 0


class Execute(Asked):
    """A run of the runbook in the address."""

    version: Annotated[int | None, Field(ge=1, le=2**31)] = None
    parameters: Values = {}
    reason: Reason = ""
    incident: dict[str, Any] | None = None
    force: bool = False
    reuse_within_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 0


class Started(BaseModel):
    """What came of asking: `how` is started, open (the same run is under way) or reused (it ended lately)."""

    how: str
    execution: Execution
