"""What was written within a time, the oldest first, page after page: for what is exported and reported."""

from __future__ import annotations

from storage import audit, rows
from storage.audit_tables import Audit
from storage.records import AuditRecord, ExecutionRecord
from storage.states import Severity
from storage.tables import Execution


def audit_rows(
    workspace_id: int,
    *,
    since: int | None = None,
    until: int | None = None,
    who: str | None = None,
    action: str | None = None,
    thing: str | None = None,
    severity: Severity | None = None,
    actions: tuple[str, ...] | None = None,
    families: tuple[str, ...] = (),
    after: int = 0,
    limit: int,
) -> list[AuditRecord]:
    """The rows behind the id `after`; what is None does not matter.

    `actions` are those that are wanted, beside those that begin with one of `families`.
    """
    query = rows.select(Audit, AuditRecord).where((Audit.workspace_id == workspace_id) & (Audit.id > after))
    for column, value in ((Audit.actor, who), (Audit.action, action), (Audit.thing, thing), (Audit.severity, severity)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(Audit.at >= since)
    if until is not None:
        query = query.where(Audit.at < until)
    if actions is not None:
        wanted = Audit.action.in_(list(actions))
        for family in families:
            wanted |= Audit.action.startswith(f"{family}.")
        query = query.where(wanted)
    return audit.shown(query.order_by(Audit.id).limit(limit))


def runs(
    workspace_id: int, since: int, until: int, team: str | None, after: tuple[int, str], limit: int
) -> list[ExecutionRecord]:
    """The runs that were asked for since then and before `until`, behind the one `after` (created_at, id)."""
    at, last = after
    query = rows.select(Execution, ExecutionRecord).where(Execution.workspace_id == workspace_id)
    query = query.where((Execution.created_at >= since) & (Execution.created_at < until))
    query = query.where((Execution.created_at > at) | ((Execution.created_at == at) & (Execution.id > last)))
    if team is not None:
        query = query.where(Execution.team == team)
    return rows.read(query.order_by(Execution.created_at, Execution.id).limit(limit), ExecutionRecord)
