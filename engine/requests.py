"""Telling a repeated request from a new one."""

from __future__ import annotations

from engine.access import Actor
from engine.errors import Conflict
from engine.runtime import Runtime
from storage import database, requests
from storage.records import AnswerRecord

PATIENCE_MS = 60_000
"""How long a request may be under way before whoever repeats it may do it again."""


def first_time(_rt: Runtime, key: str) -> bool:
    """False when `key` was seen within the last 24 hours."""
    with database.transaction():
        return requests.first_time(key)


def begin(rt: Runtime, actor: Actor, key: str, digest: str) -> AnswerRecord | None:
    """What this person's request with this idempotency key was answered; None where it is new and to be done.

    `digest` is the request's. Raises `Conflict` where the key was used for another one, and while it is being done.
    """
    with database.transaction():
        found = requests.answer_to(rt.workspace_id, actor.user_id, key, digest, PATIENCE_MS)
    if found is None:
        return None
    if found.request != digest:
        raise Conflict(f"The idempotency key {key!r} was used for another request. Use a new key for a new request.")
    if found.status is None:
        raise Conflict(f"The request with the idempotency key {key!r} is being done. Ask again in a moment.")
    return found


def answered(rt: Runtime, actor: Actor, key: str, status: int, headers: dict[str, str], body: str) -> None:
    """Keep the answer for 24 hours."""
    with database.transaction():
        requests.keep_answer(rt.workspace_id, actor.user_id, key, status, headers, body)


def refused(rt: Runtime, actor: Actor, key: str) -> None:
    """The request changed nothing: its key may be used again."""
    with database.transaction():
        requests.drop_answer(rt.workspace_id, actor.user_id, key)
