"""All open connections of the web server: who may come in, who has to go, and whose time is up.

A client that has sent no whole request costs the least to lose, so the one that is oldest in that goes first; then
whoever does not read its answer, then whoever is idle. A request that is being carried out is never given up, but where
all are, each gets its answer and has to come again behind whoever waits.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Protocol

from bot.serving.server_limits import Limits

log = logging.getLogger(__name__)

_HURRY_S = 2.0
_TELL_EVERY_S = 30.0


class Phase(Enum):
    """What is going on in a connection."""

    INCOMPLETE = auto()
    """No whole request has come, or only a part of the next one."""
    AT_WORK = auto()
    IDLE = auto()


class Connection(Protocol):
    """What is asked of one. `since` is when its phase began, on the monotonic clock."""

    phase: Phase
    since: float
    source: str | None

    def unread(self) -> int:
        """Bytes of answers that the client has not taken."""

    def overdue(self) -> None:
        """End it because no head came in time."""

    def end_after_answer(self) -> None:
        """Take no further request on it."""

    def drop(self) -> None:
        """End it at once."""


class Connections:
    """Lives on one event loop."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self._phases: dict[Phase, dict[Connection, None]] = {phase: {} for phase in Phase}
        self._blocked: dict[Connection, None] = {}
        self._unread: dict[Connection, tuple[float, int]] = {}
        self._by_source: Counter[str] = Counter()
        self._opening = 0
        self._write_s = limits.write_s
        self._stopping = False
        self._dropped: Counter[str] = Counter()
        self._told = clock() - _TELL_EVERY_S

    def __len__(self) -> int:
        return self._opening + sum(map(len, self._phases.values()))

    def has_room(self) -> bool:
        """Whether one more may come in; whoever costs least makes room for it."""
        if len(self) < self.limits.connections or self.make_room():
            return True
        for each in self._phases[Phase.AT_WORK]:
            each.end_after_answer()
        return False

    def admit(self, source: str | None) -> bool:
        """Whether this one may come in, from `source` (see `source_of`); it is `opened` or `failed` afterwards."""
        if source is not None and self._by_source[source] >= self.limits.by_address:
            self._dropped["refused, from an address that has too many"] += 1
            return False
        self._opening += 1
        if source is not None:
            self._by_source[source] += 1
        return True

    def failed(self, source: str | None) -> None:
        """One that was admitted did not come about."""
        self._opening -= 1
        self._leave(source)

    def opened(self, connection: Connection) -> None:
        """One that was admitted is there."""
        self._opening -= 1
        self._phases[connection.phase][connection] = None
        if self._stopping:
            self._drop(connection, "since the server stops")

    def closed(self, connection: Connection) -> None:
        """It is gone; nothing happens where it was dropped before."""
        self._forget(connection)

    def moved(self, connection: Connection, phase: Phase) -> None:
        """It is in another phase now, or in the same one anew."""
        if connection in self._phases[connection.phase]:  # else it was dropped, and is about to hear of it
            del self._phases[connection.phase][connection]
            self._phases[phase][connection] = None
        connection.phase, connection.since = phase, self.clock()

    def blocked(self, connection: Connection, *, blocked: bool) -> None:
        """Its client does not read fast enough for more to be written, or does so again."""
        if not blocked:
            self._blocked.pop(connection, None)
        elif connection in self._phases[connection.phase]:
            self._blocked[connection] = None

    def make_room(self) -> bool:
        """Drop the connection that costs least to lose; False where each is needed."""
        for words, candidates in (
            ("before their request was whole", self._phases[Phase.INCOMPLETE]),
            ("that did not read their answer", self._blocked),
            ("that were idle", self._phases[Phase.IDLE]),
        ):
            for victim in candidates:
                self._drop(victim, words)
                return True
        return False

    def unblock(self) -> bool:
        """Drop who has not read its answer for longest; False where everybody reads."""
        for victim in self._blocked:
            self._drop(victim, "that did not read their answer")
            return True
        return False

    def enforce(self) -> None:
        """End what is over its time, and what holds too much; to be called about twice a second."""
        now = self.clock()
        for each in list(self._phases[Phase.INCOMPLETE]):
            if now - each.since < self.limits.head_s:
                break
            each.overdue()
        self._enforce_reading(now)
        if self._dropped and now - self._told >= _TELL_EVERY_S:
            self._told = now
            log.warning("connections ended: %s", "; ".join(f"{count} {why}" for why, count in self._dropped.items()))
            self._dropped.clear()

    def hurry(self) -> None:
        """The server stops: nobody is waited for who has sent no whole request, or does not read."""
        self._stopping = True
        self._write_s = min(self._write_s, _HURRY_S)
        for each in list(self._phases[Phase.INCOMPLETE]):
            self._drop(each, "since the server stops")

    def _enforce_reading(self, now: float) -> None:
        together = 0
        for each in [connection for phase in self._phases.values() for connection in phase]:
            size = each.unread()
            if size == 0:
                self._unread.pop(each, None)
                continue
            began, most = self._unread.get(each, (now, 0))
            most = max(most, size)
            self._unread[each] = began, most
            together += size
            if now - began > self._write_s + most / self.limits.slowest:
                self._drop(each, "that did not read their answer")
        for each in list(self._unread):
            if together <= self.limits.unread:
                return
            together -= each.unread()
            self._drop(each, "that did not read their answer")

    def _drop(self, connection: Connection, why: str) -> None:
        self._dropped[why] += 1
        self._forget(connection)
        connection.drop()

    def _forget(self, connection: Connection) -> None:
        if connection in self._phases[connection.phase]:
            del self._phases[connection.phase][connection]
            self._leave(connection.source)
        self._blocked.pop(connection, None)
        self._unread.pop(connection, None)

    def _leave(self, source: str | None) -> None:
        if source is None:
            return
        self._by_source[source] -= 1
        if self._by_source[source] <= 0:
            del self._by_source[source]


def source_of(peer: object) -> str | None:
    """Whom a peer's connections are counted for: its IPv4 address, or the /64 that its IPv6 address is in.

    None for loopback and private addresses and for local sockets: there a proxy speaks for everybody.
    """
    return _source(str(peer[0])) if isinstance(peer, tuple) else None


@lru_cache(maxsize=1024)
def _source(host: str) -> str | None:
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if not address.is_global:
        return None
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))
