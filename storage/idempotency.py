"""Which outside requests were seen before, so that a redelivery changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import peewee as pw

from storage import rows
from storage.columns import first
from storage.database import now
from storage.people_records import AnswerRecord, Turn
from storage.records import Json
from storage.request_tables import Answer, Idempotency, RequestSeen

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


class TakenOver(Exception):
    """Another turn does, or has done, what this one was about to do."""


_turn: ContextVar[Turn | None] = ContextVar("doing", default=None)


@contextmanager
def in_turn(turn: Turn) -> Iterator[None]:
    """What its person does in this context is what the turn's request asks for."""
    before = _turn.set(turn)
    try:
        yield
    finally:
        _turn.reset(before)


def note_done(actor: str, thing: str) -> None:
    """Note that this transaction does what is being asked for, if a keyed request of `actor` is: both or neither hold.

    Raises `TakenOver` where it is another's turn by now, so that nothing is done twice.
    """
    turn = _turn.get()
    if turn is None or turn.actor != actor:
        return
    noted = Answer.update(thing=pw.fn.COALESCE(Answer.thing, thing)).where(_held_by(turn))
    if noted.execute() != 1:
        raise TakenOver(turn.key)


def find_answer(turn: Turn) -> AnswerRecord | None:
    """What is known of the request that this person made with this key."""
    found = first(rows.select(Answer, AnswerRecord).where(_named(turn)))
    return AnswerRecord(**found) if found else None


def begin_turn(turn: Turn, request: str, ms: int) -> AnswerRecord | None:
    """Let it be this turn's for `ms`, if it is nobody's now; what is known of it then. Needs a transaction.

    None where whoever had it gives it up at this moment: to be taken again.
    """
    at = now()
    mine: dict[str, Any] = {"holder": turn.holder, "held_until": at + ms}
    row: dict[str, Any] = {"request": request, "status": None, "headers": {}, "body": "", "at": at, "thing": None}
    Answer.insert(
        workspace_id=turn.workspace_id, actor=turn.actor, key=turn.key, **row, **mine
    ).on_conflict_ignore().execute()
    free = Answer.status.is_null() & (Answer.held_until <= at) & (Answer.request == request)
    Answer.update(**mine).where(_named(turn) & free).execute()
    return find_answer(turn)


def extend_turn(turn: Turn, ms: int) -> None:
    """Keep what this turn has for `ms` from now."""
    Answer.update(held_until=now() + ms).where(_held_by(turn)).execute()


def keep_answer(turn: Turn, status: int, headers: Json, body: str) -> None:
    """Keep what a request was answered, for as long as its key is kept."""
    Answer.update(status=status, headers=headers, body=body).where(_held_by(turn)).execute()


def give_up(turn: Turn) -> bool:
    """End the turn without an answer: where nothing was done the key is free, else the next one answers.

    False where it was another's by then.
    """
    nothing = Answer.status.is_null() & Answer.thing.is_null()
    freed = Answer.delete().where(_held_by(turn) & nothing).execute()
    return bool(freed or Answer.update(held_until=0).where(_held_by(turn)).execute())


def _named(turn: Turn) -> Any:
    return (Answer.workspace_id == turn.workspace_id) & (Answer.actor == turn.actor) & (Answer.key == turn.key)


def _held_by(turn: Turn) -> Any:
    return _named(turn) & (Answer.holder == turn.holder)


def forget_old() -> int:
    """Drop the keys of all kinds that are older than 24 hours and say how many seen ones there were."""
    Answer.delete().where(Answer.at < now() - KEEP_MS).execute()
    Idempotency.delete().where(Idempotency.at < now() - KEEP_MS).execute()
    return int(RequestSeen.delete().where(RequestSeen.at < now() - KEEP_MS).execute())
