"""What a plan is asked with, and what it says."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from bot.api.models.base import Json, Named, Number, Reason, RequestBody, Values
from bot.api.models.execution_requests import About
from engine.runs import plan_records


class PlanWanted(RequestBody):
    """A run that is to be planned, as it would be asked for."""

    version: Annotated[Number | None, Field(description="Only the version that would run anyway.")] = None
    parameters: Annotated[Values, Field(default_factory=dict)]
    reason: Reason = ""
    incident: About = About()
    live: Annotated[
        bool, Field(description="Ask the targets in their own check mode; only for who may start the run now.")
    ] = False


class LiveCounts(BaseModel):
    """How many calls in check mode came to what; `unknown` were sent and not answered."""

    success: int
    failure: int
    unknown: int
    not_called: int


class Obstacle(BaseModel):
    """Why you cannot start it now, and the people and user groups, by id, who can."""

    why: str
    ask: list[str]


class Destination(BaseModel):
    """The names of the secrets that a step sends to a host, as it is written."""

    step: str
    host: str
    secrets: list[str]


class Plan(Named):
    """What a run would do.

    Of each step of `steps`, `on_failure` and `finally`: `with` is rendered, and as written where only the run will
    know; `when` is yes, no or open; a branch says which way is `taken`, a loop its `rounds`, and `blocks` hold their
    steps; `fails` says why it could not be done. `plan_digest` of a start takes the `digest`. In a live plan `live` of
    a step is the `outcome` of its call in check mode (success, failure, unknown or not_called), with a `message`, the
    `call` and the `answer`, masked and cut; of the plan it is how many came to what.
    """

    runbook: str
    version: int
    digest: str
    parameters: dict[str, Json]
    reason: str
    timeout_ms: int
    concurrency: str
    steps: list[dict[str, Json]]
    on_failure: list[dict[str, Json]]
    finally_: list[dict[str, Json]] = Field(alias="finally")
    destinations: list[Destination]
    obstacles: list[Obstacle]
    warnings: list[str]
    live: LiveCounts | None = None

    @classmethod
    def of(cls, plan: plan_records.Plan) -> Self:
        """The plan as the API says it."""
        found: dict[str, Any] = plan.as_json()
        return cls.model_validate(found)
