"""Runbooks: the catalogue, its versions, and running them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from bot.api import models, paging
from bot.api.caller import Asking
from bot.api.executions import started
from bot.api.problems import documented
from bot.api.route import Operation
from engine import catalog, sight
from engine.accepting import Wanted
from engine.access import teams_seen
from storage.records import VersionStatus

router = APIRouter(prefix="/runbooks", tags=["runbooks"], route_class=Operation)


@router.get("", responses=documented(422))
def list_runbooks(
    caller: Asking,
    team: str | None = None,
    status: VersionStatus | None = None,
    tag: str | None = None,
    text: Annotated[str, Query(description="Words that the id, the name or the description has to hold.")] = "",
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> models.Page[models.Runbook]:
    """The runbooks that you may see, by id."""
    after = paging.decode(cursor, str)[0] if cursor else ""
    seen = teams_seen(caller.rt, caller.actor)
    found = catalog.listing(caller.rt, text, tag, team=team, status=status, seen=seen)
    found = [each for each in found if each.slug > after]
    more = paging.encode(found[limit - 1].slug) if len(found) > limit else None
    return models.Page(items=[models.Runbook.of(each) for each in found[:limit]], next=more)


@router.get("/{runbook}", responses=documented(404))
def get_runbook(caller: Asking, runbook: str) -> models.Runbook:
    """One runbook."""
    return models.Runbook.of(sight.runbook(caller.rt, caller.actor, runbook))


@router.post("/{runbook}/execute", status_code=202, responses=documented(403, 404, 409, 413, 415, 422))
def execute_runbook(caller: Asking, runbook: str, wanted: models.Execute, answer: Response) -> models.Started:
    """Run it. When this answers, the run is on record and will be run."""
    slug = sight.runbook(caller.rt, caller.actor, runbook).slug
    asked = Wanted(
        slug, wanted.parameters, "api", number=wanted.version, reason=wanted.reason, incident=wanted.incident or {}
    )
    return started(caller, asked, wanted, answer)
