"""The command line's own options, told apart from a command's words wherever they stand.

They are written with dashes; `--json` is ours, and a parameter that is itself called json is written `json=…`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.definition.durations import parse_duration


class Usage(Exception):
    """What was typed cannot be done so; the message says why and what to type instead."""


@dataclass(frozen=True, slots=True)
class Options:
    """`url` is the server's address, None for the database on this host. `wait` None means: as the verb does.

    `channel` is what “here” means to a verb about a channel. `timeout_s` is how long to follow a run, None for as long
    as it takes.
    """

    url: str | None = None
    token: str | None = None
    token_file: Path | None = None
    channel: str | None = None
    json: bool = False
    wait: bool | None = None
    timeout_s: float | None = None
    version: bool = False
    help: bool = False


_FLAGS: Mapping[str, dict[str, Any]] = {
    "--json": {"json": True},
    "--wait": {"wait": True},
    "--no-wait": {"wait": False},
    "--version": {"version": True},
    "-V": {"version": True},
    "--help": {"help": True},
    "-h": {"help": True},
}


def _seconds(text: str) -> float:
    try:
        return parse_duration(text if not text.isdigit() else f"{text}s") / 1000
    except ValueError as error:
        raise Usage(f"--timeout takes a time such as 90s or 15m: {error}") from error


_VALUES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "--url": ("url", str),
    "--token": ("token", str),
    "--token-file": ("token_file", Path),
    "--channel": ("channel", str),
    "--timeout": ("timeout_s", _seconds),
}
NAMES = (*_FLAGS, *_VALUES)


def split(words: Sequence[str]) -> tuple[Options, list[str]]:
    """Our options, and all other words in order. Raises `Usage`. Behind `--` everything is the command's."""
    found, rest = Options(), list[str]()
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return found, [*rest, *left]
        name, has_value, value = word.partition("=")
        if word in _FLAGS:
            found = replace(found, **_FLAGS[word])
        elif name in _VALUES:
            if not has_value and not left:
                raise Usage(f"{name} needs a value behind it.")
            field, read = _VALUES[name]
            found = replace(found, **{field: read(value if has_value else left.pop(0))})
        else:
            rest.append(word)
    return found, rest


def token_of(options: Options, environ: Mapping[str, str]) -> str:
    """The secret to ask with: `--token`, `--token-file`, RUNBOOK_TOKEN or a file of one's own, the first that is given.

    What is typed wins over what stands in the environment: nobody is to act as somebody else unseen. A file that others
    can read is refused. Raises `Usage`.
    """
    given = options.token or ("" if options.token_file else environ.get("RUNBOOK_TOKEN", "").strip())
    if given:
        return given
    path = options.token_file or default_token_file(environ)
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise Usage(f"{path} can be read by others, so its token is not used. Mend that: chmod 600 {path}")
            return file.read().strip()
    except FileNotFoundError:
        how = "On the bot's host, `runbook token create YOUR-SLACK-ID NAME` makes one; in Slack, /runbook token create."
        raise Usage(f"Who are you? Set RUNBOOK_TOKEN, or put your token into {path} (chmod 600). {how}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{path} cannot be read: {error}") from error


def default_token_file(environ: Mapping[str, str]) -> Path:
    """`runbook/token` in the folder for people's settings."""
    folder = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".config"
    return Path(folder) / "runbook" / "token"
