"""The table of what manual steps ask of people, as a Peewee model."""

from __future__ import annotations

import peewee as pw

from storage.columns import JsonText, Table, Text


class ManualTask(Table):
    """A manual step each time that it was asked; it leaves OPEN once, for good."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = Text()
    step_run_id = pw.BigIntegerField()
    path = Text()
    status = Text()
    instructions = Text()
    assignees = JsonText()
    form = JsonText()
    opened_at = pw.BigIntegerField()
    expires_at = pw.BigIntegerField()
    remind_at = pw.BigIntegerField(null=True)
    ended_at = pw.BigIntegerField(null=True)
    ended_by = Text(null=True)
    note = Text()
    answers = JsonText()


ALL: tuple[type[Table], ...] = (ManualTask,)
