"""The tables of the bot's own secrets. As in `tables`."""

from __future__ import annotations

import peewee as pw

from storage.columns import Table, Text


class SecretVersion(Table):
    """That a secret was set or deleted. Only the newest version of one that is set holds anything of its value."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    name = Text()
    version = pw.BigIntegerField()
    set_by = Text()
    set_at = pw.BigIntegerField()
    deleted = pw.BooleanField()
    key_id = Text(null=True)
    wrapped_key = Text(null=True)
    ciphertext = Text(null=True)


class SecretUse(Table):
    """When a secret, wherever it comes from, was last used."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    name = Text()
    last_used_at = pw.BigIntegerField()


ALL: tuple[type[Table], ...] = (SecretVersion, SecretUse)
