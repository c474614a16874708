"""`studio`: a link to the page on which a runbook is written, for who asks alone."""

from __future__ import annotations

from bot.page import signed_links
from bot.slack.verbs.invocation import Invocation
from bot.slack.views.parts import Message, said
from engine.config.settings import secret_key
from engine.errors import Conflict
from engine.queries import visibility


def studio(invocation: Invocation) -> Message:
    """`studio [ID]`: without one, a page for a new runbook."""
    settings, words = invocation.ctx.rt.settings, invocation.command.words
    if settings.public_url is None:
        raise Conflict("There is no studio here: PUBLIC_URL is not set.")
    slug = visibility.runbook(invocation.ctx.rt, invocation.actor, words[0]).slug if words else ""
    address = signed_links.studio_link(settings.public_url, secret_key(settings), invocation.actor.user_id, slug)
    what = f"Open {slug} in the studio" if slug else "Write a new runbook in the studio"
    return said(f"<{address}|{what}>. This link is yours alone, and good for 15 minutes.")
