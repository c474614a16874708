"""What storage hands out of freezes, held requests and break-glass. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from storage.records import Json


@dataclass(frozen=True, slots=True)
class FreezeRecord:
    """What somebody has frozen: `scope` is written `everything`, `team:NAME`, `tag:NAME` or `runbook:ID`.

    With `hold_running` what is under way pauses, too. `ended_at` is when somebody lifted it, before `until`.
    """

    id: str
    scope: str
    reason: str
    hold_running: bool
    until: int
    created_at: int
    created_by: str
    ended_at: int | None = None
    ended_by: str | None = None


@dataclass(frozen=True, slots=True)
class CalendarRecord:
    """The calendar file as last synced."""

    digest: str
    content: Json


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A request for a run of one version that waits for the end of a freeze; `chosen_by` are who else chose its values.

    `ended_at` is when it was released, into the run `execution_id`, or dropped.
    """

    id: str
    slug: str
    number: int
    digest: str
    parameters: Json
    reason: str
    incident: Json
    requester: str
    chosen_by: Json
    created_at: int
    expires_at: int
    ended_at: int | None = None
    ended_by: str | None = None
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class BreakGlassRecord:
    """A request for a run in spite of what forbids it, shown to whoever agrees as `overrides`.

    That is {freezes: ids, draft: bool, quorum: gates}. `execution_id` is the run that it became when a second person
    agreed; `note` is what the review found.
    """

    id: str
    slug: str
    number: int
    digest: str
    parameters: Json
    reason: str
    incident: Json
    requester: str
    chosen_by: Json
    overrides: Json
    created_at: int
    expires_at: int
    agreed_by: str | None = None
    agreed_at: int | None = None
    execution_id: str | None = None
    reviewed_by: str | None = None
    reviewed_at: int | None = None
    note: str | None = None
