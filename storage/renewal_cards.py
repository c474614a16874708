"""The messages that list the approvals to renew: one a channel, changed only by who shows runs in Slack."""

from __future__ import annotations

from storage import rows
from storage.catalog_records import RenewalCardRecord
from storage.records import Json
from storage.version_tables import RenewalCard


def listing(workspace_id: int) -> list[RenewalCardRecord]:
    """All of them, by their channels."""
    query = rows.select(RenewalCard, RenewalCardRecord).where(RenewalCard.workspace_id == workspace_id)
    return rows.read(query.order_by(RenewalCard.channel), RenewalCardRecord)


def keep(workspace_id: int, channel: str, ts: str, shown: Json) -> None:
    """Note which message of a channel it is, and what it shows now."""
    row = {"ts": ts, "shown": shown}
    RenewalCard.insert(workspace_id=workspace_id, channel=channel, **row).on_conflict(
        conflict_target=[RenewalCard.channel], update=row
    ).execute()


def delete(channel: str) -> None:
    """The message of this channel asks for nothing more; the next one is a new one."""
    RenewalCard.delete().where(RenewalCard.channel == channel).execute()
