"""The catalogue: runbooks and their immutable versions."""

from __future__ import annotations

from typing import Any

import peewee as pw

from storage import rows, sql
from storage.catalog_records import RunbookRecord, SyncRecord, VersionRecord, VersionState
from storage.columns import tuples
from storage.database import is_postgresql, now
from storage.records import Json
from storage.state_transitions import VERSION_TRANSITIONS, check_transition
from storage.states import VersionStatus
from storage.tables import Runbook, RunbookVersion, SyncReport


def query(where: str, *values: Any) -> sql.Query[RunbookRecord]:
    """The query for the runbooks that `where` finds."""
    return sql.Query(Runbook, RunbookRecord, where, values)


def state_query(where: str, *values: Any) -> sql.Query[VersionState]:
    """The query for the states of the versions that `where` finds, without their definitions, which may be long."""
    return sql.Query(RunbookVersion, VersionState, where, values)


def _find_runbook(where: str, *values: Any) -> RunbookRecord | None:
    return sql.first(query(where, *values))


def _find_version(where: str, *values: Any) -> VersionRecord | None:
    return sql.first(sql.Query(RunbookVersion, VersionRecord, where, values))


def listing(workspace_id: int) -> list[RunbookRecord]:
    """All runbooks that are not deleted, by slug."""
    query = rows.select(Runbook, RunbookRecord).where(
        (Runbook.workspace_id == workspace_id) & Runbook.deleted_at.is_null()
    )
    return rows.read(query.order_by(Runbook.slug), RunbookRecord)


def find(workspace_id: int, slug: str) -> RunbookRecord | None:
    """The runbook, unless it is deleted."""
    return sql.first(find_query(workspace_id, slug))


def find_query(workspace_id: int, slug: str) -> sql.Query[RunbookRecord]:
    """The query of `find`, for whoever asks it together with others."""
    return query("workspace_id = ? AND slug = ? AND deleted_at IS NULL", workspace_id, slug)


def lock(workspace_id: int, slug: str) -> RunbookRecord | None:
    """The runbook, held until this transaction ends: approving and starting see each other."""
    return sql.first(_holding(workspace_id, slug, " FOR UPDATE"))


def share_query(workspace_id: int, slug: str) -> sql.Query[RunbookRecord]:
    """The query that holds a runbook as it is until this transaction ends; others may do so at the same time.

    So starts do not wait for each other, and whoever changes the runbook waits for them.
    """
    return _holding(workspace_id, slug, " FOR SHARE")


def _holding(workspace_id: int, slug: str, how: str) -> sql.Query[RunbookRecord]:
    on_postgresql = how if is_postgresql() else ""
    return query(f"workspace_id = ? AND slug = ? AND deleted_at IS NULL{on_postgresql}", workspace_id, slug)


def by_id(runbook_id: int) -> RunbookRecord | None:
    """The runbook of this id, also one that is deleted, since its runs are still shown."""
    return _find_runbook("id = ?", runbook_id)


def version(runbook_id: int, number: int) -> VersionRecord | None:
    """The version of this number, as it is now; None where the runbook has none."""
    return _find_version("runbook_id = ? AND number = ?", runbook_id, number)


def version_by_id(version_id: int) -> VersionRecord | None:
    """The version of this id, as it is now; None where there is none."""
    return _find_version("id = ?", version_id)


def version_state(version_id: int) -> VersionState:
    """A version's state, without its definition: asked at every claim, so it must not grow with that."""
    (state,) = sql.ask(state_query("id = ?", version_id))
    return state


def versions(runbook_id: int) -> list[VersionRecord]:
    """All versions, newest first."""
    query = rows.select(RunbookVersion, VersionRecord).where(RunbookVersion.runbook_id == runbook_id)
    return rows.read(query.order_by(RunbookVersion.number.desc()), VersionRecord)


def in_force(workspace_id: int) -> list[tuple[int, str, str | None, VersionStatus]]:
    """The versions that run or may come to: each APPROVED one and the newest draft, as id, slug, team and status."""
    query = RunbookVersion.select(RunbookVersion.id, Runbook.slug, Runbook.team, RunbookVersion.status)
    query = query.join(Runbook, on=(Runbook.id == RunbookVersion.runbook_id))
    newest = (RunbookVersion.status == VersionStatus.DRAFT) & (RunbookVersion.number == Runbook.current_number)
    wanted = newest | (RunbookVersion.status == VersionStatus.APPROVED)
    query = query.where((Runbook.workspace_id == workspace_id) & Runbook.deleted_at.is_null() & wanted)
    found = tuples(query.order_by(Runbook.slug, RunbookVersion.number))
    return [(version_id, slug, team, VersionStatus(status)) for version_id, slug, team, status in found]


def approved_definitions(workspace_id: int) -> list[Json]:
    """What every APPROVED version says, whether it still runs or not."""
    query = RunbookVersion.select(RunbookVersion.definition).where(
        (RunbookVersion.workspace_id == workspace_id) & (RunbookVersion.status == VersionStatus.APPROVED)
    )
    return [row[0] for row in tuples(query)]


def last_approved(runbook_id: int, up_to: int) -> VersionRecord | None:
    """The newest APPROVED version whose number is at most `up_to`."""
    query = rows.select(RunbookVersion, VersionRecord).where(
        (RunbookVersion.runbook_id == runbook_id)
        & (RunbookVersion.status == VersionStatus.APPROVED)
        & (RunbookVersion.number <= up_to)
    )
    return next(iter(rows.read(query.order_by(RunbookVersion.number.desc()).limit(1), VersionRecord)), None)


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

    The runbook's own status follows when this is its current version. Raises `ForbiddenTransition`.
    """
    check_transition(VERSION_TRANSITIONS, found.status, to)
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


def renew_version(found: VersionRecord, actor: str) -> None:
    """Note that an approved version was approved once more, which lasts from now."""
    RunbookVersion.update(decided_by=actor, decided_at=now()).where(RunbookVersion.id == found.id).execute()


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
