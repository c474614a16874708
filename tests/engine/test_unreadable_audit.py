"""One audit row that was changed to what cannot be read: it is named, and the others are shown all the same."""

from __future__ import annotations

import pytest
from harness import ALICE, HOUR, Harness, gate, runbook
from tampering import tampering

from engine.queries import audit, audit_chain, audit_export, compliance, evidence
from engine.runs import executions
from storage import audit as kept
from storage import database, sql

CHANGES = {"severity": "'LOUD'", "detail": "'no json'"}


@pytest.fixture(params=CHANGES)
def changed(harness: Harness, request: pytest.FixtureRequest) -> str:
    """A run has asked for its gate; what makes a row of it unreadable, as SQL."""
    harness.publish(runbook("careful", gate("ask")))
    harness.advance(harness.start("careful", ALICE))
    audit_chain.seal(harness.rt)
    return f"UPDATE audit SET {request.param} = {CHANGES[request.param]} WHERE seq = "


def test_search_and_export_name_the_row_and_show_the_rest(harness: Harness, changed: str) -> None:
    whole = [row.id for row in audit.search(harness.rt, ALICE)]
    with tampering():
        sql.run(f"{changed}3")
        found = audit.search(harness.rt, ALICE)
        assert [row.id for row in found] == whole
        exported = [row for page in audit_export._pages(harness.rt, ALICE, audit_export.Wanted()) for row in page]
        for rows in (found, exported):
            told = [row for row in rows if "cannot be read" in str(row.detail)]
            assert [(row.seq, row.severity) for row in told] == [(3, "CRITICAL")]
            assert "Row 3 " in str(told[0].detail)


def test_reading_on_behind_it_misses_no_row(harness: Harness, changed: str) -> None:
    """Page by page, whichever page it is on."""
    whole = [row.id for row in audit.search(harness.rt, ALICE)]
    with tampering():
        sql.run(f"{changed}2")
        pages, before = [], None
        while page := audit.search(harness.rt, ALICE, before=before, limit=1):
            pages += [row.id for row in page]
            before = page[-1].id
    assert pages == whole


def test_evidence_is_made_and_its_check_says_that_it_does_not_hold(harness: Harness, changed: str) -> None:
    run = harness.start("careful", ALICE)
    audit_chain.seal(harness.rt)
    with database.reading():
        row = kept.of_thing(harness.rt.workspace_id, f"execution:{run}")[0]
    found = executions.find(harness.rt, run)
    with tampering():
        sql.run(f"{changed}{row.seq}")
        made = evidence._of_audit(harness.rt, ALICE, found, lambda value: value)
    assert f"Row {row.seq} " in str(made["rows"])
    assert f"link {row.seq} does not follow the one before it" in audit_chain.check(made["rows"], made["proof"])


def test_verifying_behind_it_looks_at_all_that_follow(harness: Harness, changed: str) -> None:
    with tampering():
        sql.run(f"{changed}3")
        assert audit_chain.verify(harness.rt, since=4).troubles == ()
        assert [each.seq for each in audit_chain.verify(harness.rt, since=3).troubles] == [3]


def test_the_report_is_made_all_the_same(harness: Harness, changed: str) -> None:
    at = harness.clock.time
    with tampering():
        sql.run(f"{changed}1")
        assert compliance.compiled(harness.rt, at - HOUR, at + HOUR).rows
