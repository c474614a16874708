"""Reading a runbook's YAML without trusting it: bytes in, plain data and the location of every value out.

The parser's events are read one by one and the data is built here with an explicit stack, so there are no
constructors, no recursion and no way to make a small file large: anchors, aliases, tags and merge keys are refused.
Plain scalars follow YAML 1.2's core schema: `NO` and `2026-01-01` are text, `012` is twelve.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

import yaml

from engine.text.problem import Problem
from engine.text.words import shortened
from storage.records import Json

MAX_BYTES = 262_144
MAX_DEPTH = 32
MAX_EVENTS = 20_000
MAX_INTEGER = 2**53
"""Whole numbers beyond it lose digits in JSON."""

Path = tuple[str | int, ...]
Location = tuple[int, int]
"""Line and column, from 1."""

# Control characters but tab and line ends; what is invisible; what turns the direction of writing (Unicode categories
# Cc, Cf, Zl and Zp, and the letters and signs that show as nothing).
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4"
    "\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U000110bd"
    "\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MARKS = {
    b"\xff\xfe\x00\x00": "the file is UTF-32; save it as UTF-8",
    b"\x00\x00\xfe\xff": "the file is UTF-32; save it as UTF-8",
    b"\xff\xfe": "the file is UTF-16; save it as UTF-8",
    b"\xfe\xff": "the file is UTF-16; save it as UTF-8",
    b"\xef\xbb\xbf": "the file starts with a byte order mark; save it as UTF-8 without one",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part of a file's data was taken from: a path in the source of another file, for the step at `used_by`."""

    source: Source
    path: Path
    used_by: Path


@dataclass(slots=True)
class Source:
    """What a file says, and where. `problems` are those that the reader could go on after.

    `expanded` says which parts of `data` other files have put there, `used` the names of these,
    and `depth` how many of them stand in each other.
    """

    file: str
    data: Json = None
    keys: dict[Path, Location] = field(default_factory=dict)
    values: dict[Path, Location] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    expanded: dict[Path, Origin] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    depth: int = 0

    def located(
        self, path: Path, message: str, severity: Literal["error", "warning"] = "error", *, at_key: bool = False
    ) -> Problem:
        """A problem at a path of the data, in the file that says what stands there, with where that is used."""
        for length in range(len(path) + 1):
            origin = self.expanded.get(path[:length])
            if origin is not None:
                line, column = self.location((*origin.used_by, "uses"))
                told = f"{message} (used at {self.file}:{line}:{column})"
                return origin.source.located((*origin.path, *path[length:]), told, severity, at_key=at_key)
        return Problem(self.file, *self.location(path, at_key=at_key), message, severity)

    def problem(self, location: Location, message: str) -> Problem:
        """A problem at this place of the file, not added to `problems`."""
        return Problem(self.file, *location, message)

    def location(self, path: Path, *, at_key: bool = False) -> Location:
        """Where the value at `path` (or its key) stands; for what is not in the file, the nearest thing around it."""
        if at_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))


class Unreadable(Exception):
    """The file cannot be read any further; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def read(source: bytes, file: str) -> Source:
    """The file's data with places. Never raises for what the file holds: `problems` tells all that is wrong with it."""
    result = Source(file)
    try:
        text = _decode(source, result)
        _build(text, result)
    except Unreadable as error:
        result.problems.append(error.problem)
        result.data = None
    return result


def _decode(source: bytes, result: Source) -> str:
    def refuse(message: str, location: Location = (1, 1)) -> Unreadable:
        return Unreadable(result.problem(location, message))

    if len(source) > MAX_BYTES:
        raise refuse(f"the file has more than {MAX_BYTES // 1024} KiB")
    for mark, message in _MARKS.items():
        if source.startswith(mark):
            raise refuse(message)
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8")
        message = f"the file is not UTF-8 (byte 0x{source[error.start]:02X})"
        raise refuse(message, location_in(before, len(before))) from None
    unseen = _UNSEEN.search(text)
    if unseen:
        raise refuse(_unseen_sentence(unseen.group()), location_in(text, unseen.start()))
    return text


def location_in(text: str, offset: int) -> Location:
    """Line and column of a character of `text`."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _unseen_sentence(character: str) -> str:
    return f"the character U+{ord(character):04X} cannot be seen or changes how the text reads; take it out"


@dataclass(slots=True)
class _Frame:
    """An open list or mapping; `key` is a mapping's key that waits for its value."""

    path: Path
    container: dict[str, Json] | list[Json]
    key: str | None = None


def _build(text: str, result: Source) -> None:
    builder = _Builder(result, text)
    try:
        for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
            if count > MAX_EVENTS:
                raise Unreadable(result.problem(_start(event), f"the file has more than {MAX_EVENTS} parts"))
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Unreadable(result.problem(location, _syntax_sentence(error))) from None
    except yaml.YAMLError as error:
        raise Unreadable(result.problem((1, 1), f"this is not YAML: {shortened(str(error), 120)}")) from None
    if not builder.has_root:
        raise Unreadable(result.problem((1, 1), "the file is empty"))


_COMPLEX = "complex keys (`? key`) are not allowed; write `key: value`, and a text that starts with `?` in quotes"
_HINTS = {
    "cannot start any token": "; indent with spaces, not tabs, and put texts that start with a sign in quotes",
    "mapping values are not allowed": "; a text with `: ` in it needs quotes, and keys of one mapping the same indent",
    "did not find expected key": "; is the indent the same as above?",
    "could not find expected ':'": "; a key needs a `:` behind it",
}


