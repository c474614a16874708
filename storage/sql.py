"""Statements whose text is made once: what every step costs goes through here instead of through the query builder.

Building a query takes Peewee ten times as long as SQLite needs to run it. Values pass through the same columns of
`tables` in both directions, so that either way of asking reads and writes the same. Statements are written with `?`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import peewee as pw

from storage.columns import JsonText, Table, proxy, storable
from storage.step_cache import Change
from storage.tables import StepRun

Query = tuple[type[Table], tuple[str, ...], str, Sequence[Any]]
"""A table, names of its columns, a condition and what may follow it, and that one's values."""

_MOST_VALUES = 900
"""SQLite's oldest limit on the parameters of one statement is 999."""


def run(statement: str, values: Sequence[Any] = ()) -> Any:
    """The cursor of a statement; the connection and its transaction are the caller's. Raises what Peewee raises."""
    return proxy.obj.ask(_spelled(statement, proxy.obj.param), values)


def select(table: type[Table], names: tuple[str, ...], where: str, *values: Any) -> list[list[Any]]:
    """The named columns of the rows that `where` (a condition and what may follow it) finds, as Python values."""
    return read(table, names, run(_select_text(table, names, where), _sought(values)).fetchall())


def select_each(*queries: Query) -> list[list[list[Any]]]:
    """What `select` finds for each query, asked in this order and in one round trip."""
    param = proxy.obj.param
    asked = [
        (_spelled(_select_text(table, names, where), param), _sought(values)) for table, names, where, values in queries
    ]
    cursors = proxy.obj.ask_each(asked)
    return [read(query[0], query[1], cursor.fetchall()) for query, cursor in zip(queries, cursors, strict=True)]


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
    return int(run(*_updating(table, fields, where, values)).rowcount)


def set_later(table: type[Table], fields: Mapping[str, Any], where: str, *values: Any) -> None:
    """`update` where nobody asks how many rows that were; what fails raises with a later statement or the commit."""
    _later(*_updating(table, fields, where, values))


def set_locked(table: type[Table], fields: Mapping[str, Any], where: str, *values: Any) -> None:
    """`set_later` for one row that was read under its lock: `where` says what it still has to be.

    Raises `LostRow` with a later statement or the commit where it is not.
    """
    statement, all_values = _updating(table, fields, where, values)
    proxy.obj.later(_spelled(statement, proxy.obj.param), all_values, guarded=True)


def delete_later(table: type[Table], where: str, *values: Any) -> None:
    """Delete the rows that `where` finds; what fails raises with a later statement or the commit."""
    _later(f"DELETE FROM {_name(table)} WHERE {where}", _sought(values))  # noqa: S608 - names of our own tables


def moving(change: Change) -> tuple[str, list[Any]]:
    """The UPDATE that writes a change of a step run, if the row is still what it was."""
    sought = (change.id, change.status.value, change.fence, change.blocked)
    text, values = _updating(StepRun, change.fields, "id = ? AND status = ? AND fence = ? AND blocked = ?", sought)
    return _spelled(text, proxy.obj.param), values


def insert(table: type[Table], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows that all have the columns of the first; what fails raises with a later statement or the commit."""
    if not rows:
        return
    names = tuple(rows[0])
    written = [[write(row[name]) for row in rows] for name, write in _writers(table, names)]
    if len(rows) > 1 and proxy.obj.param != "?":
        _later(_insert_columns_text(table, names), written)
        return
    at_once = max(1, _MOST_VALUES // len(names))
    for start in range(0, len(rows), at_once):
        part = list(zip(*(column[start : start + at_once] for column in written), strict=True))
        _later(_insert_text(table, names, len(part)), [value for row in part for value in row])


def marks(values: Iterable[Any]) -> str:
    """As many parameter marks as there are values: `?, ?, ?`."""
    return ", ".join("?" for _ in values)


def _later(statement: str, values: Sequence[Any]) -> None:
    proxy.obj.later(_spelled(statement, proxy.obj.param), values)


def _updating(
    table: type[Table], fields: Mapping[str, Any], where: str, values: Sequence[Any]
) -> tuple[str, list[Any]]:
    names = tuple(fields)
    written = [write(fields[name]) for name, write in _writers(table, names)]
    return _update_text(table, names, where), [*written, *_sought(values)]


def _sought(values: Iterable[Any]) -> list[Any]:
    return [storable(value) if isinstance(value, str) else value for value in values]


@lru_cache(maxsize=2048)
def _spelled(statement: str, param: str) -> str:
    """SQLite takes `?` as it is, PostgreSQL wants the marks numbered."""
    if param == "?":
        return statement
    first, *others = statement.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))


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
def _insert_columns_text(table: type[Table], names: tuple[str, ...]) -> str:
    """Any number of rows by one text, which PostgreSQL parses once: each column comes as an array."""
    arrays = ", ".join(f"?::{_postgresql_type(table._meta.fields[name])}[]" for name in names)
    return f"INSERT INTO {_name(table)} ({quoted(names)}) SELECT * FROM unnest({arrays})"  # noqa: S608


def _postgresql_type(field: pw.Field) -> str:
    if isinstance(field, pw.BooleanField):
        return "boolean"
    return "text" if isinstance(field, pw.TextField) else "bigint"


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
