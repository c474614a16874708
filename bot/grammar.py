"""One grammar for `/runbook`, mentions and the command line: a line of text in, a `Command` out.

A command is a verb, then words, then `key=value` options in any order. Phones and Slack bend what people type, so the
grammar also takes `--key value`, `-key value`, long dashes, curly quotes, `<@U…|name>`, `<#C…|name>` and `<url|text>`.
Nothing here knows which runbooks exist or who may do what.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bot.verbs import ALIASES, FAMILIES, VERBS, Verb
from engine.text.yes_no import yes_or_no

__all__ = ["ALIASES", "CHOICES", "VERBS", "Command", "GrammarError", "Verb", "parse", "parse_words", "quote", "spell"]


class GrammarError(Exception):
    """What was typed cannot be understood.

    `str(error)` says why; `usage` is what to type instead, without the command's name.
    """

    def __init__(self, sentence: str, usage: str = "help") -> None:
        self.usage = usage
        super().__init__(sentence)


_FAMILY = {
    "admin": "What admins can do",
    "incident": "What can be done with an incident",
    "audit": "What can be done with the audit",
    "secret": "What can be done with secrets",
}
UNREAD = "…"
"""What stands for all that was typed behind a secret's name: it may be the value, so nothing is made of it or shown."""
_SECRET = re.compile(r"\W*(secrets?)\s+(\S+)(?:\s+(\S+)(\s+\S)?)?", re.IGNORECASE)
CHOICES = ("retry", "done", "failed")
"""What can be said about a step whose outcome nobody saw."""

_BY_NAME = {verb.name: verb for verb in VERBS}
_SLACK = re.compile(r"<([@#!]?)([^<>|\s]+)(?:\|([^<>]*))?>")
_RUN = re.compile(r"R-[0-9A-Z]{2,}", re.IGNORECASE)
BREAK_GLASS_ID = re.compile(r"B-[0-9A-Z]{2,}", re.IGNORECASE)
HOLD, BREAK_GLASS = "hold", "break_glass"
"""The options of `run` by which a request is kept instead of begun at once."""
LIVE = "live"
"""The option of `plan` by which the targets are asked in their own check mode."""
_NEEDED = re.compile(r"(?:^|\s)(?!\S*[\"=])([^\s\[\]]+)")
"""The first part of a usage that may not be left out."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_OPTION = re.compile(r"(?:--?|[—–−])?([A-Za-z_][\w.-]*)=", re.ASCII)
_FLAG = re.compile(r"(?:--?|[—–−])([A-Za-z_][\w.-]*)", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9@.\[\]_-]*")
"""A word that means itself without quotes."""
_SPACED = re.compile(r"[\s\\]")
_DOUBLE, _SINGLE = '"“”„‟', "'‘’‚‛"
"""The straight one first: it closes what it opened, and any curly one closes a curly one, as phones mix those."""
_STRAIGHT = str.maketrans(dict.fromkeys(_DOUBLE, '"'))


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked for: `verb` is a name of VERBS, `words` what followed it, `options` its key=value pairs."""

    verb: str
    words: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)

    @property
    def target(self) -> tuple[str, int | None]:
        """The first word as a runbook's id and version: `ID`, `ID@3` or `ID@v3`. Raises GrammarError."""
        slug, at, number = self.words[0].partition("@")
        if self.says_all:
            return slug.lower(), None
        digits = number.removeprefix("v")
        if at and not _NUMBER.fullmatch(digits):
            raise GrammarError(f"“{number[:40]}” is no version: they are counted 1, 2, 3 …", _BY_NAME[self.verb].usage)
        return slug.lower(), int(digits) if at else None

    @property
    def says_all(self) -> bool:
        """Whether all versions are meant outright: `ID@all`, where one verb can be about them all."""
        return self.verb == "admin deprecate" and self.words[0].lower().endswith("@all")

    def about(self, run: str) -> Command:
        """The same of this run, where none was named."""
        return replace(self, words=(run, *self.run[1]))

    @property
    def run(self) -> tuple[str | None, tuple[str, ...]]:
        """The words as a run's id, None where it was left out, and the words after it."""
        if self.words and _RUN.fullmatch(self.words[0]):
            return self.words[0].upper(), self.words[1:]
        return None, self.words

    def says_yes(self, name: str) -> bool:
        """Whether the option of this name was given and says yes. Raises GrammarError where it says neither."""
        said = self.options.get(name, "no")
        try:
            return yes_or_no(said)
        except ValueError:
            wrong = f"{name}=yes or {name}=no, not “{said.strip()[:40]}”."
            raise GrammarError(wrong, _BY_NAME[self.verb].usage) from None


