"""Group commit: changes that several threads make at once share a transaction, and with it the wait for the disk.

Nobody waits for company: whoever comes first commits what is there, and what comes meanwhile goes with the next.
So on SQLite, which has one writer at a time. PostgreSQL puts the commits of several connections together by itself, and
is faster when their statements overlap.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from storage import database
from storage.columns import proxy

T = TypeVar("T")

MOST = 32
"""How many changes share a transaction at most, so that no row stays locked for long."""


class _Change:
    """One thread's change: what it does, and what came of it once `done`."""

    def __init__(self, key: str, act: Callable[[], Any]) -> None:
        self.key = key
        self.act = act
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


_waiting: list[_Change] = []
_waiting_lock = threading.Lock()
_committing = threading.Lock()


def commit(key: str, act: Callable[[], T]) -> T:
    """Do `act` in a transaction that other threads' changes may share; its result, once that is committed.

    `act` may run in another thread, in the context of this one. What it raises is raised here and undoes it alone;
    `DatabaseTrouble` undoes all that shared the transaction and is raised for each. Changes are made in the order of
    `key`, what `act` is about.
    Raises `RuntimeError` inside a transaction.
    """
    if database.is_postgresql():
        with database.transaction():
            return act()
    if proxy.obj.in_transaction():
        raise RuntimeError("a transaction is already open here: one change, one transaction")
    mine = _Change(key, partial(copy_context().run, act))
    with _waiting_lock:
        _waiting.append(mine)
    with _committing:
        if not mine.done:
            _commit(_take(mine))
    if mine.error is not None:
        raise mine.error
    result: T = mine.result
    return result


def _take(mine: _Change) -> list[_Change]:
    """What is committed now, in order of keys: the oldest changes, and `mine` whatever its place."""
    with _waiting_lock:
        taken = [mine, *[each for each in _waiting if each is not mine]][:MOST]
        _waiting[:] = [each for each in _waiting if each not in taken]
    return sorted(taken, key=lambda change: change.key)


def _commit(changes: list[_Change]) -> None:
    try:
        with database.transaction():
            for change in changes:
                _make(change, alone=len(changes) == 1)
    except BaseException as error:
        for change in changes:
            change.error = error
        if not isinstance(error, Exception):
            raise
    finally:
        for change in changes:
            change.done = True


def _make(change: _Change, *, alone: bool) -> None:
    if alone:
        change.result = change.act()
        return
    try:
        with proxy.obj.savepoint():
            proxy.obj.detach_all()
            try:
                change.result = change.act()
                proxy.obj.settle()
            finally:
                proxy.obj.detach_all()
    except database.DatabaseTrouble:
        raise
    except Exception as error:  # noqa: BLE001 - it is raised in the thread whose change this is
        change.error = error
