"""What a plan was asked for with, kept for an hour so that who asked can see it again; the plan itself is not kept.

It is kept as a form's draft is, so that the button of the plan takes its values from the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.access.policy import Actor
from engine.errors import NotFound
from engine.orchestration.admission import Wanted
from engine.runs import plans
from engine.runs.plan_records import Plan, differences
from engine.runtime import Runtime
from storage import database, drafts
from storage.records import Json

_MOST_DIGITS = 18
"""Of an id, so that every database can take it."""


@dataclass(frozen=True, slots=True)
class PlanAgain:
    """A plan of now; `changes` are what differs from the one that was shown, and `live` says whether that one was."""

    plan: Plan
    changes: tuple[str, ...]
    live: bool


def keep(rt: Runtime, person: str, wanted: Wanted, made: Plan) -> int:
    """Keep what this person was shown a plan of for about an hour, and return the draft's id."""
    asked = {
        "slug": made.slug, "number": wanted.number, "incident": wanted.incident, "digest": made.digest,
        "live": made.live is not None,
    }  # fmt: skip
    content = {"values": dict(made.values), "reason": made.reason, "plan": asked}
    with database.transaction():
        return drafts.keep(rt.workspace_id, person, content)


def again(rt: Runtime, actor: Actor, draft: str) -> PlanAgain:
    """The plan of a person's own draft, made anew with their rights of now.

    Raises `NotFound`, alike for what never was, is over or is somebody else's, and as `plans.make`.
    """
    found = _own(rt, actor, draft)
    asked = found["plan"]
    wanted = Wanted(
        asked["slug"], found["values"], trigger="slack", number=asked["number"], reason=found["reason"],
        incident=asked["incident"],
    )  # fmt: skip
    made = plans.make(rt, actor, wanted)
    return PlanAgain(made, tuple(differences(asked["digest"], made.digest)), asked["live"])


def _own(rt: Runtime, actor: Actor, draft: str) -> Json:
    found = None
    if draft.isascii() and draft.isdecimal() and len(draft) <= _MOST_DIGITS:
        with database.reading():
            found = drafts.find(rt.workspace_id, actor.user_id, int(draft))
    if found is None or "plan" not in found:
        raise NotFound("There is no such plan, or it is over an hour old. Ask for it again with `plan`.")
    return found
