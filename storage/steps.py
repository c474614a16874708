"""Step runs and their attempts. Every change is a compare-and-set on state and fence: it happens once or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from storage.moves import STEP_MOVES, check_move
from storage.records import AttemptRecord, AttemptStatus, Json, StepRunRecord, StepStatus
from storage.tables import Attempt, StepRun, Worker, dicts, first, tuples


def _record(row: dict[str, Any]) -> StepRunRecord:
    row.pop("workspace_id")
    row["status"] = StepStatus(row["status"])
    return StepRunRecord(**row)


def create(workspace_id: int, steps: Sequence[StepRunRecord]) -> None:
    """Write the step runs of a new execution; their `id` is given by the database."""
    names = [name for name in StepRunRecord.__slots__ if name != "id"]
    rows = [{"workspace_id": workspace_id, **{name: getattr(step, name) for name in names}} for step in steps]
    for start in range(0, len(rows), 100):
        StepRun.insert_many(rows[start : start + 100]).execute()


def of_execution(execution_id: str) -> list[StepRunRecord]:
    """All step runs of an execution in the order of the runbook."""
    query = StepRun.select().where(StepRun.execution_id == execution_id).order_by(StepRun.position, StepRun.id)
    return [_record(row) for row in dicts(query)]


def at_paths(execution_id: str, paths: Collection[str]) -> list[StepRunRecord]:
    query = StepRun.select().where((StepRun.execution_id == execution_id) & StepRun.path.in_(list(paths)))
    return [_record(row) for row in dicts(query)] if paths else []


def outputs(execution_id: str, paths: Collection[str]) -> dict[str, Json]:
    """The outputs of the named step runs that have any, by path."""
    query = StepRun.select(StepRun.path, StepRun.outputs).where(
        (StepRun.execution_id == execution_id) & StepRun.path.in_(list(paths))
    )
    return dict(tuples(query)) if paths else {}


def by_id(step_run_id: int) -> StepRunRecord | None:
    row = first(StepRun.select().where(StepRun.id == step_run_id))
    return _record(row) if row else None


def next_ready(execution_id: str, at: int) -> StepRunRecord | None:
    """The READY step run of this execution that has been due longest, or None."""
    query = (
        StepRun.select()
        .where((StepRun.execution_id == execution_id) & (StepRun.status == StepStatus.READY) & (StepRun.due_at <= at))
        .order_by(StepRun.due_at, StepRun.position)
        .limit(1)
    )
    row = first(query)
    return _record(row) if row else None


def move(step: StepRunRecord, to: StepStatus, **fields: Any) -> bool:
    """Change `step` from exactly the state and fence it was read with; False when somebody else was first.

    Raises `ForbiddenMove` for a status that may not follow.
    """
    check_move(STEP_MOVES, step.status, to)
    query = StepRun.update(status=to, **fields).where(
        (StepRun.id == step.id) & (StepRun.status == step.status) & (StepRun.fence == step.fence)
    )
    return bool(query.execute() == 1)


def count_down(execution_id: str, finished: Mapping[str, bool]) -> None:
    """Take one need off each step in `finished` (path → whether the need's skipping skips that step too)."""
    for poisoned in (False, True):
        paths = [path for path, value in finished.items() if value is poisoned]
        if not paths:
            continue
        change: dict[Any, Any] = {StepRun.blocked: StepRun.blocked - 1}
        if poisoned:
            change[StepRun.poisoned] = True
        StepRun.update(change).where((StepRun.execution_id == execution_id) & StepRun.path.in_(paths)).execute()


def hold_back(execution_id: str) -> int:
    """READY → BLOCKED for all: the execution has failed and starts nothing more. How many there were."""
    query = StepRun.update(status=StepStatus.BLOCKED, due_at=None)
    return int(query.where((StepRun.execution_id == execution_id) & (StepRun.status == StepStatus.READY)).execute())


def cancel_waiting(execution_id: str, at: int) -> int:
    """WAITING → CANCELLED for all: the execution has failed and asks nobody any more. How many there were."""
    query = StepRun.update(status=StepStatus.CANCELLED, ended_at=at)
    return int(query.where((StepRun.execution_id == execution_id) & (StepRun.status == StepStatus.WAITING)).execute())


def cancel_idle(execution_id: str, at: int) -> dict[StepStatus, int]:
    """End every step run that is not RUNNING and has not ended as CANCELLED. How many there were of each status."""
    counts: dict[StepStatus, int] = {}
    for status in (StepStatus.BLOCKED, StepStatus.READY, StepStatus.WAITING, StepStatus.UNKNOWN):
        query = StepRun.update(status=StepStatus.CANCELLED, ended_at=at, due_at=None)
        counts[status] = query.where((StepRun.execution_id == execution_id) & (StepRun.status == status)).execute()
    return counts


def orphaned(at: int) -> list[int]:
    """Ids of step runs that are RUNNING under a worker that has ended or let its lease run out."""
    gone = Worker.ended_at.is_null(False) | (Worker.lease_until <= at)
    query = StepRun.select(StepRun.id).join(Worker, on=(Worker.id == StepRun.worker_id))
    return [row[0] for row in tuples(query.where((StepRun.status == StepStatus.RUNNING) & gone))]


def held_by(worker_id: str) -> list[StepRunRecord]:
    """The step runs that are RUNNING under this worker."""
    query = StepRun.select().where((StepRun.worker_id == worker_id) & (StepRun.status == StepStatus.RUNNING))
    return [_record(row) for row in dicts(query)]


def unknown(execution_id: str) -> list[StepRunRecord]:
    query = StepRun.select().where((StepRun.execution_id == execution_id) & (StepRun.status == StepStatus.UNKNOWN))
    return [_record(row) for row in dicts(query.order_by(StepRun.position))]


def begin_attempt(workspace_id: int, step: StepRunRecord, number: int, worker_id: str, at: int) -> None:
    """Put an attempt on record. Raises `database.IntegrityError` when this number was used before."""
    Attempt.insert(
        workspace_id=workspace_id, step_run_id=step.id, number=number, status=AttemptStatus.RUNNING,
        worker_id=worker_id, started_at=at, ended_at=None, request=None, response=None, error=None,
    ).execute()  # fmt: skip


def end_attempt(
    step: StepRunRecord, status: AttemptStatus, at: int, request: Json = None, response: Json = None, error: Json = None
) -> None:
    """Close the step run's last attempt, if it is still open."""
    Attempt.update(status=status, ended_at=at, request=request, response=response, error=error).where(
        (Attempt.step_run_id == step.id) & (Attempt.number == step.attempts) & (Attempt.status == AttemptStatus.RUNNING)
    ).execute()


def attempts(step_run_id: int) -> list[AttemptRecord]:
    found = []
    for row in dicts(Attempt.select().where(Attempt.step_run_id == step_run_id).order_by(Attempt.number)):
        row.pop("workspace_id")
        row["status"] = AttemptStatus(row["status"])
        found.append(AttemptRecord(**row))
    return found
