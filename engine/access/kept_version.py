"""Which version runs on beside an edit that waits for its approval."""

from __future__ import annotations

from engine.runtime import Runtime
from storage import database, version_approvals
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.states import VersionStatus


def of(rt: Runtime, runbook: RunbookRecord) -> VersionRecord | None:
    """With `ON_EDIT=keep` the version that runs while a newer one is a draft; None where only the newest may run.

    An edit changes nothing of what runs: it brings nothing back that a version replaced which was deprecated since.
    """
    if runbook.status is not VersionStatus.DRAFT or rt.settings.on_edit != "keep":
        return None
    with database.reading():
        return version_approvals.kept(runbook.id)
