"""How often one token or address may ask: a bucket that is refilled steadily."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

BURST_S = 10
"""So many seconds' worth of requests may come at once."""
_MOST = 10_000


class RateLimit:
    """Buckets by whom they are counted for, in this process. Used from one thread, the event loop's."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_minute / 60
        self._size = max(1.0, self._a_second * BURST_S)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, who: str) -> int:
        """0 where a request may go on, else in how many seconds the next may."""
        now = self._clock()
        left, since = self._buckets.pop(who, (self._size, now))
        left = min(self._size, left + (now - since) * self._a_second)
        if len(self._buckets) >= _MOST:
            self._buckets.pop(next(iter(self._buckets)))  # the one that has not asked for longest
        self._buckets[who] = (left - 1 if left >= 1 else left, now)
        return 0 if left >= 1 else max(1, math.ceil((1 - left) / self._a_second))
