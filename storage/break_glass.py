"""Break-glass: requests to run in spite of what forbids it, who agreed, and what their review found."""

from __future__ import annotations

from collections.abc import Collection

from storage import rows, sql
from storage.database import now
from storage.freeze_records import BreakGlassRecord
from storage.freeze_tables import BreakGlass


def create(workspace_id: int, asked: BreakGlassRecord) -> None:
    """Keep a new request. Raises `database.IntegrityError` where its id is taken, at the latest with the commit."""
    row = {name: getattr(asked, name) for name in asked.__slots__}
    sql.insert(BreakGlass, [{"workspace_id": workspace_id, **row}])


def find(workspace_id: int, asked_id: str) -> BreakGlassRecord | None:
    """The request of this id, whatever became of it."""
    return _first("workspace_id = ? AND id = ?", workspace_id, asked_id)


def of_execution(execution_id: str) -> BreakGlassRecord | None:
    """What a run was started by, None for a run like any other."""
    return _first("execution_id = ?", execution_id)


def _first(where: str, *values: int | str) -> BreakGlassRecord | None:
    return sql.first(sql.Query(BreakGlass, BreakGlassRecord, where, values))


def agree(asked_id: str, by: str, execution_id: str) -> bool:
    """Keep who agreed and what run began; False where somebody did before, or the time for it is up."""
    at = now()
    still = (BreakGlass.id == asked_id) & BreakGlass.agreed_at.is_null() & (BreakGlass.expires_at > at)
    return bool(BreakGlass.update(agreed_by=by, agreed_at=at, execution_id=execution_id).where(still).execute())


def review(asked_id: str, by: str, note: str) -> bool:
    """Close the review; False where somebody did before."""
    still = (BreakGlass.id == asked_id) & BreakGlass.reviewed_at.is_null() & BreakGlass.agreed_at.is_null(False)
    return bool(BreakGlass.update(reviewed_by=by, reviewed_at=now(), note=note).where(still).execute())


def asked(workspace_id: int) -> list[BreakGlassRecord]:
    """Those that somebody may agree to now, the oldest first."""
    return _listed(workspace_id, BreakGlass.agreed_at.is_null() & (BreakGlass.expires_at > now()))


def unreviewed(
    workspace_id: int, people: Collection[str] | None = None, before: int | None = None
) -> list[BreakGlassRecord]:
    """Those whose review is open, the oldest first: of these people, or agreed to before then."""
    query = BreakGlass.agreed_at.is_null(False) & BreakGlass.reviewed_at.is_null()
    if people is not None:
        query &= BreakGlass.requester.in_(list(people)) | BreakGlass.agreed_by.in_(list(people))
    return _listed(workspace_id, query if before is None else query & (BreakGlass.agreed_at < before))


def _listed(workspace_id: int, condition: object) -> list[BreakGlassRecord]:
    query = rows.select(BreakGlass, BreakGlassRecord).where((BreakGlass.workspace_id == workspace_id) & condition)
    return rows.read(query.order_by(BreakGlass.created_at, BreakGlass.id).limit(200), BreakGlassRecord)
