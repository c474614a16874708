"""Whose death is proven by the lock that its process no longer holds: pure, from one look at the locks to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping

GONE_S = 0.7
"""How long a worker's lock must be free before that proves its death: its connection may have been lost alone."""

STRANGER_S = 5.0
"""The same for one whose lock was never seen held: longer than a try to connect, in which it may just be."""

GAP_S = 2.0
"""Looks that lie further apart had an outage between them, in which every lock was lost."""


class DeathWatch:
    """What a sweeper has seen of the other workers' locks. Times are seconds of one clock that never goes back.

    After an outage a free lock says nothing until it was seen held again: its holder may still be taking it.
    """

    def __init__(self) -> None:
        self._looked = math.nan
        self._held: set[str] = set()
        self._free: dict[str, float] = {}
        self._stranger_s = STRANGER_S

    def proven(self, locks: Mapping[str, bool], now: float) -> list[str]:
        """Of the workers in `locks`, who as this look at `now` tells is held or not, those that are surely dead."""
        if now - self._looked > GAP_S:
            self.interrupted()
        self._looked = now
        self._held = (self._held & locks.keys()) | {worker for worker, held in locks.items() if held}
        self._free = {worker: self._free.get(worker, now) for worker, held in locks.items() if not held}
        return [worker for worker, since in self._free.items() if now - since >= self._patience(worker)]

    def interrupted(self) -> None:
        """The database could not be reached: what was seen before it says nothing any more."""
        self._held.clear()
        self._free.clear()
        self._stranger_s = math.inf

    def _patience(self, worker: str) -> float:
        return GONE_S if worker in self._held else self._stranger_s
