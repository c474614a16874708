"""What one rendering may take: rounds of its loops, work of its filters, and processor time of both."""

from __future__ import annotations

import time
from typing import Any

MAX_ROUNDS = 10_000
"""Loop rounds in one rendering, all loops together."""
MAX_CPU_S = 0.5
"""Seconds of the thread's own processor time for loops and filters: some are rendered while their run is locked."""
MAX_WORK = 2_000_000
"""Characters and items that the filters of one rendering are given, counted as often as they are given."""


class TooMuch(ValueError):
    """A rendering takes more than it may."""


class Budget:
    """What one rendering may still take."""

    __slots__ = ("rounds", "until", "work")

    def __init__(self) -> None:
        self.rounds = MAX_ROUNDS
        self.work = MAX_WORK
        self.until = time.thread_time() + MAX_CPU_S

    def take(self) -> None:
        """Count one round more. Raises TooMuch when the rounds or the processor time are used up."""
        self.rounds -= 1
        if self.rounds < 0:
            raise TooMuch(f"the loops take more than {MAX_ROUNDS} rounds")
        if time.thread_time() > self.until:
            raise TooMuch(f"the loops take more than {MAX_CPU_S} s")

    def charge(self, work: int) -> None:
        """Count this much work more. Raises TooMuch when it, or the processor time, is used up."""
        self.work -= work
        if self.work < 0:
            raise TooMuch(f"the filters are given more than {MAX_WORK} characters and items")
        if time.thread_time() > self.until:
            raise TooMuch(f"the filters take more than {MAX_CPU_S} s")


def size_of(value: Any) -> int:
    """Characters and items in a value, what is in it twice counted twice; what is beyond MAX_WORK is not counted."""
    waiting, size = [value], 0
    while waiting and size <= MAX_WORK:
        item = waiting.pop()
        size += 1 + (len(item) if isinstance(item, (str, list, dict)) else 0)
        if size > MAX_WORK:
            break
        if isinstance(item, dict):
            size += sum(map(len, item))
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return size
