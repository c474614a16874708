"""The catalogue: runbooks and their immutable versions."""

from __future__ import annotations

from typing import Any

import peewee as pw

from storage import sql
from storage.columns import columns, dicts, first
from storage.database import is_postgresql, now
from storage.moves import VERSION_MOVES, check_move
from storage.records import Json, RunbookRecord, SyncRecord, VersionRecord
from storage.states import VersionStatus
from storage.step_cache import known
from storage.tables import Runbook, RunbookVersion, SyncReport

_RUNBOOK, _VERSION = RunbookRecord.__slots__, VersionRecord.__slots__


def _find_runbook(where: str, *values: Any) -> RunbookRecord | None:
    for row in sql.select(Runbook, _RUNBOOK, where, *values):
        return _runbook(dict(zip(_RUNBOOK, row, strict=True)))
    return None


def _find_version(where: str, *values: Any) -> VersionRecord | None:
    for row in sql.select(RunbookVersion, ("workspace_id", *_VERSION), where, *values):
        return _version(dict(zip(("workspace_id", *_VERSION), row, strict=True)))
    return None


def _runbook(row: dict[str, Any]) -> RunbookRecord:
    return RunbookRecord(**{**row, "tags": tuple(row["tags"]), "status": VersionStatus(row["status"])})


def _version(row: dict[str, Any]) -> VersionRecord:
    row.pop("workspace_id")
    return VersionRecord(**{**row, "status": VersionStatus(row["status"])})


def listing(workspace_id: int) -> list[RunbookRecord]:
    """All runbooks that are not deleted, by slug."""
    query = Runbook.select(*columns(Runbook, RunbookRecord)).where(
        (Runbook.workspace_id == workspace_id) & Runbook.deleted_at.is_null()
    )
    return [_runbook(row) for row in dicts(query.order_by(Runbook.slug))]


def find(workspace_id: int, slug: str) -> RunbookRecord | None:
    """The runbook, unless it is deleted."""
    return _find_runbook("workspace_id = ? AND slug = ? AND deleted_at IS NULL", workspace_id, slug)


def lock(workspace_id: int, slug: str, *, shared: bool = False) -> RunbookRecord | None:
    """The runbook, held until this transaction ends: approving and starting see each other.

    With `shared` others may hold it too who only need it to stay as it is: starts do not wait for each other.
    """
    how = (" FOR SHARE" if shared else " FOR UPDATE") if is_postgresql() else ""
    return _find_runbook(f"workspace_id = ? AND slug = ? AND deleted_at IS NULL{how}", workspace_id, slug)


def by_id(runbook_id: int) -> RunbookRecord | None:
    """The runbook of this id, also one that is deleted, since its runs are still shown."""
    return _find_runbook("id = ?", runbook_id)


def version(runbook_id: int, number: int) -> VersionRecord | None:
    """The version of this number, as it is now; None where the runbook has none."""
    return _find_version("runbook_id = ? AND number = ?", runbook_id, number)


def version_by_id(version_id: int) -> VersionRecord | None:
    """The version of this id, as it is now; None where there is none."""
    return _find_version("id = ?", version_id)


def version_state(version_id: int) -> tuple[VersionStatus, str]:
    """A version's status and note, without its definition: asked at every claim, so it must not grow with that."""
    if version_id in known.versions:
        return known.versions[version_id]
    ((status, note),) = sql.select(RunbookVersion, ("status", "note"), "id = ?", version_id)
    return VersionStatus(status), note


def versions(runbook_id: int) -> list[VersionRecord]:
    """All versions, newest first."""
    query = RunbookVersion.select().where(RunbookVersion.runbook_id == runbook_id)
    return [_version(row) for row in dicts(query.order_by(RunbookVersion.number.desc()))]


def last_approved(runbook_id: int, up_to: int) -> VersionRecord | None:
    """The newest APPROVED version whose number is at most `up_to`."""
    query = RunbookVersion.select().where(
        (RunbookVersion.runbook_id == runbook_id)
        & (RunbookVersion.status == VersionStatus.APPROVED)
        & (RunbookVersion.number <= up_to)
    )
    row = first(query.order_by(RunbookVersion.number.desc()).limit(1))
    return _version(row) if row else None


