"""Starting a run from Slack: by the words alone where they say everything, else by a form."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slack_sdk.errors import SlackApiError

from bot import run_options
from bot.grammar import BREAK_GLASS, HOLD, Command
from bot.slack.app_context import AppContext
from bot.slack.client import error_code
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.payload_values import BadValue, RunForm
from bot.slack.reply import ReplyTo
from bot.slack.verbs.form_values import survives
from bot.slack.views import fields, form, kept_requests
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code, inline, person, when
from engine.access import reasons
from engine.access.policy import Actor
from engine.catalog import catalog
from engine.conversations import Unasked
from engine.definition import parameters
from engine.definition.model import Runbook
from engine.errors import Conflict, InvalidParameters, NotAllowed
from engine.orchestration import admission, incidents
from engine.orchestration.admission import Override, Wanted
from engine.runs import break_glass, executions, form_drafts, gate_notifications, held_requests
from engine.runs.executions import Accepted
from engine.runs.form_drafts import Draft

log = logging.getLogger(__name__)

HELD = Override()
"""What is left out of a check of what is only to be held: the freezes."""


def run(ctx: AppContext, actor: Actor, reply_to: ReplyTo, command: Command) -> Message | None:
    """Start a run, or open the form for what is missing and say nothing. Raises EngineError.

    Where no form can be opened (a mention), what is missing is raised as InvalidParameters or ReasonRequired.
    """
    asked = run_options.read(command, catalog.definition(catalog.version(ctx.rt, *command.target)).parameters)
    override = Override(draft=asked.keep == BREAK_GLASS) if asked.keep else None
    version, runbook = executions.prepare(ctx.rt, actor, *command.target, override)
    given, reason = asked.given, asked.reason
    typed = parameters.coerce(runbook.parameters, given)
    name = must_be_reachable(ctx, actor, reply_to, version.slug, typed)
    ref = RunForm(
        version.slug,
        version.number,
        reply_to.channel,
        name,
        int(asked.force),
        reuse_ms=asked.reuse_within_ms,
        why=int(reasons.wanted(ctx.rt)),
        keep=asked.keep,
    )
    about = incidents.bound(ctx.rt, {"channel": reply_to.channel})
    filled = incidents.prefill(runbook.parameters, about)
    try:
        values = admission.complete(runbook, typed, about)
    except InvalidParameters as wrong:
        if reply_to.trigger_id is None:
            raise
        worth_saying = {name: why for name, why in wrong.fields.items() if name in given or not name}
        open_form(ctx, reply_to, runbook, ref, {**filled, **typed}, reason, worth_saying)
        return None
    lacks = not reason or reasons.wrong(ctx.rt, reason)
    if form.wants_reason(runbook, ref) and lacks and reply_to.trigger_id is not None:
        open_form(ctx, reply_to, runbook, ref, {**filled, **typed}, reason, {})
        return None
    return begun(ctx, actor, ref, values, reason)


def begun(ctx: AppContext, actor: Actor, ref: RunForm, values: dict[str, Any], reason: str) -> Message:
    """Start what was asked for, or keep it where `ref` says so."""
    if ref.keep:
        return _kept_instead(ctx, actor, ref, values, reason)
    return started(ctx, start(ctx, actor, ref, values, reason), ref.channel)


def _kept_instead(ctx: AppContext, actor: Actor, ref: RunForm, values: dict[str, Any], reason: str) -> Message:
    """Keep the request until the freeze ends, or until a second person agrees. Raises BadValue for anything else."""
    wanted = _wanted(ctx, ref, values, reason)
    if ref.keep == HOLD:
        return kept_requests.held_view(held_requests.hold(ctx.rt, actor, wanted))
    if ref.keep == BREAK_GLASS:
        return kept_requests.asked_view(break_glass.ask(ctx.rt, actor, wanted))
    raise BadValue("no way to keep a request")


def prefilled(ctx: AppContext, runbook: Runbook, channel: str) -> dict[str, Any]:
    """The parameters that the channel's incident fills in."""
    return incidents.prefill(runbook.parameters, incidents.bound(ctx.rt, {"channel": channel}))


