"""Small checks that combine into a schema. A check looks at one value and adds a `Problem` for each fault it sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.simulator.blocks.block_kit_limits import LIMITS
from bot.simulator.json_value import Json


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where (a JSON pointer), which rule, and what Slack would say of it."""

    pointer: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"[ERROR] {self.message} ({self.rule}) [json-pointer:{self.pointer}]"


Check = Callable[[Json, str, list[Problem]], None]
"""Takes a value, its JSON pointer and the list that problems are added to."""


def anything(_value: Json, _pointer: str, _found: list[Problem]) -> None:
    """Accepts every value."""


def boolean(value: Json, pointer: str, found: list[Problem]) -> None:
    """Accepts true and false."""
    if not isinstance(value, bool):
        found.append(Problem(pointer, "type", "must be a boolean"))


def string(limit: str | None = None, *, least: int = 1) -> Check:
    """A string of at least `least` characters and at most what `limit` (a name in LIMITS) allows."""
    most = LIMITS[limit] if limit else None
    shortest = f"{limit.removesuffix('max_length')}min_length" if limit else "min_length"

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        if not isinstance(value, str):
            found.append(Problem(pointer, "type", "must be a string"))
        elif len(value) < least:
            found.append(Problem(pointer, shortest, f"must be more than {least - 1} characters"))
        elif most is not None and len(value) > most:
            found.append(Problem(pointer, limit or "", f"must be less than {most + 1} characters"))

    return check


def enum(*allowed: str) -> Check:
    """One of the given words."""

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        if value not in allowed:
            found.append(Problem(pointer, "enum", f"must be one of {', '.join(allowed)}"))

    return check


def integer(name: str | None = None) -> Check:
    """A whole number between `name.min` and `name.max`, where LIMITS has them."""
    low, high = LIMITS.get(f"{name}.min"), LIMITS.get(f"{name}.max")

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            found.append(Problem(pointer, "type", "must be an integer"))
        elif low is not None and value < low:
            found.append(Problem(pointer, f"{name}.min", f"must be at least {low}"))
        elif high is not None and value > high:
            found.append(Problem(pointer, f"{name}.max", f"must be at most {high}"))

    return check


def number(value: Json, pointer: str, found: list[Problem]) -> None:
    """Accepts a JSON number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        found.append(Problem(pointer, "type", "must be a number"))


def number_text(value: Json, pointer: str, found: list[Problem]) -> None:
    """Accepts a number written as a string, the form that number inputs want."""
    try:
        float(value if isinstance(value, str) else "")
    except ValueError:
        found.append(Problem(pointer, "type", "must be a number written as a string"))


def array(item: Check, name: str | None = None) -> Check:
    """A list of `item`, with `name.min_items` to `name.max_items` of them, where LIMITS has those."""
    low, high = LIMITS.get(f"{name}.min_items"), LIMITS.get(f"{name}.max_items")

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        if not isinstance(value, list):
            found.append(Problem(pointer, "type", "must be an array"))
            return
        if low is not None and len(value) < low:
            found.append(Problem(pointer, f"{name}.min_items", f"must have at least {low} items"))
        if high is not None and len(value) > high:
            found.append(Problem(pointer, f"{name}.max_items", f"no more than {high} items allowed"))
            return
        for index, element in enumerate(value):
            item(element, f"{pointer}/{index}", found)

    return check


def record(
    fields: Mapping[str, Check], *, required: Sequence[str] = (), also: Sequence[Check] = (), rule: str = "required"
) -> Check:
    """An object with these fields and no others; `also` are checks of the whole, made when the fields are sound.

    `rule` is what a missing required field is filed under.
    """

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        if not isinstance(value, dict):
            found.append(Problem(pointer, "type", "must be an object"))
            return
        before = len(found)
        for name in required:
            if name not in value:
                found.append(Problem(pointer, rule, f"missing required field: {name}"))
        for name, field in value.items():
            if name not in fields:
                found.append(Problem(f"{pointer}/{name}", "unknown_field", f"invalid additional property: {name}"))
            else:
                fields[name](field, f"{pointer}/{name}", found)
        if len(found) == before:
            for whole in also:
                whole(value, pointer, found)

    return check


def by_type(kinds: Mapping[str, Check], rule: str) -> Check:
    """Dispatches on the object's `type`; `rule` is what an unknown or unfitting type is filed under."""

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            found.append(Problem(pointer, "required", "missing required field: type"))
        elif kind not in kinds:
            found.append(Problem(f"{pointer}/type", rule, f"unsupported type: {kind}"))
        else:
            kinds[kind](value, pointer, found)

    return check


def requires(test: Callable[[dict[str, Json]], bool], rule: str, message: str) -> Check:
    """A check of a whole object by a predicate."""

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        if not test(value):
            found.append(Problem(pointer, rule, message))

    return check


def exactly_one(first: str, second: str, rule: str) -> Check:
    """Exactly one of two fields is there."""
    return requires(lambda v: (first in v) != (second in v), rule, f"must have exactly one of {first} and {second}")
