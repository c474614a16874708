"""Where a cursor stands inside `{…}` and `[…]`, which may go over several lines and are broken while one types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.definition.cursor import ITEM, Place, kind_beside, line_of, place_of

_OPENED = re.compile(r"^ *(?:- +)+(?=[{\[])")
_MOST_LINES = 200
_MOST_CHARACTERS = 20_000
_CLOSES = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The mapping or list around the cursor.

    `key` is the one whose value is being written, "" for none; `taken` are keys of the mapping that are there already.
    `idle` says that nothing is to be said of the place: it is a comment, or a part of a text.
    """

    place: Place
    key: str = ""
    taken: frozenset[str] = frozenset()
    idle: bool = False


@dataclass
class _Frame:
    """A bracket that is open: what was read of a mapping's entries, and the key whose value is being read."""

    bracket: str
    key: str | None = None
    entries: dict[str, str] = field(default_factory=dict)


class _Reader:
    """Reads flow style character by character, and never fails. `frames` are the brackets that are open."""

    def __init__(self) -> None:
        self.frames: list[_Frame] = []
        self.comment = False
        self._quote = ""
        self._escaped = False
        self._quoted = False
        self._token = ""

    def read(self, text: str) -> None:
        """Read on, up to where the outermost bracket is closed."""
        for place, sign in enumerate(text):
            self._take(sign, text[place + 1 : place + 2])
            if not self.frames:
                return

    def _take(self, sign: str, following: str) -> None:
        if self.comment:
            self.comment = sign != "\n"
        elif self._quote:
            self._in_quotes(sign)
        elif sign in "\"'" and not self._token.strip():
            self._quote, self._token, self._quoted = sign, "", True
        elif sign == "#" and (not self._token or self._token[-1].isspace()):
            self.comment = True
        elif sign in "{[":
            self.frames.append(_Frame(sign))
            self._forget()
        elif sign in "}]":
            self._close(sign)
        elif sign == ",":
            self._end_entry()
        elif sign == ":" and self._ends_key(following):
            self.frames[-1].key = self._token.strip()
            self._forget()
        else:
            self._token += sign

    def _in_quotes(self, sign: str) -> None:
        if self._escaped:
            self._escaped = False
        elif sign == "\\" and self._quote == '"':
            self._escaped = True
        elif sign == self._quote:
            self._quote = ""
            return
        self._token += sign

    def _ends_key(self, following: str) -> bool:
        frame = self.frames[-1]
        apart = self._quoted or not following or following.isspace() or following in ",[]{}"
        return frame.bracket == "{" and frame.key is None and apart

    def _end_entry(self) -> None:
        frame = self.frames[-1]
        if frame.bracket == "{":
            name, value = (self._token, "") if frame.key is None else (frame.key, self._token)
            frame.entries.setdefault(name.strip(), value.strip())
            frame.key = None
        self._forget()

    def _close(self, sign: str) -> None:
        self._end_entry()
        if sign == _CLOSES[self.frames[-1].bracket]:
            self.frames.pop()
        self._forget()

    def _forget(self) -> None:
        self._token, self._quoted = "", False


def flow_cursor(lines: Sequence[str], row: int, before: str) -> Cursor | None:
    """The cursor behind the text `before` of the line `row`, counted from 0; None where no bracket is open there."""
    written = [*lines[max(0, row - _MOST_LINES) : row], before]
    first = row - len(written) + 1
    for number in range(len(written) - 1, -1, -1):
        if sum(map(len, written[number:])) > _MOST_CHARACTERS:
            return None
        start = _start(written[number])
        if start is not None:
            reader = _Reader()
            reader.read("\n".join([written[number][start:], *written[number + 1 :]]))
            if reader.frames:
                return _cursor(
                    reader, [*lines[:row], before, *lines[row + 1 :]], first + number, _rest(lines, row, before)
                )
        line = line_of(written[number])
        if line.key and line.column == 0:
            return None
    return None


def _start(text: str) -> int | None:
    """Where on a line a bracket opens that stands in block style: behind a key, or behind the marks of items."""
    line = line_of(text)
    rest = line.rest.lstrip()
    if line.key and rest[:1] in ("{", "["):
        return len(text) - len(rest)
    opened = _OPENED.match(text)
    return opened.end() if opened else None


def _rest(lines: Sequence[str], row: int, before: str) -> str:
    return "\n".join([lines[row][len(before) :], *lines[row + 1 : row + _MOST_LINES]])[:_MOST_CHARACTERS]


def _cursor(reader: _Reader, lines: Sequence[str], opened: int, rest: str) -> Cursor:
    """`rest` is read on, for what stands behind the cursor: the type of a step may."""
    idle, frames = reader.comment, [*reader.frames]
    keys = [frame.key for frame in frames]
    reader.comment = False
    reader.read(rest)
    place, line = place_of(lines, opened), line_of(lines[opened])
    path, kind = [*place.path], place.kind
    if line.key:
        path.append(line.key)
        kind = kind_beside(lines, opened, line.column) if line.key == "with" else kind
    for frame, key in zip(frames[:-1], keys[:-1], strict=True):
        path.append(ITEM if frame.bracket == "[" else key or "")
        kind = frame.entries.get("type", "") if path[-1] == "with" else kind
    if frames[-1].bracket == "[":
        path.append(ITEM)
    taken = frozenset(frames[-1].entries)
    return Cursor(Place(tuple(path), kind), keys[-1] or "", taken, idle or place.in_text)
