"""Whose call goes out next: the places for calls of one process, shared out by team, then by run.

A run gets a place while it has fewer calls under way than places are left to its team, and as many are left to a team
as are free, less the calls that it has under way. So a run by itself takes a third of all, two of one team a fifth
each, a team by itself a half; and whoever comes finds places free, whatever others call. Among runs that wait, a place
that comes free goes to the team with the fewest calls under way, there to the run with the fewest, there to the one
that has waited longest.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from storage.records import ExecutionRecord

TURN_S = 0.5
"""How long a run goes on, call after call, while others with as good a claim wait."""


@dataclass(frozen=True, slots=True)
class Share:
    """Whose call it is. Runs of no team are a team together."""

    team: str
    run: str

    @classmethod
    def of(cls, execution: ExecutionRecord) -> Share:
        """The share that a call of this execution counts to."""
        return cls(execution.team or "", execution.id)


class Shares:
    """`most` places. Thread-safe. `granted` is called with a run that waited and has a place reserved now."""

    def __init__(self, most: int, granted: Callable[[str], None]) -> None:
        self._most = most
        self._granted = granted
        self._lock = threading.Lock()
        self._taken = 0
        self._teams: Counter[str] = Counter()
        self._runs: Counter[str] = Counter()
        self._reserved: dict[str, list[Share]] = {}
        self._waiting: dict[str, dict[str, Share]] = {}

    def take(self, share: Share) -> bool:
        """Take a place for a call that begins now; False when there is none for this run, which then waits for one."""
        with self._lock:
            if share.run in self._reserved:
                self._unreserve(share.run)
                return True
            if self._fits(share):
                self._count(share, 1)
                return True
            self._wait(share)
            return False

    def keep(self, share: Share, since: float) -> bool:
        """Whether a run whose call has ended may use that call's place, its since then, for its next call.

        If not, it waits for another. The place stays taken in either case, until it is given back. Where others have
        as good a claim, it is kept for a turn: to go on is cheaper than to begin.
        """
        with self._lock:
            self._count(share, -1)
            best = self._next_waiting()
            kept = self._fits(share) and (best is None or self._goes_before(share, since, best))
            if not kept:
                self._wait(share)
            self._count(share, 1)
            return kept

    def give_back(self, share: Share) -> None:
        """Free a place; whoever is next has it at once."""
        with self._lock:
            self._count(share, -1)
            granted = self._grant_free()
        self._grant(granted)

    def reserved(self, run: str) -> int:
        """How many places are reserved for the run."""
        with self._lock:
            return len(self._reserved.get(run, ()))

    def settle(self, run: str, reserved: int) -> None:
        """Free what is left of the places that were `reserved` when somebody came to use them, and did not."""
        if not reserved:
            return
        with self._lock:
            left = min(reserved, len(self._reserved.get(run, ())))
            for _ in range(left):
                self._count(self._unreserve(run), -1)
            granted = self._grant_free()
        self._grant(granted)

    def waits(self, run: str) -> bool:
        """Whether the run waits for a place, or has just been given one."""
        with self._lock:
            return run in self._reserved or any(run in runs for runs in self._waiting.values())

    def census(self) -> tuple[int, int]:
        """How many places are taken, and how many runs wait for one."""
        with self._lock:
            return self._taken, sum(map(len, self._waiting.values()))

    def _fits(self, share: Share) -> bool:
        left_to_team = self._most - self._taken - self._teams[share.team]
        return self._runs[share.run] < left_to_team

    def _goes_before(self, share: Share, since: float, waiting: Share) -> bool:
        mine, theirs = ((self._teams[each.team], self._runs[each.run]) for each in (share, waiting))
        return mine < theirs or (mine == theirs and time.monotonic() - since < TURN_S)

    def _count(self, share: Share, by: int) -> None:
        self._taken += by
        for counts, name in ((self._teams, share.team), (self._runs, share.run)):
            counts[name] += by
            if not counts[name]:
                del counts[name]

    def _wait(self, share: Share) -> None:
        self._waiting.setdefault(share.team, {}).setdefault(share.run, share)

    def _stop_waiting(self, share: Share) -> None:
        runs = self._waiting[share.team]
        del runs[share.run]
        if not runs:
            del self._waiting[share.team]

    def _unreserve(self, run: str) -> Share:
        shares = self._reserved[run]
        share = shares.pop()
        if not shares:
            del self._reserved[run]
        return share

    def _next_waiting(self) -> Share | None:
        """Who is next of those that wait and for whom there is a place."""
        for team in sorted(self._waiting, key=lambda each: self._teams[each]):
            share = min(self._waiting[team].values(), key=lambda each: self._runs[each.run])
            if self._fits(share):
                return share
        return None

    def _grant_free(self) -> list[str]:
        """Reserve what is free for whoever is next; the runs that have a place now."""
        granted = []
        while (share := self._next_waiting()) is not None:
            self._stop_waiting(share)
            self._count(share, 1)
            self._reserved.setdefault(share.run, []).append(share)
            granted.append(share.run)
        return granted

    def _grant(self, runs: list[str]) -> None:
        for run in runs:
            self._granted(run)
