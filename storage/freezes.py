"""Freezes: what is frozen until when, which runs that has paused, and the calendar."""

from __future__ import annotations

from storage import rows, rule_files, sql
from storage.columns import tuples
from storage.database import is_postgresql, now
from storage.freeze_records import CalendarRecord, FreezeRecord
from storage.freeze_tables import FreezeCalendar, FreezeSet, FrozenRun
from storage.records import Json
from storage.states import ExecutionStatus
from storage.tables import Execution

_IN_FORCE = "workspace_id = ? AND ended_at IS NULL AND until > ?"


def in_force(workspace_id: int, at: int) -> tuple[list[FreezeRecord], CalendarRecord | None]:
    """The freezes in force, the oldest first, and the calendar; in one round trip."""
    freezes = sql.Query(FreezeSet, FreezeRecord, f"{_IN_FORCE} ORDER BY created_at, id", (workspace_id, at))
    calendar = sql.Query(FreezeCalendar, CalendarRecord, "workspace_id = ?", (workspace_id,))
    found, calendars = sql.ask_each(freezes, calendar)
    return found, next(iter(calendars), None)


def holding_query(execution_id: str, at: int) -> sql.Query[FreezeRecord]:
    """The query for the freezes that pause what is under way where this run is, to be asked together with others."""
    workspace = "workspace_id = (SELECT workspace_id FROM execution WHERE id = ?)"
    holding = f"{workspace} AND ended_at IS NULL AND until > ? AND hold_running ORDER BY created_at, id"
    return sql.Query(FreezeSet, FreezeRecord, holding, (execution_id, at))


def create(workspace_id: int, freeze: FreezeRecord) -> None:
    """Keep a new freeze. Raises `database.IntegrityError` where its id is taken, at the latest with the commit."""
    sql.insert(
        FreezeSet, [{"workspace_id": workspace_id, **{name: getattr(freeze, name) for name in freeze.__slots__}}]
    )


def find(workspace_id: int, freeze_id: str) -> FreezeRecord | None:
    """The freeze of this id, also one that has ended."""
    return sql.first(sql.Query(FreezeSet, FreezeRecord, "workspace_id = ? AND id = ?", (workspace_id, freeze_id)))


def lift(freeze_id: str, by: str) -> bool:
    """End a freeze before its time; False where it has ended."""
    at = now()
    query = FreezeSet.update(ended_at=at, ended_by=by)
    return bool(
        query.where((FreezeSet.id == freeze_id) & FreezeSet.ended_at.is_null() & (FreezeSet.until > at)).execute()
    )


def note_paused(workspace_id: int, freeze_id: str, execution_id: str) -> None:
    """Keep that this freeze has paused this run."""
    row = {"workspace_id": workspace_id, "freeze_id": freeze_id, "execution_id": execution_id, "at": now()}
    FrozenRun.insert(**row).on_conflict_ignore().execute()


def forget_paused(execution_id: str) -> None:
    """Somebody has let this run go on."""
    FrozenRun.delete().where(FrozenRun.execution_id == execution_id).execute()


def paused_by(freeze_id: str) -> list[str]:
    """The ids of the runs that this freeze has paused, in order."""
    query = FrozenRun.select(FrozenRun.execution_id).where(FrozenRun.freeze_id == freeze_id)
    return [row[0] for row in tuples(query.order_by(FrozenRun.id))]


def open_runs(workspace_id: int) -> list[str]:
    """The ids of the runs under way that are not paused."""
    query = Execution.select(Execution.id).where(
        (Execution.workspace_id == workspace_id)
        & Execution.ended_at.is_null()
        & (Execution.status != ExecutionStatus.PAUSED)
    )
    return [row[0] for row in tuples(query.order_by(Execution.created_at, Execution.id))]


def recent(workspace_id: int, limit: int) -> list[FreezeRecord]:
    """The freezes that ended last, by somebody's word or by themselves, the newest first."""
    ended = (FreezeSet.workspace_id == workspace_id) & (FreezeSet.ended_at.is_null(False) | (FreezeSet.until <= now()))
    query = (
        rows.select(FreezeSet, FreezeRecord)
        .where(ended)
        .order_by(FreezeSet.created_at.desc(), FreezeSet.id)
        .limit(limit)
    )
    return rows.read(query, FreezeRecord)


def hold_runbooks(workspace_id: int) -> None:
    """Wait for all that is being accepted or begun again, and let what comes next wait until this transaction ends."""
    if is_postgresql():  # SQLite has one writer at a time
        sql.run("SELECT id FROM runbook WHERE workspace_id = ? ORDER BY id FOR UPDATE", (workspace_id,)).fetchall()


def hold_runbook(runbook_id: int) -> None:
    """Let whoever sets a freeze wait until this transaction ends; others may do so at the same time."""
    if is_postgresql():
        sql.run("SELECT id FROM runbook WHERE id = ? FOR SHARE", (runbook_id,)).fetchall()


def save_calendar(workspace_id: int, digest: str, content: Json) -> bool:
    """Keep the calendar file's content; False when it is what was kept before, and for none where none was kept."""
    if not content and FreezeCalendar.get_or_none(FreezeCalendar.workspace_id == workspace_id) is None:
        return False
    return rule_files.save(FreezeCalendar, workspace_id, digest, content)
