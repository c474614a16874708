"""Rehearsing a text that is no version yet, step by step, in the process that plays rehearsals."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.access.policy import Actor
from engine.catalog import catalog, rehearsing, started_runbooks, stored_rehearsal
from engine.definition import codec, regular_files, rehearsals
from engine.definition.load import MAX_BYTES
from engine.definition.model import Runbook
from engine.errors import Conflict
from engine.runtime import Runtime
from storage.catalog_records import RunbookRecord
from storage.records import Json

LIMIT_S = 15.0
"""How long somebody waits for a rehearsal of theirs."""
STARTER = """\
cases:
  - name: It goes well
    parameters: {}
    # stubs: {a-call: {json: {status: ok}}}
    # answers: {a-gate: {approve: U0ALICE01}}
    expect:
      outcome: SUCCESS
"""
"""What a rehearsal begins with where there is none."""


class Turns:
    """One rehearsal at a time. Whoever kept others from theirs lets them go first, for as long as it took."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._whose = ""
        self._others_came = False
        self._rests: dict[str, float] = {}

    @contextmanager
    def turn(self, person: str) -> Iterator[None]:
        """Have the turn for as long as the block. Raises `Conflict` where it is another's."""
        began = self._begin(person)
        try:
            yield
        finally:
            self._end(person, began)

    def _begin(self, person: str) -> float:
        with self._lock:
            now = self._clock()
            if self._whose:
                self._others_came |= person != self._whose
                raise Conflict("Another rehearsal is being played. Try again in a moment.")
            left = self._rests.get(person, now) - now
            if left > 0:
                raise Conflict(f"Others wait for a rehearsal of theirs. Try again in {math.ceil(left)} s.")
            self._whose, self._others_came = person, False
            return now

    def _end(self, person: str, began: float) -> None:
        with self._lock:
            now = self._clock()
            self._whose = ""
            self._rests = {who: until for who, until in self._rests.items() if until > now}
            if self._others_came:
                self._rests[person] = now + (now - began)


_TURNS = Turns()


def walked(rt: Runtime, actor: Actor, runbook: Runbook, rehearsal: str) -> dict[str, Json]:
    """Every case of a rehearsal with its steps: `cases`, or its `problems`. Nothing is called.

    The runbooks that it starts are those that the actor may see. Raises `Conflict` where it is another's turn
    (`Turns`), or where this one takes longer than `LIMIT_S` or its process fails.
    """
    with _TURNS.turn(actor.user_id):
        known = started_runbooks.with_started(rt, actor, runbook)
        asked = {
            "rehearsals": [],
            "walks": [["rehearsal", runbook.id, rehearsal]],
            "runbooks": {slug: codec.canonical(each) for slug, each in known.items()},
        }
        told, failed = rehearsing.ask(json.dumps(asked).encode(), LIMIT_S)
    if failed:
        raise Conflict("The rehearsal could not be played: its process has failed. Play fewer cases, or tell an admin.")
    if not told:
        raise Conflict(f"The rehearsal did not end within {LIMIT_S:g} s. Play fewer cases, or shorter ones.")
    found: dict[str, Json] = told[0]
    return found


def kept(rt: Runtime, shown: RunbookRecord | None) -> str:
    """The rehearsal that is kept with the runbook or stands beside its file, else one to begin with."""
    if shown is None:
        return STARTER
    if shown.source_path is None:
        return stored_rehearsal.of_version(catalog.version(rt, shown.slug)) or STARTER
    try:
        source = regular_files.read(rehearsals.beside(rt.settings.runbooks_dir / shown.source_path), MAX_BYTES + 1)
    except (OSError, ValueError):
        return STARTER
    return source.decode("utf-8", "replace")


def written(rehearsal: str) -> str:
    """What is to be kept of a rehearsal's text: nothing of one that nobody has begun."""
    return "" if rehearsal.strip() == STARTER.strip() else rehearsal
