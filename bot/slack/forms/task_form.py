"""The form in which somebody says what came of a manual step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.app_context import AppContext, Work
from bot.slack.forms.complaints import by_block
from bot.slack.ids import REASON_BLOCK, Form, parameter_of
from bot.slack.payload_values import GateRef, RejectForm, TaskForm, decode
from bot.slack.reply import Reply, ReplyTo
from bot.slack.verbs import deciding, manual_tasks
from bot.slack.verbs.deciding import show_answered
from bot.slack.verbs.form_values import read_parameters, read_reason
from bot.slack.views import fields, gate_form
from bot.slack.views.task import as_runbook
from engine.access import reasons
from engine.definition import forms
from engine.errors import Conflict, InvalidParameters
from engine.runs import executions
from engine.runs import manual_tasks as tasks
from storage.records import Json

_SAY_WHY = "Please say why it could not be done: it goes into the record."


def read(
    ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]
) -> tuple[Mapping[str, str], ReplyTo, Work | None]:
    """What is wrong with the answers by their inputs, the place to answer at, and what is done once it is closed."""
    ref, note = decode(TaskForm, metadata), read_reason(state)
    place = ReplyTo(user=user, channel=ref.channel)
    done = ref.choice == TaskForm.DONE
    wrong = reasons.wrong(ctx.rt, note) or ("" if note or done else _SAY_WHY)
    errors = {REASON_BLOCK: wrong} if wrong else {}
    answers: dict[str, Json] = {}
    if done:
        view = executions.view(ctx.rt, ref.execution_id)
        task = manual_tasks.task_of(view, ref.path, ref.task_id)
        try:
            answers = forms.answered(task.form, read_parameters(as_runbook(view.runbook, task), state))
        except InvalidParameters as invalid:
            errors |= by_block(invalid, state)
    if errors:
        return errors, place, None

    def work(reply: Reply) -> None:
        actor = ctx.directory.identify(user)
        ctx.directory.refresh_groups()
        about = (ref.execution_id, ref.path, note)
        try:
            if done:
                ended = tasks.done(ctx.rt, actor, *about, answers, ref.task_id)
            else:
                ended = tasks.could_not(ctx.rt, actor, *about, ref.task_id)
        except Conflict:
            show_answered(ctx, executions.view(ctx.rt, ref.execution_id), reply)
            raise
        reply.privately(manual_tasks.ended(ended))

    return {}, place, work


def options(ctx: AppContext, view: Mapping[str, Any], block: str, typed: str) -> list[dict[str, Any]] | None:
    """The options of a long select in a form of answers that fit what was typed; None where the view is none."""
    metadata = str(view.get("private_metadata", ""))
    if view.get("callback_id") == Form.TASK:
        ref = decode(TaskForm, metadata)
        run = executions.view(ctx.rt, ref.execution_id)
        runbook = as_runbook(run.runbook, manual_tasks.task_of(run, ref.path, ref.task_id))
    elif view.get("callback_id") == Form.APPROVE:
        about = decode(RejectForm, metadata)
        run = executions.view(ctx.rt, about.execution_id)
        gate = deciding.gate_now(run, GateRef(about.execution_id, about.path, about.digest))
        runbook = gate_form.as_runbook(run.runbook, gate.approval)
    else:
        return None
    schema = fields.properties(runbook).get(parameter_of(block), {})
    return fields.suggestions(fields.choices(schema) or fields.many(schema), typed)
