"""One command with who gave it and where, and the run that it is about."""

from __future__ import annotations

from dataclasses import dataclass

from bot.grammar import Command, GrammarError, verb
from bot.slack.desk import Desk
from bot.slack.reply import Place
from engine import executions
from engine.access import Actor
from engine.errors import Conflict
from storage.records import ExecutionStatus


@dataclass(frozen=True, slots=True)
class Ask:
    """One command, who gave it, and where."""

    desk: Desk
    actor: Actor
    place: Place
    command: Command

    @property
    def spoken(self) -> str:
        """What people type to reach this bot where they asked."""
        return self.desk.spoken(self.place)

    def option(self, name: str) -> str:
        """What was given as `name=…`, "" where it was not."""
        return self.command.options.get(name, "")


def only_run(ask: Ask) -> str | None:
    """The one word of a command that takes nothing but a run; None where it was left out. Raises GrammarError."""
    run, rest = ask.command.run
    if rest:
        raise GrammarError(f"“{rest[0][:40]}” is not a run's id, such as R-7K2M9Q.", verb(ask.command.verb).usage)
    return run


def the_run(ask: Ask, run: str | None, *statuses: ExecutionStatus) -> str:
    """The run that was named, else the only open one of the channel, preferring those in one of `statuses`.

    Raises Conflict where that is not clear.
    """
    if run is not None:
        return run
    found = executions.recent(ask.desk.rt, channel=ask.place.channel, open_only=True, limit=20)
    fitting = [each for each in found if each.status in statuses] or found
    if len(fitting) == 1:
        return fitting[0].id
    if not fitting:
        raise Conflict(
            "No run is open in this channel. Name one by its id, such as R-7K2M9Q; `runs all` lists the latest."
        )
    raise Conflict(f"Several runs are open in this channel: {', '.join(each.id for each in fitting)}. Say which.")
