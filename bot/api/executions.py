"""Executions: asking for runs, looking at them, steering them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bot.api import models, paging
from bot.api.caller import Asking, Caller
from bot.api.problems import documented
from bot.api.route import Operation
from engine import executions, sight
from engine.accepting import Wanted
from storage.records import ExecutionStatus, Filter

router = APIRouter(prefix="/executions", tags=["executions"], route_class=Operation)


@router.get("", responses=documented(422))
def list_executions(
    caller: Asking,
    runbook: str | None = None,
    status: ExecutionStatus | None = None,
    team: str | None = None,
    requester: str | None = None,
    channel: str | None = None,
    open: bool | None = None,  # noqa: A002 - the filter's name
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> models.Page[models.Execution]:
    """The runs that you may see, the newest first."""
    wanted = Filter(runbook, status, team, requester, channel, open)
    return page(caller, wanted, limit, cursor)


def page(caller: Caller, wanted: Filter, limit: int, cursor: str | None) -> models.Page[models.Execution]:
    """A part of the list of runs."""
    before = paging.decode(cursor, int, str) if cursor else None
    found = executions.page(caller.rt, caller.actor, wanted, before=before, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    more = paging.encode(last.created_at, last.id) if last else None
    return models.Page(items=[models.Execution.of(each) for each in found[:limit]], next=more)


@router.post("", status_code=202, responses=documented(403, 404, 409, 413, 415, 422))
def start_execution(caller: Asking, wanted: models.Start, answer: Response) -> models.Started:
    """Ask for a run. When this answers, it is on record and will be run."""
    slug = sight.runbook(caller.rt, caller.actor, wanted.runbook).slug
    asked = Wanted(
        slug, wanted.parameters, "api", number=wanted.version, reason=wanted.reason, incident=wanted.incident or {}
    )
    return started(caller, asked, wanted, answer)


def started(caller: Caller, asked: Wanted, how: models.Start | models.Execute, answer: Response) -> models.Started:
    """Ask for the run, and say where it can be looked at."""
    accepted = executions.request(caller.rt, caller.actor, asked, force=how.force, reuse_within_ms=how.reuse_within_ms)
    answer.headers["Location"] = f"{caller.house.base}/executions/{accepted.execution.id}"
    return models.Started(how=accepted.how, execution=models.Execution.of(accepted.execution))


@router.get("/{execution}", responses=documented(404))
def get_execution(caller: Asking, execution: str) -> models.ExecutionDetail:
    """One run with its steps and gates."""
    found = sight.execution(caller.rt, caller.actor, execution)
    view = executions.view(caller.rt, found.id)
    return models.ExecutionDetail(
        **models.execution_fields(view.execution),
        steps=[models.Step.of(each) for each in view.steps],
        gates=[models.Gate.of(each, found.team) for each in view.gates],
        behind=list(view.ahead),
    )
