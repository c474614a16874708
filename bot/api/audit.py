"""The audit, searched, and its chain, checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from bot import audit_lines
from bot.api import models, paging
from bot.api.caller import ApiContext, AuthenticatedCaller
from bot.api.problems import documented, file_answer
from bot.api.route import Operation, needs
from engine.access.policy import Action
from engine.queries import audit, audit_export
from storage.records import AuditRecord
from storage.states import Severity

router = APIRouter(prefix="/audit", tags=["audit"], route_class=Operation)


@router.get("", responses=documented(403, 422), **needs(Action.AUDIT))
def search_audit(
    caller: AuthenticatedCaller,
    actor: str | None = None,
    action: str | None = None,
    thing: str | None = None,
    severity: Severity | None = None,
    since: models.Moment | None = None,
    until: models.Moment | None = None,
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


_LINES = file_answer("One row a line, the oldest first.", *audit_lines.MEDIA_TYPES.values())


@router.get("/export", responses={**_LINES, **documented(403, 422)}, response_class=StreamingResponse,
            **needs(Action.AUDIT))  # fmt: skip
async def export_audit(
    caller: AuthenticatedCaller,
    format: audit_lines.Format = "jsonl",  # noqa: A002 - what callers write
    actor: str | None = None,
    action: str | None = None,
    thing: str | None = None,
    severity: Severity | None = None,
    since: models.Moment | None = None,
    until: models.Moment | None = None,
) -> StreamingResponse:
    """Every row that fits, as JSON lines or in the Common Event Format of a SIEM, secrets masked."""
    wanted = audit_export.Wanted(actor, action, thing, severity, models.ms(since), models.ms(until))
    pages = await caller.context.in_reader_thread(audit_export.export, caller.rt, caller.actor, wanted)
    media_type = f"{audit_lines.MEDIA_TYPES[format]}; charset=utf-8"
    return StreamingResponse(lines(caller.context, pages, format), media_type=media_type)


async def lines(
    context: ApiContext, pages: Iterator[list[AuditRecord]], format_: audit_lines.Format
) -> AsyncIterator[str]:
    """The rows of these pages as text, a page at a time, each read off the event loop."""
    while (rows := await context.in_reader_thread(next, pages, None)) is not None:
        yield "".join(audit_lines.line(row, format_) for row in rows)
