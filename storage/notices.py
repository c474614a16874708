"""What is still to be told to people, of which no run is a part: written with the change that it tells of."""

from __future__ import annotations

from collections.abc import Collection

from storage import rows
from storage.catalog_records import NoticeRecord
from storage.database import now
from storage.records import Json
from storage.tables import Notice

KEPT_MS = 86_400_000
"""What could not be told for a day is no news any more."""

LASTING = "audit_report"
"""A kind that stays one until it was told."""


def add(workspace_id: int, kind: str, content: Json) -> None:
    """Keep something to be told, in the transaction in which it happens; what is older than a day goes."""
    Notice.delete().where((Notice.at < now() - KEPT_MS) & (Notice.kind != LASTING)).execute()
    Notice.insert(workspace_id=workspace_id, kind=kind, content=content, at=now()).execute()


def pending(workspace_id: int, limit: int) -> list[NoticeRecord]:
    """The oldest first."""
    query = rows.select(Notice, NoticeRecord).where(Notice.workspace_id == workspace_id)
    return rows.read(query.order_by(Notice.id).limit(limit), NoticeRecord)


def delete(ids: Collection[int]) -> None:
    """These were told, or there is nobody to tell."""
    Notice.delete().where(Notice.id.in_(list(ids))).execute()
