"""Statements whose text is made once: what every step costs goes through here instead of through the query builder.

Building a query takes Peewee ten times as long as SQLite needs to run it. Values pass through the same columns of
`tables` in both directions, so that either way of asking reads and writes the same. Statements are written with `?`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import peewee as pw

from storage import rows
from storage.columns import JsonText, Table, proxy, storable
from storage.writes import Statement, Write, numbered

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """A question for records: those of the rows that `where`, a condition and what may follow it, finds."""

    table: type[Table]
    record: type[T]
    where: str
    values: Sequence[Any]

    def statement(self) -> Statement:
        """Its text and values as the database is given them."""
        names = self.record.__slots__  # type: ignore[attr-defined]
        return _spelled(_select_text(self.table, names, self.where)), _sought(self.values)

    def records(self, found: Iterable[Sequence[Any]]) -> list[T]:
        """The records of the rows that were found."""
        names = self.record.__slots__  # type: ignore[attr-defined]
        return rows.make(self.record, read(self.table, names, found))


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode

_MOST_VALUES = 900
"""SQLite's oldest limit on the parameters of one statement is 999."""


def run(statement: str, values: Sequence[Any] = ()) -> Any:
    """The cursor of a statement; the connection and its transaction are the caller's. Raises what Peewee raises."""
    return proxy.obj.ask(_spelled(statement), values)


def select(table: type[Table], names: tuple[str, ...], where: str, *values: Any) -> list[list[Any]]:
    """The named columns of the rows that `where` (a condition and what may follow it) finds, as Python values."""
    return read(table, names, run(_select_text(table, names, where), _sought(values)).fetchall())


def ask(query: Query[T]) -> list[T]:
    """The records that a query finds."""
    return query.records(proxy.obj.ask(*query.statement()).fetchall())


def first(query: Query[T]) -> T | None:
    """The first record that a query finds, or None."""
    return next(iter(ask(query)), None)


def ask_each(*queries: Query[Any]) -> list[list[Any]]:
    """What `ask` finds for each query, asked in this order and in one round trip."""
    cursors = proxy.obj.ask_each([query.statement() for query in queries])
    return [query.records(cursor.fetchall()) for query, cursor in zip(queries, cursors, strict=True)]


def read(table: type[Table], names: tuple[str, ...], found: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows of these columns as Python values."""
    readers = _readers(table, names)
    read_rows = []
    for row in found:
        values = list(row)
        for index, from_column in readers:
            values[index] = from_column(values[index])
        read_rows.append(values)
    return read_rows


def update(table: type[Table], fields: Mapping[str, Any], where: str, *values: Any) -> int:
    """Set these columns where `where` holds; how many rows that were."""
    return int(run(*_updating(table, fields, where, values)).rowcount)


def set_later(table: type[Table], fields: Mapping[str, Any], where: str, *values: Any, apart: bool = False) -> None:
    """`update` where nobody asks how many rows that were; what fails raises with a later statement or the commit.

    `apart` is as in `Write`.
    """
    proxy.obj.later(Write(_name(table), *_updating(table, fields, where, values), apart=apart))


def set_locked(table: type[Table], fields: Mapping[str, Any], where: str, *values: Any) -> None:
    """`set_later` for one row that was read under its lock: `where` says what it still has to be.

    Raises `LostRow` with a later statement or the commit where it is not.
    """
    proxy.obj.later(Write(_name(table), *_updating(table, fields, where, values), rows=1))


def delete_later(table: type[Table], where: str, *values: Any) -> None:
    """Delete the rows that `where` finds; what fails raises with a later statement or the commit."""
    statement = f"DELETE FROM {_name(table)} WHERE {where}"  # noqa: S608 - names of our own tables
    proxy.obj.later(Write(_name(table), statement, _sought(values)))


def update_one(table: type[Table], fields: Mapping[str, Any], where: str, *values: Any) -> Write:
    """The write that gives one row these columns; `where` says which it is and what it still has to be."""
    return Write(_name(table), *_updating(table, fields, where, values), rows=1, apart=True)


def update_together(
    table: type[Table], names: tuple[str, ...], given: Sequence[Mapping[str, Any]], still: Sequence[Mapping[str, Any]]
) -> Write:
    """PostgreSQL's write of many rows that are given the same columns, each where it `still` is what is said of it."""
    sought = tuple(still[0])
    writers, seekers = _writers(table, names), _writers(table, sought)
    values = [
        [write(each[name]) for name, write in seekers] + [write(row[name]) for name, write in writers]
        for row, each in zip(given, still, strict=True)
    ]
    return Write(_name(table), _together_text(table, names, sought), [_as_json(values)], rows=len(given), apart=True)


def insert(table: type[Table], added: Sequence[Mapping[str, Any]]) -> None:
    """Add rows that all have the columns of the first; what fails raises with a later statement or the commit."""
    if not added:
        return
    names = tuple(added[0])
    writers = _writers(table, names)
    written = [[write(row[name]) for name, write in writers] for row in added]
    if proxy.obj.param != "?":
        proxy.obj.later(Write(_name(table), _insert_json_text(table, names), [_as_json(written)], apart=True))
        return
    at_once = max(1, _MOST_VALUES // len(names))
    for start in range(0, len(added), at_once):
        part = written[start : start + at_once]
        values = [value for row in part for value in row]
        proxy.obj.later(Write(_name(table), _insert_text(table, names, len(part)), values, apart=True))


def marks(values: Iterable[Any]) -> str:
    """As many parameter marks as there are values: `?, ?, ?`."""
    return ", ".join("?" for _ in values)


def _updating(
    table: type[Table], fields: Mapping[str, Any], where: str, values: Sequence[Any]
) -> tuple[str, list[Any]]:
    names = tuple(fields)
    written = [write(fields[name]) for name, write in _writers(table, names)]
    return _update_text(table, names, where), [*written, *_sought(values)]


def _sought(values: Iterable[Any]) -> list[Any]:
    return [storable(value) if isinstance(value, str) else value for value in values]


def _spelled(statement: str) -> str:
    """SQLite takes `?` as it is, PostgreSQL wants the marks numbered."""
    return statement if proxy.obj.param == "?" else numbered(statement)


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
def _insert_json_text(table: type[Table], names: tuple[str, ...]) -> str:
    """Any number of rows by one text, which PostgreSQL parses once: they come as one JSON array."""
    listed = ", ".join(f"c{place}" for place in range(len(names)))
    return f"INSERT INTO {_name(table)} ({quoted(names)}) SELECT {listed} FROM {_json_rows(table, names)}"  # noqa: S608


@lru_cache(maxsize=512)
def _together_text(table: type[Table], names: tuple[str, ...], sought: tuple[str, ...]) -> str:
    own = _name(table)
    still = [f'{own}."{name}" = c{place}' for place, name in enumerate(sought)]
    changes = [f'"{name}" = c{place}' for place, name in enumerate(names, len(sought))]
    given = _json_rows(table, (*sought, *names))
    return f"UPDATE {own} SET {', '.join(changes)} FROM {given} WHERE {' AND '.join(still)}"  # noqa: S608


def _json_rows(table: type[Table], names: tuple[str, ...]) -> str:
    """The rows of a JSON array of objects, whose keys are the places of these columns."""
    columns = [f"c{place} {_postgresql_type(table._meta.fields[name])}" for place, name in enumerate(names)]
    return f"json_to_recordset(?::json) AS c({', '.join(columns)})"


def _as_json(rows: Iterable[Sequence[Any]]) -> str:
    return _encode([{f"c{place}": value for place, value in enumerate(row)} for row in rows])


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
