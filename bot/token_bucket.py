"""A token bucket: how much may be asked for at once, and how fast that comes back."""

from __future__ import annotations


class Bucket:
    """Tokens that come back at `a_second`, up to `most`. Used from one thread, whose clock `now` is."""

    __slots__ = ("_a_second", "_left", "_most", "_since")

    def __init__(self, most: float, a_second: float, now: float) -> None:
        self._most, self._a_second = float(most), a_second
        self._left, self._since = self._most, now

    def take(self, now: float) -> float:
        """Take a token: 0 where there was one, else in how many seconds there is."""
        self._left = min(self._most, self._left + (now - self._since) * self._a_second)
        self._since = now
        if self._left < 1.0:
            return (1.0 - self._left) / self._a_second
        self._left -= 1.0
        return 0.0
