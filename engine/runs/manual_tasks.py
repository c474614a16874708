"""Manual steps as people use them: saying that something is done, or that it could not be done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from engine.access import auditing, choosers, reasons
from engine.access.account_status import judged
from engine.access.policy import Action, Actor, Task, authorise, ruled
from engine.access.roles import candidates
from engine.definition import forms
from engine.errors import Conflict, ReasonRequired
from engine.orchestration import gate_checks, manual_tasks, received
from engine.orchestration.run_phases import change
from engine.orchestration.transition import Transition
from engine.runs.executions import find
from engine.runtime import Runtime
from storage import database, executions, people, steps
from storage import manual_tasks as tasks
from storage.records import ExecutionRecord, Json
from storage.states import Severity, TaskStatus
from storage.task_records import TaskRecord

_LOOKED_AT = 200
"""Open tasks that are looked at for one person."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open task and the run that it is in."""

    task: TaskRecord
    execution: ExecutionRecord


def done(
    rt: Runtime, actor: Actor, execution_id: str, path: str | None, note: str = "",
    answers: Mapping[str, Json] | None = None, task_id: int | None = None,
) -> TaskRecord:  # fmt: skip
    """Say that a manual step is done, with the answers that its form asks for.

    `path` may be left out while only one is open; `task_id` is the asking that this person was shown. Raises
    `NotAllowed`, `InvalidParameters` for wrong answers, and `Conflict` where it has ended or was asked anew meanwhile.
    """
    found, shown = _shown(rt, actor, execution_id, path)
    reasons.must_be_stated(rt, actor, note, "note")
    checked = forms.answered(shown.form, answers or {})

    def act(transition: Transition, task: TaskRecord) -> None:
        kept, said = _masked(transition, checked), str(_masked(transition, note.strip()))
        manual_tasks.done(transition, task, actor.user_id, said, kept)
        detail = {"step": task.path, "note": said, "answers": kept}
        auditing.by_actor(rt, actor, "step.done", auditing.of_execution(found.id), detail)

    return _end(rt, actor, found, shown, task_id, act)


def could_not(
    rt: Runtime, actor: Actor, execution_id: str, path: str | None, note: str, task_id: int | None = None
) -> TaskRecord:
    """Say that a manual step could not be done, and why: the step fails. Raises as `done`, and `ReasonRequired`."""
    found, shown = _shown(rt, actor, execution_id, path)
    if not note.strip():
        raise ReasonRequired('Say why it could not be done: note="…".')
    reasons.must_be_stated(rt, actor, note, "note")

    def act(transition: Transition, task: TaskRecord) -> None:
        said = str(_masked(transition, note.strip()))
        manual_tasks.could_not(transition, task, actor.user_id, said)
        detail = {"step": task.path, "note": said}
        auditing.by_actor(rt, actor, "step.could_not", auditing.of_execution(found.id), detail)

    return _end(rt, actor, found, shown, task_id, act)


def expire(rt: Runtime, task: TaskRecord) -> None:
    """End a task whose time is up."""
    with change(rt, task.execution_id, "expire_task") as transition:
        if manual_tasks.expire(transition, _now(task)):
            thing = auditing.of_execution(task.execution_id)
            auditing.by_bot(rt, "step.expire", thing, {"step": task.path}, Severity.WARNING)
    rt.hint([task.execution_id])


def remind(rt: Runtime, task: TaskRecord) -> None:
    """Tell once more that something is to be done by hand, unless it has been meanwhile."""
    with change(rt, task.execution_id, "remind_task") as transition:
        manual_tasks.remind(transition, _now(task))


def open_at(rt: Runtime, execution_id: str, path: str | None) -> Waiting:
    """The open task at a path, the only one where none is named. Raises `NotFound`, and `Conflict` for none or more."""
    found = find(rt, execution_id)
    with database.reading():
        return Waiting(_the_task(found, path), found)


def waiting_for(rt: Runtime, actor: Actor, limit: int) -> list[Waiting]:
    """At most `limit` open tasks that this person may do, the most urgent first."""
    with database.reading(), people.reads_cached():
        asked = tasks.soonest_open(rt.workspace_id, _LOOKED_AT)
        runs = executions.by_ids({task.execution_id for task in asked})
        found = [Waiting(task, runs[task.execution_id]) for task in asked]
        return [each for each in found if ruled(rt, actor, Action.DO, Task(each.task, each.execution)).allowed][:limit]


