"""Telling a repeated request from a new one.

What a keyed request does and the note of it are one transaction (`storage.idempotency.note_done`). So whoever died
after it is followed by somebody who answers, and whoever died before it by somebody who does it.
"""

from __future__ import annotations

import uuid
from contextlib import suppress

from engine.access.policy import Actor
from engine.errors import Conflict
from engine.runtime import Runtime
from storage import database, idempotency
from storage.idempotency import TakenOver, in_turn
from storage.people_records import AnswerRecord, Turn

__all__ = ["RENEW_S", "TakenOver", "answered", "begin", "first_time", "given_up", "in_turn", "renew", "turn_of"]

HELD_MS = 4_000
"""How long a request is somebody's after their last word: so long a dead process keeps whoever repeats it waiting."""
RENEW_S = 1.0


def first_time(_rt: Runtime, key: str) -> bool:
    """False when `key` was seen within the last 24 hours."""
    with database.transaction():
        return idempotency.first_time(key)


def turn_of(rt: Runtime, actor: Actor, key: str) -> Turn:
    """A new try at what this person calls `key`."""
    return Turn(rt.workspace_id, actor.user_id, key, uuid.uuid4().hex)


def begin(turn: Turn, digest: str) -> AnswerRecord | None:
    """What is known of the request with this key: its answer, or who is answering it, which is this turn if it may.

    None where that is changing hands: ask again. `digest` is the request's. Raises `Conflict` where the key was used
    for another one.
    """
    with database.reading():
        found = idempotency.find_answer(turn)
    if found is None or (found.status is None and found.held_until <= database.now()):
        with database.transaction():
            found = idempotency.begin_turn(turn, digest, HELD_MS)
    if found is not None and found.request != digest:
        raise Conflict(
            f"The idempotency key {turn.key!r} was used for another request. Use a new key for a new request."
        )
    return found


def renew(turn: Turn) -> None:
    """The request is still being done. Whoever cannot say so may lose their turn, which their deed then finds out."""
    with suppress(*database.DatabaseTrouble), database.transaction():
        idempotency.extend_turn(turn, HELD_MS)


def answered(turn: Turn, status: int, headers: dict[str, str], body: str) -> None:
    """Keep the answer for 24 hours."""
    with database.transaction():
        idempotency.keep_answer(turn, status, headers, body)


def given_up(turn: Turn) -> bool:
    """The request came to no answer: its key may be used again, or where it was done is answered by whoever asks.

    False where it was another's turn by then.
    """
    with database.transaction():
        return idempotency.give_up(turn)
