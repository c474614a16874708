"""What storage hands out: frozen values, never Peewee rows.

All times are epoch milliseconds on the database's clock; all durations are milliseconds.
`Json` is a plain JSON value. An id that a person sees (`R-7K2M9Q`) is a string, all others are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from storage.states import (
    ApprovalStatus,
    AttemptStatus,
    Decision,
    ExecutionStatus,
    Phase,
    Severity,
    StepStatus,
)

Json = Any
T = TypeVar("T")


def changed(record: T, **fields: Any) -> T:
    """`dataclasses.replace` for the slotted records here, in half its time: a step of a run needs it seven times.

    Raises `KeyError` for a field that the record has not.
    """
    kind = type(record)
    read, places, setters = _layout(kind)  # type: ignore[arg-type]
    values = list(read(record))
    for name, value in fields.items():
        values[places[name]] = value
    made = object.__new__(kind)
    for write, value in zip(setters, values, strict=True):
        write(made, value)
    return made


@lru_cache(maxsize=64)
def _layout(kind: type) -> tuple[attrgetter[Any], dict[str, int], list[Any]]:
    """How the fields of a record are read, where each stands, and what sets them on one that is not made yet."""
    names: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined]
    setters = [kind.__dict__[name].__set__ for name in names]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}, setters


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One run of one version.

    `pending_result` is the result that a failure or cancel has fixed while running steps still finish, else None.
    `live` counts step runs that are READY or RUNNING, `running` those RUNNING, `waiting_steps` those WAITING or
    UNKNOWN, `unfinished` all that have not ended. `running_ms` is the time spent RUNNING before `running_since`.
    `deadline_at` is when the running time is used up, None while the clock stands.
    `phase` is what runs now: main, or after its end undo, on_failure and finally; `cleanup_until` is when those have to
    be done. `reopened_gates` counts gates that are asked again before anything else goes on. `status_since` is when
    `status` began; `waiting_ms` and `paused_ms` add up time spent so. `same_as` is the digest by which the same run is
    found.
    `slot_group` is the rendered concurrency group and `slot` `held`, `queued` or `shared` (it runs in the slot of the
    run that started it), None without a group or after the end.
    `parent_step` is the step run that started this execution, `replay_of` the execution that it replays.
    `event_seq` is the number of the last event row: it grows with every change. `result` is what a SUCCESS brought, and
    `error` ({code, message, step}) why it is none. `owner` is who answers for it since it was handed over, else None;
    `owners` all who ever did so, and `offered_to` to whom it is offered until they take it. `chosen_by` are all who
    chose its parameters: who asked for it, changed them, replayed it, and those of the run that it replays or is a
    child of.
    `revision` counts how often its parameters were changed. `expected_ms` is the running time after which it takes
    longer than expected, and `overran_at` when that was noted, None before.
    """

    id: str
    workspace_id: int
    runbook_id: int
    version_id: int
    slug: str
    number: int
    digest: str
    team: str | None
    status: ExecutionStatus
    pending_result: ExecutionStatus | None
    parameters: Json
    trigger: str
    requester: str
    reason: str
    incident: Json
    result: Json
    error: Json
    created_at: int
    started_at: int | None
    ended_at: int | None
    timeout_ms: int
    running_ms: int
    running_since: int | None
    deadline_at: int | None
    max_concurrent: int
    live: int
    running: int
    waiting_steps: int
    unfinished: int
    event_seq: int
    paused_reason: str | None
    phase: Phase = Phase.MAIN
    cleanup_until: int | None = None
    reopened_gates: int = 0
    status_since: int = 0
    waiting_ms: int = 0
    paused_ms: int = 0
    same_as: str | None = None
    slot_group: str | None = None
    slot: str | None = None
    parent_step: int | None = None
    replay_of: str | None = None
    owner: str | None = None
    revision: int = 0
    chosen_by: Json = ()
    owners: Json = ()
    offered_to: str | None = None
    expected_ms: int | None = None
    overran_at: int | None = None

    @property
    def responsible(self) -> str:
        """Who answers for it now: whom it was handed to, else who asked for it."""
        return self.owner or self.requester


