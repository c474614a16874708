"""Completion for bash, zsh and fish: argcomplete has the scripts, and the table of verbs says what fits.

The shell starts this program at each Tab, and it has to answer at once: so ids and parameters are asked for only where
one may stand.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from urllib.parse import quote

import argcomplete
from argcomplete.shell_integration import shellcode

from bot import grammar
from bot.cli import host_commands
from bot.cli.options import NAMES, Options, Usage, split
from bot.grammar import ALIASES, VERBS, Verb
from engine.errors import BadSettings, DatabaseAway

if TYPE_CHECKING:
    from bot.cli.connect import Api

Offers = dict[str, str]
"""What may be typed, each with what it means or ""."""
LookUp = Callable[[str, str], Iterable[str]]
"""The ids of "books" or of open "runs", the names of "secrets", the "parameters" of the runbook that is named, or the
"options" of one of them that is named as `runbook parameter=typed`.
"""
_STORED = ("secret list", "secret set", "secret delete")
"""The verbs whose first word is a secret's name."""
_RUNS = 20
"""The newest of them, as many as `runbook runs` shows."""


def script(shell: str) -> str:
    """What the shell has to read, as in `source <(runbook completion bash)`."""
    return shellcode(["runbook"], shell=shell, complete_arguments=["-o", "nospace"])


def answer(connected: Callable[[Options], AbstractContextManager[Api]]) -> None:
    """Tell the shell what fits, and end the process. `connected` gives the API to look ids up in."""

    def completer(prefix: str, parsed_args: argparse.Namespace, **_: object) -> Mapping[str, str]:
        try:
            options, words = split(parsed_args.words)
        except Usage:  # the value of an option is being typed
            return {}
        return offered(words, prefix, lambda what, slug: _looked_up(connected, options, what, slug))

    # Nothing that can be typed is an option of the parser's: our own stand anywhere, and `split` knows them.
    parser = argparse.ArgumentParser(prefix_chars="\0", add_help=False)
    words = parser.add_argument("words", nargs=argparse.REMAINDER)
    words.completer = completer  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def offered(words: Sequence[str], prefix: str, look_up: LookUp) -> Offers:
    """What may stand behind `words`, where `prefix` has been typed; not all of it begins so."""
    first = words[0].lower() if words else "help"
    if first == "check":
        return _of_check(words, prefix)
    if prefix.startswith("-"):
        return dict.fromkeys(host_commands.options_of(first) if first in _WITH_OPTIONS else NAMES, "")
    if first in _AFTER:
        return _AFTER[first](prefix)
    seconds = {verb.name.partition(" ")[2]: verb.help for verb in VERBS if verb.name.startswith(f"{first} ")}
    if seconds and len(words) == 1:
        return seconds
    name = " ".join((first, *words[1:2])) if seconds else first
    try:
        verb = grammar.verb(ALIASES.get(name, name))
    except KeyError:
        return {}
    behind = words[2 if seconds else 1 :]
    if verb.name == "run" and behind and "=" in prefix:
        name = prefix.partition("=")[0]
        return {f"{name}={each}": "" for each in look_up("options", f"{behind[0]} {prefix}")}
    return _behind(verb, behind, look_up)


_RUN_LIKE = ("run", "plan")
"""Verbs that take the parameters of the runbook that is named."""
_OF_RUNS = {"run": ("reason",), "plan": ("live", "reason")}


def _behind(verb: Verb, words: Sequence[str], look_up: LookUp) -> Offers:
    """The keys of the verb, and what its first word may be; behind a runbook that is to run, its parameters."""
    found = [f"{key}=" for key in sorted(verb.options or _OF_RUNS.get(verb.name, ()))]
    usage = verb.usage.removeprefix(verb.name).strip().removeprefix("[")
    if verb.name in _RUN_LIKE and words:
        found += [f"{name}=" for name in look_up("parameters", words[0])]
    elif not words and verb.name in _STORED:
        found += look_up("secrets", "")
    elif not words and usage.startswith(("ID", "RUN")):
        found += look_up("books" if usage.startswith("ID") else "runs", "")
    return dict.fromkeys(found, "")


def _first_words(_prefix: str) -> Offers:
    people = {verb.name.partition(" ")[0]: verb.help for verb in VERBS}
    aliases = {name: grammar.verb(meant).help for name, meant in ALIASES.items() if name.isalpha()}
    return {**aliases, **people, **host_commands.VERBS}


def _of_check(words: Sequence[str], prefix: str) -> Offers:
    from bot.cli import check_formats

    if words[-1] == "--format":
        return dict.fromkeys(check_formats.FORMATS, "")
    return dict.fromkeys(host_commands.options_of("check"), "") if prefix.startswith("-") else _files(prefix)


def _files(prefix: str) -> Offers:
    found = glob.glob(glob.escape(prefix) + "*")
    return dict.fromkeys((f"{path}/" if os.path.isdir(path) else path for path in found), "")


_AFTER: Mapping[str, Callable[[str], Offers]] = {
    "help": _first_words,
    "rehearse": _files,
    "completion": lambda _prefix: dict.fromkeys(host_commands.SHELLS, ""),
}


_WITH_OPTIONS = frozenset({"new", "rehearse", "doctor"})
"""Operators' verbs behind which their own options stand, instead of those that stand anywhere."""


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _looked_up(
    connected: Callable[[Options], AbstractContextManager[Api]], options: Options, what: str, slug: str
) -> list[str]:
    """Nothing where nobody answers: who presses Tab is told nothing else."""
    from bot.cli.connect import Refused, Unreachable

    try:
        with connected(options) as api:
            if what == "parameters":
                return list(api.get(f"runbooks/{slug.partition('@')[0]}")["parameters"].get("properties", {}))
            if what == "options":
                book, _, typed = slug.partition(" ")
                name, _, search = typed.partition("=")
                path = f"runbooks/{quote(book.partition('@')[0], safe='')}/parameters/{quote(name, safe='')}/options"
                return [_written(each["value"]) for each in api.get(path, search=search)["options"]]
            if what == "books":
                return [each["id"] for each in api.all_of("runbooks")]
            if what == "secrets":
                return [each["name"] for each in api.get("secrets")]
            found = api.all_of("executions", most=_RUNS, limit=_RUNS, open=True)
            return [each["id"] for each in found]
    except (Usage, Refused, Unreachable, BadSettings, DatabaseAway):
        return []
