"""The tables of targets: what `_targets.yaml` says, and what versions were approved with, as Peewee models."""

from __future__ import annotations

import peewee as pw

from storage.columns import JsonText, Table, Text


class TargetFile(Table):
    """What `_targets.yaml` says in this environment, as last read."""

    workspace_id = pw.BigIntegerField(primary_key=True)
    digest = Text()
    content = JsonText()
    loaded_at = pw.BigIntegerField()


class VersionTarget(Table):
    """What the targets of a version stood for when people last let it run."""

    version_id = pw.BigIntegerField(primary_key=True)
    workspace_id = pw.BigIntegerField()
    digest = Text()
    content = JsonText()
    kept_at = pw.BigIntegerField()


ALL: tuple[type[Table], ...] = (TargetFile, VersionTarget)
