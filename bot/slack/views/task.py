"""A manual step: what is to be done by hand, who may do it, and, once it has ended, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slack_sdk.models.blocks import Block

from bot.slack.ids import Action, Form
from bot.slack.payload_values import TaskForm, TaskRef
from bot.slack.views import fields, form
from bot.slack.views.parts import Message, actions, button, context, message, said, section
from bot.slack.views.text import as_json, code, duration, inline, person, when
from bot.slack.views.words import approver_words
from engine.definition.model import Runbook
from engine.text import mrkdwn
from storage.states import TaskStatus
from storage.task_records import TaskRecord

if TYPE_CHECKING:
    from engine.runs.executions import ExecutionView

_WORDS = {
    TaskStatus.OPEN: ("🖐️", "To be done by hand"),
    TaskStatus.DONE: ("✅", "Done"),
    TaskStatus.FAILED: ("❌", "Could not be done"),
    TaskStatus.EXPIRED: ("⌛", "Nobody did it in time"),
    TaskStatus.CANCELLED: ("⛔", "No longer needed"),
}
_ROOM, _ANSWERS = 2600, 10


def task_words(task: TaskRecord) -> tuple[str, str]:
    """An icon and the state of a task."""
    return _WORDS[task.status]


def doers_words(task: TaskRecord) -> str:
    """Who may do it, as mrkdwn that rings nobody."""
    return approver_words(task.assignees, silent=True) if task.assignees else "whoever may steer the run"


def task_post(task: TaskRecord) -> Message:
    """The task's own message in the thread; the buttons give way to what happened."""
    icon, words = task_words(task)
    text = f"{icon} {words}: {inline(task.path, 120)} in {inline(task.execution_id, 40)}"
    return message(text, task_blocks(task))


def task_blocks(task: TaskRecord) -> list[Block]:
    """The task as blocks."""
    icon, words = task_words(task)
    asked = section(f"{icon} *{words}: {inline(task.path, 120)}*\n{mrkdwn.head(task.instructions, _ROOM)}")
    if task.status is not TaskStatus.OPEN:
        return [asked, context(*_outcome(task))]
    ref = TaskRef(task.execution_id, task.path, task.id)
    buttons = [
        button("Done", Action.TASK_DONE, ref, style="primary"),
        button("Could not", Action.TASK_FAILED, ref, style="danger"),
    ]
    until = f"until {when(task.expires_at)}, then the step fails"
    return [asked, *actions(buttons), context(f"may do it: {doers_words(task)}", until)]


def task_form(view: ExecutionView, task: TaskRecord, ref: TaskForm) -> dict[str, Any]:
    """Asks what came of it: a note, and where it is done what the step's form asks for."""
    done = ref.choice == TaskForm.DONE
    told = mrkdwn.head(task.instructions, _ROOM)
    blocks: list[Block] = [context(f"{code(task.path, 120)} in {code(task.execution_id)}"), section(told)]
    known = fields.properties(as_runbook(view.runbook, task)) if done else {}
    required = set(task.form.get("required", ()))
    blocks += [fields.field(name, known[name], name in required, known[name].get("default")) for name in known]
    return form.noted_form(Form.TASK, ref, "Done" if done else "Could not", blocks, "Note", optional=done)


def as_runbook(runbook: Runbook, task: TaskRecord) -> Runbook:
    """The runbook as if its parameters were what a task's form asks for: one set of inputs serves both."""
    return replace(runbook, parameters=task.form or {"type": "object", "properties": {}})


def reminder(task: TaskRecord, left_ms: int) -> Message:
    """A line in the thread that something still waits to be done by hand."""
    return said(
        f"⏰ *{inline(task.path, 120)}* is still to be done by {doers_words(task)}. "
        f"{duration(left_ms)} left: if it is not done by {when(task.expires_at)} it fails."
    )


def _outcome(task: TaskRecord) -> list[str]:
    by = f" by {person(task.ended_by)}" if task.ended_by else ""
    at = f" {when(task.ended_at)}" if task.ended_at else ""
    note = f": “{inline(task.note, 300)}”" if task.note else ""
    answers: Mapping[str, Any] = task.answers if isinstance(task.answers, dict) else {}
    told = [code(f"{name}={as_json(value, 60)}", 120) for name, value in list(answers.items())[:_ANSWERS]]
    return [f"{task_words(task)[1]}{by}{at}{note}", " ".join(told)]