def _syntax_sentence(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    hint = next((hint for words, hint in _HINTS.items() if words in problem), "")
    return f"this is not YAML: {problem}{hint}"


def _start(event: yaml.Event) -> Location:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class _Builder:
    """Turns events into data. Depth of nesting is the length of `frames`, never the depth of calls."""

    def __init__(self, result: Source, text: str) -> None:
        self.result = result
        self.text = text
        self.frames: list[_Frame] = []
        self.documents = 0
        self.has_root = False

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._document(event)
            case yaml.AliasEvent():
                self._report(event, "aliases (`*name`) are not allowed; write the value out")
                if self._awaits_key():
                    self._take_key(f"*{event.anchor}", event)
                else:
                    self._put(None, event)
            case yaml.ScalarEvent():
                self._node(event)
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._node(event)
                self._open({}, event)
            case yaml.SequenceStartEvent():
                self._node(event)
                self._open([], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.frames.pop()

    def _report(self, event: yaml.Event, message: str) -> None:
        self.result.problems.append(self.result.problem(_start(event), message))

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            message = "one file holds one runbook: a second `---` is not allowed"
            raise Unreadable(self.result.problem(_start(event), message))
        if event.version or event.tags:
            self._report(event, "directives (`%YAML`, `%TAG`) are not allowed")

    def _node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor:
            message = f"anchors (`&{shortened(event.anchor)}`) are not allowed; write the value out where it is needed"
            self._report(event, message)
        if event.tag:
            self._report(event, f"tags (`{shortened(event.tag)}`) are not allowed; quotes make a text a text")

    def _open(self, container: dict[str, Json] | list[Json], event: yaml.Event) -> None:
        if len(self.frames) >= MAX_DEPTH:
            raise Unreadable(self.result.problem(_start(event), f"the file is nested more than {MAX_DEPTH} deep"))
        if self._awaits_key():
            hint = "a value that starts with {{ needs quotes" if isinstance(container, dict) else "a key is a text"
            sentence = _COMPLEX if self._is_complex(event) else f"a list or mapping cannot be a key; {hint}"
            raise Unreadable(self.result.problem(_start(event), sentence))
        self.frames.append(_Frame(self._put(container, event), container))

    def _awaits_key(self) -> bool:
        return bool(self.frames) and isinstance(self.frames[-1].container, dict) and self.frames[-1].key is None

    def _is_complex(self, event: yaml.Event) -> bool:
        """Whether a key is YAML's complex kind: a `?` stands before it."""
        at = event.start_mark.index if event.start_mark else 0
        begin = max(self.text.rfind(end, 0, at) for end in "\n\r") + 1
        return self.text[begin:at].rstrip().endswith("?")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        unseen = _UNSEEN.search(event.value)
        if unseen:
            self._report(event, _unseen_sentence(unseen.group()))
        plain = event.implicit[0]
        if self._awaits_key():
            self._key(event, plain)
        else:
            self._put(self._plain(event) if plain else event.value, event)

    def _key(self, event: yaml.ScalarEvent, plain: bool) -> None:
        frame, key = self.frames[-1], event.value
        path = (*frame.path, key)
        if self._is_complex(event):
            self._report(event, _COMPLEX)
        elif plain and key == "<<":
            self._report(event, "merge keys (`<<`) are not allowed; write the keys out")
        elif plain and not isinstance(self._plain(event), str):
            self._report(event, f"the key `{shortened(key)}` is not a text; put it in quotes")
        elif key in frame.container:
            line, column = self.result.keys[path]
            message = f"the key `{shortened(key)}` is here twice; the first is at line {line}, column {column}"
            self._report(event, message)
        self._take_key(key, event)

    def _take_key(self, key: str, event: yaml.Event) -> None:
        frame = self.frames[-1]
        self.result.keys[(*frame.path, key)] = _start(event)
        frame.key = key

    def _put(self, value: Json, event: yaml.Event) -> Path:
        """Put a value where the reader stands, and return its path."""
        path: Path = ()
        if not self.frames:
            self.result.data, self.has_root = value, True
        else:
            frame = self.frames[-1]
            if isinstance(frame.container, list):
                path = (*frame.path, len(frame.container))
                frame.container.append(value)
            elif frame.key is None:
                self._report(event, "a key is a text")
            else:
                path = (*frame.path, frame.key)
                frame.container[frame.key], frame.key = value, None
        self.result.values[path] = _start(event)
        return path

    def _plain(self, event: yaml.ScalarEvent) -> Json:
        """A scalar without quotes, by YAML 1.2's core schema."""
        text = event.value
        if text in _NULL:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _INTEGER.fullmatch(text):
            return self._integer(event)
        if _ENDLESS.fullmatch(text):
            self._report(event, f"`{text}` is not a number that JSON has; put it in quotes if a text is meant")
            return 0
        if _FLOAT.fullmatch(text):
            return self._float(event)
        return text

    def _integer(self, event: yaml.ScalarEvent) -> int:
        text = event.value
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        digits = text[2:] if base != 10 else text
        number = int(digits, base) if len(digits) <= 64 else MAX_INTEGER + 1
        if abs(number) > MAX_INTEGER:
            self._report(event, f"the number {shortened(text, 24)} is beyond 2^53; put it in quotes if a text is meant")
            return 0
        return number

    def _float(self, event: yaml.ScalarEvent) -> float:
        number = float(event.value)
        if not math.isfinite(number):
            message = f"the number {shortened(event.value, 24)} is too large; put it in quotes if a text is meant"
            self._report(event, message)
            return 0.0
        return number
