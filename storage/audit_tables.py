"""The tables of the audit, as Peewee models."""

from __future__ import annotations

import peewee as pw

from storage.columns import JsonText, Table, Text


class Audit(Table):
    """Who did what; rows are only added, and given `seq` and `hash` once, when they are sealed."""

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
    """When something is done of the audit at intervals, how far it had come the last time."""

    name = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    at = pw.BigIntegerField()
    seq = pw.BigIntegerField()


ALL: tuple[type[Table], ...] = (Audit, AuditJob)
