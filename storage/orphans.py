"""Step runs that are RUNNING under some worker: those of one, and those of workers whose lease is past."""

from __future__ import annotations

from typing import Any

import peewee as pw

from storage import rows, workers
from storage.columns import tuples
from storage.records import StepRunRecord
from storage.states import StepStatus
from storage.tables import StepRun, Worker


def orphaned(at: int) -> dict[str, int]:
    """By execution, how many step runs are RUNNING in it under a worker whose lease is over."""
    return _counted(workers.is_over(at))


def late(at: int) -> dict[str, int]:
    """The same under a worker whose lease is past, be that the worker's silence or an outage."""
    return _counted(workers.is_late(at))


def of_execution(execution_id: str, at: int) -> list[StepRunRecord]:
    """The step runs of one execution that are RUNNING under a worker whose lease is over, in order."""
    query = _under(rows.select(StepRun, StepRunRecord), workers.is_over(at)).where(StepRun.execution_id == execution_id)
    return rows.read(query.order_by(StepRun.position, StepRun.id), StepRunRecord)


def held_by(worker_id: str) -> list[StepRunRecord]:
    """The step runs that are RUNNING under this worker."""
    query = rows.select(StepRun, StepRunRecord)
    query = query.where((StepRun.worker_id == worker_id) & (StepRun.status == StepStatus.RUNNING))
    return rows.read(query, StepRunRecord)


def _counted(lease: Any) -> dict[str, int]:
    query = StepRun.select(StepRun.execution_id, pw.fn.count(StepRun.id)).group_by(StepRun.execution_id)
    return {execution_id: int(count) for execution_id, count in tuples(_under(query, lease))}


def _under(query: Any, lease: Any) -> Any:
    running = query.join(Worker, on=(Worker.id == StepRun.worker_id)).where(StepRun.status == StepStatus.RUNNING)
    return running.where(lease)
