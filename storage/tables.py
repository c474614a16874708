"""The tables as Peewee models. `migrations/` makes them; a test holds the two together.

Only storage's own modules import this.
"""

from __future__ import annotations

import peewee as pw

from storage import (
    audit_tables,
    freeze_tables,
    people_tables,
    request_tables,
    secret_tables,
    target_tables,
    task_tables,
    version_tables,
)
from storage.columns import JsonText, Table, Text


class Runbook(Table):
    """A runbook; one that was deleted stays for its runs, with `#` and its `id` put behind its slug to free that.

    `status` is the one of version `current_number`, written with it.
    """

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    slug = Text()
    name = Text()
    description = Text()
    team = Text(null=True)
    tags = JsonText()
    risk = Text()
    source_path = Text(null=True)
    current_number = pw.BigIntegerField()
    status = Text()
    updated_at = pw.BigIntegerField()
    successor = Text(null=True)
    deleted_at = pw.BigIntegerField(null=True)


class RunbookVersion(Table):
    """A version, whose `number` is never used again under its slug, also not when the runbook was deleted.

    Only `status`, `note`, `decided_by` and `decided_at` ever change.
    """

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    runbook_id = pw.BigIntegerField()
    slug = Text()
    number = pw.BigIntegerField()
    digest = Text()
    definition = JsonText()
    source = Text()
    author = Text(null=True)
    author_email = Text(null=True)
    source_commit = Text(null=True)
    note = Text()
    status = Text()
    created_at = pw.BigIntegerField()
    decided_by = Text(null=True)
    decided_at = pw.BigIntegerField(null=True)


class SyncReport(Table):
    """How the last reading of the runbooks folder went, in the place of the one before."""

    workspace_id = pw.BigIntegerField(primary_key=True)
    at = pw.BigIntegerField()
    ok = pw.BooleanField()
    summary = JsonText()


class Worker(Table):
    """A worker process under one id, which it gives up for good with `ended_at`. Rows stay.

    `lock_key` is its advisory lock, None on SQLite. It has renewed without a gap since `steady_since`, and `sweeps`,
    `calls` and `waiting` are what it said with its last heartbeat.
    """

    id = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    host = Text()
    pid = pw.BigIntegerField()
    started_at = pw.BigIntegerField()
    lease_until = pw.BigIntegerField()
    ended_at = pw.BigIntegerField(null=True)
    lock_key = pw.BigIntegerField(null=True)
    sweeps = pw.BigIntegerField(default=0)
    steady_since = pw.BigIntegerField(null=True)
    calls = pw.BigIntegerField(default=0)
    waiting = pw.BigIntegerField(default=0)


class Execution(Table):
    """A run, as in `ExecutionRecord`; changed only by whoever holds its lock (`run_state.lock`).

    A queued or shared `slot` becomes `held` without that, under the lock of its group. `channel` repeats the one of
    `incident`, to be looked for.
    """

    id = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    runbook_id = pw.BigIntegerField()
    version_id = pw.BigIntegerField()
    slug = Text()
    number = pw.BigIntegerField()
    digest = Text()
    team = Text(null=True)
    status = Text()
    pending_result = Text(null=True)
    parameters = JsonText()
    trigger = Text()
    requester = Text()
    reason = Text()
    incident = JsonText()
    channel = Text(null=True)
    result = JsonText()
    error = JsonText()
    created_at = pw.BigIntegerField()
    started_at = pw.BigIntegerField(null=True)
    ended_at = pw.BigIntegerField(null=True)
    timeout_ms = pw.BigIntegerField()
    running_ms = pw.BigIntegerField()
    running_since = pw.BigIntegerField(null=True)
    deadline_at = pw.BigIntegerField(null=True)
    expected_ms = pw.BigIntegerField(null=True)
    overran_at = pw.BigIntegerField(null=True)
    max_concurrent = pw.BigIntegerField()
    live = pw.BigIntegerField()
    running = pw.BigIntegerField()
    waiting_steps = pw.BigIntegerField()
    unfinished = pw.BigIntegerField()
    event_seq = pw.BigIntegerField()
    paused_reason = Text(null=True)
    phase = Text()
    cleanup_until = pw.BigIntegerField(null=True)
    reopened_gates = pw.BigIntegerField()
    status_since = pw.BigIntegerField()
    waiting_ms = pw.BigIntegerField()
    paused_ms = pw.BigIntegerField()
    same_as = Text(null=True)
    slot_group = Text(null=True)
    slot = Text(null=True)
    parent_step = pw.BigIntegerField(null=True)
    replay_of = Text(null=True)
    owner = Text(null=True)
    revision = pw.BigIntegerField()
    chosen_by = JsonText()
    owners = JsonText()
    offered_to = Text(null=True)


class StepRun(Table):
    """A step in a run, one for each `path`, as in `StepRunRecord`; never deleted.

    Whoever changes it holds the run's lock, except for the `due_at` of one that is READY.
    """

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = Text()
    path = Text()
    step_id = Text()
    position = pw.BigIntegerField()
    kind = Text()
    status = Text()
    fence = pw.BigIntegerField()
    blocked = pw.BigIntegerField()
    due_at = pw.BigIntegerField(null=True)
    deadline_at = pw.BigIntegerField(null=True)
    attempts = pw.BigIntegerField()
    failures = pw.BigIntegerField()
    recoveries = pw.BigIntegerField()
    idempotent = pw.BooleanField()
    worker_id = Text(null=True)
    started_at = pw.BigIntegerField(null=True)
    ended_at = pw.BigIntegerField(null=True)
    outputs = JsonText()
    error = JsonText()
    note = Text()
    scope = Text()
    phase = Text()
    ended_seq = pw.BigIntegerField()
    items = JsonText()
    rounds = pw.BigIntegerField()
    wait_key = Text(null=True)
    reopened = pw.BooleanField()
    child = Text(null=True)
    revision = pw.BigIntegerField()
    skip = JsonText()
    settled_by = Text(null=True)


