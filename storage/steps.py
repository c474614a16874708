"""Step runs. Every change is a compare-and-set on state and fence: it happens once or not at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import peewee as pw

from storage import rows, sql
from storage.columns import first, tuples
from storage.records import Json, StepRunRecord
from storage.states import Phase, StepStatus
from storage.tables import StepRun

EARLIER_CLEANUP = "of an earlier cleanup"

UNFINISHED = (StepStatus.BLOCKED, StepStatus.READY, StepStatus.RUNNING, StepStatus.WAITING, StepStatus.UNKNOWN)


_NAMES = StepRunRecord.__slots__


def query(where: str, *values: Any) -> sql.Query[StepRunRecord]:
    """The query for the step runs that `where` finds."""
    return sql.Query(StepRun, StepRunRecord, where, values)


def _select(where: str, *values: Any) -> list[StepRunRecord]:
    return sql.ask(query(where, *values))


def create(workspace_id: int, steps: Sequence[StepRunRecord]) -> None:
    """Write the step runs of a new execution; their `id` is given by the database."""
    names = [name for name in _NAMES if name != "id"]
    sql.insert(
        StepRun, [{"workspace_id": workspace_id, **{name: getattr(step, name) for name in names}} for step in steps]
    )


def of_execution(execution_id: str) -> list[StepRunRecord]:
    """All step runs of an execution in the order of the runbook."""
    return _select("execution_id = ? ORDER BY position, id", execution_id)


def at_paths(execution_id: str, paths: Collection[str]) -> list[StepRunRecord]:
    """The step runs of an execution at these paths, in no order."""
    return sql.ask(query_at(execution_id, paths)) if paths else []


def query_at(execution_id: str, paths: Collection[str]) -> sql.Query[StepRunRecord]:
    """The query of `at_paths`, for whoever asks it together with others."""
    return query(f"execution_id = ? AND path IN ({sql.marks(paths)})", execution_id, *paths)


def of_steps(execution_id: str, step_ids: Collection[str]) -> list[StepRunRecord]:
    """All runs of these steps in an execution: one in each round of the loops around them."""
    ids = sorted(step_ids)
    return _select(f"execution_id = ? AND step_id IN ({sql.marks(ids)})", execution_id, *ids) if ids else []


def outputs(execution_id: str, paths: Collection[str]) -> dict[str, Json]:
    """The outputs of the named step runs that were not skipped, by path; skipping a failure voids them."""
    if not paths:
        return {}
    where = f"execution_id = ? AND path IN ({sql.marks(paths)}) AND status <> ?"
    return dict(sql.select(StepRun, ("path", "outputs"), where, execution_id, *paths, StepStatus.SKIPPED))


def ends(execution_id: str, paths: Collection[str]) -> dict[str, tuple[StepStatus, Json]]:
    """Status and error of the named step runs, by path."""
    if not paths:
        return {}
    where = f"execution_id = ? AND path IN ({sql.marks(paths)})"
    found = sql.select(StepRun, ("path", "status", "error"), where, execution_id, *paths)
    return {path: (StepStatus(status), error) for path, status, error in found}


def by_id(step_run_id: int) -> StepRunRecord | None:
    """The step run, as this transaction has left it so far; None where there is none."""
    return sql.first(query("id = ?", step_run_id))


def ready(execution_id: str, at: int, limit: int, kinds: Collection[str] | None = None) -> list[StepRunRecord]:
    """The READY step runs that are due, those first that have been for longest, or those of some kinds.

    One that was never tried is due whatever the time: the clock of the process that made it ready may be ahead of ours.
    """
    where = "execution_id = ? AND status = 'READY' AND (due_at <= ? OR attempts = 0)"
    where += "" if kinds is None else f" AND kind IN ({sql.marks(kinds)})"
    return _select(f"{where} ORDER BY due_at, position LIMIT ?", execution_id, at, *sorted(kinds or ()), limit)


CONTAINERS = ("branch", "loop")
"""Kinds that only hold other steps: while those run they are WAITING."""


def in_scope_deep(scope: str) -> Any:
    """Whether a step run stands in `scope`, however deep; all do in ""."""
    if scope == "":
        return StepRun.scope.is_null(False)
    direct = StepRun.scope == scope
    return (
        direct
        | (pw.fn.substr(StepRun.scope, 1, len(scope) + 1) == scope + ".")
        | (pw.fn.substr(StepRun.scope, 1, len(scope) + 1) == scope + "[")
    )


def in_scope(execution_id: str, scope: str, phase: Phase, *statuses: StepStatus) -> list[tuple[str, str]]:
    """Id and path of the step runs that stand directly in `scope` with one of `statuses`."""
    where = f"execution_id = ? AND scope = ? AND phase = ? AND status IN ({sql.marks(statuses)}) ORDER BY position, id"
    values = (execution_id, scope, phase.value, *(status.value for status in statuses))
    return [(step_id, path) for step_id, path in sql.select(StepRun, ("step_id", "path"), where, *values)]


def failed_in(execution_id: str, scope: str, phase: Phase) -> list[tuple[str, Json]]:
    """Id and error of the step runs that stand directly in `scope` and have FAILED."""
    where = "execution_id = ? AND scope = ? AND phase = ? AND status = 'FAILED'"
    found = sql.select(StepRun, ("step_id", "error"), where, execution_id, scope, phase.value)
    return [(step_id, error) for step_id, error in found]


def busy_inside(execution_id: str, scope: str) -> bool:
    """Whether anything in `scope`, however deep, is RUNNING or UNKNOWN."""
    query = StepRun.select(StepRun.id).where(
        (StepRun.execution_id == execution_id)
        & StepRun.status.in_([StepStatus.RUNNING, StepStatus.UNKNOWN])
        & in_scope_deep(scope)
    )
    return query.first() is not None


def open_scopes(execution_id: str, prefix: str) -> set[str]:
    """The scopes beginning with `prefix` in which something has not ended yet."""
    query = StepRun.select(StepRun.scope).where(
        (StepRun.execution_id == execution_id)
        & (pw.fn.substr(StepRun.scope, 1, len(prefix)) == prefix)
        & StepRun.status.in_(UNFINISHED)
    )
    return {row[0] for row in tuples(query.distinct())}


def stopped(execution_id: str, paths: Collection[str]) -> list[str]:
    """Those of the containers at `paths` that start nothing more and fail once nothing in them runs; outer first."""
    where = f"execution_id = ? AND path IN ({sql.marks(paths)}) AND status IN ('READY', 'WAITING') AND error <> 'null'"
    return sorted((path for (path,) in sql.select(StepRun, ("path",), where, execution_id, *paths)), key=len)


def past_deadline(at: int, most: int) -> list[tuple[str, int]]:
    """Execution and step run of the branches, loops and runbook steps whose whole step's time is up."""
    where = (
        "deadline_at <= ? AND deadline_at IS NOT NULL AND ended_at IS NULL AND kind IN ('branch', 'loop', 'runbook') "
        "AND status IN ('READY', 'WAITING') ORDER BY deadline_at LIMIT ?"
    )
    found = sql.select(StepRun, ("execution_id", "id"), where, at, most)
    return [(execution_id, step_run_id) for execution_id, step_run_id in found]


