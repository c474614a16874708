"""A text's runbook with those that it starts, as far as somebody may see them: what a rehearsal is played with."""

from __future__ import annotations

from collections.abc import Mapping

from engine.access.policy import Action, Actor, verdict
from engine.catalog import approved_targets, catalog
from engine.definition import codec
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook
from engine.runtime import Runtime
from storage import database, runbooks


def with_started(rt: Runtime, actor: Actor, runbook: Runbook) -> Mapping[str, Runbook]:
    """The runbook and those it starts, directly or not, by id; each has its targets as the file of targets has them."""
    found, left = {runbook.id: _as_now(rt, runbook)}, [runbook]
    while left:
        for slug in {step.with_["id"] for step in left.pop().by_id.values() if kind_of(step).starts_run}:
            record = catalog.find(rt, slug) if slug not in found else None
            if record is not None and verdict(rt, actor, Action.VIEW, record).allowed:
                started = catalog.definition(catalog.version(rt, slug))
                found[slug] = _as_now(rt, started)
                left.append(started)
    return found


def digest_now(rt: Runtime, slug: str, version_id: int | None = None) -> str:
    """The digest of a runbook's newest version, or of this one, with its targets as they are now; "" if it is gone."""
    with database.reading():
        record = runbooks.find(rt.workspace_id, slug)
        if record is None:
            return ""
        newest = runbooks.version(record.id, record.current_number)
        known = version_id or (newest.id if newest else None)
        return codec.digest(codec.canonical(_as_now(rt, catalog.definition_of(known)))) if known else ""


def _as_now(rt: Runtime, runbook: Runbook) -> Runbook:
    with database.reading():
        return approved_targets.as_now(rt, runbook)
