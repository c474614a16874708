"""Asking people to do a manual step, and what follows from what they say. Needs the execution's lock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engine.expressions import ExpressionError
from engine.orchestration import gate_reminders, received, step_completion
from engine.orchestration.transition import Transition
from engine.steps.outcome import Assigned
from engine.text.storable import TooLarge
from storage import manual_tasks, steps
from storage.records import Json, StepRunRecord
from storage.states import StepStatus, TaskStatus
from storage.task_records import TaskRecord

COULD_NOT = "could_not"
"""The code of a manual step that somebody could not do."""
NOT_IN_TIME = "manual_timeout"


def open_task(transition: Transition, step: StepRunRecord, outcome: Assigned) -> bool:
    """Let the step wait for people; False when it was taken away meanwhile."""
    expires = transition.at + outcome.timeout_ms
    changes: dict[str, Any] = {"deadline_at": expires, "worker_id": None, "revision": transition.execution.revision}
    if not transition.move(step, StepStatus.WAITING, **changes):
        return False
    task = TaskRecord(
        id=0, execution_id=step.execution_id, step_run_id=step.id, path=step.path, status=TaskStatus.OPEN,
        instructions=received.mask(transition, outcome.instructions), assignees=outcome.assignees, form=outcome.form,
        opened_at=transition.at, expires_at=expires,
        remind_at=gate_reminders.next_reminder(transition.at, expires, transition.at),
    )  # fmt: skip
    transition.record_event("task_opened", step.path, task_id=manual_tasks.create(transition.rt.workspace_id, task))
    return True


def done(transition: Transition, task: TaskRecord, by: str, note: str, answers: dict[str, Json]) -> None:
    """Somebody has done it: the step succeeds, unless its own `outputs` cannot be worked out."""
    manual_tasks.end(task, TaskStatus.DONE, transition.at, by, note, answers)
    transition.record_event("task_done", task.path, by, task_id=task.id, note=note)
    at = datetime.fromtimestamp(transition.at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    step = _step(task)
    try:
        outputs = step_completion.mapped(transition, step, {**answers, "by": by, "at": at, "note": note})
    except (ExpressionError, TooLarge) as error:
        step_completion.fail(
            transition, step, "outputs", f"it was done, but its outputs could not be worked out: {error}"
        )
        return
    step_completion.succeed(transition, step, outputs, f"done by {by}" + (f": {note}" if note else ""))


def could_not(transition: Transition, task: TaskRecord, by: str, note: str) -> None:
    """Somebody says that it cannot be done: the step fails with their note."""
    manual_tasks.end(task, TaskStatus.FAILED, transition.at, by, note)
    transition.record_event("task_failed", task.path, by, task_id=task.id, note=note)
    step_completion.fail(transition, _step(task), COULD_NOT, f"{by} could not do it: {note}")


def expire(transition: Transition, task: TaskRecord) -> bool:
    """The time for it is up: the step fails. False when it has ended, or its time is not up."""
    if task.expires_at > transition.at or not manual_tasks.end(task, TaskStatus.EXPIRED, transition.at):
        return False
    transition.record_event("task_expired", task.path, task_id=task.id)
    step_completion.fail(transition, _step(task), NOT_IN_TIME, f"nobody has done {task.path} in time")
    return True


def remind(transition: Transition, task: TaskRecord) -> None:
    """Tell once more that it is to be done, for whoever shows it."""
    following = gate_reminders.next_reminder(task.opened_at, task.expires_at, transition.at)
    due = task.remind_at is not None and task.remind_at <= transition.at < task.expires_at
    if due and manual_tasks.reminded(task, following):
        left = task.expires_at - transition.at
        transition.record_event("task_reminder", task.path, task_id=task.id, left_ms=left)


def _step(task: TaskRecord) -> StepRunRecord:
    step = steps.by_id(task.step_run_id)
    assert step is not None
    return step
