"""What the tables are made of: their columns' types, and how rows come out of a query.

Only storage's own modules import this. Which database they live in is decided once, by `database.open_database`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import peewee as pw

proxy = pw.DatabaseProxy()

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def storable(text: str) -> str:
    """The text with what no database takes made U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


class Text(pw.TextField):
    """Text from anywhere: what no database takes, NUL and lone surrogates, is U+FFFD here, also when looked for."""

    def db_value(self, value: Any) -> str | None:
        """The text as every database can keep it; None stays None."""
        return None if value is None else storable(str(value))


class JsonText(pw.TextField):
    """JSON as ASCII text: the same on every database, and able to hold any string that Python can."""

    def db_value(self, value: Any) -> str:
        """The value as JSON in ASCII. Raises `ValueError` for NaN and infinity, which JSON does not have."""
        return "null" if value is None else _encode(value)

    def python_value(self, value: str | None) -> Any:
        """The value that was written; None for an empty column, too."""
        return None if value is None or value == "null" else json.loads(value)


def dicts(query: Any) -> list[dict[str, Any]]:
    """The query's rows by column name. Peewee's types promise models here; this is the place that knows better."""
    return list(query.dicts())


def tuples(query: Any) -> list[tuple[Any, ...]]:
    """The query's rows as plain tuples."""
    return list(query.tuples())


def first(query: Any) -> dict[str, Any] | None:
    """The query's first row by column name, or None."""
    found: dict[str, Any] | None = query.dicts().first()
    return found


class Table(pw.Model):
    """Base of all tables. They belong to the database that is opened later, and have the names that migrations use."""

    class Meta:
        database = proxy
        legacy_table_names = False
