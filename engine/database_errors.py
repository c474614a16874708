"""The database's trouble in people's words, and in the log once a minute."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable

from storage import driver_errors
from storage.driver_errors import Trouble

TOLD_EVERY_S = 60.0

_WHAT = {
    Trouble.AWAY: "The bot's database does not answer.",
    Trouble.FULL: "The bot's database cannot be written: its disk is full.",
    Trouble.READ_ONLY: "The bot's database cannot be written: it is read-only.",
    Trouble.BUSY: "The bot's database is busy: something holds its locks or all of its connections.",
    Trouble.DISK: "The bot's database cannot be read or written: its disk or folder fails.",
    Trouble.DAMAGED: "The bot's database is damaged.",
}
_THEN = {
    Trouble.AWAY: "Ask again in a minute; an operator has to look if that lasts.",
    Trouble.BUSY: "Ask again in a minute; an operator has to look if that lasts.",
    Trouble.DAMAGED: "An operator has to restore it.",
}
_OPERATOR = "An operator has to change that; ask again then."


def describe(error: BaseException) -> str | None:
    """What is wrong with the database, as one sentence; None where this error does not come from it."""
    found = driver_errors.of(error)
    return _WHAT[found] if found is not None else None


def in_words(error: BaseException) -> str | None:
    """The same with what to do about it, for whoever asked for something."""
    found = driver_errors.of(error)
    return f"{_WHAT[found]} {_THEN.get(found, _OPERATOR)}" if found is not None else None


class OnceAMinute:
    """For a log: of each kind of trouble of the database one record a minute, without its traceback. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told_at: dict[Trouble, float] = {}
        self._left_out: dict[Trouble, int] = {}

    def shortened(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """The record as it is to be written: itself where it tells of no such trouble, None where it is left out."""
        found = driver_errors.of(record.exc_info[1]) if record.exc_info else None
        if found is None or record.levelno < logging.WARNING:
            return record
        with self._lock:
            now = self._clock()
            if now - self._told_at.get(found, -TOLD_EVERY_S) < TOLD_EVERY_S:
                self._left_out[found] = self._left_out.get(found, 0) + 1
                return None
            self._told_at[found], left_out = now, self._left_out.pop(found, 0)
        return _short(record, found, left_out)


def _short(record: logging.LogRecord, found: Trouble, left_out: int) -> logging.LogRecord:
    error = record.exc_info[1] if record.exc_info else None
    more = f" ({left_out} more such records were left out since the last)" if left_out else ""
    said = " ".join(str(error).split())[:300]
    short = copy.copy(record)
    short.msg, short.args = f"{record.getMessage()}: {_WHAT[found]} {said}{more}", ()
    short.exc_info = short.exc_text = short.stack_info = None
    return short
