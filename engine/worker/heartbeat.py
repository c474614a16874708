"""A worker's hold on its work: the lease that its process renews, and what it knows of it without asking."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from storage import database, workers

log = logging.getLogger(__name__)

RETRY_S = 0.5
"""How soon a renewal that failed is tried again: once the database is back every living worker has to be heard."""


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where the system has such a clock."""


def _clock_s() -> float:
    return time.clock_gettime(_CLOCK)


class Heartbeat:
    """Keeps a worker's lease. Thread-safe.

    `lost` is set when the lease was taken away: the process must end and begin anew. `sweeps` says how often the worker
    has looked for due work so far, `census` how many calls it has under way and how many runs wait for a place among
    them.
    """

    def __init__(
        self,
        worker_id: str,
        sweeps: Callable[[], int] = lambda: 0,
        census: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        self._worker_id = worker_id
        self._sweeps = sweeps
        self._census = census
        self._renewing = threading.Lock()
        self._until = 0.0
        self.lost = threading.Event()

    def begin(self) -> None:
        """The lease runs from about now: the worker was registered."""
        self._until = _clock_s() + workers.LEASE_MS / 1000

    def holds(self) -> bool:
        """Whether the lease surely still runs, by this process's own clock; asks nobody."""
        return not self.lost.is_set() and _clock_s() < self._until

    def ensure(self) -> bool:
        """Whether the lease runs, renewed first where its time may be over. Raises `DatabaseTrouble`."""
        return self.holds() or self.renew(unless_held=True)

    def renew(self, *, unless_held: bool = False) -> bool:
        """Renew the lease; False when it was taken away. Raises `DatabaseTrouble`.

        `unless_held` is for who only has to be sure: another thread may have renewed it in the meantime.
        """
        with self._renewing:
            if self.lost.is_set() or (unless_held and self.holds()):
                return self.holds()
            began = _clock_s()
            database.refresh_clock()
            with database.transaction():
                kept = workers.heartbeat(self._worker_id, self._sweeps(), *self._census())
            if kept:
                self._until = began + workers.LEASE_MS / 1000
            else:
                log.error("this worker's lease was taken away: it was silent for too long")
                self.lost.set()
            return kept

    def run(self, stop: threading.Event) -> None:
        """Renew until `stop`, or until the lease is lost."""
        pause = workers.HEARTBEAT_MS / 1000
        while not stop.wait(pause) and not self.lost.is_set():
            try:
                self.renew()
                pause = workers.HEARTBEAT_MS / 1000
            except Exception:
                log.warning("the heartbeat could not reach the database", exc_info=True)
                database.drop_idle()
                pause = min(RETRY_S, workers.HEARTBEAT_MS / 1000)
