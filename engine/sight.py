"""What somebody may see: runbooks and runs by their id, with those one may not look at as if they were not there."""

from __future__ import annotations

import difflib

from engine import catalog, channels, executions
from engine.access import Action, Actor, teams_seen, verdict
from engine.runtime import Runtime
from storage.records import ExecutionRecord, RunbookRecord


def runbook(rt: Runtime, actor: Actor, slug: str) -> RunbookRecord:
    """The runbook of this id. Raises `NotFound`, naming the nearest that this person may see."""
    found = catalog.find(rt, slug)
    if found is not None and verdict(rt, actor, Action.VIEW, found).allowed:
        return found
    seen = teams_seen(rt, actor)
    near = difflib.get_close_matches(slug, [each.slug for each in catalog.listing(rt, seen=seen)], n=1)
    raise catalog.no_such(slug, near[0] if near else None)


def execution(rt: Runtime, actor: Actor, execution_id: str) -> ExecutionRecord:
    """The run of this id, without what belongs to a channel that is not theirs. Raises `NotFound`."""
    found = executions.find(rt, execution_id)
    if not verdict(rt, actor, Action.VIEW, found).allowed:
        raise executions.no_such(execution_id)
    return channels.shown(rt, actor, found)
