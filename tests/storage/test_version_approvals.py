"""Versions that were approved before approvals were kept one by one count as approved."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import boot
from engine.config import settings
from storage import database, migrate, version_approvals
from storage.audit_tables import Audit
from storage.columns import proxy
from storage.tables import Runbook, RunbookVersion
from storage.version_tables import VersionApproval


def test_what_was_approved_before_is_known(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are APPROVED, and those of which the audit says that they were; no others."""
    loaded = settings.load({"DATABASE_URL": empty_database_url, "RUNBOOKS_DIR": str(tmp_path)}, tmp_path)
    boot.open_database(loaded)
    every = migrate.migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: [each for each in every if each.number < 27])
        migrate.migrate()
    with database.transaction():
        proxy.obj.execute_sql("INSERT INTO workspace (name, created_at) VALUES ('x', 0)")
        book = Runbook.insert(
            workspace_id=1, slug="demo", name="", description="", tags=[], risk="low", current_number=4,
            status="DRAFT", updated_at=0,
        ).execute()  # fmt: skip
        for number, status in enumerate(("DEPRECATED", "APPROVED", "DEPRECATED", "DRAFT"), 1):
            RunbookVersion.insert(
                workspace_id=1, runbook_id=book, slug="demo", number=number, digest=f"d{number}", definition={},
                source="", note="", status=status, created_at=number, decided_by="U0ALICE01", decided_at=number * 10,
            ).execute()  # fmt: skip
        Audit.insert(
            workspace_id=1, actor="U0ALICE01", action="runbook.approve", thing="runbook:demo@1", severity="NOTICE",
            detail={}, at=5,
        ).execute()  # fmt: skip
    migrate.migrate()
    with database.reading():
        found = VersionApproval.select(VersionApproval.digest, VersionApproval.counted_at)
        assert sorted(found.tuples()) == [("d1", 10), ("d2", 20)]
        last = RunbookVersion.get(RunbookVersion.number == 4)
        before = version_approvals.approved_before(last, 1)
    assert before is not None
    assert before.number == 2
