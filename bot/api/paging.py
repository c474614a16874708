"""Cursors: where a list goes on, as a text that means nothing to whoever carries it."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

from fastapi import Query

from engine.errors import InvalidParameters

Cursor = Annotated[str | None, Query(max_length=300, description="`next` of the part before.")]
_BIGGEST = 2**63
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]


def encode(*place: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The place in a cursor, of these kinds. Raises `InvalidParameters` for what was no cursor of this list.

    Its numbers fit a database's column and its texts hold nothing but what ids are made of: a cursor that somebody made
    up may say anything.
    """
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        place = None
    fits = isinstance(place, list) and len(place) == len(kinds)
    if not fits or not all(_is(each, kind) for each, kind in zip(place, kinds, strict=True)):
        raise InvalidParameters({"cursor": "take `next` of the part before, or leave it out"})
    return tuple(place)


def _is(value: object, kind: type) -> bool:
    if type(value) is not kind:
        return False
    if isinstance(value, int):
        return -_BIGGEST <= value < _BIGGEST
    return isinstance(value, str) and value.isascii() and value.isprintable()
