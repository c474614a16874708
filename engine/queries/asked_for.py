"""What a run or a kept request was asked with, by the id that tells which of them it is."""

from __future__ import annotations

from engine.access.policy import About, Actor
from engine.catalog import catalog
from engine.runs import break_glass, executions, held_requests, kept_requests
from engine.runtime import Runtime
from storage import database, runbooks


def about(rt: Runtime, actor: Actor, thing_id: str) -> About | None:
    """The parameters, incident and version of `R-…`, `H-…` or `B-…`, None for anything else. Raises `NotFound`."""
    if thing_id.startswith("R-"):
        run = executions.find(rt, thing_id)
        with database.reading():
            return About(run.parameters, run.incident or {}, runbooks.version_by_id(run.version_id))
    if thing_id.startswith("H-"):
        kept: kept_requests.Kept = held_requests.find(rt, actor, thing_id).held
    elif thing_id.startswith("B-"):
        kept = break_glass.find(rt, actor, thing_id)
    else:
        return None
    return kept_requests.about_of(catalog.get(rt, kept.slug), kept)
