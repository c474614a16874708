"""The form in which somebody who approves a gate answers what it asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.app_context import AppContext, Work
from bot.slack.forms.complaints import by_block
from bot.slack.ids import REASON_BLOCK
from bot.slack.payload_values import GateRef, RejectForm, decode
from bot.slack.reply import Reply, ReplyTo
from bot.slack.verbs import deciding
from bot.slack.verbs.form_values import read_parameters, read_reason
from bot.slack.views.gate_form import as_runbook
from engine.access import reasons
from engine.definition import forms
from engine.errors import InvalidParameters
from engine.runs import executions
from storage.records import Json
from storage.states import Decision


def read(
    ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]
) -> tuple[Mapping[str, str], ReplyTo, Work | None]:
    """What is wrong with the answers by their inputs, the place to answer at, and the vote once the form is closed."""
    ref, comment = decode(RejectForm, metadata), read_reason(state)
    shown = GateRef(ref.execution_id, ref.path, ref.digest)
    view = executions.view(ctx.rt, ref.execution_id)
    gate = deciding.gate_now(view, shown).approval
    wrong = reasons.wrong(ctx.rt, comment)
    errors = {REASON_BLOCK: wrong} if wrong else {}
    answers: dict[str, Json] = {}
    try:
        answers = forms.answered(gate.form or {}, read_parameters(as_runbook(view.runbook, gate), state))
    except InvalidParameters as invalid:
        errors |= by_block(invalid, state)
    place = ReplyTo(user=user, channel=ref.channel)

    def work(reply: Reply) -> None:
        ctx.directory.refresh_groups()
        done = deciding.vote(ctx, shown, Decision.APPROVE, comment, reply, answers)
        if done is not None:
            reply.privately(deciding.voted(done, Decision.APPROVE))

    return errors, place, None if errors else work
