"""Which outside requests were seen before, so that a redelivery changes nothing."""

from __future__ import annotations

from typing import Any

from storage.database import now
from storage.records import AnswerRecord, Json
from storage.tables import Answer, Idempotency, RequestSeen, columns, first

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


def answer_to(workspace_id: int, actor: str, key: str, request: str, patience_ms: int) -> AnswerRecord | None:
    """What this person's request with this key was answered; None where it is to be answered now, by whoever asks.

    A request that was begun longer ago than `patience_ms` and never answered is begun again.
    """
    at = now()
    row: dict[str, Any] = {"request": request, "status": None, "headers": {}, "body": "", "at": at}
    fresh = Answer.insert(workspace_id=workspace_id, actor=actor, key=key, **row).on_conflict_ignore().execute()
    if fresh:
        return None
    mine = (Answer.workspace_id == workspace_id) & (Answer.actor == actor) & (Answer.key == key)
    abandoned = mine & Answer.status.is_null() & (Answer.at < at - patience_ms) & (Answer.request == request)
    if Answer.update(at=at).where(abandoned).execute():
        return None
    found = first(Answer.select(*columns(Answer, AnswerRecord)).where(mine))
    return AnswerRecord(**found) if found else None


def keep_answer(workspace_id: int, actor: str, key: str, status: int, headers: Json, body: str) -> None:
    """Keep what a request was answered, for as long as its key is kept."""
    Answer.update(status=status, headers=headers, body=body).where(
        (Answer.workspace_id == workspace_id) & (Answer.actor == actor) & (Answer.key == key)
    ).execute()


def drop_answer(workspace_id: int, actor: str, key: str) -> None:
    """Forget a request that came to nothing: the key may be used again."""
    Answer.delete().where(
        (Answer.workspace_id == workspace_id) & (Answer.actor == actor) & (Answer.key == key)
    ).execute()


def forget_old() -> int:
    """Drop the keys of all kinds that are older than 24 hours and say how many seen ones there were."""
    Answer.delete().where(Answer.at < now() - KEEP_MS).execute()
    Idempotency.delete().where(Idempotency.at < now() - KEEP_MS).execute()
    return int(RequestSeen.delete().where(RequestSeen.at < now() - KEEP_MS).execute())