def doers(rt: Runtime, task: TaskRecord, limit: int, *, beside: Collection[str] = ()) -> list[str]:
    """User ids of at most `limit` people whom an open task names and who are not in `beside`, one account of each.

    Nobody where it names none: whoever may steer the run is not called one by one.
    """
    if not task.assignees:
        return []
    found: list[str] = []
    with database.reading(), people.reads_cached():
        execution = executions.by_id(task.execution_id)
        assert execution is not None
        done_ = set(choosers.same_people(rt, beside))
        asked = candidates(rt, task.assignees)
        known = people.recall_all(rt.workspace_id, asked)
        for user in asked:
            actor = Actor(user, standing=judged(rt, known.get(user)))
            if user not in done_ and ruled(rt, actor, Action.DO, Task(task, execution)).allowed:
                found.append(user)
                done_ |= choosers.same_people(rt, [user])
    return found[:limit]


def _shown(rt: Runtime, actor: Actor, execution_id: str, path: str | None) -> tuple[ExecutionRecord, TaskRecord]:
    waiting = open_at(rt, execution_id, path)
    authorise(rt, actor, Action.DO, Task(waiting.task, waiting.execution))
    return waiting.execution, waiting.task


def _end(
    rt: Runtime, actor: Actor, found: ExecutionRecord, shown: TaskRecord, task_id: int | None,
    act: Callable[[Transition, TaskRecord], None],
) -> TaskRecord:  # fmt: skip
    """Do `act` under the run's lock, where the task is still open and this person may still do it."""
    with change(rt, found.id, "task") as transition:
        task = _still_open(_now(shown), task_id, transition.at)
        authorise(rt, actor, Action.DO, Task(task, transition.execution))
        _must_be_released(transition, task)
        act(transition, task)
    rt.hint([found.id])
    with database.reading():
        return _now(task)


def _must_be_released(transition: Transition, task: TaskRecord) -> None:
    step = steps.by_id(task.step_run_id)
    assert step is not None
    behind = gate_checks.undecided(transition.rt, transition.execution, transition.runbook, step)
    if behind:
        raise Conflict(f"{task.path} of {task.execution_id} stands behind {', '.join(behind)}, to be decided first.")


def _masked(transition: Transition, value: Json) -> Json:
    return received.mask(transition, transition.rt.redactor().redact_json(value))


def _now(task: TaskRecord) -> TaskRecord:
    return next(each for each in tasks.of_execution(task.execution_id) if each.id == task.id)


def _still_open(task: TaskRecord, task_id: int | None, at: int) -> TaskRecord:
    if task_id is not None and task_id != task.id:
        raise Conflict(f"{task.path} of {task.execution_id} was asked anew: you were shown an earlier one. Look again.")
    if task.status is not TaskStatus.OPEN:
        raise Conflict(ended_words(task))
    if task.expires_at <= at:
        raise Conflict(f"The time for {task.path} of {task.execution_id} is up.")
    return task


def ended_words(task: TaskRecord) -> str:
    """What became of a task that is open no more, as a sentence."""
    by = f" by @{task.ended_by}" if task.ended_by else ""
    did = {
        TaskStatus.DONE: f"is done already{by}",
        TaskStatus.FAILED: f"could not be done, as was said{by}",
        TaskStatus.EXPIRED: "was not done in time",
    }.get(task.status, "is not asked any more")
    return f"{task.path} of {task.execution_id} {did}."


def _the_task(found: ExecutionRecord, path: str | None) -> TaskRecord:
    known = [task for task in tasks.of_execution(found.id) if path is None or task.path == path]
    waiting = [task for task in known if task.status is TaskStatus.OPEN]
    if len(waiting) > 1:
        raise Conflict(
            f"Several steps of {found.id} are to be done by hand: {', '.join(t.path for t in waiting)}. Say which."
        )
    if waiting:
        return waiting[0]
    if known:
        raise Conflict(ended_words(known[-1]))
    raise Conflict(f"{found.id} has no step{f' {path}' if path else ''} waiting to be done by hand.")
