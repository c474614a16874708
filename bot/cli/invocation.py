"""One command with whom to ask, and what an answer is."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.cli import show
from bot.cli.connect import Api
from bot.cli.options import Options, Usage
from bot.grammar import Command, GrammarError, verb
from engine.definition.durations import parse_duration
from engine.text.yes_no import YES
from storage.records import Json

_MOST = 20
_LATELY = timedelta(days=1)
_USER = re.compile(r"<?@?([UW][A-Z0-9]{2,20})>?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was learned, for programs and for people. `follow` is the id of the run that this began or let go on.

    `as_file` says that the lines are those of a file, which has to arrive as it is. `failed` says that a part of it
    could not be done.
    """

    data: Json
    lines: Iterable[str]
    follow: str = ""
    as_file: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Invocation:
    """One command, and whom to ask."""

    api: Api
    command: Command
    options: Options

    def option(self, name: str) -> str:
        """What was given as `name=…`, "" where it was not."""
        return self.command.options.get(name, "")

    def wrong(self, sentence: str) -> GrammarError:
        """What to raise for words that do not fit the verb."""
        return GrammarError(sentence, verb(self.command.verb).usage)

    @property
    def asks_first(self) -> bool:
        """Whether somebody sits at a terminal who can be shown what a vote is for before it is given."""
        return not self.options.json and sys.stdin.isatty() and sys.stdout.isatty()

    def sure(self, lines: Iterable[str], question: str) -> bool:
        """Show somebody at a terminal what is at stake, and ask; true where nobody can be asked."""
        if not self.asks_first:
            return True
        print(show.safe(lines), flush=True)
        try:
            return input(f"{question} [y/N] ").strip().lower() in YES
        except EOFError:
            return False

    def me(self) -> str:
        """Whose token this is."""
        return str(self.api.get("tokens/current")["person"])

    def user(self, word: str) -> str:
        """A person's Slack id, also as a mention has it. Raises `GrammarError`."""
        if word.lower() in ("me", "@me"):
            return self.me()
        found = _USER.fullmatch(word)
        if found is None:
            raise self.wrong(f"“{word[:40]}” is nobody: give a Slack user's id, such as U0ALICE01.")
        return found[1]

    def time_ms(self, name: str) -> int:
        """An option that is a duration. Raises `GrammarError`."""
        try:
            return parse_duration(self.option(name))
        except ValueError as error:
            raise self.wrong(f"{name}: {error}.") from error

    def mine_or_here(self) -> dict[str, str]:
        """What narrows runs to those that can be meant: the channel that was named, or else one's own."""
        return {"channel": self.options.channel} if self.options.channel else {"requester": self.me()}

    def run(self, *statuses: str) -> tuple[str, tuple[str, ...]]:
        """The run that was named, and the words behind it; else the only open one that can be meant.

        Those in one of `statuses` are meant before others. Raises `Usage` where that is not clear.
        """
        named, rest = self.command.run
        if named is not None:
            return named, rest
        found = self.api.all_of("executions", most=_MOST, open=True, **self.mine_or_here())
        return self._the_only([each for each in found if each["status"] in statuses] or found, "is open"), rest

    def ended_run(self, status: str | None = None) -> tuple[str, tuple[str, ...]]:
        """The run that was named, and the words behind it; else the only one that has ended since yesterday.

        With a `status` only what ended so is meant. Raises `Usage` where that is not clear.
        """
        named, rest = self.command.run
        if named is not None:
            return named, rest
        since = (datetime.now(UTC) - _LATELY).isoformat()
        wanted = {"open": False, "status": status, "since": since, **self.mine_or_here()}
        words = f"has {(status or 'ended').lower()} since yesterday"
        return self._the_only(self.api.all_of("executions", most=_MOST, limit=_MOST, **wanted), words), rest

    def shown_run(self) -> tuple[str, tuple[str, ...]]:
        """The run to be looked at, and the words behind it: as `run`, and the latest one where none is open."""
        named, rest = self.command.run
        if named is not None:
            return named, rest
        mine = self.mine_or_here()
        found = self.api.all_of("executions", most=_MOST, open=True, **mine)
        return self._the_only(found or self.api.all_of("executions", most=1, limit=1, **mine), "is there"), rest

    def _the_only(self, found: Sequence[Json], words: str) -> str:
        if len(found) == 1:
            return str(found[0]["id"])
        here = "in that channel" if self.options.channel else "of yours"
        if not found:
            raise Usage(f"No run {here} {words}. Name one by its id, such as R-7K2M9Q; `runbook runs all` lists them.")
        raise Usage(f"Several runs {here} can be meant: {', '.join(each['id'] for each in found)}. Say which.")

    def channel(self) -> str:
        """What “here” is. Raises `Usage`."""
        if not self.options.channel:
            raise Usage("There is no channel here: name one by --channel, such as --channel C0INC0001.")
        return self.options.channel
