"""Deciding by button: at gates, about skips, about taking a run over. What was shown is what is decided about."""

from __future__ import annotations

from collections.abc import Mapping

from slack_sdk.models.blocks import Block

from bot.slack import home, questions
from bot.slack.app_context import AppContext
from bot.slack.ids import Action
from bot.slack.payload_values import GatePage, GateRef, RejectForm, RunRef, SkipRef, decode
from bot.slack.reply import Reply
from bot.slack.verbs import control_verbs, running
from bot.slack.views import form, gate_form
from bot.slack.views.gate import gate_blocks, hidden, parts
from bot.slack.views.parts import Message, message, said, section
from bot.slack.views.text import code, inline
from engine.access import policy as access
from engine.access.policy import authorise
from engine.definition import parameters
from engine.errors import Conflict
from engine.queries import projection
from engine.runs import executions, handover, skipping, voting
from engine.runs.executions import ExecutionView, GateView
from storage.records import Json
from storage.states import ApprovalStatus, Decision

LOOK_AGAIN = "⚠️ *This is not what you were shown.* What the gate asks has changed: look again, then decide."


def approve(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Approve what the button showed; where the gate shows something else by now, show that instead."""
    if asks(ctx, value):
        _ask(ctx, decode(GateRef, value), reply)
        return
    done = vote(ctx, decode(GateRef, value), Decision.APPROVE, reply.reply_to.why, reply)
    if done is None:
        return
    if reply.reply_to.in_modal and reply.reply_to.view_id:
        _show_in_modal(ctx, done, reply)
        home.publish(ctx, reply.reply_to.user)
        return
    reply.privately(voted(done, Decision.APPROVE))


def asks(ctx: AppContext, value: str) -> bool:
    """Whether to approve what a button showed something has to be answered."""
    ref = decode(GateRef, value)
    return bool(gate_now(executions.view(ctx.rt, ref.execution_id), ref).approval.form)


def _ask(ctx: AppContext, ref: GateRef, reply: Reply) -> None:
    """Ask for the answers, if this person may decide about what the button showed."""
    view = executions.view(ctx.rt, ref.execution_id)
    gate = _open_now(ctx, view, ref, reply)
    _must_decide(ctx, reply, gate, view)
    if gate.approval.digest != ref.digest:
        _show_anew(ctx, gate, reply)
        return
    asking = RejectForm(ref.execution_id, ref.path, ref.digest, reply.reply_to.channel)
    running.open_modal(ctx, reply.reply_to, gate_form.approve_form(view.runbook, gate.approval, asking))


def _open_now(ctx: AppContext, view: ExecutionView, ref: GateRef, reply: Reply) -> GateView:
    """The gate while it is open. Raises Conflict where it is not, and shows what came of it."""
    gate = gate_now(view, ref)
    if gate.approval.status is not ApprovalStatus.PENDING:
        show_answered(ctx, view, reply)
        raise Conflict(f"{ref.path} of {ref.execution_id} is {gate.approval.status.lower()} already.")
    return gate


def answers_of(ctx: AppContext, run: str, path: str | None, given: Mapping[str, str]) -> dict[str, Json]:
    """What was typed as answers to the one open gate that is meant, each as its form has it."""
    pending = [each.approval for each in executions.view(ctx.rt, run).gates]
    pending = [each for each in pending if each.status is ApprovalStatus.PENDING and path in (None, each.path)]
    return parameters.coerce((pending[0].form if len(pending) == 1 else None) or {}, given)


def reject(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Ask why, if this person may decide about what the button showed."""
    ref = decode(GateRef, value)
    view = executions.view(ctx.rt, ref.execution_id)
    gate = _open_now(ctx, view, ref, reply)
    _must_decide(ctx, reply, gate, view)
    if gate.approval.digest != ref.digest:
        _show_anew(ctx, gate, reply)
        return
    rejecting = RejectForm(ref.execution_id, ref.path, ref.digest, reply.reply_to.channel)
    running.open_modal(ctx, reply.reply_to, form.reject_form(rejecting))


def review(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Show a gate, as it is by now, where it can be read and decided without going to its channel."""
    ref = decode(GateRef, value)
    view = executions.view(ctx.rt, ref.execution_id)
    gate = gate_now(view, ref)
    _must_decide(ctx, reply, gate, view)
    running.open_modal(ctx, reply.reply_to, form.gate_form(gate, view.execution.requester))


def review_page(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Show the next part of a gate in full; where it asks something else by now, that from its beginning."""
    ref = decode(GatePage, value)
    view = executions.view(ctx.rt, ref.execution_id)
    gate = gate_now(view, GateRef(ref.execution_id, ref.path, ref.digest))
    _must_decide(ctx, reply, gate, view)
    if gate.approval.digest != ref.digest or not 0 <= ref.page < len(parts(gate.approval)):
        _show_in_modal(ctx, gate, reply, LOOK_AGAIN)
        return
    _show_in_modal(ctx, gate, reply, page=ref.page)


def vote(
    ctx: AppContext, ref: GateRef, decision: Decision, comment: str, reply: Reply,
    answers: Mapping[str, Json] | None = None,
) -> GateView | None:  # fmt: skip
    """The gate after this vote on what was shown; None where it shows something else by now, which is shown instead.

    Raises as `voting.vote` where the vote is refused for anything else.
    """
    actor = ctx.directory.identify(reply.reply_to.user)
    try:
        return voting.vote(ctx.rt, actor, ref.execution_id, ref.path, decision, comment, ref.digest, answers)
    except Conflict:
        view = executions.view(ctx.rt, ref.execution_id)
        gate = gate_now(view, ref)
        if gate.approval.status is ApprovalStatus.PENDING and gate.approval.digest != ref.digest:
            _show_anew(ctx, gate, reply)
            return None
        show_answered(ctx, view, reply)
        raise


def voted(gate: GateView, decision: Decision) -> Message:
    """The word that a vote counts."""
    did = "approved" if decision is Decision.APPROVE else "rejected"
    more = more_needed(gate) if decision is Decision.APPROVE else ""
    return said(f"You {did} {code(gate.approval.path)} of {code(gate.approval.execution_id)}.{more}")


def too_long_for_a_message(ctx: AppContext, actor: access.Actor, run: str, path: str | None) -> GateView | None:
    """The open gate that a vote by word means, where no message shows it whole and this person may decide there."""
    view = executions.view(ctx.rt, run)
    pending = [each for each in view.gates if each.approval.status is ApprovalStatus.PENDING]
    meant = [each for each in pending if path in (None, each.approval.path)]
    if len(meant) != 1 or not hidden(meant[0].approval):
        return None
    gate = access.Gate(meant[0].approval, view.execution)
    return meant[0] if access.ruled(ctx.rt, actor, access.Action.VOTE, gate).allowed else None


def to_be_opened(gate: GateView) -> Message:
    """What a vote by word is answered with where no message shows what it would be for."""
    text = (
        f"*{inline(gate.approval.path, 120)}* asks more than a message shows: open it, and decide below its last part."
    )
    return message(text, [section(text), *gate_blocks(gate)])


def more_needed(gate: GateView) -> str:
    """What an open gate still lacks, as a sentence; "" for one that is decided."""
    if not gate.missing:
        return ""
    among = f", among them {inline(', '.join(gate.unmet), 300)}" if gate.unmet else ""
    return f" {gate.missing} more needed{among}."


def agree(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Agree to the skip that the button showed."""
    ref = decode(SkipRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    try:
        skipping.agree(ctx.rt, actor, ref.execution_id, ref.path, ref.asked_at)
    except Conflict:
        show_answered(ctx, executions.view(ctx.rt, ref.execution_id), reply)
        raise
    reply.privately(control_verbs.agreed(ctx.rt, ref.execution_id, ref.path))


def take_over(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Take over a run that is offered to who clicked."""
    ref = decode(RunRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    try:
        done = handover.accept(ctx.rt, actor, ref.execution_id)
    except Conflict:
        show_answered(ctx, executions.view(ctx.rt, ref.execution_id), reply)
        raise
    reply.privately(control_verbs.taken_over(done))


def show_answered(ctx: AppContext, view: ExecutionView, reply: Reply) -> None:
    """Replace the buttons of an answered question's own message by what came of it, in case that was missed.

    Only what is over is drawn here, which looks the same whoever draws it: the projector stays the one writer of
    everything that still moves.
    """
    posts = projection.posts(ctx.rt, view.execution.id)
    clicked = next((each for each in posts if each.ts == reply.reply_to.message_ts), None)
    question = questions.of_key(ctx.rt, view, clicked.key) if clicked is not None else None
    if clicked is not None and question is not None and question.over:
        shown = question.drawn
        ctx.client.chat_update(
            channel=clicked.channel, ts=clicked.ts, text=shown.text, blocks=list(shown.blocks), parse="none",
            link_names=False,
        )  # fmt: skip


def gate_now(view: ExecutionView, ref: GateRef) -> GateView:
    """The gate at a path that is open, else the latest. Raises Conflict where there is none."""
    found = [each for each in view.gates if each.approval.path == ref.path]
    if not found:
        raise Conflict(f"{ref.execution_id} has no gate {ref.path}.")
    return next((each for each in found if each.approval.status is ApprovalStatus.PENDING), found[-1])


def must_decide(ctx: AppContext, value: str, reply: Reply) -> None:
    """Raise NotAllowed where this person may not decide the gate that a button showed."""
    ref = decode(GateRef, value)
    view = executions.view(ctx.rt, ref.execution_id)
    _must_decide(ctx, reply, gate_now(view, ref), view)


def _must_decide(ctx: AppContext, reply: Reply, gate: GateView, view: ExecutionView) -> None:
    """Raise NotAllowed where this person may not decide a gate."""
    actor = ctx.directory.identify(reply.reply_to.user)
    authorise(ctx.rt, actor, access.Action.VOTE, access.Gate(gate.approval, view.execution))


def _show_anew(ctx: AppContext, gate: GateView, reply: Reply) -> None:
    """Say that the gate asks something else by now, and show that, to be decided about."""
    if reply.reply_to.in_modal and reply.reply_to.view_id:
        _show_in_modal(ctx, gate, reply, LOOK_AGAIN)
        return
    blocks: list[Block] = [section(LOOK_AGAIN), *gate_blocks(gate)]
    reply.privately(message(LOOK_AGAIN, blocks))


def _show_in_modal(ctx: AppContext, gate: GateView, reply: Reply, note: str = "", page: int = 0) -> None:
    requester = executions.find(ctx.rt, gate.approval.execution_id).requester
    if reply.reply_to.view_id is None:
        raise Conflict("This gate is decided about in its own window: open it anew.")
    ctx.client.views_update(view_id=reply.reply_to.view_id, view=form.gate_form(gate, requester, note, page))