def add_version(workspace_id: int, about: Json, new: Json) -> VersionRecord:
    """Add a DRAFT version and make it the runbook's current one, adding the runbook when it is new.

    One that was deleted is another runbook: the new one shares nothing with it but goes on counting, so that
    `ID@NUMBER` names one version for good. `about` holds slug, name, description, team, tags, risk and source_path;
    `new` holds digest, definition, source, author, author_email, source_commit and note.
    """
    known = lock(workspace_id, about["slug"])
    number = 1 + (_last_number(workspace_id, about["slug"]) if known is None else known.current_number)
    fields = {**about, "current_number": number, "status": VersionStatus.DRAFT, "updated_at": now()}
    if known is None:
        runbook_id = int(Runbook.insert(workspace_id=workspace_id, **fields).execute())
    else:
        runbook_id = known.id
        Runbook.update(**fields).where(Runbook.id == runbook_id).execute()
    RunbookVersion.insert(
        workspace_id=workspace_id, runbook_id=runbook_id, slug=about["slug"], number=number, status=VersionStatus.DRAFT,
        created_at=now(), decided_by=None, decided_at=None, **new,
    ).execute()  # fmt: skip
    added = version(runbook_id, number)
    assert added is not None
    return added


def _last_number(workspace_id: int, slug: str) -> int:
    """The highest number that a version of any runbook of this id has had; 0 where there was none."""
    query = RunbookVersion.select(pw.fn.MAX(RunbookVersion.number))
    found = query.where((RunbookVersion.workspace_id == workspace_id) & (RunbookVersion.slug == slug)).scalar()
    return int(found or 0)


def move_version(found: VersionRecord, to: VersionStatus, actor: str, note: str = "") -> bool:
    """Change a version's status from the one it was read with; False when somebody else was first.

    The runbook's own status follows when this is its current version. Raises `ForbiddenMove`.
    """
    check_move(VERSION_MOVES, found.status, to)
    changes: dict[str, Any] = {"status": to, "decided_by": actor, "decided_at": now()}
    if note:
        changes["note"] = note
    query = RunbookVersion.update(**changes)
    if query.where((RunbookVersion.id == found.id) & (RunbookVersion.status == found.status)).execute() != 1:
        return False
    Runbook.update(status=to, updated_at=now()).where(
        (Runbook.id == found.runbook_id) & (Runbook.current_number == found.number)
    ).execute()
    return True


def name_successor(runbook_id: int, successor: str | None) -> None:
    """Note which runbook takes this one's place, or that none does any more."""
    Runbook.update(successor=successor).where(Runbook.id == runbook_id).execute()


def set_source_path(runbook_id: int, path: str) -> None:
    """Note that the runbook's file was moved without being changed."""
    Runbook.update(source_path=path).where(Runbook.id == runbook_id).execute()


def forget_source(runbook_id: int) -> None:
    """Note that the runbook's file is gone; if one comes back it starts as a new draft."""
    Runbook.update(source_path=None).where(Runbook.id == runbook_id).execute()


def delete(runbook_id: int) -> None:
    """Let nobody find the runbook any more, and give its id free; its versions are kept for the runs it has had."""
    freed = Runbook.slug.concat(f"#{runbook_id}")
    Runbook.update(slug=freed, deleted_at=now(), updated_at=now()).where(Runbook.id == runbook_id).execute()


def save_sync(workspace_id: int, ok: bool, summary: Json) -> None:
    """Keep how a sync went, in the place of the one before."""
    row = {"at": now(), "ok": ok, "summary": summary}
    SyncReport.insert(workspace_id=workspace_id, **row).on_conflict(
        conflict_target=[SyncReport.workspace_id], update=row
    ).execute()


def last_sync(workspace_id: int) -> SyncRecord | None:
    """How the last sync went; None before the first."""
    row = SyncReport.get_or_none(SyncReport.workspace_id == workspace_id)
    return None if row is None else SyncRecord(at=row.at, ok=row.ok, summary=row.summary)
