"""Tries read by themselves: the latest one of a step, and all of an execution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from storage import sql
from storage.records import AttemptRecord
from storage.states import AttemptStatus
from storage.tables import Attempt

_NAMES = AttemptRecord.__slots__

KEPT_FIRST, KEPT_LAST = 5, 50
"""How many tries of a step that asks again and again stay on record: the first, and the last before the latest."""


def last(step_run_id: int) -> AttemptRecord | None:
    """The latest try of a step run; None before the first."""
    return next(_select("step_run_id = ? ORDER BY number DESC LIMIT 1", step_run_id), None)


def of_execution(execution_id: str) -> dict[int, list[AttemptRecord]]:
    """The tries of every step run of an execution, by the step run's id, in their order."""
    found: dict[int, list[AttemptRecord]] = {}
    own = "step_run_id IN (SELECT id FROM step_run WHERE execution_id = ?) ORDER BY step_run_id, number"
    for attempt in _select(own, execution_id):
        found.setdefault(attempt.step_run_id, []).append(attempt)
    return found


def thin_out(step_run_id: int, number: int) -> None:
    """Forget those between the first and the last, now that there are `number`; the step run keeps their count."""
    if number > KEPT_FIRST + KEPT_LAST:
        sql.delete_later(
            Attempt, "step_run_id = ? AND number > ? AND number <= ?", step_run_id, KEPT_FIRST, number - KEPT_LAST
        )


def _select(where: str, *values: Any) -> Iterator[AttemptRecord]:
    for row in sql.select(Attempt, _NAMES, where, *values):
        told = dict(zip(_NAMES, row, strict=True))
        yield AttemptRecord(**{**told, "status": AttemptStatus(told["status"])})
