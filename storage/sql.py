"""Statements whose text is made once: what every step costs goes through here instead of through the query builder.

Building a query takes Peewee ten times as long as SQLite needs to run it. Values pass through the same columns of
`tables` in both directions, so that either way of asking reads and writes the same. Statements are written with `?`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import peewee as pw

from storage.tables import JsonText, Table, proxy, storable

_MOST_VALUES = 900
"""SQLite's oldest limit on the parameters of one statement is 999."""


def run(statement: str, values: Sequence[Any] = ()) -> Any:
    """The cursor of a statement; the connection and its transaction are the caller's. Raises what Peewee raises."""
    return proxy.obj.execute_sql(_spelled(statement, proxy.obj.param), values)


def select(table: type[Table], names: tuple[str, ...], where: str, *values: Any) -> list[list[Any]]:
    """The named columns of the rows that `where` (a condition and what may follow it) finds, as Python values."""
    return read(table, names, run(_select_text(table, names, where), _sought(values)).fetchall())


def read(table: type[Table], names: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows of these columns as Python values."""
    readers = _readers(table, names)
    found = []
    for row in rows:
        values = list(row)
        for index, from_column in readers:
            values[index] = from_column(values[index])
        found.append(values)
    return found


def update(table: type[Table], fields: Mapping[str, Any], where: str, *values: Any) -> int:
    """Set these columns where `where` holds; how many rows that were."""
    names = tuple(fields)
    written = [write(fields[name]) for name, write in _writers(table, names)]
    return int(run(_update_text(table, names, where), [*written, *_sought(values)]).rowcount)


def insert(table: type[Table], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows that all have the columns of the first."""
    if not rows:
        return
    names = tuple(rows[0])
    writers, at_once = _writers(table, names), max(1, _MOST_VALUES // len(names))
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        run(_insert_text(table, names, len(part)), [write(row[name]) for row in part for name, write in writers])


@contextmanager
def in_one_go() -> Iterator[None]:
    """Send the writes in this block together, where a statement costs a round trip; what fails raises at its end.

    Nothing may be read in it, and how many rows a write changed is not known.
    """
    if not isinstance(proxy.obj, pw.PostgresqlDatabase):
        yield
        return
    with pw.__exception_wrapper__, proxy.obj.connection().pipeline():  # type: ignore[attr-defined, no-untyped-call]
        yield


def marks(values: Iterable[Any]) -> str:
    """As many parameter marks as there are values: `?, ?, ?`."""
    return ", ".join("?" for _ in values)


def _sought(values: Iterable[Any]) -> list[Any]:
    return [storable(value) if isinstance(value, str) else value for value in values]


@lru_cache(maxsize=2048)
def _spelled(statement: str, param: str) -> str:
    return statement if param == "?" else statement.replace("?", param)


@lru_cache(maxsize=2048)
def _select_text(table: type[Table], names: tuple[str, ...], where: str) -> str:
    return f"SELECT {quoted(names)} FROM {_name(table)} WHERE {where}"  # noqa: S608 - names of our own tables


@lru_cache(maxsize=2048)
def _update_text(table: type[Table], names: tuple[str, ...], where: str) -> str:
    changes = ", ".join(f'"{name}" = ?' for name in names)
    return f"UPDATE {_name(table)} SET {changes} WHERE {where}"  # noqa: S608 - names of our own tables


@lru_cache(maxsize=2048)
def _insert_text(table: type[Table], names: tuple[str, ...], count: int) -> str:
    row = f"({marks(names)})"
    return f"INSERT INTO {_name(table)} ({quoted(names)}) VALUES {', '.join([row] * count)}"  # noqa: S608


@lru_cache(maxsize=512)
def _readers(table: type[Table], names: tuple[str, ...]) -> list[tuple[int, Callable[[Any], Any]]]:
    """The columns that need reading, by their place; the others come from the driver as they are."""
    fields = [table._meta.fields[name] for name in names]
    return [(n, field.python_value) for n, field in enumerate(fields) if isinstance(field, JsonText | pw.BooleanField)]


@lru_cache(maxsize=2048)
def _writers(table: type[Table], names: tuple[str, ...]) -> list[tuple[str, Callable[[Any], Any]]]:
    return [(name, table._meta.fields[name].db_value) for name in names]


def _name(table: type[Table]) -> str:
    return f'"{table._meta.table_name}"'


def quoted(names: tuple[str, ...]) -> str:
    """The names as a statement lists them."""
    return ", ".join(f'"{name}"' for name in names)
