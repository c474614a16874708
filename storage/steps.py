"""Step runs. Every change is a compare-and-set on state and fence: it happens once or not at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import peewee as pw

from storage import sql
from storage.columns import dicts, first, tuples
from storage.moves import STEP_MOVES, check_move
from storage.records import Json, StepRunRecord, changed
from storage.states import AttemptStatus, Phase, StepStatus
from storage.step_cache import cache
from storage.tables import Attempt, StepRun

EARLIER_CLEANUP = "of an earlier cleanup"

UNFINISHED = (StepStatus.BLOCKED, StepStatus.READY, StepStatus.RUNNING, StepStatus.WAITING, StepStatus.UNKNOWN)


_NAMES = StepRunRecord.__slots__
_STATUS, _PHASE = _NAMES.index("status"), _NAMES.index("phase")


def record(row: dict[str, Any]) -> StepRunRecord:
    """What a whole row of the table is, by column name."""
    row.pop("workspace_id")
    row["status"] = StepStatus(row["status"])
    row["phase"] = Phase(row["phase"])
    return StepRunRecord(**row)


def _records(rows: list[list[Any]]) -> list[StepRunRecord]:
    for row in rows:
        row[_STATUS] = StepStatus(row[_STATUS])
        row[_PHASE] = Phase(row[_PHASE])
    return [StepRunRecord(*row) for row in rows]


def _select(where: str, *values: Any) -> list[StepRunRecord]:
    return _records(sql.select(StepRun, _NAMES, where, *values))


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
    return _select(f"execution_id = ? AND path IN ({sql.marks(paths)})", execution_id, *paths) if paths else []


def read_locked(execution_id: str, paths: Collection[str]) -> list[StepRunRecord]:
    """`at_paths` for whoever holds the execution's lock: moves of these cost no look at the table."""
    found = at_paths(execution_id, paths)
    cache.remember(found)
    return found


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


def by_id(step_run_id: int) -> StepRunRecord | None:
    return next(iter(_select("id = ?", step_run_id)), None)


def query_at(execution_id: str, paths: Collection[str]) -> sql.Query:
    """The query for these step runs, for whoever asks it together with others."""
    return StepRun, _NAMES, f"execution_id = ? AND path IN ({sql.marks(paths)})", (execution_id, *paths)


def remember(rows: list[list[Any]]) -> None:
    """Know what such a query has found under the execution's lock: moves of these cost no look at the table."""
    cache.remember(_records(rows))


def ready(
    execution_id: str, at: int, limit: int, count: int, kinds: Collection[str] | None = None
) -> list[StepRunRecord]:
    """Those of the `count` READY step runs of a locked execution that have been due longest, or those of some kinds.

    One that was never tried is due whatever the time: the clock of the process that let it on may be ahead of ours.
    """
    found = cache.all_ready(execution_id, count)
    if found is not None:
        due = [step for step in found if step.attempts == 0 or (step.due_at or 0) <= at]
        due = [step for step in due if kinds is None or step.kind in kinds]
        return sorted(due, key=lambda step: (step.due_at or 0, step.position))[:limit]
    where = "execution_id = ? AND status = 'READY' AND (due_at <= ? OR attempts = 0)"
    where += "" if kinds is None else f" AND kind IN ({sql.marks(kinds)})"
    found = _select(f"{where} ORDER BY due_at, position LIMIT ?", execution_id, at, *sorted(kinds or ()), limit)
    cache.remember(found)
    return found


def move(step: StepRunRecord, to: StepStatus, **fields: Any) -> bool:
    """Change `step` from exactly the state and fence it was read with; False when somebody else was first.

    Raises `ForbiddenMove` for a status that may not follow.
    """
    check_move(STEP_MOVES, step.status, to)
    changes = {"status": to, **fields}
    now = cache.by_id(step.id)
    if now is None:
        where = "id = ? AND status = ? AND fence = ?"
        return sql.update(StepRun, changes, where, step.id, step.status.value, step.fence) == 1
    if (now.status, now.fence) != (step.status, step.fence):
        return False
    cache.change(now, changes)
    return True


def count_down(execution_id: str, paths: Collection[str]) -> list[StepRunRecord]:
    """Take one need off each step at `paths`, and return them."""
    if not paths:
        return []
    rows = [cache.at(execution_id, path) for path in paths]
    if all(rows):
        return [cache.change(row, {"blocked": row.blocked - 1}) for row in rows if row is not None]
    statement = (
        f"UPDATE step_run SET blocked = blocked - 1 WHERE execution_id = ? AND path IN ({sql.marks(paths)}) "  # noqa: S608
        f"RETURNING {sql.quoted(_NAMES)}"
    )
    found = _records(sql.read(StepRun, _NAMES, sql.run(statement, [execution_id, *paths]).fetchall()))
    cache.remember(found)
    return found


CONTAINERS = ("branch", "loop")
"""Kinds that only hold other steps: while those run they are WAITING."""


