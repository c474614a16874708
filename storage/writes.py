"""Writes whose answer nobody needs, and several of them as one statement.

PostgreSQL is sent one statement for all writes of a change instead of ten: each costs its driver and its server more
than the row that it changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Statement = tuple[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Write:
    """An INSERT, UPDATE or DELETE of one `table`, with `?` for its values.

    `rows` is how many rows it has to find, None where any number will do. `apart` says that no other write of the
    table which says so touches any of its rows.
    """

    table: str
    text: str
    values: Sequence[Any]
    rows: int | None = None
    apart: bool = False


def combined(waiting: Iterable[Write | Statement]) -> Iterator[Statement]:
    """PostgreSQL's statements that do this in this order, with as few as can be for the writes.

    All parts of one statement see the rows as they were before it, so two writes share one only where neither can touch
    a row of the other.
    """
    together: list[Write] = []
    for each in waiting:
        if together and not (isinstance(each, Write) and _fits(each, together)):
            yield _as_one(together)
            together = []
        if isinstance(each, Write):
            together.append(each)
        else:
            yield each
    if together:
        yield _as_one(together)


def _fits(write: Write, together: Sequence[Write]) -> bool:
    return all(each.table != write.table or (each.apart and write.apart) for each in together)


def _as_one(writes: Sequence[Write]) -> Statement:
    expected = tuple(write.rows is not None for write in writes)
    values = [value for write in writes for value in write.values]
    counts = [write.rows for write in writes if write.rows is not None]
    return _as_one_text(tuple(write.text for write in writes), expected), [*values, *counts]


@lru_cache(maxsize=2048)
def _as_one_text(texts: tuple[str, ...], expected: tuple[bool, ...]) -> str:
    """The parts as one statement, which divides by zero where a part has not found as many rows as it had to."""
    if len(texts) == 1 and not expected[0]:
        return numbered(texts[0])
    parts = [
        f"w{n} AS ({text}{' RETURNING 1' if counted else ''})"
        for n, (text, counted) in enumerate(zip(texts, expected, strict=True))
    ]
    found = [f"(SELECT count(*) FROM w{n}) = ?::bigint" for n, counted in enumerate(expected) if counted]  # noqa: S608
    answer = f"1 / (CASE WHEN {' AND '.join(found)} THEN 1 ELSE 0 END)" if found else "1"
    return numbered(f"WITH {', '.join(parts)} SELECT {answer}")


@lru_cache(maxsize=4096)
def numbered(statement: str) -> str:
    """The statement as PostgreSQL's protocol wants it: `$1`, `$2` instead of `?`."""
    first, *others = re.split(r"\?", statement)
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))
