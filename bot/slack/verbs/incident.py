"""The verbs about the channel's incident."""

from __future__ import annotations

from bot.grammar import GrammarError, verb
from bot.slack.verbs.ask import Ask
from bot.slack.views import story
from bot.slack.views.parts import Message
from engine.errors import Conflict
from engine.orchestration import incidents


def show(ask: Ask) -> Message:
    """`incident`: the one that is open here, or was last."""
    rt, channel = ask.ctx.rt, ask.place.channel
    found = incidents.recognised_by(rt, ask.actor, channel, *ask.ctx.channel_facts(channel)) or incidents.latest(
        rt, channel
    )
    return story.incident_view(found, ask.invoked_as)


def open_one(ask: Ask) -> Message:
    """`incident open [TITLE] [severity=…] [KEY=VALUE …]`."""
    if ask.place.channel.startswith("D"):
        raise Conflict("An incident is a channel: open it there, not in a direct message.")
    name, topic = ask.ctx.channel_facts(ask.place.channel)
    title = " ".join(ask.command.words) or ask.option("title") or topic or name
    made = incidents.open_incident(
        ask.ctx.rt, ask.actor, ask.place.channel, name, title, ask.option("severity"), _fields(ask)
    )
    return story.opened_view(made, ask.invoked_as)


def change(ask: Ask) -> Message:
    """`incident set KEY=VALUE …`."""
    if not ask.command.options:
        raise GrammarError("Say what to set.", verb("incident set").usage)
    given = ask.command.options
    rt, channel = ask.ctx.rt, ask.place.channel
    incidents.recognised_by(rt, ask.actor, channel, *ask.ctx.channel_facts(channel))
    changed = incidents.edit(
        rt,
        ask.actor,
        channel,
        title=given.get("title"),
        severity=given.get("severity"),
        fields=_fields(ask),
    )
    return story.incident_view(changed, ask.invoked_as)


def close(ask: Ask) -> Message:
    """`incident close`; asks again while runs are open."""
    reason, force = ask.option("reason"), ask.command.says_yes("force")
    done = incidents.close(ask.ctx.rt, ask.actor, ask.place.channel, reason, force=force)
    if not done.closed:
        return story.close_view(done.incident, done.open_runs, reason, ask.invoked_as)
    return story.closed_view(done.incident, done.open_runs)


def _fields(ask: Ask) -> dict[str, str]:
    return {name: value for name, value in ask.command.options.items() if name not in ("title", "severity")}
