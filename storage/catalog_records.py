"""What storage hands out of the catalogue: runbooks, their versions, and what was said of them.

All times are epoch milliseconds on the database's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage.records import Json
from storage.states import VersionStatus


@dataclass(frozen=True, slots=True)
class RunbookRecord:
    """A runbook's identity. `status` is that of version `current_number`.

    `successor` is the id of the runbook that was named to take its place when it was deprecated.
    """

    id: int
    slug: str
    name: str
    description: str
    team: str | None
    tags: tuple[str, ...]
    risk: str
    source_path: str | None
    current_number: int
    status: VersionStatus
    updated_at: int
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class VersionState:
    """Whether a version may run, and what was said when that was decided."""

    status: VersionStatus
    note: str


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One immutable version. Only its status and who decided it, and when last, ever change.

    `author` is a Slack user id, or None when the last committer is not known here; `author_email` is the committer's.
    """

    id: int
    runbook_id: int
    slug: str
    number: int
    digest: str
    definition: Json
    source: str
    author: str | None
    author_email: str | None
    source_commit: str | None
    note: str
    status: VersionStatus
    created_at: int
    decided_by: str | None
    decided_at: int | None


@dataclass(frozen=True, slots=True)
class VersionApprovalRecord:
    """One person's word for a version as it reads. `kind` is approve or renew; `counted_at` is when it was decided."""

    id: int
    version_id: int
    kind: str
    user_id: str
    email: str | None
    digest: str
    at: int
    counted_at: int | None


@dataclass(frozen=True, slots=True)
class RehearsalRecord:
    """What came of a version's rehearsal: `result` is as `engine.rehearsal` tells it.

    `source` is its text where it is kept with the version; None where it stands beside a file.
    """

    version_id: int
    digest: str
    passed: bool
    at: int
    result: Json
    source: str | None = None


@dataclass(frozen=True, slots=True)
class RenewalCardRecord:
    """The message in a channel that lists the approvals to renew, and what it shows."""

    channel: str
    ts: str
    shown: Json


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """Something that is still to be told to people."""

    id: int
    kind: str
    content: Json
    at: int


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """How the last reading of the runbooks folder went."""

    at: int
    ok: bool
    summary: Json
