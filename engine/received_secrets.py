"""Secrets that runs under way have received, known to a process so that it masks them whatever run it looks at."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from engine.config.secret_keys import SecretUnreadable, keyring_of, of_received
from engine.config.settings import Settings
from engine.text.redaction import Redactor
from storage import database, secret_outputs
from storage.secret_outputs import SealedOutput

log = logging.getLogger(__name__)

LOOK_S = 1.0
GRACE_S = 3_600.0
"""How long one stays masked after its run has ended: a line of the log or an answer may still hold it."""


class ReceivedSecrets:
    """Which of them one redactor knows. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._known: dict[int, tuple[str, str]] = {}
        self._until: dict[int, float] = {}

    def learn(self, settings: Settings, redactor: Redactor) -> None:
        """Have masked what has come since the last look; one small query where nothing has."""
        with database.reading(), self._lock:  # in this order: nobody waits for a connection while others wait for them
            state, rows = secret_outputs.changed_since(self._seen)
            if rows is not None:
                self._take(settings, redactor, rows)
                self._seen = state
            self._let_go(redactor)

    def _take(self, settings: Settings, redactor: Redactor, rows: list[SealedOutput]) -> None:
        for row in rows:
            if row.id not in self._known:
                self._known[row.id] = opened = (row.shown_as, _opened(settings, row))
                redactor.lend([opened] if opened[1] else [])
        gone = self._known.keys() - {row.id for row in rows} - self._until.keys()
        self._until |= dict.fromkeys(gone, self._clock() + GRACE_S)

    def _let_go(self, redactor: Redactor) -> None:
        for row_id in [row_id for row_id, until in self._until.items() if until < self._clock()]:
            del self._until[row_id]
            name, value = self._known.pop(row_id)
            redactor.take_back([(name, value)] if value else [])


def watch(settings: Settings, redactor: Redactor, stop: threading.Event) -> None:
    """Have this process's redactor learn what other processes have received, every second until `stop`."""
    known = ReceivedSecrets()
    while not stop.wait(LOOK_S):
        try:
            known.learn(settings, redactor)
        except database.DatabaseTrouble:
            log.warning("what runs have received could not be looked at; trying again", exc_info=True)


def unsealed(settings: Settings, row: SealedOutput) -> str:
    """What a step received. Raises `SecretUnreadable`."""
    subject = of_received(row.workspace_id, row.execution_id, row.path, row.name)
    return keyring_of(settings).open(subject, row.sealed)


def _opened(settings: Settings, row: SealedOutput) -> str:
    """The value, "" for one that does not open, which nobody else can show either."""
    try:
        return unsealed(settings, row)
    except SecretUnreadable as error:
        log.error("%s", error)
        return ""