@dataclass(frozen=True, slots=True)
class _Token:
    """A word without its quotes, or an option where `key` is given. `bare` says that nothing of it was quoted."""

    text: str
    key: str | None = None
    bare: bool = True


def verb(name: str) -> Verb:
    """The verb of that name. Raises KeyError."""
    return _BY_NAME[name]


def parse(text: str) -> Command:
    """Understand a line as Slack sends it, entities and `<…>` forms; nothing asks for help. Raises GrammarError."""
    secretive = _SECRET.match(text)
    if secretive:
        return _of_secret([part for part in secretive.groups() if part])
    return _command(_paired(_tokens(decode(text))))


def parse_words(words: Sequence[str]) -> Command:
    """Understand words that a shell has split already: quotes and entities in them are text. Raises GrammarError."""
    if words and words[0].lower() in ("secret", "secrets"):
        return _of_secret(words)
    return _command(_paired(_shell_token(word) for word in words))


def _of_secret(words: Sequence[str]) -> Command:
    """A command about secrets: of what is typed, the verb and one word that may be a name are read."""
    verbs = [word.lower() if f"secret {word.lower()}" in _BY_NAME else UNREAD for word in words[1:2]]
    names = [word if _NAME.fullmatch(word) else UNREAD for word in words[2:3]]
    return _command(_Token(word) for word in ("secret", *verbs, *names, *[UNREAD] * (len(words) > 3)))


def quote(value: str) -> str:
    """Write a value so that `parse` reads it back, whatever is in it."""
    return '"' + re.sub(r'"(?=([\s\\])?)', lambda found: '\\"' + "\\" * bool(found[1]), value) + '"'


def spell(command: Command) -> str:
    """A command as a line that Slack would deliver and that `parse` reads back as the same command."""
    words = [word if _PLAIN.fullmatch(word) else quote(word) for word in command.words]
    options = [f"{key}={quote(value)}" for key, value in command.options.items()]
    line = " ".join([command.verb, *words, *options])
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def decode(text: str) -> str:
    """Undo Slack's writing once: mentions become ids, links become what was typed, entities become & < >."""
    plain = _SLACK.sub(_unlinked, text)
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _unlinked(match: re.Match[str]) -> str:
    sigil, target, label = match.group(1), match.group(2), match.group(3)
    if sigil == "!":
        return target.removeprefix("subteam^") if target.startswith("subteam^") else f"@{target.partition('^')[0]}"
    if sigil:
        return target
    scheme, colon, rest = target.partition(":")
    if colon and scheme in ("mailto", "tel"):
        return rest
    return label if label and target in (f"http://{label}", f"https://{label}") else target


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        option = _OPTION.match(text, at)
        start = option.end() if option else at
        value, bare, at = _value(text, start, json_allowed=option is not None)
        yield _Token(value, option.group(1) if option else None, bare)


def _value(text: str, start: int, *, json_allowed: bool) -> tuple[str, bool, int]:
    """Read one value at `start`: quoted, a JSON list or object, or up to the next space."""
    for quotes in (_DOUBLE, _SINGLE):
        if text[start : start + 1] and text[start] in quotes:
            value, end = _quoted(text, start, quotes)
            return value, False, end
    if json_allowed and text[start : start + 1] in ("[", "{"):
        for written in (text, text.translate(_STRAIGHT)):
            json_end = _json_end(written, start)
            if json_end is not None:
                return written[start:json_end], False, json_end
    end = start
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[start:end], True, end


def _quoted(text: str, start: int, quotes: str) -> tuple[str, int]:
    """A quote closes with its own kind, before a space or at the end: the apostrophe of `don't` closes nothing.

    All else is taken as it is, backslashes too. A quote inside may have one before it, which is left out, and behind
    such a quote another one may stand before a space or a backslash: without it, the space would make the quote close.
    """
    closing = quotes[0] if text[start] == quotes[0] else quotes[1:]
    taken, at = list[str](), start + 1
    while at < len(text):
        escaped = text[at] == "\\" and at + 2 < len(text) and text[at + 1] in closing and not text[at + 2].isspace()
        at += escaped
        char = text[at]
        if char in closing and (at + 1 == len(text) or text[at + 1].isspace()):
            return "".join(taken), at + 1
        taken.append(char)
        at += 1
        if escaped and text[at] == "\\" and at + 1 < len(text) and _SPACED.match(text, at + 1):
            taken.append(text[at + 1])
            at += 2
    raise _never_closed(text, start)


