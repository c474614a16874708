"""What two people have overridden for a run by break-glass; it holds for the runs that it calls, too."""

from __future__ import annotations

from collections.abc import Iterable

from storage import break_glass, database, executions, runbooks
from storage.catalog_records import VersionRecord
from storage.freeze_records import BreakGlassRecord, FreezeRecord
from storage.records import ExecutionRecord
from storage.states import VersionStatus


def of(run: ExecutionRecord) -> BreakGlassRecord | None:
    """The break-glass that this run was started by, or one that waits for it; None for a run like any other."""
    with database.reading():
        agreed = (break_glass.of_execution(each.id) for each in executions.with_parents(run))
        return next((each for each in agreed if each is not None), None)


def left(run: ExecutionRecord, found: Iterable[FreezeRecord]) -> list[FreezeRecord]:
    """Those of these freezes that nobody has overridden for this run."""
    agreed = of(run)
    return [each for each in found if agreed is None or each.id not in agreed.overrides["freezes"]]


def lets_draft_run(run: ExecutionRecord) -> bool:
    """Whether this run's version is the DRAFT still that two people let just this run of go.

    One that was deprecated since is not, also when it was made a draft again.
    """
    agreed = break_glass.of_execution(run.id)
    version = runbooks.version_by_id(run.version_id) if agreed and agreed.overrides.get("draft") else None
    return agreed is not None and version is not None and is_as_seen(version, agreed)


def is_as_seen(version: VersionRecord, asked: BreakGlassRecord) -> bool:
    """Whether a version is a DRAFT of which nobody has decided anything since it was asked for."""
    return version.status is VersionStatus.DRAFT and (version.decided_at or 0) <= asked.created_at


def reason_of(run: ExecutionRecord) -> str:
    """Why a run was asked for; who overrode something for it did so for that run alone."""
    agreed = of(run)
    return agreed.reason if agreed is not None else run.reason