def must_be_reachable(
    ctx: AppContext, actor: Actor, reply_to: ReplyTo, slug: str = "", values: Mapping[str, Any] | None = None
) -> str:
    """The channel's name; opens its incident where that or the topic tells of one, for who may open it and run `slug`.

    `values` are the parameters of the run, as far as they are known.

    Refuses to start a run in a channel that the bot cannot post to. When Slack cannot say, the run goes on.
    """
    if not reply_to.channel:
        return ""
    conversations = ctx.rt.conversations
    try:
        found = conversations.find(reply_to.channel)
        if found is None or not found.bot_is_member:
            found = conversations.find(reply_to.channel, 0.0)
    except Unasked:
        return reply_to.channel_name
    if found is None or not found.bot_is_member:
        invite = f"Type /invite @{ctx.directory.my_name()} and try again."
        raise NotAllowed(f"This bot is not in this channel, so nobody would see the run. {invite}")
    name, topic = found.name, found.topic
    wanted = catalog.get(ctx.rt, slug) if slug else None
    incidents.recognised_by(ctx.rt, actor, reply_to.channel, name, topic, wanted, values)
    return name or reply_to.channel_name


def open_form(
    ctx: AppContext,
    reply_to: ReplyTo,
    runbook: Runbook,
    ref: RunForm,
    given: Mapping[str, Any],
    reason: str,
    problems: Mapping[str, str],
) -> None:
    """Ask for the parameters in a modal, which Slack allows for three seconds. Raises Conflict when those are over."""
    ref = kept(ctx, reply_to.user, runbook, ref, given, reason)
    open_modal(ctx, reply_to, form.run_form(runbook, ref, given, reason, problems))


def kept(
    ctx: AppContext, user: str, runbook: Runbook, ref: RunForm, given: Mapping[str, Any], reason: str = ""
) -> RunForm:
    """`ref` for a form whose later parts, or inputs that would change a value, must not forget what is known now."""
    known = fields.properties(runbook)
    if len(form.pages(runbook)) == 1 and all(survives(known[name], given[name]) for name in given if name in known):
        return ref
    return replace(ref, draft=form_drafts.keep(ctx.rt, user, Draft(dict(given), reason)))


def open_modal(ctx: AppContext, reply_to: ReplyTo, view: dict[str, Any]) -> None:
    """Open a modal for who clicked or typed. Raises Conflict when Slack no longer allows it."""
    assert reply_to.trigger_id is not None
    opened = ctx.client.views_push if reply_to.in_modal else ctx.client.views_open
    try:
        opened(trigger_id=reply_to.trigger_id, view=view)
    except SlackApiError as trouble:
        if error_code(trouble) not in ("expired_trigger_id", "trigger_expired", "exchanged_trigger_id"):
            raise
        raise Conflict("Slack took too long to open the form. Please try again.") from trouble


def start(ctx: AppContext, actor: Actor, ref: RunForm, values: dict[str, Any], reason: str) -> Accepted:
    """Ask for a run whose card belongs into the channel where it was asked for."""
    wanted = _wanted(ctx, ref, values, reason)
    return executions.request(ctx.rt, actor, wanted, force=bool(ref.force), reuse_within_ms=ref.reuse_ms)


def _wanted(ctx: AppContext, ref: RunForm, values: dict[str, Any], reason: str) -> Wanted:
    incident = {"channel": ref.channel, "channel_name": ref.channel_name} if ref.channel else {}
    if ref.about:
        incident["permalink"] = permalink(ctx, ref.channel, ref.about)
    return Wanted(ref.slug, values, trigger="slack", number=ref.number, reason=reason, incident=incident, prefill=False)


def permalink(ctx: AppContext, channel: str, ts: str) -> str:
    """The address of a message, "" where Slack does not say: a run is not held up by what it only links to."""
    try:
        return str(ctx.client.chat_getPermalink(channel=channel, message_ts=ts).get("permalink") or "")
    except SLACK_TROUBLE as trouble:
        log.warning("A message has no address: %s", type(trouble).__name__)
        return ""


def started(ctx: AppContext, accepted: Accepted, channel: str) -> Message:
    """The word that a run was accepted, whose card follows; or that the very same run is open already.

    Gates that cannot pass as things stand are warned of.
    """
    execution = accepted.execution
    what = f"{code(execution.id)} ({code(f'{execution.slug}@{execution.number}')})"
    if accepted.how == "open":
        more = code('force=yes reason="…"')
        return said(f"It is running already: {what}, asked for by {person(execution.requester)}. {more} runs it twice.")
    if accepted.how == "reused":
        more = f"it succeeded {when(execution.ended_at)}, and the same was asked for again"
        return said(f"Nothing was started: {what} is taken instead; {more}.")
    where = " Its card is in this channel." if channel else ""
    warned = [f"⚠️ {inline(each, 500)}" for each in gate_notifications.foreseen(ctx.rt, execution)]
    return said("\n".join([f"Started {what}.{where}", *warned]))
