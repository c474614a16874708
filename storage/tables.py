"""The tables as Peewee models. `migrations/` makes them; a test holds the two together.

Only storage's own modules import this. Which database they live in is decided once, by `database.open_database`.
"""

from __future__ import annotations

import json
from typing import Any

import peewee as pw

proxy = pw.DatabaseProxy()


class JsonText(pw.TextField):
    """JSON as ASCII text: the same on every database, and able to hold any string that Python can."""

    def db_value(self, value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)

    def python_value(self, value: str | None) -> Any:
        return None if value is None else json.loads(value)


def dicts(query: Any) -> list[dict[str, Any]]:
    """The query's rows by column name. Peewee's types promise models here; this is the place that knows better."""
    return list(query.dicts())


def tuples(query: Any) -> list[tuple[Any, ...]]:
    """The query's rows as plain tuples."""
    return list(query.tuples())


def first(query: Any) -> dict[str, Any] | None:
    """The query's first row by column name, or None."""
    found: dict[str, Any] | None = query.dicts().first()
    return found


def columns(table: type[pw.Model], record: type) -> list[Any]:
    """The columns of `table` that make up the frozen `record`, in its order."""
    return [getattr(table, name) for name in record.__slots__]  # type: ignore[attr-defined]


class Table(pw.Model):
    class Meta:
        database = proxy
        legacy_table_names = False


class Workspace(Table):
    id = pw.BigAutoField()
    slack_team = pw.TextField(null=True, unique=True)
    name = pw.TextField()
    created_at = pw.BigIntegerField()


