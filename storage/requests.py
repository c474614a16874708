"""Which outside requests were seen before, so that a redelivery changes nothing."""

from __future__ import annotations

from storage.database import now
from storage.tables import Idempotency, RequestSeen, first

KEEP_MS = 24 * 3_600_000


def first_time(key: str) -> bool:
    """Remember `key`; False when it is remembered already, which it is for at least 24 hours."""
    return RequestSeen.insert(key=key, at=now()).on_conflict_ignore().execute() is not None


def recall(workspace_id: int, actor: str, key: str) -> tuple[str, str] | None:
    """The digest of the request that this person made with this key, and the execution it was answered with."""
    query = Idempotency.select(Idempotency.request, Idempotency.execution_id).where(
        (Idempotency.workspace_id == workspace_id) & (Idempotency.actor == actor) & (Idempotency.key == key)
    )
    row = first(query)
    return (row["request"], row["execution_id"]) if row else None


def remember(workspace_id: int, actor: str, key: str, request: str, execution_id: str) -> None:
    """Keep what a key was used for. Raises `database.IntegrityError` when it was used meanwhile."""
    Idempotency.insert(
        workspace_id=workspace_id, actor=actor, key=key, request=request, execution_id=execution_id, at=now()
    ).execute()


def forget_old() -> int:
    """Drop the keys of both kinds that are older than 24 hours and say how many seen ones there were."""
    Idempotency.delete().where(Idempotency.at < now() - KEEP_MS).execute()
    return int(RequestSeen.delete().where(RequestSeen.at < now() - KEEP_MS).execute())
