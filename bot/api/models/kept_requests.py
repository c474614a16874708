"""Held requests and break-glass, as data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bot.api.models.base import Json, Named, Number, Reason, RequestBody, Text, Values, fields_of
from bot.api.models.executions import Execution
from engine.runs.held_requests import HeldView
from storage.freeze_records import BreakGlassRecord

__all__ = ["BreakGlass", "HeldRequest", "Kept", "Released", "Review"]


class Kept(RequestBody):
    """A run that is asked for and does not begin yet."""

    runbook: Annotated[str, Field(max_length=200)]
    version: Number | None = None
    parameters: Annotated[Values, Field(default_factory=dict)]
    reason: Reason = ""
    channel: Annotated[str, Field(max_length=80, description="Where its card belongs; you have to be in it.")] = ""


class HeldRequest(Named):
    """A request that waits. `frozen` says what still keeps it from beginning, "" for nothing."""

    id: str
    runbook: str
    version: int
    parameters: Json
    reason: str
    requester: str
    created_at: datetime
    expires_at: datetime
    gates: list[str]
    frozen: str

    @staticmethod
    def of(view: HeldView) -> HeldRequest:
        held = view.held
        more = {"runbook": held.slug, "version": held.number, "gates": list(view.gates), "frozen": view.frozen}
        return HeldRequest(**fields_of(HeldRequest, held, **more))


class Released(Named):
    """The run that a kept request became."""

    execution: Execution


class BreakGlass(Named):
    """A break-glass; `execution` is the run, once somebody has agreed.

    `overrides` are {freezes, windows, draft, quorum}; `windows` has scope, reason and end of those freezes that are the
    calendar's.
    """

    id: str
    runbook: str
    version: int
    digest: str
    parameters: Json
    reason: str
    requester: str
    overrides: Json
    created_at: datetime
    expires_at: datetime
    agreed_by: str | None
    agreed_at: datetime | None
    execution: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    note: str | None

    @staticmethod
    def of(asked: BreakGlassRecord) -> BreakGlass:
        more = {
            "runbook": asked.slug,
            "version": asked.number,
            "execution": asked.execution_id,
        }
        return BreakGlass(**fields_of(BreakGlass, asked, **more))


class Review(RequestBody):
    """What the review found."""

    note: Text
