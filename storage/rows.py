"""Records of rows: one way for every table, whether Peewee or a statement of `sql` has asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import peewee as pw

T = TypeVar("T")


def select(table: type[pw.Model], record: type) -> Any:
    """Peewee's query for the columns that make up `record`, for `read`."""
    return table.select(*[getattr(table, name) for name in record.__slots__])  # type: ignore[attr-defined]


def read(query: Any, record: type[T]) -> list[T]:
    """The records that a query finds, which was begun by `select` with the same `record`."""
    return make(record, query.tuples())


def make(record: type[T], rows: Iterable[Sequence[Any]]) -> list[T]:
    """The records of rows that have the record's fields in their order, as a driver and `columns` give them."""
    converters = _converters(record)  # type: ignore[arg-type]
    made = []
    for row in rows:
        values = list(row)
        for place, convert in converters:
            values[place] = convert(values[place])
        made.append(record(*values))
    return made


@lru_cache(maxsize=64)
def _converters(record: type) -> list[tuple[int, Callable[[Any], Any]]]:
    """What makes a field's value of a column's, by the field's place, for those that are not the same."""
    hints = get_type_hints(record)
    found = [(place, _converter(hints[name])) for place, name in enumerate(record.__slots__)]  # type: ignore[attr-defined]
    return [(place, convert) for place, convert in found if convert is not None]


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    """A state's text becomes the state, also within a set; a JSON list becomes a tuple."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint._value2member_map_.__getitem__  # a third of the time that calling the class takes
    if get_origin(hint) is tuple:
        return tuple
    if get_origin(hint) is frozenset:
        of_one: Callable[[Any], Any] = _converter(get_args(hint)[0]) or str
        return lambda values: frozenset(map(of_one, values))
    if isinstance(hint, UnionType) and type(None) in get_args(hint):
        (inner,) = [_converter(each) for each in get_args(hint) if each is not type(None)] or [None]
        return None if inner is None else lambda value: None if value is None else inner(value)
    return None
