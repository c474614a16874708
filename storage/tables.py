"""The tables as Peewee models. `migrations/` makes them; a test holds the two together.

Only storage's own modules import this.
"""

from __future__ import annotations

import peewee as pw

from storage import freeze_tables, request_tables, secret_tables, version_tables
from storage.columns import JsonText, Table, Text


class Workspace(Table):
    id = pw.BigAutoField()
    slack_team = Text(null=True, unique=True)
    name = Text()
    created_at = pw.BigIntegerField()


class Runbook(Table):
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


class AccessPolicy(Table):
    workspace_id = pw.BigIntegerField(primary_key=True)
    digest = Text()
    content = JsonText()
    loaded_at = pw.BigIntegerField()


class SyncReport(Table):
    workspace_id = pw.BigIntegerField(primary_key=True)
    at = pw.BigIntegerField()
    ok = pw.BooleanField()
    summary = JsonText()


class Person(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    user_id = Text()
    name = Text()
    email = Text(null=True)
    standing = Text()
    tz = Text(null=True)
    fetched_at = pw.BigIntegerField()


class UserGroup(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    group_id = Text()
    handle = Text()
    members = JsonText()
    fetched_at = pw.BigIntegerField()


class Worker(Table):
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


class Vote(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    approval_id = pw.BigIntegerField()
    person = Text()
    decision = Text()
    comment = Text()
    at = pw.BigIntegerField()


class Event(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = Text()
    seq = pw.BigIntegerField()
    at = pw.BigIntegerField()
    kind = Text()
    path = Text(null=True)
    actor = Text(null=True)
    data = JsonText()


class Audit(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    at = pw.BigIntegerField()
    actor = Text()
    action = Text()
    thing = Text()
    severity = Text()
    detail = JsonText()
    seq = pw.BigIntegerField(null=True)
    hash = Text(null=True)
    tag = Text(null=True)
    mac = Text(null=True)
    mac_key = Text(null=True)


class AuditJob(Table):
    name = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    at = pw.BigIntegerField()
    seq = pw.BigIntegerField()


class Incident(Table):
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
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    kind = Text()
    content = JsonText()
    at = pw.BigIntegerField()


class Card(Table):
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
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = Text()
    key = Text()
    channel = Text()
    ts = Text()
    settled = pw.BooleanField()


class Lease(Table):
    name = Text(primary_key=True)
    holder = Text()
    until = pw.BigIntegerField()


class Probe(Table):
    id = pw.BigAutoField()
    filler = Text()


class WaitEvent(Table):
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
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    step_run_id = pw.BigIntegerField()
    team = Text()
    shared = pw.BooleanField()
    sender = Text(null=True)


class WaitTaken(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    event = pw.BigIntegerField()
    team = Text()
    step_run_id = pw.BigIntegerField()


class HostClock(Table):
    boot = Text(primary_key=True)
    started_at = pw.BigIntegerField()


class Token(Table):
    id = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    user_id = Text()
    name = Text()
    digest = Text(unique=True)
    scopes = JsonText()
    created_at = pw.BigIntegerField()
    created_by = Text()
    expires_at = pw.BigIntegerField()
    last_used_at = pw.BigIntegerField(null=True)
    revoked_at = pw.BigIntegerField(null=True)
    revoked_by = Text(null=True)


ALL: tuple[type[Table], ...] = (
    Workspace, Runbook, RunbookVersion, AccessPolicy, SyncReport, Person, UserGroup, Worker, Execution, StepRun,
    Attempt, Approval, Vote, Event, Audit, Card, Post, Lease, WaitEvent, WaitFor, WaitTaken, HostClock, Incident,
    Notice, Token, Probe, AuditJob, *request_tables.ALL, *secret_tables.ALL,
    *version_tables.ALL, *freeze_tables.ALL,
)  # fmt: skip
