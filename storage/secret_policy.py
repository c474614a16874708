"""What `_secrets.yaml` said at the last sync that could read it."""

from __future__ import annotations

from dataclasses import dataclass

from storage import sql
from storage.database import now
from storage.records import Json
from storage.secret_tables import SecretPolicy


@dataclass(frozen=True, slots=True)
class _Policy:
    content: Json


def save(workspace_id: int, digest: str, content: Json) -> bool:
    """Keep the file's content; False when it is what was kept before."""
    known = SecretPolicy.get_or_none(SecretPolicy.workspace_id == workspace_id)
    if known is not None and known.digest == digest:
        return False
    SecretPolicy.insert(workspace_id=workspace_id, digest=digest, content=content, loaded_at=now()).on_conflict(
        conflict_target=[SecretPolicy.workspace_id],
        update={"digest": digest, "content": content, "loaded_at": now()},
    ).execute()
    return True


def content(workspace_id: int) -> Json:
    """The file's content, or None where none was ever read."""
    found = sql.first(sql.Query(SecretPolicy, _Policy, "workspace_id = ?", (workspace_id,)))
    return found.content if found else None
