"""`secret …`: which secrets there are, and setting one in a form. What is said here is for whoever asked alone."""

from __future__ import annotations

from bot.grammar import UNREAD, verb
from bot.slack.payload_values import SecretForm
from bot.slack.verbs.invocation import Invocation
from bot.slack.verbs.running import open_modal
from bot.slack.views import secrets as views
from bot.slack.views.form import secret_form
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code
from engine.access import secrets
from engine.access.policy import Action, authorise_by_rules
from engine.queries import secrets as queries

SEEN = (
    "A value is never typed: Slack has now seen what you typed, and so has whoever is in this channel if you mentioned "
    "the bot. If it was a secret, replace it where it is made. Then type only"
)
_ONLY_A_FORM = "A secret is set in a form, which only the slash command can open. Type"


def show(invocation: Invocation) -> Message:
    """`secret list [NAME]`."""
    rt, actor = invocation.ctx.rt, invocation.actor
    if invocation.command.words:
        name = invocation.command.words[0]
        return views.versions_view(name, queries.versions(rt, actor, name))
    return views.list_view(queries.listing(rt, actor), invocation.invoked_as)


def ask_for_value(invocation: Invocation) -> None:
    """`secret set NAME`: open the form. A value that was typed is refused, whoever typed it."""
    name, *more = invocation.command.words
    if more or name == UNREAD:
        raise invocation.wrong(f"{SEEN} `{invocation.ctx.command} {verb('secret set').usage}`.")
    authorise_by_rules(invocation.ctx.rt, invocation.actor, Action.SECRET_SET)
    if invocation.reply_to.trigger_id is None:
        raise invocation.wrong(f"{_ONLY_A_FORM} `{invocation.ctx.command} secret set {name}`.")
    open_modal(invocation.ctx, invocation.reply_to, secret_form(SecretForm(name, invocation.reply_to.channel)))


def delete(invocation: Invocation) -> Message:
    """`secret delete NAME`."""
    name = invocation.command.words[0]
    secrets.delete(invocation.ctx.rt, invocation.actor, name)
    return said(f"{code(name)} is erased. Steps that read it fail, unless another source has it.")


def rotate_keys(invocation: Invocation) -> Message:
    """`secret rotate-keys`."""
    return views.rotated_view(secrets.rotate_keys(invocation.ctx.rt, invocation.actor))
