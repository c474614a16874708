"""The tables of secrets: where they may go, the stored ones, and those that runs received, as Peewee models."""

from __future__ import annotations

import peewee as pw

from storage.columns import JsonText, Table, Text


class SecretPolicy(Table):
    """What `_secrets.yaml` says of secrets, as last read."""

    workspace_id = pw.BigIntegerField(primary_key=True)
    digest = Text()
    content = JsonText()
    loaded_at = pw.BigIntegerField()


class SecretOutput(Table):
    """A secret that a step of a run received, sealed."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    execution_id = Text()
    path = Text()
    name = Text()
    key_id = Text()
    wrapped_key = Text()
    ciphertext = Text()
    key_check = Text()
    hosts = JsonText(null=True)
    at = pw.BigIntegerField()


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
    key_check = Text(null=True)


class SecretUse(Table):
    """When a secret, wherever it comes from, was last used."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    name = Text()
    last_used_at = pw.BigIntegerField()


ALL: tuple[type[Table], ...] = (SecretPolicy, SecretOutput, SecretVersion, SecretUse)
