"""What `_secrets.yaml` said at the last sync that could read it."""

from __future__ import annotations

from dataclasses import dataclass

from storage import rule_files, sql
from storage.records import Json
from storage.secret_tables import SecretPolicy


@dataclass(frozen=True, slots=True)
class _Policy:
    content: Json


def save(workspace_id: int, digest: str, content: Json) -> bool:
    """Keep the file's content; False when it is what was kept before."""
    return rule_files.save(SecretPolicy, workspace_id, digest, content)


def content(workspace_id: int) -> Json:
    """The file's content, or None where none was ever read."""
    found = sql.first(sql.Query(SecretPolicy, _Policy, "workspace_id = ?", (workspace_id,)))
    return found.content if found else None
