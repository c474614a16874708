"""The compliance report: what it holds, of which team, and who may have it."""

from __future__ import annotations

import pytest
from harness import ALICE, BOB, CAROL, DAVE, HOUR, OSCAR, Harness, Target, gate, http, runbook

from engine.access import auditing
from engine.access.policy import SYSTEM
from engine.errors import InvalidParameters, NotAllowed
from engine.orchestration.admission import Wanted
from engine.queries import audit_export, compliance
from engine.queries.compliance import Report, Row
from engine.runs import controls, executions, voting
from storage import database
from storage.states import Decision, Severity

SECRET = "c4nary-b1rd-of-the-m1ne"


def of(report: Report, section: str) -> list[Row]:
    return [row for row in report.rows if row.section == section]


@pytest.fixture
def lived(harness: Harness, target: Target) -> Harness:
    """Team payments has run something that was let on, and something that failed; everybody's ran too."""
    auth = {"type": "bearer", "token": "{{ secrets.canary }}"}
    harness.publish(
        runbook("careful", gate("ask", min_approvals=2), http("call", target.url("/x"), auth=auth)),
        runbook("broken", http("call", "http://127.0.0.1:9/", retry={"max_attempts": 1})),
        runbook("ping", http("ping", target.url("/ping")), team=None),
    )
    run = harness.start("careful", CAROL)
    harness.advance(run)
    for who in (ALICE, DAVE):
        voting.vote(harness.rt, who, run, None, Decision.APPROVE, f"go {SECRET}" if who is ALICE else "")
    harness.run(run)
    harness.run(harness.start("broken", CAROL))
    harness.run(harness.start("ping", ALICE))
    return harness


def whole(harness: Harness, team: str | None = None) -> Report:
    at = harness.clock.time
    return compliance.report(harness.rt, ALICE, at - HOUR, at + HOUR, team)


def test_it_tells_what_ran_and_who_let_it(lived: Harness) -> None:
    """Counts, runs, votes as N of M, failures, and the names of secrets; never a value."""
    found = whole(lived)
    assert {(row.team, row.what, row.detail) for row in of(found, compliance.SUMMARY)} == {
        ("payments", "SUCCESS", "1"), ("payments", "FAILED", "1"), (None, "SUCCESS", "1"),
    }  # fmt: skip
    assert {row.runbook for row in of(found, compliance.RUNS)} == {"careful", "broken", "ping"}
    votes = [row for row in of(found, compliance.APPROVALS) if row.what == "approval.vote"]
    assert [row.who for row in votes] == [ALICE.user_id, DAVE.user_id]
    assert all("APPROVE at ask: 2 of 2, approved" in row.detail for row in votes)
    assert {row.runbook for row in of(found, compliance.APPROVALS)} == {"careful", "broken", "ping"}
    (failed,) = of(found, compliance.FAILURES)
    assert (failed.runbook, bool(failed.detail)) == ("broken", True)
    assert [(row.runbook, row.version, row.what) for row in of(found, compliance.SECRETS)] == [("careful", 1, "canary")]
    assert SECRET not in repr(found)


def test_overrides_and_what_other_parts_of_the_policy_did(lived: Harness) -> None:
    """By what the audit says of them; a cancel that ends no cleanup is no override."""
    rt = lived.rt
    for force in (False, True):
        run = lived.start("careful", CAROL)
        lived.advance(run)
        controls.cancel(rt, CAROL, run, "wrong one", force=force)
    executions.request(rt, CAROL, Wanted("careful", {}, trigger="test", reason="twice"), force=True)
    with database.transaction():
        for action in ("break_glass.use", "break_glass.review", "freeze.set", "freezer.other"):
            auditing.by_actor(rt, BOB, action, "runbook:careful@1", {"reason": "on fire"}, Severity.WARNING)
        auditing.by_bot(rt, "runbook.approval_expired", "runbook:ping@1", {}, Severity.WARNING)
    found = whole(lived)
    overrides = {row.what: row.detail for row in of(found, compliance.OVERRIDES)}
    assert set(overrides) == {"execution.start", "execution.cancel", "break_glass.use", "break_glass.review"}
    assert "reason: on fire" in overrides["break_glass.use"]
    assert [(row.what, row.team) for row in of(found, compliance.FROZEN)] == [("freeze.set", "payments")]
    assert [row.runbook for row in of(found, compliance.EXPIRED)] == ["ping"]


