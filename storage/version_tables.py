"""The tables of who approved which version, and of the cards that ask to renew. As in `tables`."""

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


ALL: tuple[type[Table], ...] = (VersionApproval, RenewalCard)