def _never_closed(text: str, start: int) -> GrammarError:
    where = text[max(0, text.rfind(" ", 0, start)) : start + 20].strip()
    return GrammarError(f"The quote that opens at “{where}” (character {start + 1}) is never closed.")


def _json_end(text: str, start: int) -> int | None:
    """Where the JSON value at `start` ends, or None when it is not JSON that stands by itself."""
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return end if end == len(text) or text[end].isspace() else None


def _shell_token(word: str) -> _Token:
    option = _OPTION.match(word)
    return _Token(word[option.end() :], option.group(1)) if option else _Token(word)


def _paired(tokens: Iterable[_Token]) -> Iterator[_Token]:
    """Join `--key` with the value after it; a `--key` with no value is a yes."""
    waiting: str | None = None
    for token in tokens:
        flag = _FLAG.fullmatch(token.text) if token.bare and token.key is None else None
        if waiting is not None and (flag or token.key is not None):
            yield _Token("true", waiting)
            waiting = None
        if flag:
            waiting = flag.group(1)
        elif waiting is not None:
            yield _Token(token.text, waiting)
            waiting = None
        else:
            yield token
    if waiting is not None:
        yield _Token("true", waiting)


def _command(tokens: Iterable[_Token]) -> Command:
    words: list[str] = []
    options: dict[str, str] = {}
    for token in tokens:
        if token.key is None:
            words.append(token.text)
        elif token.key in options:
            raise GrammarError(f"“{token.key}” is given twice.")
        else:
            options[token.key] = token.text
    if not words:
        if options:
            raise GrammarError("Begin with what to do.")
        return Command("help")
    found, rest = _verb(words)
    return _checked(found, rest, options)


def _verb(words: list[str]) -> tuple[Verb, list[str]]:
    first = words[0].lower()
    if first in FAMILIES and len(words) > 1:
        first, rest = f"{first} {words[1].lower()}", words[2:]
    else:
        first, rest = ALIASES.get(first, first), words[1:]
    if first in _BY_NAME:
        return _BY_NAME[first], rest
    family = first.partition(" ")[0]
    if family in FAMILIES:
        known = ", ".join(name.removeprefix(f"{family} ") for name in _BY_NAME if name.startswith(f"{family} "))
        wrong = f"There is no “{first[:40]}”. " if " " in first else ""
        raise GrammarError(f"{wrong}{_FAMILY[family]}: {known}.", f"help {family}")
    near = difflib.get_close_matches(first, [*_BY_NAME, *ALIASES], n=1)
    if not near:
        if "-" in first:
            raise GrammarError(
                f"There is no “{first[:40]}” here. If it is a runbook, say run before it.", f"run {first}"
            )
        raise GrammarError(f"There is no “{first[:40]}” here. Most used are list, run, status, why and approve.")
    meant = _BY_NAME[ALIASES.get(near[0], near[0])]
    raise GrammarError(f"There is no “{first[:40]}”. Did you mean “{near[0]}”?", meant.usage)


def _checked(found: Verb, words: list[str], options: dict[str, str]) -> Command:
    if found.name == "cancel" and len(words) > 1 and _RUN.fullmatch(words[0]) and "reason" not in options:
        words, options = words[:1], {**options, "reason": " ".join(words[1:])}
    fewest, most = found.words
    named = found.about_run and words and _RUN.fullmatch(words[0])
    if len(words) - bool(named) < fewest:
        needed = _NEEDED.search(found.usage.removeprefix(found.name))
        what = f": {needed[1]}" if needed else ""
        raise GrammarError(f"“{found.name}” needs something more{what}.", found.usage)
    if len(words) > most:
        raise GrammarError(f"“{words[most][:40]}” is one word too many; put longer text in quotes.", found.usage)
    unknown = sorted(set(options) - found.options) if found.options is not None else []
    if unknown:
        raise GrammarError(f"“{found.name}” takes no “{unknown[0][:40]}”.", found.usage)
    if found.about_run and len(words) == most and not named:
        raise GrammarError(f"“{words[0][:40]}” is not a run's id, such as R-7K2M9Q.", found.usage)
    if found.name == "resolve" and words[-1].lower() not in CHOICES:
        raise GrammarError("Say retry, done or failed as the last word.", found.usage)
    return Command(found.name, tuple(words), options)
