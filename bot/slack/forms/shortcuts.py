"""The app's shortcuts: choose a runbook, anywhere or for a message that its run will link to."""

from __future__ import annotations

from bot.slack.app_context import AppContext
from bot.slack.payload_values import PickForm
from bot.slack.reply import Reply
from bot.slack.verbs import running
from bot.slack.views import form
from engine.access.policy import Action, Actor, authorise
from engine.catalog import catalog
from engine.errors import NotAllowed
from storage.catalog_records import RunbookRecord

_OFFERED = 100


def choose(ctx: AppContext, about: str, reply: Reply) -> None:
    """Open the form in which a runbook is chosen; `about` is the ts of the message it is about, or "".

    The channel's incident is known by then, so that the form that follows can be filled. Raises EngineError.
    """
    reply_to = reply.reply_to
    actor = ctx.directory.identify(reply_to.user)
    authorise(ctx.rt, actor, Action.VIEW, None)
    if not runnable(ctx, actor, ""):
        raise NotAllowed(
            "There is no runbook that you may run. `list` shows all there are, and to which team each belongs."
        )
    name = running.must_be_reachable(ctx, actor, reply_to)
    ref = PickForm(reply_to.channel, name, about)
    running.open_modal(ctx, reply_to, form.pick_form(ref))


def runnable(ctx: AppContext, actor: Actor, text: str) -> list[RunbookRecord]:
    """The runbooks that somebody may run and that have all these words, at most as many as a menu holds."""
    found = catalog.listing(ctx.rt, text)
    mine = catalog.startable(ctx.rt, actor, found)
    return [runbook for runbook in found if runbook.slug in mine][:_OFFERED]
