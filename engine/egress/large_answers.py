"""Places for answers that are larger than a call may read freely: so few at once that a worker's memory is bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from engine.egress.call import Call

FREE_BYTES = 1024 * 1024
PLACES = 2
"""Threads that may hold a larger answer at once; one of 8 MiB is some 100 MiB as values, masked and unmasked."""


class LargeAnswers:
    """Who holds a place. Thread-safe: a thread has one at most, until its `released_after` block ends."""

    def __init__(self, places: int = PLACES) -> None:
        self._free = threading.Semaphore(places)
        self._mine = threading.local()

    def take(self, call: Call) -> bool:
        """Have a place for this thread, waiting for half of the call's time at most; False where none came free.

        Raises `CallFailed` when the call is abandoned meanwhile.
        """
        give_up = call.remaining() / 2
        while not self._has_one():
            if self._free.acquire(timeout=min(call.patience(), 0.25)):
                self._mine.place = True
            elif call.remaining() < give_up:
                return False
        return True

    @contextmanager
    def released_after(self) -> Iterator[None]:
        """A block at whose end this thread gives its place back, if it has one."""
        try:
            yield
        finally:
            if self._has_one():
                self._mine.place = False
                self._free.release()

    def _has_one(self) -> bool:
        return getattr(self._mine, "place", False)
