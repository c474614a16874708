"""The verbs and the button about freezes."""

from __future__ import annotations

from bot.slack.app_context import AppContext
from bot.slack.ids import Action as Click
from bot.slack.payload_values import FreezeRef, decode
from bot.slack.reply import Reply
from bot.slack.verbs.invocation import Invocation
from bot.slack.views import freezes as views
from bot.slack.views.parts import Message
from engine.access.policy import Action, FreezeScope, verdict
from engine.runs import freezing


def freezes(invocation: Invocation) -> Message:
    """`freezes`."""
    rt, actor = invocation.ctx.rt, invocation.actor
    may_stop = verdict(rt, actor, Action.FREEZE, FreezeScope("everything")).allowed
    return views.freezes_view(
        freezing.listing(rt, actor), freezing.upcoming(rt, actor), invocation.invoked_as, may_stop=may_stop
    )


def freeze(invocation: Invocation) -> Message:
    """`freeze SCOPE until=TIME|for=TIME reason="…" [hold=running]`."""
    hold = invocation.option("hold").lower()
    if hold not in ("", "running"):
        raise invocation.wrong(f"hold=running, not “{hold[:40]}”.")
    done = freezing.freeze(
        invocation.ctx.rt, invocation.actor, invocation.command.words[0], invocation.option("reason"),
        until=invocation.option("until"), lasting=invocation.option("for"), hold_running=bool(hold),
    )  # fmt: skip
    return views.frozen_view(done)


def unfreeze(invocation: Invocation) -> Message:
    """`unfreeze SCOPE|FREEZE [resume=yes]`."""
    done = freezing.unfreeze(
        invocation.ctx.rt, invocation.actor, invocation.command.words[0], invocation.option("reason"),
        resume=invocation.command.says_yes("resume"),
    )  # fmt: skip
    return views.lifted_view(done, invocation.invoked_as)


def stop_everything(ctx: AppContext, _: Click, value: str, reply: Reply) -> None:
    """The switch: what it stops is said by the button, who may press it by the policy."""
    actor = ctx.directory.identify(reply.reply_to.user)
    done = freezing.freeze(ctx.rt, actor, decode(FreezeRef, value).scope, "", hold_running=True)
    reply.privately(views.frozen_view(done))
