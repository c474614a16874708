"""Manual steps in Slack: the buttons and the words by which somebody says what came of one."""

from __future__ import annotations

from bot.slack.app_context import AppContext
from bot.slack.ids import Action
from bot.slack.payload_values import TaskForm, TaskRef, decode
from bot.slack.reply import Reply
from bot.slack.verbs import running
from bot.slack.verbs.deciding import show_answered
from bot.slack.verbs.invocation import Invocation, the_run
from bot.slack.views import task as tasks
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code
from engine.access.policy import Action as Deed
from engine.access.policy import Task, authorise
from engine.definition import parameters
from engine.errors import Conflict
from engine.runs import executions, manual_tasks
from engine.runs.executions import ExecutionView
from storage.states import ExecutionStatus, TaskStatus
from storage.task_records import TaskRecord


def click(ctx: AppContext, action: Action, value: str, reply: Reply) -> None:
    """Ask what came of it, if this person may do what the button showed; what has ended is shown as it ended."""
    ref = decode(TaskRef, value)
    view = executions.view(ctx.rt, ref.execution_id)
    task = task_of(view, ref.path, ref.task_id)
    authorise(ctx.rt, ctx.directory.identify(reply.reply_to.user), Deed.DO, Task(task, view.execution))
    if task.status is not TaskStatus.OPEN:
        show_answered(ctx, view, reply)
        raise Conflict(manual_tasks.ended_words(task))
    choice = TaskForm.DONE if action is Action.TASK_DONE else TaskForm.FAILED
    asking = TaskForm(ref.execution_id, ref.path, ref.task_id, choice, reply.reply_to.channel)
    running.open_modal(ctx, reply.reply_to, tasks.task_form(view, task, asking))


def task_of(view: ExecutionView, path: str, task_id: int) -> TaskRecord:
    """The task that a button or form was made from. Raises Conflict where there is none."""
    for each in view.tasks:
        if (each.id, each.path) == (task_id, path):
            return each
    raise Conflict(f"{view.execution.id} has no step {path} waiting to be done by hand.")


def done(invocation: Invocation) -> Message:
    """`done [RUN] [STEP] [KEY=VALUE …] [note="…"]`."""
    _, rest = invocation.command.run
    run, path, rt = the_run(invocation, ExecutionStatus.WAITING), rest[0] if rest else None, invocation.ctx.rt
    given = {name: value for name, value in invocation.command.options.items() if name != "note"}
    schema = manual_tasks.open_at(rt, run, path).task.form
    answers = parameters.coerce(schema, given)
    return ended(manual_tasks.done(rt, invocation.actor, run, path, invocation.option("note"), answers))


def could_not(invocation: Invocation) -> Message:
    """`could-not [RUN] [STEP] note="…"`."""
    _, rest = invocation.command.run
    run = the_run(invocation, ExecutionStatus.WAITING)
    path, note = rest[0] if rest else None, invocation.option("note")
    return ended(manual_tasks.could_not(invocation.ctx.rt, invocation.actor, run, path, note))


def ended(task: TaskRecord) -> Message:
    """The word that it counts."""
    did = "is done" if task.status is TaskStatus.DONE else "could not be done"
    return said(f"Noted: {code(task.path, 120)} of {code(task.execution_id)} {did}.")
