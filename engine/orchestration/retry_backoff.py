"""How long a failed step waits before its next try, and how many it has. Pure: chance is passed in."""

from __future__ import annotations

from engine.definition.model import Retry

MAX_RECOVERIES = 5
"""How often a step may lose its worker before it is taken to be what kills workers."""


def backoff_ms(retry: Retry, failures: int, jitter: float, retry_after_ms: int | None = None) -> int:
    """How long to wait before the next try after `failures` failures (1 or more).

    `jitter` in [0, 1) adds up to half of the pause again, so that many runs failing together do not return together.
    The server's own wish is never undercut.
    """
    pause = min(retry.delay_ms * retry.backoff ** (failures - 1), retry.max_delay_ms)
    return max(int(pause * (1 + jitter / 2)), retry_after_ms or 0)


def may_retry(retry: Retry, failures: int) -> bool:
    """Whether a step that has failed `failures` times has a try left; the first try counts."""
    return failures < retry.max_attempts
