"""The tables of who approved which version, what its rehearsal came to, and who is asked to renew. As in `tables`."""

from __future__ import annotations

import peewee as pw

from storage.columns import JsonText, Table, Text


class VersionApproval(Table):
    """One person's word for a version; it waits for others until `counted_at`."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    version_id = pw.BigIntegerField()
    kind = Text()
    user_id = Text()
    email = Text(null=True)
    digest = Text()
    at = pw.BigIntegerField()
    counted_at = pw.BigIntegerField(null=True)


class RenewalCard(Table):
    """The message of a channel that lists what is to be renewed."""

    channel = Text(primary_key=True)
    workspace_id = pw.BigIntegerField()
    ts = Text()
    shown = JsonText()


class VersionRehearsal(Table):
    """What came of a version's rehearsal. `digest` is that of what was rehearsed, `source` its text if kept here."""

    version_id = pw.BigIntegerField(primary_key=True)
    workspace_id = pw.BigIntegerField()
    digest = Text()
    passed = pw.BooleanField()
    at = pw.BigIntegerField()
    result = JsonText()
    source = Text(null=True)


ALL: tuple[type[Table], ...] = (VersionApproval, RenewalCard, VersionRehearsal)
