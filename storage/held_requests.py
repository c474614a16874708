"""Requests for runs that wait for the end of a freeze."""

from __future__ import annotations

from storage import rows, sql
from storage.database import now, one_at_a_time
from storage.freeze_records import HeldRecord
from storage.freeze_tables import HeldRequest


def create(workspace_id: int, held: HeldRecord) -> None:
    """Keep a new request. Raises `database.IntegrityError` where its id is taken, at the latest with the commit."""
    sql.insert(HeldRequest, [{"workspace_id": workspace_id, **{name: getattr(held, name) for name in held.__slots__}}])


def find(workspace_id: int, held_id: str) -> HeldRecord | None:
    """The request of this id, also one that has ended."""
    return sql.first(sql.Query(HeldRequest, HeldRecord, "workspace_id = ? AND id = ?", (workspace_id, held_id)))


def waiting(workspace_id: int, limit: int) -> list[HeldRecord]:
    """Those that can be released now, the oldest first."""
    still = (HeldRequest.workspace_id == workspace_id) & HeldRequest.ended_at.is_null()
    query = rows.select(HeldRequest, HeldRecord).where(still & (HeldRequest.expires_at > now()))
    return rows.read(query.order_by(HeldRequest.created_at, HeldRequest.id).limit(limit), HeldRecord)


def like(workspace_id: int, wanted: HeldRecord, limit: int) -> HeldRecord | None:
    """The request that waits and asks for the same as `wanted` does, of the same person and card.

    Whoever looks while somebody else does waits until that one's transaction has ended.
    """
    one_at_a_time(f"held:{workspace_id}:{wanted.requester}")
    return next((each for each in waiting(workspace_id, limit) if _asked(each) == _asked(wanted)), None)


def _asked(held: HeldRecord) -> tuple[object, ...]:
    about = held.incident or {}
    who = (held.requester, sorted(held.chosen_by), held.reason)
    card = (about.get("channel"), about.get("permalink"), about.get("case"))
    return who, card, held.slug, held.number, held.digest, held.parameters


def end(held_id: str, by: str, execution_id: str | None = None) -> bool:
    """Release it into a run, or drop it; False where it has ended or expired."""
    at = now()
    still = (HeldRequest.id == held_id) & HeldRequest.ended_at.is_null() & (HeldRequest.expires_at > at)
    return bool(HeldRequest.update(ended_at=at, ended_by=by, execution_id=execution_id).where(still).execute())