def scope_condition(scope: str) -> Any:
    """Whether a step run stands in `scope`, however deep; all do in ""."""
    if scope == "":
        return StepRun.scope.is_null(False)
    direct = StepRun.scope == scope
    return (
        direct
        | (pw.fn.substr(StepRun.scope, 1, len(scope) + 1) == scope + ".")
        | (pw.fn.substr(StepRun.scope, 1, len(scope) + 1) == scope + "[")
    )


def block_ready(execution_id: str, phase: Phase, scope: str = "") -> int:
    """READY → BLOCKED for all in `scope`: something there has failed and nothing more starts. How many there were.

    Their due times stay: should the run go on, a delay is not over sooner for it.
    """
    query = StepRun.update(status=StepStatus.BLOCKED).where(
        (StepRun.execution_id == execution_id) & (StepRun.phase == phase) & (StepRun.status == StepStatus.READY)
    )
    return int(query.where(scope_condition(scope)).execute())


def cancel_waiting(execution_id: str, phase: Phase, at: int, scope: str = "") -> int:
    """WAITING → CANCELLED for gates and waits in `scope`: nobody is asked any more. How many there were."""
    query = StepRun.update(status=StepStatus.CANCELLED, ended_at=at).where(
        (StepRun.execution_id == execution_id) & (StepRun.phase == phase) & (StepRun.status == StepStatus.WAITING)
    )
    return int(query.where(StepRun.kind.not_in(CONTAINERS) & scope_condition(scope)).execute())


def cancel_idle(execution_id: str, phase: Phase, at: int) -> dict[StepStatus, int]:
    """End every step run of the phase that is not RUNNING and has not ended as CANCELLED.

    How many there were of each status; waiting containers are told under BLOCKED, as which they count.
    """
    counts: dict[StepStatus, int] = {}
    for status in (StepStatus.BLOCKED, StepStatus.READY, StepStatus.UNKNOWN, StepStatus.WAITING):
        query = StepRun.update(status=StepStatus.CANCELLED, ended_at=at, due_at=None).where(
            (StepRun.execution_id == execution_id) & (StepRun.phase == phase) & (StepRun.status == status)
        )
        if status is StepStatus.WAITING:
            counts[StepStatus.BLOCKED] += query.where(StepRun.kind.in_(CONTAINERS)).execute()
        counts[status] = query.execute()
    return counts


def abandon_all(execution_id: str, at: int, error: Json) -> None:
    """End everything that has not ended as CANCELLED, also what is RUNNING: its worker's result comes too late."""
    unfinished = (StepRun.execution_id == execution_id) & StepRun.status.in_(UNFINISHED)
    under_way = StepRun.select(StepRun.id).where(unfinished)
    Attempt.update(status=AttemptStatus.ABANDONED, ended_at=at, error=error).where(
        Attempt.step_run_id.in_(under_way) & (Attempt.status == AttemptStatus.RUNNING)
    ).execute()
    StepRun.update(
        status=StepStatus.CANCELLED, fence=StepRun.fence + 1, ended_at=at, due_at=None, worker_id=None, error=error
    ).where(unfinished).execute()


def skip_rest(execution_id: str, scope: str, at: int, note: str) -> dict[StepStatus, int]:
    """End what was held back in a round or branch that failed, where that failure is tolerated.

    How many there were of each status; waiting containers are told under BLOCKED, as which they count.
    """
    counts: dict[StepStatus, int] = {}
    for status, kinds in ((StepStatus.BLOCKED, None), (StepStatus.READY, None), (StepStatus.WAITING, CONTAINERS)):
        query = StepRun.update(status=StepStatus.SKIPPED, ended_at=at, due_at=None, note=note).where(
            (StepRun.execution_id == execution_id) & (StepRun.status == status) & scope_condition(scope)
        )
        if kinds:
            counts[StepStatus.BLOCKED] += query.where(StepRun.kind.in_(kinds)).execute()
        else:
            counts[status] = query.execute()
    return counts


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
        & scope_condition(scope)
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
    query = StepRun.select().where(
        (StepRun.execution_id == execution_id)
        & (StepRun.phase == Phase.MAIN)
        & (StepRun.status == StepStatus.SUCCESS)
        & StepRun.step_id.in_(list(step_ids))
    )
    return [record(row) for row in dicts(query.order_by(StepRun.ended_seq.desc(), StepRun.id.desc()))]


def of_phase(execution_id: str, phase: Phase) -> list[StepRunRecord]:
    """All step runs of a phase in order."""
    query = StepRun.select().where((StepRun.execution_id == execution_id) & (StepRun.phase == phase))
    return [record(row) for row in dicts(query.order_by(StepRun.position, StepRun.id))]


def reopened_gates(execution_id: str) -> list[StepRunRecord]:
    """The gates, and what starts runs with gates, that are asked once more, in order."""
    query = StepRun.select().where((StepRun.execution_id == execution_id) & StepRun.reopened)
    return [record(row) for row in dicts(query.order_by(StepRun.position, StepRun.id))]


