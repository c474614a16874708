"""The few threads that claim and record. Nothing that they do waits for anything but the database."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)


class ClaimPool:
    """Threads that `advance` runs in the order in which they were asked for; a run that waits already waits once.

    Any thread may call any method. The threads are daemons, and begin with `start`.
    """

    def __init__(self, advance: Callable[[str], None], count: int) -> None:
        self._advance = advance
        self._count = count
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._room = threading.Condition(lock)
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._closed = False

    def start(self) -> None:
        """Begin the threads, once; what was put before is advanced from now on."""
        for number in range(self._count):
            threading.Thread(target=self._run, name=f"claim-{number}", daemon=True).start()

    def put(self, execution_ids: Iterable[str]) -> None:
        """Have these advanced soon. Never waits."""
        with self._work:
            for each in execution_ids:
                self._waiting.setdefault(each)
                self._work.notify()

    def offer(self, execution_id: str) -> None:
        """`put`, but wait first while the pool is full: what another process may take is left to it until then."""
        with self._room:
            self._room.wait_for(lambda: self._closed or not self.full)
            self._waiting.setdefault(execution_id)
            self._work.notify()

    @property
    def full(self) -> bool:
        """Whether more runs wait than the pool gets to in a moment."""
        return len(self._waiting) >= 2 * self._count

    def close(self) -> None:
        """Begin nothing more."""
        with self._work:
            self._closed = True
            self._work.notify_all()
            self._room.notify_all()

    def _run(self) -> None:
        while (execution_id := self._next()) is not None:
            try:
                self._advance(execution_id)
            except Exception:
                log.exception("advancing %s failed; the sweeper will come back to it", execution_id)

    def _next(self) -> str | None:
        with self._work:
            self._work.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            execution_id, _ = self._waiting.popitem(last=False)
            self._room.notify()
            return execution_id