def outputs_inside(execution_id: str, scopes: str) -> list[tuple[str, str, Json]]:
    """Scope, id and outputs of the SUCCESS step runs directly in the scopes that begin with `scopes`, in order."""
    query = StepRun.select(StepRun.scope, StepRun.step_id, StepRun.outputs).where(
        (StepRun.execution_id == execution_id)
        & (pw.fn.substr(StepRun.scope, 1, len(scopes)) == scopes)
        & (StepRun.status == StepStatus.SUCCESS)
    )
    return [(scope, step_id, outputs) for scope, step_id, outputs in tuples(query.order_by(StepRun.id))]


def succeeded(execution_id: str, step_ids: Collection[str]) -> list[StepRunRecord]:
    """The main step runs of these steps that ended as SUCCESS, the last first."""
    query = rows.select(StepRun, StepRunRecord).where(
        (StepRun.execution_id == execution_id)
        & (StepRun.phase == Phase.MAIN)
        & (StepRun.status == StepStatus.SUCCESS)
        & StepRun.step_id.in_(list(step_ids))
    )
    return rows.read(query.order_by(StepRun.ended_seq.desc(), StepRun.id.desc()), StepRunRecord)


def of_phase(execution_id: str, phase: Phase) -> list[StepRunRecord]:
    """All step runs of a phase in order."""
    query = rows.select(StepRun, StepRunRecord).where((StepRun.execution_id == execution_id) & (StepRun.phase == phase))
    return rows.read(query.order_by(StepRun.position, StepRun.id), StepRunRecord)


def reopened_gates(execution_id: str) -> list[StepRunRecord]:
    """The gates, and what starts runs with gates, that are asked once more, in order."""
    query = rows.select(StepRun, StepRunRecord).where((StepRun.execution_id == execution_id) & StepRun.reopened)
    return rows.read(query.order_by(StepRun.position, StepRun.id), StepRunRecord)


def count_by_status(execution_id: str, phase: Phase) -> list[tuple[StepStatus, str, int]]:
    """How many step runs of a phase have which status and kind."""
    query = StepRun.select(StepRun.status, StepRun.kind, pw.fn.count(StepRun.id)).where(
        (StepRun.execution_id == execution_id) & (StepRun.phase == phase)
    )
    return [(StepStatus(status), kind, n) for status, kind, n in tuples(query.group_by(StepRun.status, StepRun.kind))]


def unknown(execution_id: str) -> list[StepRunRecord]:
    """The step runs of an execution whose outcome nobody saw, in the order of the runbook."""
    query = rows.select(StepRun, StepRunRecord).where(
        (StepRun.execution_id == execution_id) & (StepRun.status == StepStatus.UNKNOWN)
    )
    return rows.read(query.order_by(StepRun.position), StepRunRecord)


def all_unknown(workspace_id: int) -> list[tuple[str, str]]:
    """Execution and path of every step run whose outcome nobody saw."""
    query = StepRun.select(StepRun.execution_id, StepRun.path).where(
        (StepRun.workspace_id == workspace_id) & (StepRun.status == StepStatus.UNKNOWN)
    )
    return [(execution_id, path) for execution_id, path in tuples(query.order_by(StepRun.id))]


def make_due(step_run_id: int, at: int) -> str | None:
    """Let a READY step run fall due now, without its execution's lock; that one's id, or None when it is not READY."""
    query = StepRun.update(due_at=at).where((StepRun.id == step_run_id) & (StepRun.status == StepStatus.READY))
    row = first(StepRun.select(StepRun.execution_id).where(StepRun.id == step_run_id))
    return str(row["execution_id"]) if query.execute() == 1 and row else None
