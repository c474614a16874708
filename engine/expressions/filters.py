"""The table of filters. Those that look through lists or texts are charged for what they are given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from engine.expressions import lists, numbers, query, texts, times
from engine.expressions.budget import Budget, size_of
from engine.expressions.values import SIMPLE_FILTERS, TESTS, describe, known

Filter = Callable[..., Any]

_ON_ONE: dict[str, Filter] = {
    "duration": times.duration,
    "date": times.date,
    "split": texts.split,
    "fromjson": texts.fromjson,
    "b64encode": texts.b64encode,
    "b64decode": texts.b64decode,
    "urlencode": texts.urlencode,
    "regex_search": texts.regex_search,
    "regex_replace": texts.regex_replace,
    "sort": lists.ordered,
    "unique": lists.unique,
    "sum": numbers.total,
    "min": lists.edge("min", min),
    "max": lists.edge("max", max),
    "round": numbers.rounded,
    "abs": numbers.absolute,
    "keys": lists.keys,
    "values": lists.values,
    "dictsort": lists.dictsort,
    "any": lists.any_of,
    "all": lists.all_of,
}
ITEM_FILTERS: dict[str, Filter] = {**SIMPLE_FILTERS, **_ON_ONE}
"""The filters that `map` may name."""


def _budget(context: Context) -> Budget:
    found: Budget = context["_budget"]
    return found


def _charged(filter_: Filter) -> Filter:
    @pass_context
    @wraps(filter_)
    def charged(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        _budget(context).charge(size_of(value) + sum(map(size_of, (*args, *kwargs.values()))))
        return filter_(value, *args, **kwargs)

    return charged


def _each(context: Context, value: Any, args: tuple[Any, ...], name: str) -> list[Any]:
    """The items of a list, charged for themselves and for being asked with these arguments, each."""
    items = lists.items_of(value, name)
    _budget(context).charge(size_of(items) + len(items) * sum(map(size_of, args)))
    return items


@pass_context
def _map(context: Context, value: Any, name: str = "", *args: Any, attribute: str | None = None, **named: Any) -> Any:
    """Each item through a filter, or what stands in it under a key; `default` where nothing does."""
    items, budget = _each(context, value, (*args, *named.values()), "map"), _budget(context)
    act = partial(_read, attribute, named) if attribute else partial(_applied, ITEM_FILTERS[name], args, named)
    made = []
    for item in items:
        made.append(act(item))
        budget.charge(size_of(made[-1]))
    return made


def _applied(filter_: Filter, args: tuple[Any, ...], named: dict[str, Any], item: Any) -> Any:
    return known(filter_(item, *args, **named))


def _read(path: str, named: dict[str, Any], item: Any) -> Any:
    found = lists.attribute_of(item, path)
    return known(SIMPLE_FILTERS["default"](found, named["default"]) if named else found)


def _choosing(name: str, *, wanted: bool) -> Filter:
    @pass_context
    def choose(context: Context, value: Any, test: str | None = None, *args: Any) -> list[Any]:
        items = _each(context, value, args, name)
        return lists.chosen(items, name, lambda item: _asked(item, test, args), wanted=wanted)

    return choose


def _choosing_by_attribute(name: str, *, wanted: bool) -> Filter:
    @pass_context
    def choose(context: Context, value: Any, attribute: str, test: str | None = None, *args: Any) -> list[Any]:
        items = _each(context, value, args, name)
        asked = partial(_asked_of_attribute, attribute, test, args)
        return lists.chosen(items, name, asked, wanted=wanted)

    return choose


def _asked(item: Any, test: str | None, args: tuple[Any, ...]) -> Any:
    return item if test is None else TESTS[test](item, *args)


def _asked_of_attribute(attribute: str, test: str | None, args: tuple[Any, ...], item: Any) -> Any:
    return _asked(lists.attribute_of(item, attribute), test, args)


@pass_context
def _query(context: Context, value: Any, expression: str) -> Any:
    if not isinstance(expression, str):
        raise TypeError(f"`query` takes a JMESPath expression, not {describe(expression)}")
    return query.query(value, expression, _budget(context).charge)


FILTERS: dict[str, Filter] = {
    **SIMPLE_FILTERS,
    **{name: _charged(filter_) for name, filter_ in _ON_ONE.items()},
    "map": _map,
    "select": _choosing("select", wanted=True),
    "reject": _choosing("reject", wanted=False),
    "selectattr": _choosing_by_attribute("selectattr", wanted=True),
    "rejectattr": _choosing_by_attribute("rejectattr", wanted=False),
    "query": _query,
}
"""Every filter that a runbook may use, by its name."""
