"""What two people have overridden for a run by break-glass; it holds for the runs that it calls, too."""

from __future__ import annotations

from collections.abc import Iterable

from storage import break_glass, database, executions, runbooks
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
    """Whether this run's version is a DRAFT still, and two people let just this run of it go."""
    agreed = break_glass.of_execution(run.id)
    draft = runbooks.version_state(run.version_id).status is VersionStatus.DRAFT
    return draft and agreed is not None and bool(agreed.overrides.get("draft"))


def reason_of(run: ExecutionRecord) -> str:
    """Why a run was asked for; who overrode something for it did so for that run alone."""
    agreed = of(run)
    return agreed.reason if agreed is not None else run.reason
