"""The verbs and buttons about held requests and break-glass."""

from __future__ import annotations

from bot.slack.app_context import AppContext
from bot.slack.ids import Action as Click
from bot.slack.payload_values import KeptRef, decode
from bot.slack.reply import Reply
from bot.slack.verbs.invocation import Invocation
from bot.slack.verbs.running import started
from bot.slack.views import kept_requests as views
from bot.slack.views.parts import Message
from engine.access.policy import Actor
from engine.runs import break_glass, held_requests


def held(invocation: Invocation) -> Message:
    """`held [drop HELD]`."""
    rt, actor, words = invocation.ctx.rt, invocation.actor, invocation.command.words
    if not words:
        return views.held_list(held_requests.listing(rt, actor), invocation.invoked_as)
    if words[0].lower() != "drop" or len(words) != 2:
        raise invocation.wrong("Say which to drop.")
    return views.dropped_view(held_requests.drop(rt, actor, words[1]))


def release(invocation: Invocation) -> Message:
    """`release HELD …|all`."""
    done = held_requests.release_each(invocation.ctx.rt, invocation.actor, invocation.command.words)
    return views.released_view(done, invocation.invoked_as)


def reviews(invocation: Invocation) -> Message:
    """`reviews`."""
    return views.reviews_view(break_glass.waiting(invocation.ctx.rt, invocation.actor), invocation.invoked_as)


def review(invocation: Invocation) -> Message:
    """`review BREAK_GLASS note="…"`."""
    note = invocation.option("note")
    done = break_glass.review(invocation.ctx.rt, invocation.actor, invocation.command.words[0], note)
    return views.reviewed_view(done)


def agree(invocation: Invocation) -> Message:
    """`agree BREAK_GLASS`."""
    return _agreed(invocation.ctx, invocation.actor, invocation.command.words[0])


def _agreed(ctx: AppContext, actor: Actor, asked_id: str) -> Message:
    accepted = break_glass.agree(ctx.rt, actor, asked_id)
    return started(ctx, accepted, str((accepted.execution.incident or {}).get("channel") or ""))


def click_release(ctx: AppContext, _: Click, value: str, reply: Reply) -> None:
    """The button under a held request."""
    actor = ctx.directory.identify(reply.reply_to.user)
    done = held_requests.release_each(ctx.rt, actor, [decode(KeptRef, value).kept_id])
    reply.privately(views.released_view(done, ctx.command))


def click_drop(ctx: AppContext, _: Click, value: str, reply: Reply) -> None:
    """The other one."""
    actor = ctx.directory.identify(reply.reply_to.user)
    reply.privately(views.dropped_view(held_requests.drop(ctx.rt, actor, decode(KeptRef, value).kept_id)))


def click_agree(ctx: AppContext, _: Click, value: str, reply: Reply) -> None:
    """The button of a break-glass that is asked for."""
    actor = ctx.directory.identify(reply.reply_to.user)
    reply.privately(_agreed(ctx, actor, decode(KeptRef, value).kept_id))
