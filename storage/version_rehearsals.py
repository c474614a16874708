"""What came of the rehearsals of versions; written under the runbook's lock, which an approval holds, too."""

from __future__ import annotations

from storage import sql
from storage.catalog_records import RehearsalRecord, VersionRecord
from storage.database import now
from storage.records import Json
from storage.version_tables import VersionRehearsal


def of_version(version_id: int) -> RehearsalRecord | None:
    """What came of a version's rehearsal; None where it has none."""
    return sql.first(sql.Query(VersionRehearsal, RehearsalRecord, "version_id = ?", (version_id,)))


def keep(
    found: VersionRecord, workspace_id: int, digest: str, *, passed: bool, result: Json, source: str | None = None
) -> None:
    """Note what came of it, in the place of what was; `digest` is that of all that was rehearsed.

    `source` is the text of a rehearsal that is kept with the version.
    """
    row = {"digest": digest, "passed": passed, "at": now(), "result": result, "source": source}
    added = VersionRehearsal.insert(version_id=found.id, workspace_id=workspace_id, **row)
    added.on_conflict(conflict_target=[VersionRehearsal.version_id], update=row).execute()


def forget(version_id: int) -> None:
    """Note that a version has no rehearsal any more."""
    VersionRehearsal.delete().where(VersionRehearsal.version_id == version_id).execute()
