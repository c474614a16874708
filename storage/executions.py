"""Executions: one row each, always changed under its lock, so that whatever decides sees everything decided before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import peewee as pw

from storage import rows, sql
from storage.columns import tuples
from storage.database import is_postgresql, now
from storage.records import ExecutionRecord, Filter
from storage.state_transitions import EXECUTION_TRANSITIONS, check_transition
from storage.states import ExecutionStatus
from storage.tables import Card, Execution, StepRun

_NAMES = ExecutionRecord.__slots__
_COUNTED = ("event_seq", "live", "running", "waiting_steps", "unfinished")
_STILL = " AND ".join(f"{name} = ?" for name in ("id", "status", *_COUNTED))


def query(where: str, *values: Any) -> sql.Query[ExecutionRecord]:
    """The query for the executions that `where` finds."""
    return sql.Query(Execution, ExecutionRecord, where, values)


def lock_query(execution_id: str) -> sql.Query[ExecutionRecord]:
    """The query for an execution that holds it until this transaction ends."""
    return query("id = ? FOR UPDATE" if is_postgresql() else "id = ?", execution_id)


def _first(where: str, *values: Any) -> ExecutionRecord | None:
    return sql.first(query(where, *values))


def _select(where: str, *values: Any) -> list[ExecutionRecord]:
    return sql.ask(query(where, *values))


def create(execution: ExecutionRecord) -> None:
    """Write a new execution, and the card that will show it where its incident has a channel.

    Raises `database.IntegrityError` when the id is taken: draw another and try again in a new transaction.
    """
    row = {name: getattr(execution, name) for name in _NAMES}
    channel = (execution.incident or {}).get("channel")
    sql.insert(Execution, [{**row, "channel": channel}])
    if channel:
        about = {"execution_id": execution.id, "workspace_id": execution.workspace_id, "channel": channel, "ts": None}
        sql.insert(Card, [{**about, "shown_seq": 0, "posted_seq": 0, "shown_at": 0, "settled": False, "trouble": ""}])


def find(workspace_id: int, execution_id: str) -> ExecutionRecord | None:
    """The execution as it is now, not held; None where this workspace has none of this id."""
    return _first("id = ? AND workspace_id = ?", execution_id, workspace_id)


def by_id(execution_id: str) -> ExecutionRecord | None:
    """The execution as it is now, of whatever workspace, not held; None where there is none."""
    return _first("id = ?", execution_id)


def parent_of(execution: ExecutionRecord) -> ExecutionRecord | None:
    """The execution whose step has started this one, or None."""
    if execution.parent_step is None:
        return None
    return _first("id = (SELECT execution_id FROM step_run WHERE id = ?)", execution.parent_step)


def with_parents(execution: ExecutionRecord) -> Iterator[ExecutionRecord]:
    """The execution, then each that waits for it, the nearest first; needs an open connection."""
    each: ExecutionRecord | None = execution
    while each is not None:
        yield each
        each = parent_of(each)


def earlier_tries(execution_id: str) -> list[str]:
    """The execution, those that it replays, and the children that the same steps had started before.

    Needs an open connection.
    """
    found = [execution_id]
    for each in found:
        run = by_id(each)
        before = [run.replay_of] if run is not None and run.replay_of is not None else []
        if run is not None and run.parent_step is not None:
            siblings = Execution.select(Execution.id).where(Execution.parent_step == run.parent_step)
            before += [row[0] for row in tuples(siblings)]
        found += [other for other in before if other not in found]
    return found


def family(execution_id: str) -> list[str]:
    """The execution and all that it has started, directly or through others; needs an open connection."""
    found = [execution_id]
    for each in found:
        query = Execution.select(Execution.id).join(StepRun, on=(StepRun.id == Execution.parent_step))
        found += [row[0] for row in tuples(query.where(StepRun.execution_id == each)) if row[0] not in found]
    return found


def started_by(execution_id: str, step_id: str) -> list[ExecutionRecord]:
    """The executions that the runs of one step of an execution have started, oldest first."""
    return _select(
        "parent_step IN (SELECT id FROM step_run WHERE execution_id = ? AND step_id = ?) ORDER BY created_at",
        execution_id, step_id,
    )  # fmt: skip


def save(before: ExecutionRecord, after: ExecutionRecord) -> None:
    """Write what changed between two states of a locked execution, in one UPDATE.

    Raises `ForbiddenTransition` for a status that may not follow, and `LostRow`, at the latest with the commit, where
    somebody without its lock has changed what this counts on.
    """
    changed = {name: getattr(after, name) for name in _NAMES if getattr(before, name) != getattr(after, name)}
    if "status" in changed:
        check_transition(EXECUTION_TRANSITIONS, before.status, after.status)
    if changed:
        still = [getattr(before, name) for name in _COUNTED]
        sql.set_locked(Execution, changed, _STILL, before.id, before.status.value, *still)


def page(
    workspace_id: int, wanted: Filter, *, limit: int, seen: Collection[str] | None = None, or_of: str = "",
    before: tuple[int, str] | None = None,
) -> list[ExecutionRecord]:  # fmt: skip
    """The newest executions that fit, behind the one `before` (created_at, id).

    `seen` leaves those of these teams, those of no team, and those that `or_of` has asked for.
    """
    query = _narrowed(rows.select(Execution, ExecutionRecord).where(Execution.workspace_id == workspace_id), wanted)
    if seen is not None:
        query = query.where(Execution.team.is_null() | Execution.team.in_(list(seen)) | (Execution.requester == or_of))
    if before is not None:
        at, last = before
        earlier = (Execution.created_at == at) & (Execution.id < last)
        query = query.where((Execution.created_at <= at) & ((Execution.created_at < at) | earlier))
    query = query.order_by(Execution.created_at.desc(), Execution.id.desc()).limit(limit)
    if wanted.requester is None:
        return rows.read(query, ExecutionRecord)
    # Asked one by one each reads its own index and no more rows than it gives; asked with OR both would be sorted.
    whose = [query.where(column == wanted.requester) for column in (Execution.requester, Execution.owner)]
    found = {run.id: run for each in whose for run in rows.read(each, ExecutionRecord)}
    return sorted(found.values(), key=lambda run: (run.created_at, run.id), reverse=True)[:limit]


def _narrowed(query: Any, wanted: Filter) -> Any:
    for name in ("slug", "team", "channel"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(Execution, name) == value)
    if wanted.statuses:
        query = query.where(Execution.status.in_([status.value for status in wanted.statuses]))
    if wanted.open is not None:
        query = query.where(Execution.ended_at.is_null(wanted.open))
    if wanted.since is not None:
        query = query.where(Execution.created_at >= wanted.since)
    if wanted.within_ms is not None:
        query = query.where(Execution.created_at >= now() - wanted.within_ms)
    return query


def due(fresh_before: int, at: int, limit: int) -> dict[str, int]:
    """Ids of executions with READY steps that should be running by now, and when the last of these fell due.

    Whoever has waited longest comes first, and a run counts once however many of its steps are due. A step that was
    tried before (a retry, a poll round) counts from its due time `at`; a new one only when it is older than
    `fresh_before`, because until then a hint for it is still on its way.
    """
    first_try = (StepRun.attempts == 0) & (StepRun.due_at <= fresh_before)
    again = (StepRun.attempts > 0) & (StepRun.due_at <= at)
    query = (
        StepRun.select(StepRun.execution_id, pw.fn.max(StepRun.due_at))
        .join(Execution, on=(Execution.id == StepRun.execution_id))
        .where((StepRun.status == "READY") & (first_try | again) & (Execution.running < Execution.max_concurrent))
        .where(Execution.status.in_(["PENDING", "RUNNING", "WAITING"]))
        .where(Execution.pending_result.is_null() | (Execution.phase != "main"))
        .where(Execution.slot.is_null() | (Execution.slot != "queued"))
        .group_by(StepRun.execution_id)
        .order_by(pw.fn.min(StepRun.due_at))
        .limit(limit)
    )
    return {execution_id: int(last) for execution_id, last in tuples(query)}


def next_due_at(after: int) -> int | None:
    """When the next READY step that was tried before falls due after `after`; None when none will."""
    query = StepRun.select(StepRun.due_at).where(
        (StepRun.status == "READY") & (StepRun.due_at > after) & (StepRun.attempts > 0)
    )
    value = query.order_by(StepRun.due_at).limit(1).scalar()
    return None if value is None else int(value)


def overdue(at: int, limit: int) -> list[str]:
    """Ids of executions whose running time is used up."""
    query = Execution.select(Execution.id).where(Execution.deadline_at <= at)
    return [row[0] for row in tuples(query.order_by(Execution.deadline_at).limit(limit))]


def beyond_expected(at: int, limit: int) -> list[str]:
    """Ids of executions that have taken longer than expected since, and of which that is not noted."""
    due = Execution.deadline_at - Execution.timeout_ms + Execution.expected_ms <= at
    unnoted = Execution.expected_ms.is_null(False) & Execution.overran_at.is_null()
    query = Execution.select(Execution.id).where(Execution.deadline_at.is_null(False) & unnoted & due)
    return [row[0] for row in tuples(query.order_by(Execution.deadline_at).limit(limit))]


def to_abandon(execution_ids: Iterable[str], at: int) -> set[str]:
    """Those of `execution_ids` whose attempts under way nobody wants any more.

    Those are main's of a cancelled run, and a cleanup's whose time is up.
    """
    ids = list(execution_ids)
    cancelled = (Execution.pending_result == "CANCELLED") & (Execution.phase == "main")
    query = (
        Execution.select(Execution.id)
        .where(Execution.id.in_(ids))
        .where(cancelled | (Execution.cleanup_until <= at) | Execution.ended_at.is_null(False))
    )
    return {row[0] for row in tuples(query)} if ids else set()


def oldest_ready_age(at: int) -> int:
    """How long the oldest due step that may run has been waiting for a worker, in milliseconds."""
    query = (
        StepRun.select(StepRun.due_at)
        .join(Execution, on=(Execution.id == StepRun.execution_id))
        .where((StepRun.status == "READY") & (Execution.running < Execution.max_concurrent))
        .where(Execution.status.in_(["PENDING", "RUNNING", "WAITING"]))
        .where(Execution.pending_result.is_null() | (Execution.phase != "main"))
        .where(Execution.slot.is_null() | (Execution.slot != "queued"))
        .order_by(StepRun.due_at)
        .limit(1)
    )
    due_at = query.scalar()
    return 0 if due_at is None else max(0, at - int(due_at))


def heads(execution_ids: Collection[str]) -> dict[str, tuple[int, bool]]:
    """By id, the number of the newest event and whether the execution has ended."""
    query = Execution.select(Execution.id, Execution.event_seq, Execution.ended_at)
    rows = tuples(query.where(Execution.id.in_(list(execution_ids)))) if execution_ids else []
    return {row[0]: (int(row[1]), row[2] is not None) for row in rows}


def by_ids(execution_ids: Collection[str]) -> dict[str, ExecutionRecord]:
    """These executions by their ids, as far as there are any."""
    if not execution_ids:
        return {}
    return {each.id: each for each in _select(f"id IN ({sql.marks(execution_ids)})", *execution_ids)}


def count_open(workspace_id: int) -> int:
    """How many executions of the workspace have not ended, those that are PAUSED or queued included."""
    query = Execution.select().where((Execution.workspace_id == workspace_id) & Execution.ended_at.is_null())
    return int(query.count())


@dataclass(frozen=True, slots=True)
class Tally:
    """How many runs there are, how many of them are open, and how many have failed."""

    runs: int
    open: int
    failed: int


def tally(workspace_id: int, channel: str, since: int) -> Tally:
    """The runs of a channel that were made since then, counted."""
    failed, under_way = (Execution.status == ExecutionStatus.FAILED, 1), (Execution.ended_at.is_null(), 1)
    sums = (pw.fn.COALESCE(pw.fn.SUM(pw.Case(None, (each,), 0)), 0) for each in (under_way, failed))
    query = Execution.select(pw.fn.COUNT(Execution.id), *sums).where(
        (Execution.workspace_id == workspace_id) & (Execution.channel == channel) & (Execution.created_at >= since)
    )
    return Tally(*map(int, next(iter(tuples(query)))))


def paused_since(workspace_id: int, before: int, limit: int) -> list[str]:
    """Ids of executions that have been PAUSED since before then, the longest first."""
    query = Execution.select(Execution.id).where(
        (Execution.workspace_id == workspace_id)
        & Execution.ended_at.is_null()
        & (Execution.status == ExecutionStatus.PAUSED)
        & (Execution.status_since < before)
    )
    return [row[0] for row in tuples(query.order_by(Execution.status_since).limit(limit))]


def open_of_versions(workspace_id: int, slug: str, numbers: Collection[int]) -> list[str]:
    """Ids of the open executions of these versions of a runbook, the newest first."""
    query = Execution.select(Execution.id).where(
        (Execution.workspace_id == workspace_id)
        & Execution.ended_at.is_null()
        & (Execution.slug == slug)
        & Execution.number.in_(list(numbers))
    )
    return [row[0] for row in tuples(query.order_by(Execution.created_at.desc(), Execution.id.desc()))]


def open_of(runbook_id: int, limit: int) -> list[str]:
    """Ids of the open executions of a runbook, oldest first."""
    query = Execution.select(Execution.id).where((Execution.runbook_id == runbook_id) & Execution.ended_at.is_null())
    return [row[0] for row in tuples(query.order_by(Execution.created_at).limit(limit))]


def identical(workspace_id: int, same_as: str) -> list[ExecutionRecord]:
    """The newest executions of the same version, parameters and incident, newest first."""
    return _select("workspace_id = ? AND same_as = ? ORDER BY created_at DESC LIMIT 20", workspace_id, same_as)


_WAITS = ("READY", "RUNNING")
"""What a `runbook` step is while it waits for its child."""


def orphaned_children(limit: int, of: str | None = None) -> list[tuple[str, str]]:
    """Executions that go on although the step that started them no longer waits for them, each with its parent.

    The step was skipped, failed, cancelled, held back by a failure, or goes on with another child. `of` asks for the
    children of one execution only.
    """
    query = (
        Execution.select(Execution.id, StepRun.execution_id)
        .join(StepRun, on=(StepRun.id == Execution.parent_step))
        .where(Execution.parent_step.is_null(False) & Execution.ended_at.is_null() & Execution.pending_result.is_null())
        .where(StepRun.status.not_in(_WAITS) | StepRun.child.is_null() | (StepRun.child != Execution.id))
        .limit(limit)
    )
    return [(row[0], row[1]) for row in tuples(query.where(StepRun.execution_id == of) if of else query)]


def cleanup_overdue(at: int, limit: int) -> list[str]:
    """Ids of executions whose cleanup has used up its time."""
    query = Execution.select(Execution.id).where((Execution.cleanup_until <= at) & Execution.ended_at.is_null())
    return [row[0] for row in tuples(query.order_by(Execution.cleanup_until).limit(limit))]
