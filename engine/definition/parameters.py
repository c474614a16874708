"""What people give a runbook: text made into values, and values checked, by the runbook's `parameters` schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from engine.definition.parameter_schema import check_schema, resolved, value_checker
from engine.definition.schema import Path, predicate, subject
from engine.errors import InvalidParameters
from engine.text.words import did_you_mean, listed, nearest, shortened
from engine.text.yes_no import yes_or_no
from storage.records import Json

__all__ = ["EMPTY", "check_schema", "coerce", "validate"]

EMPTY: dict[str, Json] = {"type": "object", "properties": {}}
"""The schema of a runbook without parameters."""

MAX_VALUE_PARTS = 5_000
MAX_VALUE_TEXT = 65_536
MAX_VALUE_DEPTH = 20
MAX_ITEMS = 1_000
"""What a list is capped at, whatever its schema says."""


def validate(schema: dict[str, Json], values: dict[str, Json]) -> dict[str, Json]:
    """`values` with the defaults filled in, all of them right. `schema` has passed `check_schema`.

    Raises InvalidParameters naming every wrong parameter. A name that the schema does not have is refused unless it
    says `additionalProperties`.
    """
    _refuse_huge(values)
    closed = {"additionalProperties": False, "properties": {}, **schema}
    filled: dict[str, Json] = _with_defaults(closed, values, closed)
    fields: dict[str, str] = {}
    for error in value_checker(closed).iter_errors(filled):
        name, why = _in_words(error, closed)
        fields.setdefault(name, why)
    if fields:
        raise InvalidParameters(fields)
    return filled


def _refuse_huge(values: Json) -> None:
    waiting = [(values, 0)]
    parts = text = 0
    while waiting:
        item, depth = waiting.pop()
        parts += 1
        if isinstance(item, dict):
            waiting.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            waiting.extend((part, depth + 1) for part in item)
            parts += max(0, len(item) - MAX_ITEMS) * MAX_VALUE_PARTS
        elif isinstance(item, str):
            text += len(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise InvalidParameters({"": "numbers must be finite"})
        if parts > MAX_VALUE_PARTS or text > MAX_VALUE_TEXT or depth > MAX_VALUE_DEPTH:
            raise InvalidParameters({"": "the values are too large, too many or nested too deeply"})


def _with_defaults(schema: dict[str, Json], values: Json, node: dict[str, Json]) -> Json:
    node = resolved(schema, node)
    if isinstance(values, list) and "items" in node:
        return [_with_defaults(schema, item, node["items"]) for item in values]
    if not isinstance(values, dict):
        return values
    filled = dict(values)
    for name, rules in node.get("properties", {}).items():
        known = resolved(schema, rules)
        if name in filled:
            filled[name] = _with_defaults(schema, filled[name], known)
        elif "default" in known:
            filled[name] = known["default"]
    return filled


def _in_words(error: Any, schema: dict[str, Json]) -> tuple[str, str]:
    path: Path = tuple(error.absolute_path)
    if not path:
        return "", predicate(error)
    name, rest = str(path[0]), path[1:]
    if error.validator == "additionalProperties" and not rest:
        names = schema["properties"]
        hint = did_you_mean(name, names) if nearest(name, names) else ""
        known = f"; there is {listed(names)}" if names and not hint else ""
        return name, f"is not a parameter of this runbook{hint or known}"
    return name, f"{_place(rest, error.instance)} {predicate(error)}" if rest else predicate(error)


def _place(path: Path, value: Json) -> str:
    """How a sentence names what is inside a parameter; items of a list count from 1 and are told with their value."""
    if not isinstance(path[0], int):
        return subject(path)
    inside = f", {subject(path[1:])}" if path[1:] else ""
    told = f" (“{shortened(_written(value), 40)}”)" if isinstance(value, str | int | float | None) else ""
    return f"item {path[0] + 1}{inside}{told}"


def coerce(schema: dict[str, Json], texts: Mapping[str, str]) -> dict[str, Json]:
    """Each text as its parameter's type; a text that does not convert stays a text, so that `validate` names it.

    Whole numbers and numbers are decimal; `yes_or_no` says what booleans are; lists and mappings are JSON, and a list
    may also be written `a,b,c`. A parameter that may be text stays text, and one that may be a number takes 1 as that.
    """
    properties = schema.get("properties", {})
    return {name: _convert(schema, properties.get(name, {}), text) for name, text in texts.items()}


def _convert(schema: dict[str, Json], rules: dict[str, Json], text: str) -> Json:
    rules = resolved(schema, rules)
    types = rules.get("type", [])
    last = ("boolean", "string")  # 1 is a number where it may be one, and anything is a text
    for name in [types] if isinstance(types, str) else sorted(types, key=lambda each: (each in last, each)):
        try:
            return _list(schema, rules, text) if name == "array" else _READERS[name](text)
        except (ValueError, RecursionError):
            continue
    if not types:
        return next((value for value in rules.get("enum", ()) if _written(value) == text), text)
    return text


def _written(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
        raise ValueError("not a whole number")
    return int(text)


def _number(text: str) -> int | float:
    if not re.fullmatch(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,2})?", text.strip()):
        raise ValueError("not a number")
    return int(text) if text.strip().lstrip("+-").isdigit() else float(text)


def _null(text: str) -> None:
    if text.strip().lower() != "null":
        raise ValueError("not null")


def _json(text: str) -> Json:
    if len(text) > MAX_VALUE_TEXT:
        raise ValueError("too long")
    return json.loads(text, parse_constant=_refuse)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _mapping(text: str) -> dict[str, Json]:
    value = _json(text)
    if not isinstance(value, dict):
        raise ValueError("not a mapping")  # noqa: TRY004 - one error says "does not convert"
    return value


def _list(schema: dict[str, Json], rules: dict[str, Json], text: str) -> list[Json]:
    if text.lstrip().startswith("["):
        value: list[Json] = _json(text)
        return value
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    return [_convert(schema, rules.get("items", {}), word) for word in words]


_READERS: dict[str, Callable[[str], Json]] = {
    "string": str,
    "integer": _integer,
    "number": _number,
    "boolean": yes_or_no,
    "null": _null,
    "object": _mapping,
}