_FRESH: dict[str, Any] = {
    "due_at": None, "deadline_at": None, "failures": 0, "recoveries": 0, "worker_id": None, "started_at": None,
    "ended_at": None, "outputs": None, "error": None, "note": "", "child": None, "skip": None, "items": None,
    "rounds": 0, "wait_key": None,
}  # fmt: skip


def reset(step: StepRunRecord, **fields: Any) -> None:
    """Make a cleanup step run that has ended ready to run again, for a run whose cleanup comes once more."""
    changes = {**_FRESH, "status": StepStatus.BLOCKED, "fence": step.fence + 1, **fields}
    StepRun.update(changes).where(StepRun.id == step.id).execute()


def retire_inner(execution_id: str, phase: Phase) -> None:
    """What stands in the branches and rounds of an earlier cleanup is over until it is made once more (`reset`)."""
    aside = {**_FRESH, "status": StepStatus.SKIPPED, "fence": StepRun.fence + 1, "note": EARLIER_CLEANUP}
    inner = (StepRun.execution_id == execution_id) & (StepRun.phase == phase) & (StepRun.scope != "")
    StepRun.update(aside).where(inner).execute()


def edit(step: StepRunRecord, **fields: Any) -> None:
    """Change what is no state: a loop's items, rounds and failures, a gate's mark. Needs the execution's lock."""
    StepRun.update(**fields).where(StepRun.id == step.id).execute()


def count_by_status(execution_id: str, phase: Phase) -> list[tuple[StepStatus, str, int]]:
    """How many step runs of a phase have which status and kind."""
    query = StepRun.select(StepRun.status, StepRun.kind, pw.fn.count(StepRun.id)).where(
        (StepRun.execution_id == execution_id) & (StepRun.phase == phase)
    )
    return [(StepStatus(status), kind, n) for status, kind, n in tuples(query.group_by(StepRun.status, StepRun.kind))]


def unknown(execution_id: str) -> list[StepRunRecord]:
    query = StepRun.select().where((StepRun.execution_id == execution_id) & (StepRun.status == StepStatus.UNKNOWN))
    return [record(row) for row in dicts(query.order_by(StepRun.position))]


def all_unknown(workspace_id: int) -> list[tuple[str, str]]:
    """Execution and path of every step run whose outcome nobody saw."""
    query = StepRun.select(StepRun.execution_id, StepRun.path).where(
        (StepRun.workspace_id == workspace_id) & (StepRun.status == StepStatus.UNKNOWN)
    )
    return [(execution_id, path) for execution_id, path in tuples(query.order_by(StepRun.id))]


def postpone(step: StepRunRecord, due_at: int) -> None:
    """Let a READY step run fall due later, unless it was made due since it was read; needs its execution's lock."""
    where = "id = ? AND status = 'READY' AND due_at = ?"
    sql.update(StepRun, {"due_at": due_at}, where, step.id, step.due_at)
    cache.remember([changed(step, due_at=due_at)])


def make_due(step_run_id: int, at: int) -> str | None:
    """Let a READY step run fall due now, without its execution's lock; that one's id, or None when it is not READY."""
    query = StepRun.update(due_at=at).where((StepRun.id == step_run_id) & (StepRun.status == StepStatus.READY))
    row = first(StepRun.select(StepRun.execution_id).where(StepRun.id == step_run_id))
    return str(row["execution_id"]) if query.execute() == 1 and row else None


def reopen(step: StepRunRecord) -> None:
    """FAILED or CANCELLED → BLOCKED with fresh tries, for a run that goes on. Needs the execution's lock."""
    check_move(STEP_MOVES, step.status, StepStatus.READY)
    StepRun.update(
        status=StepStatus.BLOCKED, failures=0, recoveries=0, deadline_at=None, ended_at=None, error=None, outputs=None,
        due_at=None, wait_key=None, child=None, settled_by=None,
    ).where((StepRun.id == step.id) & (StepRun.status == step.status)).execute()  # fmt: skip


def reopen_container(step: StepRunRecord, deadline_at: int | None) -> None:
    """Let a branch or loop go on: FAILED → WAITING, one failed round forgiven, nothing stopped, its time anew."""
    StepRun.update(
        status=StepStatus.WAITING if step.status is StepStatus.FAILED else step.status, ended_at=None, error=None,
        failures=max(0, step.failures - 1), deadline_at=deadline_at,
    ).where(StepRun.id == step.id).execute()  # fmt: skip


def renew_time(execution_id: str, phase: Phase) -> None:
    """Give what is held back its whole time again when it goes on."""
    StepRun.update(deadline_at=None).where(
        (StepRun.execution_id == execution_id) & (StepRun.phase == phase) & (StepRun.status == StepStatus.BLOCKED)
    ).execute()
