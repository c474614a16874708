"""How often one token or address may ask: a bucket that is refilled steadily."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bot.token_bucket import Bucket

BURST_S = 10
"""So many seconds' worth of requests may come at once."""
_MOST = 10_000


class RateLimit:
    """Buckets by whom they are counted for, in this process. Used from one thread, the event loop's."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_minute / 60
        self._size = max(1.0, self._a_second * BURST_S)
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def take(self, who: str) -> int:
        """0 where a request may go on, else in how many seconds the next may."""
        now = self._clock()
        bucket = self._buckets.pop(who, None) or Bucket(self._size, self._a_second, now)
        if len(self._buckets) >= _MOST:
            self._buckets.pop(next(iter(self._buckets)))  # the one that has not asked for longest
        self._buckets[who] = bucket
        return math.ceil(bucket.take(now))
