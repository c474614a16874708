"""What manual steps ask of people. Always changed under the execution's lock, so a task ends once."""

from __future__ import annotations

from typing import Any

from storage import rows
from storage.records import Json
from storage.state_transitions import TASK_TRANSITIONS, check_transition
from storage.states import StepStatus, TaskStatus
from storage.tables import StepRun
from storage.task_records import TaskRecord
from storage.task_tables import ManualTask


def create(workspace_id: int, task: TaskRecord) -> int:
    """Ask people to do something and return the task's id."""
    row = {name: getattr(task, name) for name in TaskRecord.__slots__ if name != "id"}
    return int(ManualTask.insert(workspace_id=workspace_id, **row).execute())


def of_execution(execution_id: str) -> list[TaskRecord]:
    """All tasks of an execution, oldest first."""
    query = rows.select(ManualTask, TaskRecord).where(ManualTask.execution_id == execution_id)
    return rows.read(query.order_by(ManualTask.id), TaskRecord)


def all_open(workspace_id: int) -> list[TaskRecord]:
    """The open tasks of all runs, in no particular order."""
    return rows.read(
        rows.select(ManualTask, TaskRecord).where((ManualTask.workspace_id == workspace_id) & _is_open()), TaskRecord
    )


def soonest_open(workspace_id: int, limit: int) -> list[TaskRecord]:
    """The open tasks whose time is up first."""
    query = rows.select(ManualTask, TaskRecord).where((ManualTask.workspace_id == workspace_id) & _is_open())
    return rows.read(query.order_by(ManualTask.expires_at).limit(limit), TaskRecord)


def expired(at: int, limit: int) -> list[TaskRecord]:
    """Open tasks whose time is up."""
    query = rows.select(ManualTask, TaskRecord).where(_is_open() & (ManualTask.expires_at <= at))
    return rows.read(query.order_by(ManualTask.expires_at).limit(limit), TaskRecord)


def to_remind(at: int, limit: int) -> list[TaskRecord]:
    """Open tasks of which people are to be reminded by now, and whose time is not up."""
    due = (ManualTask.remind_at <= at) & (ManualTask.expires_at > at)
    query = rows.select(ManualTask, TaskRecord).where(_is_open() & due)
    return rows.read(query.order_by(ManualTask.remind_at).limit(limit), TaskRecord)


def reminded(task: TaskRecord, next_at: int | None) -> bool:
    """Note that people were reminded, and when they are next; False when that was done or the task has ended."""
    query = ManualTask.update(remind_at=next_at).where(
        (ManualTask.id == task.id) & _is_open() & (ManualTask.remind_at == task.remind_at)
    )
    return bool(query.execute() == 1)


def end(
    task: TaskRecord, status: TaskStatus, at: int, by: str | None = None, note: str = "", answers: Json = None
) -> bool:
    """End an open task; False when it has ended already."""
    check_transition(TASK_TRANSITIONS, task.status, status)
    query = ManualTask.update(status=status, ended_at=at, ended_by=by, note=note, answers=answers)
    return bool(query.where((ManualTask.id == task.id) & _is_open()).execute() == 1)


def cancel_open(execution_id: str, at: int) -> None:
    """End every open task of an execution that is ending."""
    query = ManualTask.update(status=TaskStatus.CANCELLED, ended_at=at)
    query.where((ManualTask.execution_id == execution_id) & _is_open()).execute()


def cancel_orphaned(execution_id: str, at: int) -> None:
    """End every open task whose step no longer waits for it."""
    waiting = StepRun.select(StepRun.id).where(
        (StepRun.execution_id == execution_id) & (StepRun.status == StepStatus.WAITING)
    )
    query = ManualTask.update(status=TaskStatus.CANCELLED, ended_at=at)
    query.where(
        (ManualTask.execution_id == execution_id) & _is_open() & ManualTask.step_run_id.not_in(waiting)
    ).execute()


def _is_open() -> Any:
    return ManualTask.status == TaskStatus.OPEN
