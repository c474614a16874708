"""One command with who gave it and where, and the run that it is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.grammar import Command, GrammarError, verb
from bot.slack.app_context import AppContext
from bot.slack.reply import ReplyTo
from bot.slack.views.parts import Message
from engine.access.policy import Actor
from engine.errors import Conflict
from engine.queries import projection
from engine.runs import executions
from storage.records import ExecutionRecord, Filter
from storage.states import ExecutionStatus

LATELY_MS = 24 * 3_600_000
"""How long ago a run may have been asked for to be meant by a verb about runs that have ended."""

_MOST = 20


@dataclass(frozen=True, slots=True)
class Invocation:
    """One command, who gave it, and where. `tell` is for what is said while it is still being done."""

    ctx: AppContext
    actor: Actor
    reply_to: ReplyTo
    command: Command
    tell: Callable[[Message], None]

    @property
    def invoked_as(self) -> str:
        """What people type to reach this bot where they asked."""
        return self.ctx.invoked_as(self.reply_to)

    def option(self, name: str) -> str:
        """What was given as `name=…`, "" where it was not."""
        return self.command.options.get(name, "")

    def wrong(self, sentence: str) -> GrammarError:
        """What to raise for words that do not fit the verb."""
        return GrammarError(sentence, verb(self.command.verb).usage)


class Several(Exception):
    """No run was named, and any of these can be meant: the person has to choose."""

    def __init__(self, runs: Sequence[ExecutionRecord]) -> None:
        self.runs = tuple(runs)
        super().__init__("several runs can be meant")


def the_run(invocation: Invocation, *statuses: ExecutionStatus) -> str:
    """The run that was named, else that of the thread, else the only one here that can be meant.

    Among open runs those in one of `statuses` are preferred; a status that means ended asks for runs of the last day.
    Raises Several, and Conflict where there is none.
    """
    named = invocation.command.run[0] or _of_thread(invocation)
    if named is not None:
        return named
    found = (
        _ended_here(invocation, statuses)
        if any(status.ended for status in statuses)
        else _open_here(invocation, statuses)
    )
    if not found:
        what = "open" if not statuses or not statuses[0].ended else " or ".join(each.lower() for each in statuses)
        raise Conflict(
            f"No run here is {what} that this could be about. Name one by its id, such as R-7K2M9Q; "
            "`runs all` lists the latest."
        )
    return _the_only(found)


def shown_run(invocation: Invocation) -> str:
    """The run to be looked at: as `the_run`, and the latest one where none is open."""
    named = invocation.command.run[0] or _of_thread(invocation)
    if named is not None:
        return named
    found = _open_here(invocation, ()) or _recent(invocation, Filter(), 1)
    if not found:
        raise Conflict("There was no run here yet. Name one by its id, such as R-7K2M9Q; `runs all` lists the latest.")
    return _the_only(found)


def _the_only(found: Sequence[ExecutionRecord]) -> str:
    if len(found) > 1:
        raise Several(found)
    return found[0].id


def _of_thread(invocation: Invocation) -> str | None:
    reply_to = invocation.reply_to
    return (
        projection.run_shown_at(invocation.ctx.rt, reply_to.channel, reply_to.thread_ts) if reply_to.thread_ts else None
    )


def _open_here(invocation: Invocation, statuses: Sequence[ExecutionStatus]) -> list[ExecutionRecord]:
    found = _recent(invocation, Filter(open=True), _MOST)
    return [each for each in found if each.status in statuses] or found


def _ended_here(invocation: Invocation, statuses: Sequence[ExecutionStatus]) -> list[ExecutionRecord]:
    return _recent(invocation, Filter(statuses=tuple(statuses), within_ms=LATELY_MS), _MOST)


def _recent(invocation: Invocation, wanted: Filter, limit: int) -> list[ExecutionRecord]:
    """The channel's runs that fit; in a direct message, where no runs are shown, those of the person."""
    channel = invocation.reply_to.channel
    direct = channel.startswith("D") or not channel
    me = invocation.actor.user_id
    wanted = replace(wanted, requester=me) if direct else replace(wanted, channel=channel)
    return executions.recent(invocation.ctx.rt, wanted, limit)
