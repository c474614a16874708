"""Slack's published rate limits, for when the workspace is asked to apply them.

It counts calls as Slack's page words its limits, whatever the bot does to keep within them: what is to find a bot that
calls too often shares no code with it.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from bot.simulator.web_api.methods import METHODS, PER_MINUTE

POST_BURST = 4
"""Messages a channel takes at once before one a second holds. Slack publishes no figure for bursts; this is ours."""


class Rates:
    """Counts calls. `clock` is in seconds and monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}

    def wait(self, method: str, channel: str) -> int:
        """Whole seconds to wait before this call may be made; 0 counts it as made."""
        if method == "chat.postMessage":
            return self._take(f"post {channel}", POST_BURST, float(POST_BURST))
        most = PER_MINUTE.get(METHODS[method].tier)
        return self._take(method, most, 60.0) if most else 0

    def _take(self, key: str, most: int, window: float) -> int:
        now = self._clock()
        calls = self._calls.setdefault(key, deque())
        while calls and calls[0] <= now - window:
            calls.popleft()
        if len(calls) >= most:
            return max(1, math.ceil(calls[0] + window - now))
        calls.append(now)
        return 0
