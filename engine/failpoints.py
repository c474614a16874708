"""Places where a process can be made to die, so that tests can prove that dying there loses nothing. For tests only.

`RUNBOOK_FAILPOINT=record.before:3` ends the process like a kill -9 at the third hit of that point; `*:17` at the
seventeenth hit of any. Unset, as it always is outside the tests, a point costs one comparison.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from storage import database, group_commit

T = TypeVar("T")

VARIABLE = "RUNBOOK_FAILPOINT"
EXIT_CODE = 137
"""What a shell reports of a process that was killed by signal 9."""

ANY = "*"

_lock = threading.Lock()
_armed: tuple[str, int] | None = None


def arm(point: str | None) -> None:
    """Die at `name:k`, or with None nowhere. Raises `ValueError` for anything else."""
    global _armed
    name, _, count = (point or "").rpartition(":")
    _armed = (name, int(count)) if point else None


arm(os.environ.get(VARIABLE))


def failpoint(name: str) -> None:
    """Die here, if this is where and when; the name goes to standard error."""
    if _armed is not None:
        _hit(name)


@contextmanager
def committing(name: str) -> Iterator[None]:
    """A transaction with a point before its commit and one after it, before anybody hears of it."""
    with database.transaction():
        yield
        failpoint(f"{name}.before")
    failpoint(f"{name}.after")


def commit(name: str, key: str, act: Callable[[], T]) -> T:
    """`together.commit` with the same two points as `committing`."""

    def reaching() -> T:
        result = act()
        failpoint(f"{name}.before")
        return result

    result = group_commit.commit(key, reaching)
    failpoint(f"{name}.after")
    return result


def _hit(name: str) -> None:
    global _armed
    with _lock:
        assert _armed is not None
        wanted, left = _armed
        if wanted not in (ANY, name):
            return
        _armed = (wanted, left - 1)
        if left == 1:
            os.write(2, f"died at {name}\n".encode())
            os._exit(EXIT_CODE)
