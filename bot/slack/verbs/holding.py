"""Offering to hold what a freeze refuses, wherever in Slack something would be started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bot.grammar import HOLD
from bot.slack.app_context import AppContext
from bot.slack.ids import Action
from bot.slack.payload_values import RunForm, RunRef, decode
from bot.slack.reply import Reply
from bot.slack.verbs import running
from bot.slack.verbs.invocation import Invocation, the_run
from bot.slack.views import kept_requests as views
from bot.slack.views.errors import refused
from bot.slack.views.parts import Message
from engine.access.policy import Actor
from engine.definition.model import Runbook
from engine.errors import Frozen
from engine.runs import executions, form_drafts, held_requests
from engine.runs.form_drafts import Draft
from storage.catalog_records import VersionRecord
from storage.states import ExecutionStatus

_NEW_RUN = "What is held is a new run with the same parameters, from its start."


def prepared(
    ctx: AppContext, actor: Actor, slug: str, number: int | None = None
) -> tuple[VersionRecord, Runbook, dict[str, str]]:
    """A version to fill in a form for, and what the form says of why it can only be held: nothing where it is free.

    Raises as `executions.prepare` for anything else that is in the way.
    """
    try:
        return *executions.prepare(ctx.rt, actor, slug, number), {}
    except Frozen as refusal:
        version, runbook = executions.prepare(ctx.rt, actor, slug, number, running.HELD)
        return version, runbook, {"": str(refusal)}


def instead_of(ctx: AppContext, user: str, ref: RunForm, values: dict[str, Any], reason: str, why: Frozen) -> Message:
    """The refusal of a form that was filled in, with a button that holds exactly that."""
    kept = replace(ref, keep=HOLD, page=0, draft=form_drafts.keep(ctx.rt, user, Draft(values, reason)))
    return views.hold_offer(refused(why, ctx.command), Action.HOLD_FILLED, kept)


def click_filled(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Hold what was filled in by whoever presses the button below the refusal."""
    ref, user = replace(decode(RunForm, value), keep=HOLD), reply.reply_to.user
    draft = form_drafts.find(ctx.rt, user, ref.draft)
    actor = ctx.directory.identify(user)
    running.must_be_reachable(ctx, actor, replace(reply.reply_to, channel=ref.channel), ref.slug, draft.values)
    reply.instead(running.begun(ctx, actor, ref, draft.values, draft.reason))


def or_hold(act: Callable[[Invocation], Message], *statuses: ExecutionStatus) -> Callable[[Invocation], Message]:
    """A verb that begins a run again, one in these states where none is named.

    Where a freeze refuses that, and the same is wanted as before, with an offer.
    """

    def verb(invocation: Invocation) -> Message:
        try:
            return act(invocation)
        except Frozen as refusal:
            if set(invocation.command.options) - {"reason"}:
                raise
            return again_offer(the_run(invocation, *statuses), refusal, invocation.invoked_as)

    return verb


def again_offer(run: str, refusal: Frozen, command: str) -> Message:
    """The refusal of a replay or retry, with a button that holds a new run like it."""
    ref = RunRef(run)
    return views.hold_offer(refused(refusal, command), Action.HOLD_AGAIN, ref, _NEW_RUN)


def click_again(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Hold a new run like an old one."""
    actor = ctx.directory.identify(reply.reply_to.user)
    reply.instead(views.held_view(held_requests.hold_again(ctx.rt, actor, decode(RunRef, value).execution_id)))
