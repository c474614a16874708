"""What `_targets.yaml` said at the last sync that could read it, and what versions were approved with."""

from __future__ import annotations

from dataclasses import dataclass

from storage import rule_files, sql
from storage.database import now
from storage.records import Json
from storage.target_tables import TargetFile, VersionTarget


@dataclass(frozen=True, slots=True)
class Kept:
    """What names stand for, and the digest of that."""

    digest: str
    content: Json


def save(workspace_id: int, digest: str, content: Json) -> bool:
    """Keep the file's content; False when it is what was kept before."""
    return rule_files.save(TargetFile, workspace_id, digest, content)


def content(workspace_id: int) -> Json:
    """The file's content, or None where none was ever read."""
    found = sql.first(sql.Query(TargetFile, Kept, "workspace_id = ?", (workspace_id,)))
    return found.content if found else None


def of_version(version_id: int) -> Kept | None:
    """What the targets of a version stood for when people last let it run; None where nobody has."""
    return sql.first(sql.Query(VersionTarget, Kept, "version_id = ?", (version_id,)))


def keep(version_id: int, workspace_id: int, digest: str, content: Json) -> None:
    """Note what the targets of a version stand for as people let it run."""
    kept = {"digest": digest, "content": content, "kept_at": now()}
    added = VersionTarget.insert(version_id=version_id, workspace_id=workspace_id, **kept)
    added.on_conflict(conflict_target=[VersionTarget.version_id], update=kept).execute()