class Runbook(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    slug = pw.TextField()
    name = pw.TextField()
    description = pw.TextField()
    team = pw.TextField(null=True)
    tags = JsonText()
    risk = pw.TextField()
    source_path = pw.TextField(null=True)
    current_number = pw.BigIntegerField()
    status = pw.TextField()
    updated_at = pw.BigIntegerField()


class RunbookVersion(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    runbook_id = pw.BigIntegerField()
    slug = pw.TextField()
    number = pw.BigIntegerField()
    digest = pw.TextField()
    definition = JsonText()
    source = pw.TextField()
    author = pw.TextField(null=True)
    author_email = pw.TextField(null=True)
    source_commit = pw.TextField(null=True)
    note = pw.TextField()
    status = pw.TextField()
    created_at = pw.BigIntegerField()
    decided_by = pw.TextField(null=True)
    decided_at = pw.BigIntegerField(null=True)


class AccessPolicy(Table):
    workspace_id = pw.BigIntegerField(primary_key=True)
    digest = pw.TextField()
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
    user_id = pw.TextField()
    name = pw.TextField()
    email = pw.TextField(null=True)
    standing = pw.TextField()
    tz = pw.TextField(null=True)
    fetched_at = pw.BigIntegerField()


class UserGroup(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    group_id = pw.TextField()
    handle = pw.TextField()
    members = JsonText()
    fetched_at = pw.BigIntegerField()


class Worker(Table):
    id = pw.TextField(primary_key=True)
    workspace_id = pw.BigIntegerField()
    host = pw.TextField()
    pid = pw.BigIntegerField()
    started_at = pw.BigIntegerField()
    lease_until = pw.BigIntegerField()
    ended_at = pw.BigIntegerField(null=True)


class Execution(Table):
    id = pw.TextField(primary_key=True)
    workspace_id = pw.BigIntegerField()
    runbook_id = pw.BigIntegerField()
    version_id = pw.BigIntegerField()
    slug = pw.TextField()
    number = pw.BigIntegerField()
    digest = pw.TextField()
    team = pw.TextField(null=True)
    status = pw.TextField()
    ending = pw.TextField(null=True)
    parameters = JsonText()
    trigger = pw.TextField()
    requester = pw.TextField()
    reason = pw.TextField()
    incident = JsonText()
    channel = pw.TextField(null=True)
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
    parked = pw.BigIntegerField()
    unfinished = pw.BigIntegerField()
    event_seq = pw.BigIntegerField()
    paused_reason = pw.TextField(null=True)
    phase = pw.TextField()
    cleanup_until = pw.BigIntegerField(null=True)
    asking = pw.BigIntegerField()
    status_since = pw.BigIntegerField()
    waiting_ms = pw.BigIntegerField()
    paused_ms = pw.BigIntegerField()
    same_as = pw.TextField(null=True)
    slot_group = pw.TextField(null=True)
    slot = pw.TextField(null=True)
    parent_step = pw.BigIntegerField(null=True)
    replay_of = pw.TextField(null=True)


class StepRun(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = pw.TextField()
    path = pw.TextField()
    step_id = pw.TextField()
    position = pw.BigIntegerField()
    kind = pw.TextField()
    status = pw.TextField()
    fence = pw.BigIntegerField()
    blocked = pw.BigIntegerField()
    poisoned = pw.BooleanField()
    due_at = pw.BigIntegerField(null=True)
    deadline_at = pw.BigIntegerField(null=True)
    attempts = pw.BigIntegerField()
    failures = pw.BigIntegerField()
    recoveries = pw.BigIntegerField()
    idempotent = pw.BooleanField()
    worker_id = pw.TextField(null=True)
    started_at = pw.BigIntegerField(null=True)
    ended_at = pw.BigIntegerField(null=True)
    outputs = JsonText()
    error = JsonText()
    note = pw.TextField()
    scope = pw.TextField()
    phase = pw.TextField()
    ended_seq = pw.BigIntegerField()
    items = JsonText()
    rounds = pw.BigIntegerField()
    wait_key = pw.TextField(null=True)
    reopened = pw.BooleanField()


class Attempt(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    step_run_id = pw.BigIntegerField()
    number = pw.BigIntegerField()
    status = pw.TextField()
    worker_id = pw.TextField()
    started_at = pw.BigIntegerField()
    ended_at = pw.BigIntegerField(null=True)
    request = JsonText()
    response = JsonText()
    error = JsonText()


class Approval(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = pw.TextField()
    step_run_id = pw.BigIntegerField()
    path = pw.TextField()
    status = pw.TextField()
    min_approvals = pw.BigIntegerField()
    approvers = JsonText()
    allow_self = pw.BooleanField()
    message = pw.TextField()
    preview = JsonText()
    digest = pw.TextField()
    on_timeout = pw.TextField()
    opened_at = pw.BigIntegerField()
    expires_at = pw.BigIntegerField()
    decided_at = pw.BigIntegerField(null=True)


class Vote(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    approval_id = pw.BigIntegerField()
    person = pw.TextField()
    decision = pw.TextField()
    comment = pw.TextField()
    at = pw.BigIntegerField()


class Event(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = pw.TextField()
    seq = pw.BigIntegerField()
    at = pw.BigIntegerField()
    kind = pw.TextField()
    path = pw.TextField(null=True)
    actor = pw.TextField(null=True)
    data = JsonText()


class Audit(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    at = pw.BigIntegerField()
    actor = pw.TextField()
    action = pw.TextField()
    thing = pw.TextField()
    severity = pw.TextField()
    detail = JsonText()


class Card(Table):
    execution_id = pw.TextField(primary_key=True)
    workspace_id = pw.BigIntegerField()
    channel = pw.TextField()
    ts = pw.TextField(null=True)
    shown_seq = pw.BigIntegerField()
    told_seq = pw.BigIntegerField()
    shown_at = pw.BigIntegerField()
    settled = pw.BooleanField()
    trouble = pw.TextField()


class Post(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = pw.TextField()
    key = pw.TextField()
    channel = pw.TextField()
    ts = pw.TextField()
    settled = pw.BooleanField()


class Lease(Table):
    name = pw.TextField(primary_key=True)
    holder = pw.TextField()
    until = pw.BigIntegerField()


class WaitEvent(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    key = pw.TextField()
    event_id = pw.TextField()
    sender = pw.TextField()
    data = JsonText()
    received_at = pw.BigIntegerField()
    taken_by = pw.BigIntegerField(null=True)


class Idempotency(Table):
    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    actor = pw.TextField()
    key = pw.TextField()
    request = pw.TextField()
    execution_id = pw.TextField()
    at = pw.BigIntegerField()


class RequestSeen(Table):
    key = pw.TextField(primary_key=True)
    at = pw.BigIntegerField()


ALL: tuple[type[Table], ...] = (
    Workspace, Runbook, RunbookVersion, AccessPolicy, SyncReport, Person, UserGroup, Worker, Execution, StepRun,
    Attempt, Approval, Vote, Event, Audit, Card, Post, Lease, WaitEvent, Idempotency, RequestSeen,
)  # fmt: skip
