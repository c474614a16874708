"""The audit as it is handed to another system: every row that fits, the oldest first, secrets masked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.access import auditing, channels
from engine.access.policy import Action, Actor, acting, authorise
from engine.queries import audit_chain
from engine.runtime import Runtime
from storage import database, periods
from storage.records import AuditRecord
from storage.states import Severity

PAGE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows; what is None does not matter. Times are epoch milliseconds, `since` with it, `until` without it."""

    who: str | None = None
    action: str | None = None
    thing: str | None = None
    severity: Severity | None = None
    since: int | None = None
    until: int | None = None


def export(rt: Runtime, actor: Actor, wanted: Wanted) -> Iterator[list[AuditRecord]]:
    """The rows up to now, page after page, for platform admins; asked again before each. That it was asked is audited.

    Raises `NotAllowed` at once, before the first page is asked for.
    """
    with acting(rt, actor, Action.AUDIT):
        detail = {"since": wanted.since, "until": wanted.until}
        auditing.by_actor(rt, actor, "audit.export", auditing.AUDIT, detail, Severity.INFO)
    audit_chain.seal(rt)
    return _pages(rt, actor, wanted)


def _pages(rt: Runtime, actor: Actor, wanted: Wanted) -> Iterator[list[AuditRecord]]:
    after, until = 0, wanted.until if wanted.until is not None else database.now() + 1
    redact = rt.redactor().redact_json
    while True:
        with database.reading():
            authorise(rt, actor, Action.AUDIT)
            found = periods.audit_rows(
                rt.workspace_id, who=wanted.who, action=wanted.action, thing=wanted.thing, severity=wanted.severity,
                since=wanted.since, until=until, after=after, limit=PAGE,
            )  # fmt: skip
        shown = (channels.shown_row(rt, actor, row) for row in found)
        yield [replace(row, detail=redact(row.detail)) for row in shown]
        if len(found) < PAGE:
            return
        after = found[-1].id
