"""Filters on lists and mappings. Each takes time in proportion to what it is given, which its caller counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from engine.expressions.numbers import is_number
from engine.expressions.values import Missing, describe, known
from engine.text.json_identity import identity

Apply = Callable[..., Any]


def items_of(value: Any, name: str) -> list[Any]:
    """The list itself. Raises TypeError for anything else."""
    if not isinstance(known(value), list):
        raise TypeError(f"`{name}` needs a list, not {describe(value)}")
    return list(value)


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(known(value), dict):
        raise TypeError(f"`{name}` needs a mapping, not {describe(value)}")
    return dict(value)


def attribute_of(item: Any, path: str) -> Any:
    """What stands in a mapping under a key, or under keys with dots between them; Missing where nothing does."""
    for key in path.split("."):
        if isinstance(item, dict) and key in item:
            item = item[key]
        elif isinstance(item, list) and key.isascii() and key.isdigit() and int(key[:6]) < len(item):
            item = item[int(key[:6])]
        else:
            return Missing(hint=f"`{path}` is not there in an item of the list")
    return item


def _decided(value: Any, name: str) -> bool:
    if not isinstance(known(value), bool):
        raise TypeError(f"`{name}` asks for true or false, and got {describe(value)}: name a test, as in 'eq'")
    return bool(value)


def chosen(value: Any, name: str, asked: Callable[[Any], Any], *, wanted: bool) -> list[Any]:
    """The items for which what is asked comes to `wanted`."""
    return [item for item in items_of(value, name) if _decided(asked(item), name) is wanted]


def ordered(value: Any, reverse: bool = False, attribute: str | None = None) -> list[Any]:
    """The items in their order: numbers by size, texts by their characters. Raises TypeError for a mixture."""
    found = items_of(value, "sort")
    keys = [known(attribute_of(item, attribute)) if attribute else item for item in found]
    _comparable(keys, "sort")
    order = sorted(range(len(found)), key=keys.__getitem__, reverse=_flag(reverse, "sort"))
    return [found[at] for at in order]


def _flag(value: Any, name: str) -> bool:
    if not isinstance(known(value), bool):
        raise TypeError(f"`{name}` takes true or false for `reverse`, not {describe(value)}")
    return bool(value)


def _comparable(keys: list[Any], name: str) -> None:
    if not (all(map(is_number, keys)) or all(isinstance(key, str) for key in keys)):
        odd = next((key for key in keys if not is_number(key)), None)
        raise TypeError(f"`{name}` compares numbers, or texts, with each other, and {describe(odd)} is among them")


def edge(name: str, pick: Callable[[Any], Any]) -> Apply:
    """`min` or `max`: the least or greatest of a list of numbers or of texts."""

    def of_list(value: Any) -> Any:
        found = items_of(value, name)
        if not found:
            raise ValueError(f"`{name}` needs a list with something in it")
        _comparable(found, name)
        return pick(found)

    return of_list


def unique(value: Any) -> list[Any]:
    """The items, each the first time that it comes; 1 and 1.0 are the same."""
    seen: dict[str, Any] = {}
    for item in items_of(value, "unique"):
        seen.setdefault(identity(item), item)
    return list(seen.values())


def keys(value: Any) -> list[str]:
    """A mapping's keys in their order."""
    return list(_mapping(value, "keys"))


def values(value: Any) -> list[Any]:
    """A mapping's values in their order."""
    return list(_mapping(value, "values").values())


def dictsort(value: Any, by: str = "key", reverse: bool = False) -> list[list[Any]]:
    """A mapping as a list of [key, value], sorted by the one or the other."""
    if by not in ("key", "value"):
        raise ValueError("`dictsort` sorts by 'key' or 'value'")
    pairs = [[key, item] for key, item in _mapping(value, "dictsort").items()]
    return ordered(pairs, reverse, "0" if by == "key" else "1")


def _decisions(value: Any, name: str) -> Iterator[bool]:
    return (_decided(item, name) for item in items_of(value, name))


def any_of(value: Any) -> bool:
    """Whether one of a list of true and false is true."""
    return any(list(_decisions(value, "any")))


def all_of(value: Any) -> bool:
    """Whether none of a list of true and false is false."""
    return all(list(_decisions(value, "all")))
