"""What systems answered when they were asked for the choices of parameters, kept for a while in this process.

However many people type at once, a system sees one question of a kind at a time, and none for a moment after it failed.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace

from storage.records import Json

Source = tuple[int, str, str]
"""Whose choices: a version, the call that asks for them as it is now, and the parameter."""
Key = tuple[Source, str]
"""A source, and what was typed to search it."""

MOST_TEXT = 8_000_000
"""Characters of values and labels that are kept, all sources together; what was asked for longest ago goes first."""
MOST_WAITING = 6
"""People who may wait for an answer at once while they type: fewer than there are threads for what Slack sends."""
PAUSE_S = 5.0
"""How long nobody who types waits for a system that has just failed."""
STALE_S = 24 * 3_600.0
"""How long an answer is offered, with its time, while its system cannot be asked."""
_OVERHEAD = 200


class Unavailable(Exception):
    """The system did not answer, or with nothing that choices can be read from; the message says which."""


@dataclass(frozen=True, slots=True)
class Option:
    """One choice: the value that it gives the parameter, and what people read."""

    value: Json
    label: str


@dataclass(frozen=True, slots=True)
class Offered:
    """The choices that there are. `as_of` is when they came, in epoch milliseconds, None where none ever did.

    `trouble` says why the system could not be asked now, "" where it could. `more` says that it has more than these.
    """

    options: tuple[Option, ...] = ()
    as_of: int | None = None
    trouble: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    offered: Offered
    at: float
    size: int


class OptionCache:
    """Thread-safe. A question that is under way is asked once, whoever wants its answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._size = 0
        self._under_way: dict[Key, Future[Offered]] = {}
        self._failed: dict[Source, tuple[float, str]] = {}
        self._waiting = 0

    def ask(
        self, key: Key, cache_ms: int, question: Callable[[], Offered], *, patient: bool = False,
        within_s: float | None = None,
    ) -> Offered:  # fmt: skip
        """What is kept and still good, else what `question` gives, else what came last, with the trouble told.

        `question` raises `Unavailable`. Who is `patient` asks also where a system has just failed or many wait: a start
        is decided by what is true now. An answer that another one waits for is waited for `within_s`.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and self._clock() - kept.at < cache_ms / 1000:
                self._kept.move_to_end(key)
                return kept.offered
            refusal = "" if patient else self._refusal(key)
            if refusal:
                return self._last(key, refusal)
            flight = self._under_way.get(key)
            mine = flight is None
            if flight is None:
                flight = self._under_way[key] = Future()
            self._waiting += 1
        try:
            if mine:
                self._carry_out(key, question, flight)
            return flight.result(within_s)
        except (Unavailable, TimeoutError) as trouble:
            with self._lock:
                return self._last(key, str(trouble) or "it did not answer in time")
        finally:
            with self._lock:
                self._waiting -= 1

    def lists(self, source: Source) -> Iterator[Offered]:
        """Everything that is kept of a source, whatever was typed, the latest first."""
        with self._lock:
            found = [kept for (of, _), kept in self._kept.items() if of == source and self._is_usable(kept)]
        yield from (kept.offered for kept in sorted(found, key=lambda each: -each.at))

    def _refusal(self, key: Key) -> str:
        until, why = self._failed.get(key[0], (0.0, ""))
        if self._clock() < until:
            return why
        return "too many people ask at once; type again in a moment" if self._waiting >= MOST_WAITING else ""

    def _carry_out(self, key: Key, question: Callable[[], Offered], flight: Future[Offered]) -> None:
        try:
            found = question()
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told the same
            with self._lock:
                del self._under_way[key]
                if isinstance(error, Unavailable):
                    self._note_failure(key[0], str(error))
            flight.set_exception(error)
            return
        with self._lock:
            del self._under_way[key]
            self._failed.pop(key[0], None)
            self._keep(key, found)
        flight.set_result(found)

    def _note_failure(self, source: Source, why: str) -> None:
        now = self._clock()
        self._failed = {each: said for each, said in self._failed.items() if said[0] > now}
        self._failed[source] = (now + PAUSE_S, why)

    def _keep(self, key: Key, found: Offered) -> None:
        before = self._kept.pop(key, None)
        size = _OVERHEAD + sum(_OVERHEAD + len(str(one.value)) + len(one.label) for one in found.options)
        self._kept[key] = _Kept(found, self._clock(), size)
        self._size += size - (before.size if before else 0)
        while self._size > MOST_TEXT and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1].size

    def _last(self, key: Key, trouble: str) -> Offered:
        kept = self._kept.get(key)
        return replace(kept.offered, trouble=trouble) if kept and self._is_usable(kept) else Offered(trouble=trouble)

    def _is_usable(self, kept: _Kept) -> bool:
        return self._clock() - kept.at < STALE_S
