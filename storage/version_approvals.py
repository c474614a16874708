"""Who has approved or renewed which version; changed under the runbook's lock, so only one is the last that counts."""

from __future__ import annotations

from collections.abc import Collection

import peewee as pw

from storage import rows
from storage.catalog_records import VersionApprovalRecord, VersionRecord
from storage.database import now
from storage.states import VersionStatus
from storage.tables import RunbookVersion
from storage.version_tables import VersionApproval

APPROVE, RENEW = "approve", "renew"


def add(found: VersionRecord, workspace_id: int, kind: str, user_id: str, email: str | None) -> None:
    """Note that somebody approves or renews this version, as it reads."""
    VersionApproval.insert(
        workspace_id=workspace_id, version_id=found.id, kind=kind, user_id=user_id, email=email, digest=found.digest,
        at=now(), counted_at=None,
    ).execute()  # fmt: skip


def waiting(version_id: int) -> list[VersionApprovalRecord]:
    """What was said of a version and waits for others, the oldest first."""
    query = rows.select(VersionApproval, VersionApprovalRecord).where(
        (VersionApproval.version_id == version_id) & VersionApproval.counted_at.is_null()
    )
    return rows.read(query.order_by(VersionApproval.id), VersionApprovalRecord)


def count(version_id: int, ids: Collection[int]) -> None:
    """Note that a version was decided about with these; what else was said of it counts for no later decision."""
    VersionApproval.update(counted_at=now()).where(VersionApproval.id.in_(list(ids))).execute()
    drop_waiting(version_id)


def withdraw(ids: Collection[int]) -> None:
    """Forget these, which wait for others. Needs the runbook's lock."""
    VersionApproval.delete().where(VersionApproval.id.in_(list(ids)) & VersionApproval.counted_at.is_null()).execute()


def drop_waiting(version_id: int) -> None:
    """What waits for others counts for nothing any more."""
    VersionApproval.delete().where(
        (VersionApproval.version_id == version_id) & VersionApproval.counted_at.is_null()
    ).execute()


def approved_before(found: VersionRecord, workspace_id: int) -> VersionRecord | None:
    """The newest earlier version of this id that was ever approved, also of a runbook that was deleted since."""
    return _newest(
        (RunbookVersion.workspace_id == workspace_id)
        & (RunbookVersion.slug == found.slug)
        & (RunbookVersion.number < found.number)
        & ((RunbookVersion.status == VersionStatus.APPROVED) | RunbookVersion.id.in_(_ever_approved()))
    )


def kept(runbook_id: int) -> VersionRecord | None:
    """The version that may run on beside a newer draft: the newest that was decided about, if it is APPROVED now.

    One that was deprecated has replaced those before it for good, also when it is a draft again.
    """
    decided = (RunbookVersion.status != VersionStatus.DRAFT) | RunbookVersion.id.in_(_ever_approved())
    newest = _newest((RunbookVersion.runbook_id == runbook_id) & decided)
    return newest if newest is not None and newest.status is VersionStatus.APPROVED else None


def _ever_approved() -> pw.ModelSelect[VersionApproval]:
    return VersionApproval.select(VersionApproval.version_id).where(VersionApproval.counted_at.is_null(False))


def _newest(where: pw.Expression) -> VersionRecord | None:
    query = rows.select(RunbookVersion, VersionRecord).where(where)
    return next(iter(rows.read(query.order_by(RunbookVersion.number.desc()).limit(1), VersionRecord)), None)
