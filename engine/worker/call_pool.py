"""Where calls are made: in threads of their own, which only wait, so that nothing else ever waits behind a call."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from engine.worker.fair_shares import Shares

log = logging.getLogger(__name__)


class Calls(Protocol):
    """How a runner has its calls made.

    `shares` says whose may be. `yields` says that a run which has much to do lets others go first now and then. `turn`
    is held while a thread that makes calls uses the database.
    """

    shares: Shares
    yields: bool

    def start(self, carry: Callable[[], None]) -> None:
        """Let `carry` make a call, and the next ones of its run while they follow one another."""

    def turn(self) -> AbstractContextManager[object]:
        """Return what a thread that makes calls enters before it uses the database; entering may wait."""


class InlineCalls:
    """Calls are made by whoever claims them, any number: a runner that does one thing after the other."""

    yields = False

    def __init__(self) -> None:
        self.shares = Shares(sys.maxsize, lambda _run: None)

    def start(self, carry: Callable[[], None]) -> None:
        """Make the call before this returns; what it raises is raised here."""
        carry()

    def turn(self) -> AbstractContextManager[object]:
        """Nothing is held, and nobody waits."""
        return nullcontext()


class CallPool:
    """A thread a call, begun when it is needed; `most` at once, of which `recorders` may use the database.

    They are daemons: a call that hangs never keeps the process from ending. `granted` is called with a run that waited
    and may make a call now.
    """

    yields = True

    def __init__(self, most: int, recorders: int, granted: Callable[[str], None]) -> None:
        self.shares = Shares(most, granted)
        self._turns = threading.BoundedSemaphore(recorders)

    def start(self, carry: Callable[[], None]) -> None:
        """Where the system has no thread to give, the call is made here and now."""
        try:
            threading.Thread(target=carry, name="call", daemon=True).start()
        except RuntimeError:
            log.warning("there is no thread for a call: whoever claimed it makes it", exc_info=True)
            carry()

    def turn(self) -> AbstractContextManager[object]:
        """Entering waits until one of the `recorders` turns is free."""
        return self._turns