@dataclass(frozen=True, slots=True)
class Filter:
    """Which executions are asked for; what is None does not matter.

    `requester` is who asked for them or owns them now. `open` is whether they have not ended, `since` when the oldest
    was asked for, and `within_ms` how long ago at most.
    """

    slug: str | None = None
    statuses: tuple[ExecutionStatus, ...] = ()
    team: str | None = None
    requester: str | None = None
    channel: str | None = None
    open: bool | None = None
    since: int | None = None
    within_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StepRunRecord:
    """A step in an execution.

    `fence` grows with every claim and takeover; a result is taken only with the fence it was claimed under.
    `blocked` counts needs that have not ended. `attempts` counts tries, `failures` those that count against the retry
    limit (for a loop: failed rounds), and `recoveries` lost workers. `scope` is the path of the branch or loop round
    that it is in, "" outside. A loop keeps
    its `items` and how many `rounds` it began, a branch which one was taken, a wait its `wait_key`. `reopened` marks a
    gate that is asked again. `child` is the execution that a runbook step has started last. A branch or loop that has
    an `error` before its end starts nothing more and fails with it. `ended_seq` is the execution's event number when it
    ended last, for undoing in reverse, 0 before that and where another execution did it. `revision` is the execution's
    when the step was claimed last, a child begun, or a branch, loop or skipped step decided: it stands for those
    parameters only. It is -1 where a replay has taken over what leads past no gate. `skip` is a person's wish that the
    step be skipped: {by, reason, at, agreed}, where `agreed` names who agreed to it for each gate that had let the step
    on, None where nobody has so far. `settled_by` is who said
    what a call came to whose outcome nobody saw.
    """

    id: int
    execution_id: str
    path: str
    step_id: str
    position: int
    kind: str
    status: StepStatus
    fence: int
    blocked: int
    due_at: int | None
    deadline_at: int | None
    attempts: int
    failures: int
    recoveries: int
    idempotent: bool
    worker_id: str | None
    started_at: int | None
    ended_at: int | None
    outputs: Json
    error: Json
    note: str
    scope: str = ""
    phase: Phase = Phase.MAIN
    ended_seq: int = 0
    items: Json = None
    rounds: int = 0
    wait_key: str | None = None
    reopened: bool = False
    child: str | None = None
    revision: int = 0
    skip: Json = None
    settled_by: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try of a step run, on record before its first byte leaves. Requests and responses are stored redacted."""

    id: int
    step_run_id: int
    number: int
    status: AttemptStatus
    worker_id: str
    started_at: int
    ended_at: int | None
    request: Json
    response: Json
    error: Json


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """A gate in an execution. `digest` binds every vote to what was shown when the gate opened.

    `remind_at` is when people are next reminded of it, None when not again. `barred` are the people who chose what
    it shows beside those who chose the run's parameters: who had a step skipped that it releases, or answered what it
    shows. `form` is the JSON Schema of what an approval has to answer, None where that is nothing.
    """

    id: int
    execution_id: str
    step_run_id: int
    path: str
    status: ApprovalStatus
    min_approvals: int
    approvers: Json
    allow_self: bool
    message: str
    preview: Json
    digest: str
    on_timeout: str
    opened_at: int
    expires_at: int
    decided_at: int | None
    remind_at: int | None = None
    barred: Json = ()
    form: Json = None


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """What one person, by their Slack user id, has said to a gate, of which each person has one vote."""

    approval_id: int
    person: str
    decision: Decision
    comment: str
    at: int
    answers: Json = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened in an execution. `seq` counts from 1 in each execution without gaps."""

    execution_id: str
    seq: int
    at: int
    kind: str
    path: str | None
    actor: str | None
    data: Json


@dataclass(frozen=True, slots=True)
class EventToCount:
    """An event with what the metrics want to know of its run and, where it names one, its step."""

    id: int
    at: int
    kind: str
    step_kind: str | None
    step_started_at: int | None
    step_ended_at: int | None
    run_status: str
    run_created_at: int
    run_ended_at: int | None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """`seq` and `hash` are its place in the chain, None until it was sealed into that.

    `tag` and `mac` are made with the audit key `mac_key`: over what the row says, and over its place as well. They are
    None in rows that were sealed before there were keys.
    """

    id: int
    at: int
    actor: str
    action: str
    thing: str
    severity: Severity
    detail: Json
    seq: int | None = None
    hash: str | None = None
    tag: str | None = None
    mac: str | None = None
    mac_key: str | None = None


@dataclass(frozen=True, slots=True)
class Seal:
    """A row's place in the chain, and what proves it."""

    id: int
    seq: int
    hash: str
    tag: str
    mac: str
    mac_key: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain; `mac` and `mac_key` are None where its row was sealed before there were keys."""

    at: int
    seq: int
    hash: str
    mac: str | None
    mac_key: str | None


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """A channel bound to a case from `opened_at` until `closed_at`. `fields` are its own facts, text by name."""

    id: int
    channel: str
    channel_name: str
    title: str
    severity: str
    fields: dict[str, str]
    opened_at: int
    opened_by: str
    closed_at: int | None
    closed_by: str | None
    close_reason: str


@dataclass(frozen=True, slots=True)
class WaitEventRecord:
    """An event from outside, for one `team` or, None, for all. It satisfies one wait of each team that it is for."""

    id: int
    key: str
    event_id: str
    sender: str
    data: Json
    received_at: int
    team: str | None


@dataclass(frozen=True, slots=True)
class CardRecord:
    """Where an execution is shown in Slack, and how much of it has been told there.

    `trouble` is Slack's word for why its channel could not be written to the last time, "" where it could.
    """

    execution_id: str
    channel: str
    ts: str | None
    shown_seq: int
    posted_seq: int
    trouble: str


@dataclass(frozen=True, slots=True)
class PostRecord:
    """A message other than the card that is changed later: a gate's. `key` is `gate:<approval id>`."""

    execution_id: str
    key: str
    channel: str
    ts: str
    settled: bool