def test_a_teams_report_has_nothing_of_others(lived: Harness) -> None:
    """Nor of what is everybody's."""
    found = whole(lived, "payments")
    assert {row.team for row in found.rows} == {"payments"}
    assert "ping" not in {row.runbook for row in found.rows}


def test_who_may_have_it(lived: Harness) -> None:
    """Platform admins every one, a team's admins their team's; that it was asked for is audited."""
    at, rt = lived.clock.time, lived.rt
    compliance.report(rt, BOB, at - HOUR, at, "payments")
    for who, team in ((BOB, None), (BOB, "search"), (CAROL, "payments"), (OSCAR, "payments"), (SYSTEM, None)):
        with pytest.raises(NotAllowed):
            compliance.report(rt, who, at - HOUR, at, team)
    rows = [row for page in audit_export.export(rt, ALICE, audit_export.Wanted(action="audit.report")) for row in page]
    assert [(row.actor, row.detail["team"]) for row in rows] == [(BOB.user_id, "payments")]


def test_the_time_is_the_last_whole_month_where_none_is_said(harness: Harness) -> None:
    """Its beginning belongs to it and its end does not; a time that ends before it begins is refused."""
    harness.sync()
    found = compliance.report(harness.rt, ALICE, None, None)
    assert (found.since, found.until) == compliance.last_month(harness.clock.time)
    assert compliance.last_month(1_800_000_000_000) == (1_796_083_200_000, 1_798_761_600_000)
    with pytest.raises(InvalidParameters):
        compliance.report(harness.rt, ALICE, 10, 10)
    with pytest.raises(InvalidParameters, match="did you mean `payments`"):
        compliance.report(harness.rt, ALICE, 10, 20, "paymints")


def test_an_export_is_for_platform_admins_and_holds_no_secret(lived: Harness) -> None:
    """Page after page, the oldest first, and nothing twice."""
    with pytest.raises(NotAllowed):
        audit_export.export(lived.rt, BOB, audit_export.Wanted())
    pages = list(audit_export.export(lived.rt, ALICE, audit_export.Wanted()))
    ids = [row.id for page in pages for row in page]
    assert ids == sorted(set(ids))
    assert SECRET not in repr(pages)
    assert pages[-1][-1].action == "audit.export"


def test_it_tells_nothing_of_a_channel_that_is_not_theirs(harness: Harness, target: Target) -> None:
    """Nor does the bot's own, which stands in a channel with other members; who is in the channel is told all."""
    harness.rooms.members["C0HIDDEN1"] = {CAROL.user_id, DAVE.user_id}
    harness.publish(runbook("demo", http("call", target.url("/a"))))
    about = {"channel": "C0HIDDEN1", "service": "the-merger"}
    for _ in range(2):
        executions.request(harness.rt, CAROL, Wanted("demo", {}, "test", reason="x", incident=about), force=True)
    at = harness.clock.time
    assert "the-merger" not in str(compliance.report(harness.rt, BOB, at - HOUR, at + HOUR, "payments"))
    assert "the-merger" not in str(compliance.compiled(harness.rt, at - HOUR, at + HOUR))
    assert "the-merger" in str(compliance.report(harness.rt, DAVE, at - HOUR, at + HOUR))


def test_what_single_people_said_of_a_version_is_in_it(lived: Harness) -> None:
    """Not only the approval that their words came to."""
    for deed in ("runbook.vote", "runbook.withdraw"):
        with database.transaction():
            auditing.by_actor(lived.rt, ALICE, deed, auditing.of_version("careful", 1), {"missing": ["1 of 2"]})
    found = [row for row in of(whole(lived), compliance.APPROVALS) if row.what in ("runbook.vote", "runbook.withdraw")]
    assert [(row.what, row.runbook, row.version) for row in found] == [
        ("runbook.vote", "careful", 1), ("runbook.withdraw", "careful", 1),
    ]  # fmt: skip
