"""Incidents: which channel is bound to which case. At most one is open in a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage import rows
from storage.database import now
from storage.records import IncidentRecord
from storage.tables import Incident


def _select(workspace_id: int) -> Any:
    return rows.select(Incident, IncidentRecord).where(Incident.workspace_id == workspace_id)


def find(workspace_id: int, incident_id: int) -> IncidentRecord | None:
    """The incident of this id, open or closed; None where the workspace has none."""
    return next(iter(rows.read(_select(workspace_id).where(Incident.id == incident_id), IncidentRecord)), None)


def latest(workspace_id: int, channel: str) -> IncidentRecord | None:
    """The newest incident of a channel, open or closed."""
    query = _select(workspace_id).where(Incident.channel == channel).order_by(Incident.id.desc()).limit(1)
    return next(iter(rows.read(query, IncidentRecord)), None)


def recent(workspace_id: int, *, open_only: bool, limit: int) -> list[IncidentRecord]:
    """The newest incidents first."""
    query = _select(workspace_id)
    if open_only:
        query = query.where(Incident.closed_at.is_null())
    return rows.read(query.order_by(Incident.id.desc()).limit(limit), IncidentRecord)


def add(
    workspace_id: int, channel: str, channel_name: str, title: str, severity: str, fields: Mapping[str, str], by: str
) -> int:
    """Open an incident and return its id. Raises `database.IntegrityError` where one is open in the channel."""
    row: dict[str, Any] = {
        "channel": channel,
        "channel_name": channel_name,
        "title": title,
        "severity": severity,
        "opened_by": by,
    }
    row |= {"fields": dict(fields), "opened_at": now(), "closed_at": None, "closed_by": None, "close_reason": ""}
    return int(Incident.insert(workspace_id=workspace_id, **row).execute())


def edit(incident_id: int, **changes: Any) -> bool:
    """Change title, severity or fields of an open incident; False when it is closed."""
    query = Incident.update(**changes).where((Incident.id == incident_id) & Incident.closed_at.is_null())
    return bool(query.execute() == 1)


def close(incident_id: int, by: str, reason: str) -> bool:
    """Close an open incident; False when somebody else was first."""
    return edit(incident_id, closed_at=now(), closed_by=by, close_reason=reason)
