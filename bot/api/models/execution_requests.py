"""What may be asked of runs: to start one, and what is done to one that is there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from bot.api.models.base import Moment, Number, Reason, RequestBody, Text, Values, Why


class About(RequestBody):
    """What a run is about. `channel` is where its card goes, and whose incident it belongs to."""

    channel: Annotated[str | None, Field(pattern="^[CGD][A-Z0-9]{2,20}$", description="A Slack channel's id.")] = None
    channel_name: Annotated[str | None, Field(max_length=100)] = None
    case: Annotated[str | int | None, Field(description="A ticket, an alert: by it the same run is known again.")] = (
        None
    )
    permalink: Annotated[str | None, Field(max_length=1000, pattern="^https?://")] = None

    def facts(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class Execute(RequestBody):
    """A run that is asked for."""

    version: Annotated[Number | None, Field(description="Only the version that would run anyway.")] = None
    parameters: Annotated[Values, Field(default_factory=dict)]
    reason: Reason = ""
    incident: About = About()
    force: Annotated[bool, Field(description="Start it although the same run is open; needs a reason.")] = False
    reuse_within_ms: Annotated[
        int, Field(ge=0, le=86_400_000, description="Take a run that succeeded so lately instead.")
    ] = 0
    plan_digest: Annotated[
        str | None,
        Field(min_length=1, max_length=200, description="Of a plan: what would not be exactly that is refused."),
    ] = None


class Start(Execute):
    """A run that is asked for, of the runbook with this id."""

    runbook: Annotated[str, Field(max_length=200)]


class Replay(Why):
    """`from_step` starts at that step and takes over what came before; it needs a reason."""

    from_step: Annotated[str | None, Field(max_length=200)] = None
    latest: Annotated[bool, Field(description="Run the version that runs now, not the one of then.")] = False


class Handover(Why):
    """To whom the run is offered, as a Slack user id; to whom it is now takes an offer back."""

    to: Annotated[str, Field(pattern="^[UW][A-Z0-9]{2,20}$")]


Try = Annotated[
    int | None,
    Field(ge=0, le=2**31, description="The step's `attempts` as you saw it: 409 where it was tried again meanwhile."),
]


class Retry(Why):
    """With other `parameters` every gate is asked again first; those not named stay as they are."""

    parameters: Values | None = None
    attempt: Try = None


class LeaveOut(Why):
    """Why a step is skipped."""

    attempt: Try = None


class Resolve(RequestBody):
    """`retry` makes the call again, `done` takes the step as done, `failed` fails it."""

    choice: Literal["retry", "done", "failed"]
    note: Annotated[Text, Field(description="What you know about the outcome.")] = ""
    attempt: Try = None


class Ballot(RequestBody):
    """A vote. With `digest` it counts only for what was shown; a reject needs a comment, a gate's `form` answers."""

    answers: Annotated[Values, Field(default_factory=dict, description="Answers to the gate's `form`.")]

    comment: Text = ""
    digest: Annotated[str | None, Field(max_length=100)] = None


class Agree(RequestBody):
    """An approver's word that a step is skipped. With `asked_at`, a `skip`'s `at`, it counts only for that asking."""

    asked_at: Moment | None = None
