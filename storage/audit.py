"""Who did what, and what policy decided. Rows are only ever added, in the transaction of the change they tell of."""

from __future__ import annotations

from storage import sql
from storage.database import now
from storage.records import AuditRecord, Json, Severity
from storage.tables import Audit, dicts


def write(
    workspace_id: int, actor: str, action: str, thing: str, severity: Severity = Severity.INFO, detail: Json = None
) -> None:
    """Add a row.

    `actor` is a Slack user id or `system`; `thing` reads like `runbook:restart@3` or `execution:R-7K2M9Q`.
    """
    row = {"workspace_id": workspace_id, "at": now(), "actor": actor, "action": action, "thing": thing}
    sql.insert(Audit, [{**row, "severity": severity, "detail": detail}])


def of_thing(workspace_id: int, thing: str, limit: int = 100) -> list[AuditRecord]:
    """The rows about one thing, oldest first."""
    query = Audit.select().where((Audit.workspace_id == workspace_id) & (Audit.thing == thing))
    return [_record(row) for row in dicts(query.order_by(Audit.id).limit(limit))]


def recent(workspace_id: int, limit: int = 100) -> list[AuditRecord]:
    """The newest rows first."""
    query = Audit.select().where(Audit.workspace_id == workspace_id).order_by(Audit.id.desc()).limit(limit)
    return [_record(row) for row in dicts(query)]


def _record(row: dict[str, Json]) -> AuditRecord:
    row.pop("workspace_id")
    row["severity"] = Severity(row["severity"])
    return AuditRecord(**row)