class Attempt(Table):
    """A try of a step run, one for each `number`; of a step that asks again and again not all are kept."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    step_run_id = pw.BigIntegerField()
    number = pw.BigIntegerField()
    status = Text()
    worker_id = Text()
    started_at = pw.BigIntegerField()
    ended_at = pw.BigIntegerField(null=True)
    request = JsonText()
    response = JsonText()
    error = JsonText()


class Approval(Table):
    """A gate each time that it was opened; it leaves PENDING once, for good."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = Text()
    step_run_id = pw.BigIntegerField()
    path = Text()
    status = Text()
    min_approvals = pw.BigIntegerField()
    approvers = JsonText()
    allow_self = pw.BooleanField()
    message = Text()
    preview = JsonText()
    digest = Text()
    on_timeout = Text()
    opened_at = pw.BigIntegerField()
    expires_at = pw.BigIntegerField()
    decided_at = pw.BigIntegerField(null=True)
    remind_at = pw.BigIntegerField(null=True)
    barred = JsonText()
    form = JsonText(null=True)


class Vote(Table):
    """A person's one vote on a gate, deleted when it is withdrawn or no longer holds for what the gate shows."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    approval_id = pw.BigIntegerField()
    person = Text()
    decision = Text()
    comment = Text()
    at = pw.BigIntegerField()
    answers = JsonText(null=True)


class Event(Table):
    """What happened in a run, one row for each `seq` without gaps; rows are only added."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = Text()
    seq = pw.BigIntegerField()
    at = pw.BigIntegerField()
    kind = Text()
    path = Text(null=True)
    actor = Text(null=True)
    data = JsonText()


class Incident(Table):
    """A channel bound to a case; a channel has one at most that is not closed."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    channel = Text()
    channel_name = Text()
    title = Text()
    severity = Text()
    fields = JsonText()
    opened_at = pw.BigIntegerField()
    opened_by = Text()
    closed_at = pw.BigIntegerField(null=True)
    closed_by = Text(null=True)
    close_reason = Text()


class Notice(Table):
    """What is still to be told to people; deleted once it was told, and after `notices.KEPT_MS`."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    kind = Text()
    content = JsonText()
    at = pw.BigIntegerField()


class Card(Table):
    """Where a run is shown, if its incident has a channel, and up to which event (`Execution.event_seq`).

    `settled` says that it needs no more looking at: all of a run that has ended is shown, or nothing can be.
    """

    execution_id = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    channel = Text()
    ts = Text(null=True)
    shown_seq = pw.BigIntegerField()
    posted_seq = pw.BigIntegerField()
    shown_at = pw.BigIntegerField()
    settled = pw.BooleanField()
    trouble = Text()


class Post(Table):
    """A message beside the card that is changed until it is `settled`, one for each `key` of a run."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = Text()
    key = Text()
    channel = Text()
    ts = Text()
    settled = pw.BooleanField()


class Lease(Table):
    """A named right that one `holder` has until then (epoch milliseconds); 0 is one that is free."""

    name = Text(primary_key=True)
    holder = Text()
    until = pw.BigIntegerField()


class Probe(Table):
    """What is written and deleted again to find out whether the database can be written to."""

    id = pw.BigAutoField()
    filler = Text()


class WaitEvent(Table):
    """An event from outside, known again by its sender's `event_id` and by `delivery_id`.

    `size` is that of `data` as ASCII JSON, in bytes, 0 once that was forgotten. A `team` of None is every team.
    """

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    key = Text()
    event_id = Text()
    sender = Text()
    data = JsonText()
    received_at = pw.BigIntegerField()
    team = Text(null=True)
    delivery_id = Text(null=True)
    size = pw.BigIntegerField(default=0)


class WaitFor(Table):
    """A sender that a waiting step run hears, None for any; `team` is `waits.GLOBAL` where its runbook has none.

    `shared` lets it hear events for whatever team.
    """

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    step_run_id = pw.BigIntegerField()
    team = Text()
    shared = pw.BooleanField()
    sender = Text(null=True)


class WaitTaken(Table):
    """Which step run an `event` (`WaitEvent.id`) has satisfied for a team; each team has it once."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    event = pw.BigIntegerField()
    team = Text()
    step_run_id = pw.BigIntegerField()


class HostClock(Table):
    """When the host was started (epoch milliseconds), by the wall clock of whoever looked first. SQLite only.

    `boot` is the kernel's id of that start.
    """

    boot = Text(primary_key=True)
    started_at = pw.BigIntegerField()


ALL: tuple[type[Table], ...] = (
    Runbook, RunbookVersion, SyncReport, Worker, Execution, StepRun, Attempt, Approval, Vote, Event, Card, Post,
    Lease, WaitEvent, WaitFor, WaitTaken, HostClock, Incident, Notice, Probe, *people_tables.ALL, *request_tables.ALL,
    *audit_tables.ALL, *secret_tables.ALL, *version_tables.ALL, *freeze_tables.ALL, *target_tables.ALL,
    *task_tables.ALL,
)  # fmt: skip
