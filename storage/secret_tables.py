"""The tables of what secrets may be used for, and of the secrets that runs received, as Peewee models."""

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
    sealed = Text()
    at = pw.BigIntegerField()


ALL: tuple[type[Table], ...] = (SecretPolicy, SecretOutput)
