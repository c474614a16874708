"""Rehearsing a text that is no version yet, step by step, in the process that plays rehearsals."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping

from engine.access.policy import Action, Actor, verdict
from engine.catalog import approved_targets, catalog, rehearsing
from engine.definition import codec, regular_files, rehearsals
from engine.definition.kinds import kind_of
from engine.definition.load import MAX_BYTES
from engine.definition.model import Runbook
from engine.errors import Conflict
from engine.runtime import Runtime
from storage import database
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
_ONE = threading.Lock()


def walked(rt: Runtime, actor: Actor, runbook: Runbook, rehearsal: str) -> dict[str, Json]:
    """Every case of a rehearsal with its steps: `cases`, or its `problems`. Nothing is called.

    The runbooks that it starts are those that the actor may see. Raises `Conflict` where another one is being played,
    or where this one takes longer than `LIMIT_S`.
    """
    if not _ONE.acquire(blocking=False):
        raise Conflict("Another rehearsal is being played. Try again in a moment.")
    try:
        known = _with_started(rt, actor, runbook)
        asked = {
            "rehearsals": [],
            "walks": [["rehearsal", runbook.id, rehearsal]],
            "runbooks": {slug: codec.canonical(each) for slug, each in known.items()},
        }
        told, _ = rehearsing.ask(json.dumps(asked).encode(), LIMIT_S)
    finally:
        _ONE.release()
    if not told:
        raise Conflict(f"The rehearsal did not end within {LIMIT_S:g} s. Play fewer cases, or shorter ones.")
    found: dict[str, Json] = told[0]
    return found


def kept(rt: Runtime, shown: RunbookRecord | None) -> str:
    """The rehearsal that stands beside the runbook's file, else one to begin with."""
    if shown is None or shown.source_path is None:
        return STARTER
    try:
        source = regular_files.read(rehearsals.beside(rt.settings.runbooks_dir / shown.source_path), MAX_BYTES + 1)
    except (OSError, ValueError):
        return STARTER
    return source.decode("utf-8", "replace")


def _with_started(rt: Runtime, actor: Actor, runbook: Runbook) -> Mapping[str, Runbook]:
    found, left = {runbook.id: _as_now(rt, runbook)}, [runbook]
    while left:
        for slug in {step.with_["id"] for step in left.pop().by_id.values() if kind_of(step).starts_run}:
            record = catalog.find(rt, slug) if slug not in found else None
            if record is not None and verdict(rt, actor, Action.VIEW, record).allowed:
                started = catalog.definition(catalog.version(rt, slug))
                found[slug] = _as_now(rt, started)
                left.append(started)
    return found


def _as_now(rt: Runtime, runbook: Runbook) -> Runbook:
    with database.reading():
        return approved_targets.as_now(rt, runbook)
