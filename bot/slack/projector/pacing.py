"""How often Slack may be called: budgets by method and channel, and pauses that Slack has asked for.

Figures are from Slack's rate limit page: chat.update 50 a minute for the whole workspace, chat.postMessage about one a
second in a channel.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

from bot.token_bucket import Bucket

UPDATES_PER_MINUTE = 50
UPDATE_BURST = 8
POST_BURST = 4
"""Posts in a channel at once, which are also the most in as many seconds."""
MARGIN_S = 0.2
"""A call takes a moment to arrive, and not always the same."""
CARD_INTERVAL_S = 1.0
"""Least time between two updates of one message."""
_CHANNELS = 2000
T = TypeVar("T")


class Window:
    """At most `most` calls in any `seconds`: a bucket would let its burst and a refill into one such time."""

    def __init__(self, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._calls: deque[float] = deque(maxlen=most)

    def take(self, now: float) -> bool:
        """Take one call; False when there is none left now."""
        if len(self._calls) == self._calls.maxlen and now - self._calls[0] < self._seconds:
            return False
        self._calls.append(now)
        return True


class Pace:
    """Says whether a call may be made now. Used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # A full burst and a minute's refill together stay within the budget of any minute.
        self._updates = Bucket(UPDATE_BURST, (UPDATES_PER_MINUTE - UPDATE_BURST) / 60, clock())
        self._posts: OrderedDict[str, Window] = OrderedDict()
        self._paused: dict[str, float] = {}
        self._updated: OrderedDict[str, float] = OrderedDict()

    def may_update(self, message: str) -> bool:
        """Take one update of `message` (channel and ts) from the budget, if it may be updated now."""
        now = self._clock()
        if self._is_paused("chat.update", now) or now - self._updated.get(message, -CARD_INTERVAL_S) < CARD_INTERVAL_S:
            return False
        if self._updates.take(now) > 0:
            return False
        _keep(self._updated, message, now)
        return True

    def may_post(self, channel: str) -> bool:
        """Take one post in `channel` from the budget, if one may be posted now."""
        now = self._clock()
        if self._is_paused("chat.postMessage", now):
            return False
        bucket = self._posts.get(channel) or Window(POST_BURST, POST_BURST + MARGIN_S)
        _keep(self._posts, channel, bucket)
        return bucket.take(now)

    def pause(self, method: str, seconds: float) -> None:
        """Leave a method alone, as Slack asked."""
        self._paused[method] = max(self._paused.get(method, 0.0), self._clock() + seconds)

    def is_paused(self, method: str) -> bool:
        """Whether a method is left alone now."""
        return self._is_paused(method, self._clock())

    def _is_paused(self, method: str, now: float) -> bool:
        return now < max(self._paused.get(method, 0.0), self._paused.get("*", 0.0))


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _CHANNELS:
        kept.popitem(last=False)
