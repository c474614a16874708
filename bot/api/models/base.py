"""What all models share. Times are RFC 3339 in UTC, durations are milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bot.moments import in_ms
from engine.text.moments import must_be_shown
from engine.text.storable import clean

Json = Annotated[Any, BeforeValidator(clean)]
"""Any JSON value, of which what JSON in UTF-8 cannot say was replaced."""
T = TypeVar("T")
Text = Annotated[str, Field(max_length=2000)]
Reason = Annotated[str, Field(max_length=2000, description="Why; it goes into the record.")]
Number = Annotated[int, Field(ge=1, le=2**31)]


def moment(milliseconds: int) -> datetime:
    """Epoch milliseconds as a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def ms(time: datetime | None) -> int | None:
    """A time as epoch milliseconds; one that says no zone is in UTC."""
    return in_ms(time) if time is not None else None


def _shown(time: datetime) -> datetime:
    must_be_shown(ms(time) or 0)
    return time


Moment = Annotated[datetime, AfterValidator(_shown)]
"""A time that somebody asks for; one that says no zone is in UTC."""


def fields_of(model: type[BaseModel], record: object, **more: Any) -> dict[str, Any]:
    """A model's fields: those in `more`, and all others by their name in the record; times are made of milliseconds."""
    found = {name: getattr(record, name) for name in model.model_fields if name not in more and name != "people"}
    times = {name: moment(at) for name, at in found.items() if name.endswith("_at") and at is not None}
    return {**found, **times, **more}


def _plain(value: Any) -> Any:
    if clean(value) != value:
        raise ValueError("a NUL, half a character, a number without end or more than 32 levels cannot be kept")
    return value


Values = Annotated[dict[str, Any], AfterValidator(_plain), Field(description="Values by the parameter's name.")]


class Named(BaseModel):
    """What names people: their ids stand where they are, and beside them what they are called."""

    people: dict[str, str] = Field(
        default_factory=dict,
        description="Names of the people in it by their ids, where known; one that two people have with its id.",
    )


class RequestBody(BaseModel):
    """A body. What it does not know it refuses, so that a misspelt word is not taken for silence."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """A part of a list. `next` goes into `cursor` for the part behind it; null at the end."""

    items: list[T]
    next: str | None = None


class Why(RequestBody):
    """Why this is done."""

    reason: Reason = ""


class Cancel(Why):
    """`force` does it although something is still going on."""

    force: bool = False
