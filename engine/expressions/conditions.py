"""Conditions, of which there are three forms.

An expression or one of the words true and false; `{field, operator, value}`; or `all`, `any`, `not` of conditions.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from engine.expressions.error_texts import in_words
from engine.expressions.templates import ExpressionError, MissingValue, Variables, decide, evaluate, render
from engine.expressions.values import describe
from engine.text.regex import compile_pattern, matches
from engine.text.words import shortened
from storage.records import Json

Path = tuple[str | int, ...]


def _matches(field: Json, pattern: Json) -> bool:
    if not isinstance(field, str) or not isinstance(pattern, str):
        raise TypeError(f"`matches` needs text and a pattern, not {describe(field)} and {describe(pattern)}")
    return matches(pattern, field)


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": lambda field, value: field in value,
    "contains": lambda field, value: value in field,
    "exists": lambda field, value: (field is not None) is value,
    "matches": _matches,
}
"""What stands between a condition's field and its value. `exists` takes true (the default) or false; null does not
exist."""


def holds(condition: Json, context: Variables, *, missing_is_false: bool = False) -> bool:
    """Whether a condition is fulfilled. A poll sets `missing_is_false`: what has not come yet is no mistake.

    Raises MissingValue when something it uses is not there, ExpressionError for everything else that goes wrong, which
    is also a condition that comes to anything but true or false.
    """
    try:
        return _holds(condition, context)
    except MissingValue:
        if missing_is_false:
            return False
        raise


def _holds(condition: Json, context: Variables) -> bool:
    if isinstance(condition, str):
        return decide(condition, context)
    if isinstance(condition, bool):
        return condition
    if "all" in condition:
        return all(_holds(part, context) for part in condition["all"])
    if "any" in condition:
        return any(_holds(part, context) for part in condition["any"])
    if "not" in condition:
        return not _holds(condition["not"], context)
    return _compare(condition, context)


def _compare(condition: dict[str, Json], context: Variables) -> bool:
    field, name = condition["field"], condition["operator"]
    try:
        found = evaluate(field, context)
    except MissingValue:
        if name != "exists":
            raise
        found = None
    value = render(condition.get("value", True), context)
    try:
        return bool(OPERATORS[name](found, value))
    except (TypeError, ValueError) as error:
        raise ExpressionError(f"`{shortened(field)} {name} …`: {in_words(error)}") from None


def sources(condition: Json, path: Path = ()) -> Iterator[tuple[Path, Json, bool]]:
    """Every text in a condition: its place, the text (or template value), and whether it is a bare expression."""
    if isinstance(condition, str):
        yield path, condition, True
    elif isinstance(condition, dict):
        for word in ("all", "any"):
            for index, part in enumerate(condition.get(word, ())):
                yield from sources(part, (*path, word, index))
        if "not" in condition:
            yield from sources(condition["not"], (*path, "not"))
        if "field" in condition:
            yield (*path, "field"), condition["field"], True
            yield (*path, "value"), condition.get("value"), False


def pattern_fault(condition: dict[str, Json]) -> str | None:
    """What is wrong with a `matches` condition's pattern, found when the runbook is loaded."""
    if condition.get("operator") != "matches":
        return None
    try:
        compile_pattern(str(condition.get("value", "")))
    except ValueError as error:
        return str(error)
    return None
