"""Forms of several parts: what was filled in so far, kept between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.errors import Conflict
from engine.runtime import Runtime
from storage import database, drafts


@dataclass(frozen=True, slots=True)
class Draft:
    """Values by parameter, as they were given or filled in, and the reason."""

    values: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def keep(rt: Runtime, person: str, draft: Draft) -> int:
    """Keep a draft for about an hour and return its id."""
    with database.transaction():
        return drafts.keep(rt.workspace_id, person, {"values": draft.values, "reason": draft.reason})


def find(rt: Runtime, person: str, draft_id: int) -> Draft:
    """A person's own draft, an empty one for id 0. Raises `Conflict` where it is gone."""
    if not draft_id:
        return Draft()
    with database.reading():
        found = drafts.find(rt.workspace_id, person, draft_id)
    if found is None:
        raise Conflict("This form was left open for too long. Please begin again.")
    return Draft(dict(found["values"]), str(found["reason"]))
