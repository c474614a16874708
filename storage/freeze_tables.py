"""The tables of freezes, held requests and break-glass. As in `tables`."""

from __future__ import annotations

import peewee as pw

from storage.columns import JsonText, Table, Text


class FreezeSet(Table):
    """A freeze that somebody has set; FREEZE is a word of PostgreSQL's own."""

    id = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    scope = Text()
    reason = Text()
    hold_running = pw.BooleanField()
    until = pw.BigIntegerField()
    created_at = pw.BigIntegerField()
    created_by = Text()
    ended_at = pw.BigIntegerField(null=True)
    ended_by = Text(null=True)


class FrozenRun(Table):
    """A run that a freeze has paused."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    freeze_id = Text()
    execution_id = Text()
    at = pw.BigIntegerField()


class FreezeCalendar(Table):
    """The calendar file as last synced."""

    workspace_id = pw.BigIntegerField(primary_key=True)
    digest = Text()
    content = JsonText()


class HeldRequest(Table):
    """A request for a run that waits for the end of a freeze."""

    id = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    slug = Text()
    number = pw.BigIntegerField()
    digest = Text()
    parameters = JsonText()
    reason = Text()
    incident = JsonText()
    requester = Text()
    chosen_by = JsonText()
    created_at = pw.BigIntegerField()
    expires_at = pw.BigIntegerField()
    ended_at = pw.BigIntegerField(null=True)
    ended_by = Text(null=True)
    execution_id = Text(null=True)


class BreakGlass(Table):
    """A request to run in spite of what forbids it, who agreed to it, and its review."""

    id = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    slug = Text()
    number = pw.BigIntegerField()
    digest = Text()
    parameters = JsonText()
    reason = Text()
    incident = JsonText()
    requester = Text()
    chosen_by = JsonText()
    overrides = JsonText()
    created_at = pw.BigIntegerField()
    expires_at = pw.BigIntegerField()
    agreed_by = Text(null=True)
    agreed_at = pw.BigIntegerField(null=True)
    execution_id = Text(null=True, unique=True)
    reviewed_by = Text(null=True)
    reviewed_at = pw.BigIntegerField(null=True)
    note = Text(null=True)


ALL: tuple[type[Table], ...] = (FreezeSet, FrozenRun, FreezeCalendar, HeldRequest, BreakGlass)
