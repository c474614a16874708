"""What one call may still do: its deadline, whether anyone still wants it, and whether anything was sent."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.egress.allowed_addresses import Allowed
from engine.egress.failure import CallFailed

POLL_SECONDS = 0.25
"""How often at most `abandoned` is asked: a cancel drops a call within this time."""

MAX_HEAD_BYTES = 256 * 1024
"""What may arrive before the response's head is complete; stops an endless run of 1xx responses."""


class Call:
    """One call's state. Used by one thread.

    `wrote` turns True just before the first byte of the request is handed to the kernel: from there on nobody can
    prove that nothing left. `allowed` are hosts and ports that are open to this call alone.
    """

    def __init__(self, deadline_ms: int, abandoned: Callable[[], bool], allowed: tuple[Allowed, ...] = ()) -> None:
        self.wrote = False
        self.allowed = allowed
        self._allowed_ms = deadline_ms
        self._deadline = time.monotonic() + deadline_ms / 1000
        self._abandoned = abandoned
        self._next_poll = 0.0
        self._head_left: int | None = MAX_HEAD_BYTES

    def patience(self) -> float:
        """Seconds that one wait may last. Raises `CallFailed` when the time is up or the call is abandoned."""
        now = time.monotonic()
        if now >= self._deadline:
            raise self._timed_out()
        if now >= self._next_poll:
            if self._abandoned():
                raise CallFailed("abandoned", "The call was dropped because it is no longer wanted.", sent=self.wrote)
            self._next_poll = now + POLL_SECONDS
        return max(0.001, min(self._deadline, self._next_poll) - now)

    def remaining(self) -> float:
        """Seconds until the deadline, 0.0 behind it. Unlike `patience` it never raises."""
        return max(0.0, self._deadline - time.monotonic())

    def received(self, count: int) -> None:
        """Note bytes that arrived. Raises `CallFailed` when a response's head does not end."""
        if self._head_left is None:
            return
        self._head_left -= count
        if self._head_left < 0:
            raise CallFailed("protocol", "The server sent too many headers or interim responses.", sent=self.wrote)

    def head_complete(self) -> None:
        """Count no more: what arrives from here on is the body, whose size is the client's to limit."""
        self._head_left = None

    def _timed_out(self) -> CallFailed:
        span = f"{self._allowed_ms / 1000:g} s"
        if self.wrote:
            return CallFailed("timeout", f"The request was sent, but no full answer came within {span}.", sent=True)
        return CallFailed("timeout", f"Nothing was sent: no connection within {span}.")
