"""`plan`, and the button that runs exactly what was planned."""

from __future__ import annotations

from typing import Any

from bot import run_options
from bot.page import signed_links
from bot.slack.app_context import AppContext
from bot.slack.ids import Action
from bot.slack.payload_values import PlanRef, decode
from bot.slack.reply import Reply, ReplyTo
from bot.slack.verbs import running
from bot.slack.verbs.invocation import Invocation
from bot.slack.verbs.queries import shared
from bot.slack.views import plans as views
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code
from engine.catalog import catalog
from engine.config.settings import secret_key
from engine.definition import parameters
from engine.orchestration.admission import Wanted
from engine.runs import form_drafts, kept_plans, live_calls, live_plans, plans
from engine.runs.plan_records import Plan, PlanChanged


def plan(invocation: Invocation) -> Message:
    """`plan ID[@VERSION] [KEY=VALUE …] [live=yes]`."""
    ctx, actor, reply_to = invocation.ctx, invocation.actor, invocation.reply_to
    slug, number = invocation.command.target
    schema = catalog.definition(catalog.version(ctx.rt, slug, number)).parameters
    given, reason, live = run_options.read_plan(invocation.command, schema)
    values = parameters.coerce(schema, given)
    wanted = _wanted(slug, number, values, reason, reply_to.channel, reply_to.channel_name)
    if live:
        made = live_plans.make(ctx.rt, actor, wanted, lambda: invocation.tell(_being_asked(slug)))
    else:
        made = plans.make(ctx.rt, actor, wanted)
    return _shown(ctx, reply_to, wanted, made, ())


def _being_asked(slug: str) -> Message:
    """What is said at once of a plan that takes a while."""
    return said(f"⏳ Asking what {code(slug)} calls, in check mode. This takes {live_calls.ALL_MS // 1000} s at most …")


def click(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Run exactly what was planned, once; or say what has changed and show the plan of now."""
    ref, user = decode(PlanRef, value), reply.reply_to.user
    draft = form_drafts.find(ctx.rt, user, ref.draft)
    actor = ctx.actor_at(reply.reply_to)
    # Whatever version runs now: that it is another one than was planned is told as a change.
    wanted = _wanted(ref.slug, None, draft.values, draft.reason, ref.channel, ref.channel_name)
    try:
        accepted = plans.request(ctx.rt, actor, wanted, ref.digest, key=f"plan-{ref.draft}")
    except PlanChanged as changed:
        now = plans.make(ctx.rt, actor, wanted)
        reply.instead(_shown(ctx, reply.reply_to, wanted, now, changed.changes, ref.channel, ref.channel_name))
        return
    reply.instead(running.started(ctx, accepted, ref.channel))


def is_planned(invocation: Invocation) -> bool:
    """Whether a `run` names the plan that it is to be, and not a parameter of that name."""
    return _names_option(invocation, "plan")


def _names_option(invocation: Invocation, name: str) -> bool:
    if name not in invocation.command.options:
        return False
    found = catalog.definition(catalog.version(invocation.ctx.rt, invocation.command.target[0]))
    return name not in found.parameters.get("properties", {})


def run_planned(invocation: Invocation) -> Message:
    """`run … plan=DIGEST`: what would not be exactly that is refused with what would be."""
    ctx, actor, reply_to = invocation.ctx, invocation.actor, invocation.reply_to
    planned = catalog.definition(catalog.version(ctx.rt, *invocation.command.target))
    asked = run_options.read(invocation.command, planned.parameters)
    (slug, number), values = invocation.command.target, parameters.coerce(planned.parameters, asked.given)
    name = running.must_be_reachable(ctx, actor, reply_to, slug, values)
    wanted = _wanted(slug, number, values, asked.reason, reply_to.channel, name)
    try:
        accepted = plans.request(
            ctx.rt, actor, wanted, asked.plan, force=asked.force, reuse_within_ms=asked.reuse_within_ms
        )
    except PlanChanged as changed:
        return _shown(ctx, reply_to, wanted, plans.make(ctx.rt, actor, wanted), changed.changes)
    return running.started(ctx, accepted, reply_to.channel)


def _wanted(
    slug: str, number: int | None, values: dict[str, Any], reason: str, channel: str, channel_name: str
) -> Wanted:
    incident = {"channel": channel, "channel_name": channel_name} if channel else {}
    return Wanted(slug, values, trigger="slack", number=number, reason=reason, incident=incident)


def _shown(
    ctx: AppContext,
    reply_to: ReplyTo,
    wanted: Wanted,
    made: Plan,
    changes: tuple[str, ...],
    channel: str = "",
    name: str = "",
) -> Message:
    """The plan as a message to one person, with a file in their messages where it is long, and a link to its page."""
    channel, name = channel or reply_to.channel, name or reply_to.channel_name
    file = ""
    if views.is_long(made):
        whole = views.text(made).encode("utf-8", "replace")
        file = shared(ctx, reply_to, f"plan-{made.slug}.txt", f"The plan of {made.slug}", whole).text
    draft = kept_plans.keep(ctx.rt, reply_to.user, wanted, made)
    ref = None if made.obstacles else PlanRef(made.slug, made.number, channel, name, draft, made.digest)
    return views.plan_view(
        made, ref, ctx.invoked_as(reply_to), changes=changes, file=file, page=_page(ctx, reply_to.user, draft)
    )


def _page(ctx: AppContext, person: str, draft: int) -> str:
    """The address of the plan's page, "" where there are no pages."""
    settings = ctx.rt.settings
    if settings.public_url is None:
        return ""
    return signed_links.plan_link(settings.public_url, secret_key(settings), person, draft)
