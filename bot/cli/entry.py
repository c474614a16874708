"""`runbook`: from what was typed to an exit code.

0 done, 1 failed, 2 wrong usage or settings, 3 refused, 4 a run was still open when the time to follow it was over.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from bot.cli import help_page, host_commands
from bot.cli.options import Options, Usage, split, token_of
from bot.grammar import ALIASES, VERBS, Command, GrammarError, parse_words
from engine.config import home
from engine.errors import BadSettings, DatabaseAway

if TYPE_CHECKING:
    from bot.cli.connect import Api

DONE, FAILED, USAGE, REFUSED, STILL_OPEN = range(5)
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what was asked and return the exit code."""
    home.start_private()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks, and gets its answer by a channel of its own
        from bot.cli import completion

        completion.answer(_connected)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _done(words)
    except DatabaseAway as error:
        _print(*error.problems)
        return FAILED
    except BadSettings as error:
        _print(*error.problems)
    except Usage as error:
        _print(str(error))
    except GrammarError as error:
        _print(f"{error}", f"usage: runbook {error.usage}")
    except BrokenPipeError:  # whoever read this has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    return USAGE


def _done(words: list[str]) -> int:
    operators = _first(words) in host_commands.VERBS and not _meant_for_people(words)
    if operators and "--" not in words:
        return host_commands.main(words)
    options, rest = split(words)
    if options.version:
        print(f"runbook {version('runbook-bot')}")
        return DONE
    if not rest or options.help or rest[0].lower() in ("help", "?"):
        asked = [word for word in rest if word.lower() not in ("help", "?")]
        print(help_page.page(" ".join(asked).lower()))
        return DONE
    _must_be_known(rest[0].lower())
    return _asked(parse_words(rest), options)


def _first(words: Sequence[str]) -> str:
    return words[0].lower() if words else ""


def _meant_for_people(words: Sequence[str]) -> bool:
    """Whether a word that operators and people share is meant as people's."""
    if _first(words) == "audit":
        return [word.lower() for word in words[1:2]] != ["verify"]
    return _first(words) == "token" and _names_a_server(words)


def _names_a_server(words: Sequence[str]) -> bool:
    return bool(os.environ.get("RUNBOOK_URL")) or any(word.partition("=")[0] == "--url" for word in words)


def _must_be_known(first: str) -> None:
    """Raise `Usage`, naming the nearest word, for one that is no verb of people or operators."""
    known = {*(verb.name.partition(" ")[0] for verb in VERBS), *ALIASES, *host_commands.VERBS}
    if first not in known:
        near = difflib.get_close_matches(first, sorted(known), n=1)
        hint = f" Did you mean “{near[0]}”?" if near else ""
        raise Usage(f"There is no “{first[:40]}”.{hint} `runbook help` lists all there is.")


def _asked(command: Command, options: Options) -> int:
    """Ask as a person, of a server or of the database here."""
    from bot.cli import connect, people

    try:
        with _connected(options) as api:
            return people.answer(api, command, options)
    except connect.Refused as error:
        return people.refused(error, options)
    except connect.Unreachable as error:
        _print(str(error))
        return FAILED


@contextmanager
def _connected(options: Options) -> Iterator[Api]:
    """The API of the server that is named, else of the database on this host. Raises `Usage`, `BadSettings`."""
    from bot.cli import connect

    url = options.url or os.environ.get("RUNBOOK_URL", "").strip()
    token = token_of(options, os.environ)
    if url:
        with connect.to_server(url, token) as api:
            yield api
        return
    read, redactor = host_commands.load(quietly=True)
    redactor.add("RUNBOOK_TOKEN", token)
    with connect.on_this_host(read, token) as api:
        yield api


def _print(*sentences: str) -> None:
    from bot.cli import show

    print(show.said(*sentences), file=sys.stderr)
