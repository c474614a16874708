"""The verbs about the channel's incident."""

from __future__ import annotations

from bot.slack.verbs.invocation import Invocation
from bot.slack.views import story
from bot.slack.views.parts import Message
from engine.errors import Conflict
from engine.orchestration import incidents


def show(invocation: Invocation) -> Message:
    """`incident`: the one that is open here, or was last."""
    rt, channel = invocation.ctx.rt, invocation.reply_to.channel
    found = incidents.recognised_by(
        rt, invocation.actor, channel, *invocation.ctx.channel_facts(channel)
    ) or incidents.latest(rt, channel)
    return story.incident_view(found, invocation.invoked_as)


def open_one(invocation: Invocation) -> Message:
    """`incident open [TITLE] [severity=…] [KEY=VALUE …]`."""
    if invocation.reply_to.channel.startswith("D"):
        raise Conflict("An incident is a channel: open it there, not in a direct message.")
    name, topic = invocation.ctx.channel_facts(invocation.reply_to.channel)
    title = " ".join(invocation.command.words) or invocation.option("title") or topic or name
    made = incidents.open_incident(
        invocation.ctx.rt,
        invocation.actor,
        invocation.reply_to.channel,
        name,
        title,
        invocation.option("severity"),
        _fields(invocation),
    )
    return story.opened_view(made, invocation.invoked_as)


def change(invocation: Invocation) -> Message:
    """`incident set KEY=VALUE …`."""
    if not invocation.command.options:
        raise invocation.wrong("Say what to set.")
    given = invocation.command.options
    rt, channel = invocation.ctx.rt, invocation.reply_to.channel
    incidents.recognised_by(rt, invocation.actor, channel, *invocation.ctx.channel_facts(channel))
    changed = incidents.edit(
        rt,
        invocation.actor,
        channel,
        title=given.get("title"),
        severity=given.get("severity"),
        fields=_fields(invocation),
    )
    return story.incident_view(changed, invocation.invoked_as)


def close(invocation: Invocation) -> Message:
    """`incident close`; asks again while runs are open."""
    reason, force = invocation.option("reason"), invocation.command.says_yes("force")
    done = incidents.close(invocation.ctx.rt, invocation.actor, invocation.reply_to.channel, reason, force=force)
    if not done.closed:
        return story.close_view(done.incident, done.open_runs, reason, invocation.invoked_as)
    return story.closed_view(done.incident, done.open_runs)


def _fields(invocation: Invocation) -> dict[str, str]:
    return {name: value for name, value in invocation.command.options.items() if name not in ("title", "severity")}
