"""Freezes, as data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bot.api.models.base import Named, Reason, RequestBody, fields_of, moment
from engine.runs.freezing import FreezeView, Lifted

Scope = Annotated[
    str, Field(max_length=200, description="`everything`, `team:NAME`, `tag:NAME`, `runbook:ID` or a runbook's id.")
]


class NewFreeze(RequestBody):
    """What is to be frozen, why, and until when: by `until` or by `duration`."""

    scope: Scope
    reason: Reason = ""
    until: str = Field("", max_length=60, description="`18:00`, `2026-11-28T18:00`, or the same with an offset.")
    duration: str = Field("", max_length=20, description="How long it lasts, such as `2h` or `3d`.")
    hold_running: bool = Field(False, description="Pause what is under way, too, before its next step.")


class Lift(RequestBody):
    """How a freeze is lifted: `resume` lets go on what it has paused."""

    reason: Reason = ""
    resume: bool = False


class Freeze(Named):
    """A freeze; one that `created_by` nobody is the calendar's. `paused` are runs that it has paused, and are so."""

    id: str
    scope: str
    reason: str
    hold_running: bool
    until: datetime
    created_at: datetime
    created_by: str
    ended_at: datetime | None
    ended_by: str | None
    paused: list[str]

    @staticmethod
    def of(view: FreezeView) -> Freeze:
        return Freeze(**fields_of(Freeze, view.freeze, until=moment(view.freeze.until), paused=list(view.paused)))


class LiftedFreezes(Named):
    """What came of it: `paused` runs stay so, with why in `refused` where they were to go on; `resumed` go on."""

    freezes: list[str]
    scope: str
    paused: list[str]
    resumed: list[str]
    refused: dict[str, str]

    @staticmethod
    def of(done: Lifted) -> LiftedFreezes:
        return LiftedFreezes(
            freezes=[each.id for each in done.freezes], scope=done.freezes[0].scope, paused=list(done.paused),
            resumed=list(done.resumed), refused=done.refused,
        )  # fmt: skip
