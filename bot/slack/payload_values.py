"""The typed values that buttons and forms carry, and how they are written into what Slack sends back.

A value travels through the person's client, so it holds ids and what was shown, never a right or a decision: those are
checked when the click arrives.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, fields
from typing import ClassVar, TypeVar


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class GateRef:
    """A gate as it was shown: `digest` says what the person saw."""

    execution_id: str
    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class GatePage:
    """A part of a gate in full, counted from 0."""

    execution_id: str
    path: str
    digest: str
    page: int


@dataclass(frozen=True, slots=True)
class StepRef:
    """A step of a run; `attempt` is the last of its tries that was shown."""

    execution_id: str
    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TaskRef:
    """A manual step; `task_id` says which asking was shown."""

    execution_id: str
    path: str
    task_id: int


@dataclass(frozen=True, slots=True)
class SkipRef:
    """A step that somebody asked to skip; `asked_at` says which asking was shown."""

    execution_id: str
    path: str
    asked_at: int


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version; `digest` is of what was shown, "" where nothing was."""

    slug: str
    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class VoteRef:
    """What people had said of a version by `until` (epoch milliseconds); `digest` is of what it was said about."""

    slug: str
    number: int
    digest: str
    until: int


@dataclass(frozen=True, slots=True)
class VersionPage:
    """A part of a version's change in full, counted from 0; `digest` is of the change that was shown."""

    slug: str
    number: int
    digest: str
    page: int


@dataclass(frozen=True, slots=True)
class RunForm:
    """The version a form was made from and where it was asked for.

    `force` is 1 where the run is wanted even while the same one is open, else 0. A form of several parts is at `page`,
    counted from 0, and keeps what is known so far as `draft`, 0 where there is none. `about` is the ts of the message
    in `channel` that the run is about, "" where there is none. Without a channel the form asks for one. `reuse_ms` is
    how long ago the same run may have succeeded to be taken instead. `why` is 1 where every run has to say why. `keep`
    is `hold` or `break_glass` where the request is to be kept, "" where it is to begin at once.
    """

    slug: str
    number: int
    channel: str
    channel_name: str
    force: int = 0
    page: int = 0
    draft: int = 0
    about: str = ""
    reuse_ms: int = 0
    why: int = 0
    keep: str = ""


@dataclass(frozen=True, slots=True)
class Pick:
    """The run that was chosen for a command in which none was named; `line` is the command, as Slack delivers one."""

    execution_id: str
    line: str


@dataclass(frozen=True, slots=True)
class ChannelRef:
    """An incident in its channel, and why it is to be closed."""

    channel: str
    incident_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class RejectForm:
    """The gate to be rejected and where to answer."""

    execution_id: str
    path: str
    digest: str
    channel: str


@dataclass(frozen=True, slots=True)
class ResolveForm:
    """The step to be decided about with the last of its tries that was shown, what was chosen, and where to answer."""

    execution_id: str
    path: str
    attempt: int
    choice: str
    channel: str


@dataclass(frozen=True, slots=True)
class TaskForm:
    """The asking of a manual step that was shown, what is said of it (`DONE` or `FAILED`), and where to answer."""

    DONE: ClassVar[str] = "done"
    FAILED: ClassVar[str] = "failed"

    execution_id: str
    path: str
    task_id: int
    choice: str
    channel: str


@dataclass(frozen=True, slots=True)
class SkipForm:
    """The run in which a step is to be skipped and where to answer."""

    execution_id: str
    channel: str


@dataclass(frozen=True, slots=True)
class PickForm:
    """Where a runbook is chosen, and the ts of the message that it will be about; both may be ""."""

    channel: str
    channel_name: str
    about: str


@dataclass(frozen=True, slots=True)
class DeprecateForm:
    """The version to be withdrawn and where to answer."""

    slug: str
    number: int
    channel: str


@dataclass(frozen=True, slots=True)
class WhyForm:
    """The button that was pressed, its action and its value, whose reason is asked for, and where to answer."""

    action: str
    value: str
    channel: str


@dataclass(frozen=True, slots=True)
class SecretForm:
    """The secret to be set and where to answer; its value is in no value of ours."""

    name: str
    channel: str


@dataclass(frozen=True, slots=True)
class FreezeRef:
    """What is to be frozen."""

    scope: str


@dataclass(frozen=True, slots=True)
class KeptRef:
    """A held request or a break-glass."""

    kept_id: str


@dataclass(frozen=True, slots=True)
class PlanRef:
    """A plan as it was shown: `digest` says what the person saw, `draft` keeps what they gave, for them alone."""

    slug: str
    number: int
    channel: str
    channel_name: str
    draft: int
    digest: str


@dataclass(frozen=True, slots=True)
class CommandRef:
    """A command, as Slack delivers one."""

    line: str


@dataclass(frozen=True, slots=True)
class HomeState:
    """What somebody looks for in the catalogue of the Home tab; `page` counts from 0, and "" is no filter."""

    text: str = ""
    team: str = ""
    tag: str = ""
    status: str = ""
    page: int = 0


Ref = (
    PickForm
    | DeprecateForm
    | WhyForm
    | SecretForm
    | HomeState
    | FreezeRef
    | KeptRef
    | CommandRef
    | PlanRef
    | RunRef
    | GateRef
    | GatePage
    | StepRef
    | SkipRef
    | TaskRef
    | TaskForm
    | VersionRef
    | VoteRef
    | VersionPage
    | RunForm
    | RejectForm
    | ResolveForm
    | SkipForm
    | Pick
    | ChannelRef
)
R = TypeVar("R", bound=Ref)


class BadValue(Exception):
    """A value that this version of the bot did not write."""


def encode(ref: Ref) -> str:
    """The text that goes into a button's value or a view's private_metadata."""
    return json.dumps(astuple(ref), separators=(",", ":"))


def decode(kind: type[R], text: str) -> R:
    """Read back what `encode` wrote. Raises BadValue."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadValue("not JSON") from error
    expected = [int if field.type == "int" else str for field in fields(kind)]
    if not isinstance(values, list) or [type(value) for value in values] != expected:
        raise BadValue(f"not a {kind.__name__}")
    if any(not -(2**63) <= value < 2**63 for value in values if isinstance(value, int)):
        raise BadValue("a number that no column holds")
    return kind(*values)
