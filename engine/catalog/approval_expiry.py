"""How long the approval of a version lasts. An expired one leaves the version APPROVED; it only starts nothing new."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.definition.durations import DAY_MS
from engine.definition.model import Runbook
from engine.errors import NotApproved
from engine.runtime import Runtime
from storage import database
from storage.catalog_records import VersionRecord
from storage.states import VersionStatus

NOTICE_MS = 7 * DAY_MS


def max_age(rt: Runtime, own_ms: int | None) -> int | None:
    """How long an approval lasts: the shorter of a runbook's own age and that of the settings, None for good."""
    return min((each for each in (own_ms, rt.settings.approval_max_age) if each), default=None)


def expires_at(rt: Runtime, version: VersionRecord, runbook: Runbook) -> int | None:
    """When the approval of this version ends or ended; None for one that lasts for good or is not approved."""
    age = max_age(rt, runbook.approval_max_age_ms)
    if age is None or version.status is not VersionStatus.APPROVED or version.decided_at is None:
        return None
    return version.decided_at + age


def has_expired(rt: Runtime, version: VersionRecord, runbook: Runbook) -> bool:
    """Whether this version starts nothing until its approval is renewed."""
    until = expires_at(rt, version, runbook)
    return until is not None and database.now() >= until


def is_near(rt: Runtime, version: VersionRecord, runbook: Runbook) -> bool:
    """Whether it is time to ask for a renewal: a week before the end, or at half of an age that is shorter."""
    age, until = max_age(rt, runbook.approval_max_age_ms), expires_at(rt, version, runbook)
    return age is not None and until is not None and database.now() >= until - min(NOTICE_MS, age // 2)


def must_hold(rt: Runtime, version: VersionRecord, runbook: Runbook) -> None:
    """Raise `NotApproved`, saying what to do, where the approval has expired."""
    until = expires_at(rt, version, runbook)
    if until is not None and has_expired(rt, version, runbook):
        name = f"{version.slug}@{version.number}"
        raise NotApproved(
            f"The approval of {name} expired on {shown(until)}: a platform admin who did not write it has to renew it "
            f"(`admin renew {version.slug}`)."
        )


def shown(at: int) -> str:
    """A moment in words, for everybody alike."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d at %H:%M UTC}"
