"""Connections that are kept for the next call, in pools of a few: httpcore's looks at all it has for each call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpcore

WIDTH = 8
"""Calls that share a pool at once, and connections that one keeps."""


class Lanes:
    """Pools that `make` makes, as many as there are calls for. Thread-safe.

    The first that has room is used, so that few calls share few connections, and the last ones are closed when nobody
    uses them any more.
    """

    def __init__(self, make: Callable[[], httpcore.ConnectionPool]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pools = [make()]
        self._busy = [0]

    @contextmanager
    def one(self) -> Iterator[httpcore.ConnectionPool]:
        """A pool with room for a call, for as long as the block."""
        with self._lock:
            number = next((each for each, busy in enumerate(self._busy) if busy < WIDTH), len(self._busy))
            if number == len(self._busy):
                self._pools.append(self._make())
                self._busy.append(0)
            self._busy[number] += 1
            pool = self._pools[number]
        try:
            yield pool
        finally:
            self._leave(number)

    def _leave(self, number: int) -> None:
        unused = []
        with self._lock:
            self._busy[number] -= 1
            while len(self._busy) > 1 and not self._busy[-1]:
                self._busy.pop()
                unused.append(self._pools.pop())
        for pool in unused:
            pool.close()

    def close(self) -> None:
        """Close all connections; calls under way fail."""
        with self._lock:
            for pool in self._pools:
                pool.close()
