"""Secrets that runs under way have received, known to a process so that it masks them whatever run it looks at."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from engine.config.secret_keys import SecretUnreadable, keyring_of, of_received
from engine.config.settings import Settings
from engine.egress.received_rules import HostLists
from engine.text.redaction import Redactor
from storage import database, secret_outputs
from storage.secret_outputs import SealedOutput

log = logging.getLogger(__name__)

LOOK_S = 1.0
GRACE_S = 3_600.0
"""How long one stays masked after its run has ended: a line of the log or an answer may still hold it."""


@dataclass(frozen=True, slots=True)
class Holding:
    """That a run holds `value`, shown as `name`, and which lists of hosts it minds; None where nobody knows them."""

    name: str
    value: str = field(repr=False)
    hosts: HostLists | None


class ReceivedSecrets:
    """Which of them one redactor knows, and to which hosts whoever holds each may send it. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._known: dict[int, Holding] = {}
        self._until: dict[int, float] = {}
        self._under_way: Counter[Holding] = Counter()

    def learn(self, settings: Settings, redactor: Redactor) -> None:
        """Have masked what has come since the last look; one small query where nothing has."""
        # In this order: nobody waits for a connection while others wait for them.
        with database.reading(), self._looking:
            state, rows = secret_outputs.changed_since(self._seen)
            with self._lock:
                if rows is not None:
                    self._take(settings, redactor, rows)
                    self._seen = state
                self._let_go(redactor)

    @contextmanager
    def meanwhile(self, redactor: Redactor) -> Iterator[Callable[[Iterable[Holding]], None]]:
        """Inside, what is given is masked and held by a run; afterwards only what has been learned."""
        given: list[Holding] = []

        def hold(holdings: Iterable[Holding]) -> None:
            fresh = list(holdings)
            with self._lock:
                self._under_way.update(fresh)
            redactor.lend_received((each.name, each.value) for each in fresh)
            given.extend(fresh)

        try:
            yield hold
        finally:
            redactor.take_back_received((each.name, each.value) for each in given)
            with self._lock:
                self._under_way.subtract(given)
                self._under_way = +self._under_way

    def held_for(self, value: str) -> list[HostLists | None]:
        """For each who holds exactly this value, now or until an hour ago, which lists of hosts they mind."""
        with self._lock:
            return [each.hosts for each in (*self._known.values(), *self._under_way) if each.value == value]

    def _take(self, settings: Settings, redactor: Redactor, rows: list[SealedOutput]) -> None:
        for row in rows:
            if row.id not in self._known:
                self._known[row.id] = opened = Holding(row.shown_as, _opened(settings, row), row.host_lists)
                redactor.lend_received([(opened.name, opened.value)] if opened.value else [])
        gone = self._known.keys() - {row.id for row in rows} - self._until.keys()
        self._until |= dict.fromkeys(gone, self._clock() + GRACE_S)

    def _let_go(self, redactor: Redactor) -> None:
        for row_id in [row_id for row_id, until in self._until.items() if until < self._clock()]:
            del self._until[row_id]
            gone = self._known.pop(row_id)
            redactor.take_back_received([(gone.name, gone.value)] if gone.value else [])


def watch(settings: Settings, redactor: Redactor, known: ReceivedSecrets, stop: threading.Event) -> None:
    """Have `known`, and by it this process's redactor, learn what others have received, every second until `stop`."""
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
