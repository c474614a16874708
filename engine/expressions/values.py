"""JSON values inside expressions: what is missing, how a value is written as text, the first filters and the tests.

Everything that can grow is bounded, and no message ever holds a value, which may be a secret: only what kind it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Undefined

from engine.text.words import did_you_mean
from storage.records import Json

MAX_TEXT = 65_536
"""Characters that one template may come to, and that any text on the way may have."""
MAX_VALUE = 262_144
"""Characters and items in a value that one expression hands on."""


class Missing(StrictUndefined):
    """A value that is not there. Looking deeper into it stays missing; using it raises and names what was missing."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name = _key(self._undefined_name)
        if self._undefined_hint:
            return self._undefined_hint
        if isinstance(self._undefined_obj, dict):
            return f"`{name}` is not there{did_you_mean(name, map(str, self._undefined_obj))}"
        if self._undefined_obj is None or isinstance(self._undefined_obj, (str, list, int, float)):
            return f"`{name}` cannot be read from {describe(self._undefined_obj)}"
        return f"`{name}` is not defined"


def _key(name: object) -> str:
    """How a message names a key: text as it is, and what is none as JSON, or what it is where that may be long."""
    return name if isinstance(name, str) else describe(name) if isinstance(name, (list, dict)) else json.dumps(name)


def describe(value: object) -> str:
    """What a JSON value is, in words: "text", "a number", "a list" … Never the value itself, which may be secret."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return next((words for kind, words in kinds.items() if isinstance(value, kind)), "something that is not JSON")


def known(value: Any) -> Any:
    """`value`, or UndefinedError when it is missing."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    return value


def as_text(value: Any) -> str:
    """How a value stands inside a longer text: text as it is, everything else as JSON (`true`, `null`, `[1,2]`)."""
    return value if isinstance(value, str) else to_json(value)


def to_json(value: Any) -> str:
    """Compact JSON. Raises ValueError beyond MAX_TEXT, UndefinedError for something missing."""
    pieces, size = [], 0
    encoder = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_refuse_object, check_circular=False
    )
    for piece in encoder.iterencode(known(value)):
        size += len(piece)
        if size > MAX_TEXT:
            raise ValueError(f"the text grows beyond {MAX_TEXT} characters")
        pieces.append(piece)
    return "".join(pieces)


def _refuse_object(value: object) -> NoReturn:
    known(value)
    raise TypeError(f"{describe(value)} cannot be written as JSON")


def plain(value: Any) -> Json:
    """`value` once it is sure to be plain, finite JSON of bearable size. Raises otherwise."""
    waiting, size = [value], 0
    while waiting:
        item = known(waiting.pop())
        size += 1 + (len(item) if isinstance(item, str) else 0)
        if size > MAX_VALUE:
            raise ValueError(f"the value is larger than {MAX_VALUE} characters and items")
        if isinstance(item, dict):
            size += sum(map(len, item))
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("the number is not finite")
        elif not (item is None or isinstance(item, (str, int, float))):
            raise TypeError("the value is not plain JSON")
    return value


def _text(value: Any) -> str:
    if not isinstance(known(value), str):
        raise TypeError(f"the filter needs text, not {describe(value)}")
    return str(value)


def _replace(value: Any, old: str, new: str) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    if not old:
        raise ValueError("`replace` needs a text to look for")
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_TEXT:
        raise ValueError(f"the text grows beyond {MAX_TEXT} characters")
    return text.replace(old, new)


def _join(value: Any, separator: str = "") -> str:
    if not isinstance(known(value), list):
        raise TypeError(f"`join` needs a list, not {describe(value)}")
    separator = _text(separator)
    pieces, size = [], 0
    for piece in map(as_text, value):
        size += len(piece) + len(separator)
        if size > MAX_TEXT + len(separator):
            raise ValueError(f"the text grows beyond {MAX_TEXT} characters")
        pieces.append(piece)
    return separator.join(pieces)


def _default(value: Any, instead: Any = "", boolean: bool = False) -> Any:
    return instead if isinstance(value, Undefined) or (boolean and not value) else value


def _int(value: Any, default: int | None = None) -> int:
    """Unlike Jinja's own, which makes 0 of anything it cannot read, this refuses unless a default is given."""
    try:
        if isinstance(known(value), (str, int, float)):
            return int(value)
    except (ValueError, OverflowError):
        pass
    if default is None:
        raise ValueError(f"{describe(value)} cannot be read as a whole number")
    return default


def _length(value: Any) -> int:
    if not isinstance(known(value), (str, list, dict)):
        raise TypeError(f"`length` needs text, a list or a mapping, not {describe(value)}")
    return len(value)


def _edge(position: int) -> Callable[[Any], Any]:
    def pick(value: Any) -> Any:
        if not isinstance(known(value), (list, str)) or not value:
            raise ValueError(f"`{'last' if position else 'first'}` needs a list or text with something in it")
        return value[position]

    return pick


SIMPLE_FILTERS: dict[str, Callable[..., Any]] = {
    "tojson": to_json,
    "default": _default,
    "join": _join,
    "lower": lambda value: _text(value).lower(),
    "upper": lambda value: _text(value).upper(),
    "replace": _replace,
    "trim": lambda value: _text(value).strip(),
    "length": _length,
    "first": _edge(0),
    "last": _edge(-1),
    "int": _int,
}

TESTS: dict[str, Callable[..., bool]] = {
    "defined": lambda value: not isinstance(value, Undefined),
    "undefined": lambda value: isinstance(value, Undefined),
    "none": lambda value: known(value) is None,
    "string": lambda value: isinstance(known(value), str),
    "boolean": lambda value: isinstance(known(value), bool),
    "number": lambda value: isinstance(known(value), (int, float)) and not isinstance(value, bool),
    "mapping": lambda value: isinstance(known(value), dict),
    "sequence": lambda value: isinstance(known(value), list),
    "eq": lambda value, other: bool(known(value) == known(other)),
    "ne": lambda value, other: bool(known(value) != known(other)),
    "gt": lambda value, other: bool(known(value) > known(other)),
    "ge": lambda value, other: bool(known(value) >= known(other)),
    "lt": lambda value, other: bool(known(value) < known(other)),
    "le": lambda value, other: bool(known(value) <= known(other)),
    "in": lambda value, other: known(value) in known(other),
}
