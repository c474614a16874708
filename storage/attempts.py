"""Tries of steps: each is put on record as it begins and closed once, and they are read by themselves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from storage import sql
from storage.records import AttemptRecord, Json, StepRunRecord
from storage.states import AttemptStatus
from storage.tables import Attempt

_NAMES = AttemptRecord.__slots__
_WRITTEN = tuple(name for name in _NAMES if name != "id")

KEPT_FIRST, KEPT_LAST = 5, 50
"""How many tries of a step that asks again and again stay on record: the first, and the last before the latest."""


def add(workspace_id: int, made: Sequence[AttemptRecord]) -> None:
    """Put attempts on record; their `id` is given by the database.

    Raises `database.IntegrityError` when an attempt's number was used before.
    """
    rows = [{name: getattr(each, name) for name in _WRITTEN} for each in made]
    sql.insert(Attempt, [{"workspace_id": workspace_id, **row} for row in rows])


def end(
    step: StepRunRecord, status: AttemptStatus, at: int, request: Json = None, response: Json = None, error: Json = None
) -> None:
    """Close the step run's last attempt, if it is still open."""
    changes = {"status": status, "ended_at": at, "request": request, "response": response, "error": error}
    where = "step_run_id = ? AND number = ? AND status = 'RUNNING'"
    sql.set_later(Attempt, changes, where, step.id, step.attempts, apart=True)


def last(step_run_id: int) -> AttemptRecord | None:
    """The latest try of a step run; None before the first."""
    return next(iter(_select("step_run_id = ? ORDER BY number DESC LIMIT 1", step_run_id)), None)


def of_step(step_run_id: int) -> list[AttemptRecord]:
    """The tries of a step run in order."""
    return of_steps([step_run_id])


def of_steps(step_run_ids: Collection[int]) -> list[AttemptRecord]:
    """The tries of these step runs, each one's in order."""
    ids = list(step_run_ids)
    where = f"step_run_id IN ({sql.marks(ids)}) ORDER BY step_run_id, number"
    return _select(where, *ids) if ids else []


def of_execution(execution_id: str) -> dict[int, list[AttemptRecord]]:
    """The tries of every step run of an execution, by the step run's id, in their order."""
    found: dict[int, list[AttemptRecord]] = {}
    own = "step_run_id IN (SELECT id FROM step_run WHERE execution_id = ?) ORDER BY step_run_id, number"
    for attempt in _select(own, execution_id):
        found.setdefault(attempt.step_run_id, []).append(attempt)
    return found


def times_of_execution(execution_id: str) -> dict[int, list[tuple[int, int | None]]]:
    """When each try of an execution began and ended, by the step run's id, in order."""
    found: dict[int, list[tuple[int, int | None]]] = {}
    own = "step_run_id IN (SELECT id FROM step_run WHERE execution_id = ?) ORDER BY step_run_id, number"
    for step_run_id, begun, ended in sql.select(Attempt, ("step_run_id", "started_at", "ended_at"), own, execution_id):
        found.setdefault(step_run_id, []).append((begun, ended))
    return found


def prune(step_run_id: int, number: int) -> None:
    """Forget those between the first and the last, now that there are `number`; the step run keeps their count."""
    if number > KEPT_FIRST + KEPT_LAST:
        sql.delete_later(
            Attempt, "step_run_id = ? AND number > ? AND number <= ?", step_run_id, KEPT_FIRST, number - KEPT_LAST
        )


def _select(where: str, *values: Any) -> list[AttemptRecord]:
    return sql.ask(sql.Query(Attempt, AttemptRecord, where, values))
