"""The form in which a secret is set: its value goes from Slack into the store and into nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.app_context import AppContext, Work
from bot.slack.ids import INPUT, SECRET_BLOCK
from bot.slack.payload_values import SecretForm, decode
from bot.slack.reply import Reply, ReplyTo
from bot.slack.views.parts import said
from bot.slack.views.text import code
from engine.access import secrets


def read(
    ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]
) -> tuple[Mapping[str, str], ReplyTo, Work | None]:
    """What is wrong with the value by its input, the place to answer at, and setting it once the form is closed."""
    ref = decode(SecretForm, metadata)
    value = str((state.get(SECRET_BLOCK, {}).get(INPUT) or {}).get("value") or "")
    place = ReplyTo(user=user, channel=ref.channel)
    wrong = secrets.faults(ref.name, value)
    if wrong:
        return {SECRET_BLOCK: " ".join(f"{name}: {why}." for name, why in wrong.items())}, place, None

    def work(reply: Reply) -> None:
        actor = ctx.directory.identify(user)
        ctx.directory.refresh_groups()
        made = secrets.set_value(ctx.rt, actor, ref.name, value)
        reply.privately(said(f"{code(ref.name)} is set: version {made.version}. The next step that reads it uses it."))

    return {}, place, work
