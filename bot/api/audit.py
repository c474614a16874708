"""The audit, searched, and its chain, checked."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from bot.api import models, paging
from bot.api.caller import AuthenticatedCaller
from bot.api.problems import documented
from bot.api.route import Operation, needs
from engine.access.policy import Action
from engine.queries import audit
from storage.states import Severity

router = APIRouter(prefix="/audit", tags=["audit"], route_class=Operation)


@router.get("", responses=documented(403, 422), **needs(Action.AUDIT))
def search_audit(
    caller: AuthenticatedCaller,
    actor: str | None = None,
    action: str | None = None,
    thing: str | None = None,
    severity: Severity | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> models.Page[models.AuditRow]:
    """Who did what, the newest first. `thing` reads like `execution:R-7K2M9Q`, `action` like `execution.start`."""
    before = paging.decode(cursor, int)[0] if cursor else None
    found = audit.search(
        caller.rt, caller.actor, who=actor, action=action, thing=thing, severity=severity, since=models.ms(since),
        until=models.ms(until), before=before, limit=limit + 1,
    )  # fmt: skip
    more = paging.encode(found[limit - 1].id) if len(found) > limit else None
    return models.Page(items=[models.AuditRow.of(each) for each in found[:limit]], next=more)


@router.get("/chain", responses=documented(403), **needs(Action.AUDIT))
def check_audit(caller: AuthenticatedCaller) -> models.Chain:
    """Recompute the whole chain of audit rows: its head, and where it does not hold."""
    return models.Chain.of(audit.check(caller.rt, caller.actor))
