"""What filters are given that has to be written out, so that it is checked once, when the runbook is loaded.

A pattern, a query, a format, the name of a filter or test, and the key of an item are the author's; a value never is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from jinja2 import nodes

from engine.expressions import query, times
from engine.expressions.filters import ITEM_FILTERS
from engine.expressions.values import TESTS
from engine.text.regex import compile_pattern
from engine.text.words import did_you_mean, listed, nearest

Fault = Callable[[object], str | None]


def unknown(what: str, name: str, allowed: Mapping[str, object]) -> Iterator[str]:
    """That a name is none of those that there are, with the nearest of them."""
    if name not in allowed:
        hint = did_you_mean(name, allowed) if nearest(name, allowed) else f"; there is {listed(allowed)}"
        yield f"unknown {what} `{name}`{hint}"


def filter_faults(node: nodes.Filter) -> Iterator[str]:
    """What is wrong with what a filter is given, in sentences."""
    if node.dyn_args or node.dyn_kwargs:
        yield f"`{node.name}` takes its arguments one by one: `*` and `**` are not allowed there"
        return
    named = {str(each.key): each.value for each in node.kwargs if isinstance(each, nodes.Keyword)}
    yield from _faults(node.name, node.args, named)


def _faults(name: str, args: Sequence[nodes.Expr], named: Mapping[str, nodes.Expr]) -> Iterator[str]:
    if name == "map":
        yield from _map_faults(args, named)
    elif name in ("select", "reject"):
        yield from _test_faults(name, args)
    elif name in ("selectattr", "rejectattr"):
        yield from _written(name, "attribute", args[:1], _key_fault) if args else (f"`{name}` names an attribute",)
        yield from _test_faults(name, args[1:])
    else:
        for place, word, fault in _WRITTEN.get(name, ()):
            given = args[place : place + 1] or _named(named, word)
            yield from _written(name, word, given, fault)
    if name == "date":
        zone = args[1:2] or _named(named, "zone")
        yield from _written(name, "zone", [each for each in zone if isinstance(each, nodes.Const)], times.zone_fault)


def _named(named: Mapping[str, nodes.Expr], word: str) -> Sequence[nodes.Expr]:
    return [named[word]] if word in named else []


def _map_faults(args: Sequence[nodes.Expr], named: Mapping[str, nodes.Expr]) -> Iterator[str]:
    if "attribute" in named:
        yield from _written("map", "attribute", [named["attribute"]], _key_fault)
        if args or set(named) - {"attribute", "default"}:
            yield "`map` takes a filter, or an `attribute` with its `default`"
        return
    name = _text(args[0]) if args else None
    if name is None:
        yield "`map` names a filter, as in map('upper'), or an attribute, as in map(attribute='name')"
    elif name not in ITEM_FILTERS:
        yield from unknown("filter", name, ITEM_FILTERS)
    else:
        yield from _faults(name, args[1:], named)


def _test_faults(name: str, args: Sequence[nodes.Expr]) -> Iterator[str]:
    if args and _text(args[0]) is None:
        yield f"`{name}` names a test that is written out, as in 'eq'"
    elif args:
        yield from unknown("test", _text(args[0]) or "", TESTS)


def _written(name: str, word: str, given: Sequence[nodes.Expr], fault: Fault) -> Iterator[str]:
    for each in given:
        if not isinstance(each, nodes.Const):
            yield f"the {word} of `{name}` has to be written out, not taken from a value"
        elif wrong := fault(each.value):
            yield wrong


def _text(node: nodes.Expr) -> str | None:
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else None


def _key_fault(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return "an attribute is a key, or keys with dots between them"
    return f"the name `{value[:40]}` is not allowed" if value.startswith("__") else None


def _pattern_fault(value: object) -> str | None:
    if not isinstance(value, str):
        return "a pattern is text"
    try:
        compile_pattern(value)
    except ValueError as error:
        return str(error)
    return None


_WRITTEN: Mapping[str, Sequence[tuple[int, str, Fault]]] = {
    "regex_search": [(0, "pattern", _pattern_fault)],
    "regex_replace": [(0, "pattern", _pattern_fault)],
    "query": [(0, "expression", query.fault)],
    "date": [(0, "format", times.format_fault)],
    "sort": [(1, "attribute", _key_fault)],
}
"""Which arguments of a filter are written out: their place, their name, and what may be wrong with them."""
