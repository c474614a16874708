"""The modal in which a version is read part by part, and what takes its place once something was decided in it."""

from __future__ import annotations

from typing import Any

from bot.slack.app_context import AppContext
from bot.slack.reply import Reply
from bot.slack.verbs import running
from bot.slack.views import form
from bot.slack.views.parts import Message

TITLE = "A version"


def turned(ctx: AppContext, reply: Reply, view: dict[str, Any]) -> None:
    """Show a part: in the modal that the button stood in, else in a new one. Raises as `running.open_modal`."""
    if reply.reply_to.in_modal and reply.reply_to.view_id:
        ctx.client.views_update(view_id=reply.reply_to.view_id, view=view)
    else:
        running.open_modal(ctx, reply.reply_to, view)


def settled(ctx: AppContext, reply: Reply, told: Message) -> None:
    """Tell what came of a button, in its place."""
    if reply.reply_to.in_modal and reply.reply_to.view_id:
        ctx.client.views_update(view_id=reply.reply_to.view_id, view=form.refused_view(TITLE, told.text))
        return
    reply.instead(told)
