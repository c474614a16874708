"""Approvals that last for a time: what an expired one stops, what it does not, and who renews it."""

from __future__ import annotations

import pytest
from harness import ALICE, BOB, CAROL, DAVE, HOUR, Harness, Target, at_once, errors, gate, http, runbook

from engine.catalog import catalog, renewals, version_approval
from engine.errors import Conflict, NotAllowed, NotApproved
from engine.runs import controls, executions, skipping, voting
from engine.runs.replay_run import replay
from storage import audit, database
from storage.states import Decision
from storage.tables import RunbookVersion

DAY = 24 * HOUR


def later(harness: Harness, ms: int) -> None:
    """Let time pass, and hear of groups again as the bot does."""
    harness.clock.tick(ms)
    harness.know_groups()


@pytest.fixture
def harness(harness: Harness) -> Harness:
    """Approvals last for thirty days."""
    harness.settle_for(approval_max_age=30 * DAY)
    return harness


def test_an_expired_approval_starts_nothing_and_says_what_to_do(harness: Harness) -> None:
    """The version stays APPROVED; `run`, by name and by version, is refused from that moment on."""
    harness.publish(runbook("demo", http("a")))
    later(harness, 30 * DAY - 1)
    harness.start("demo")
    later(harness, 1)
    with pytest.raises(NotApproved, match=r"demo@1 expired on 20\d\d-\d\d-\d\d at .*`admin renew demo`"):
        harness.start("demo")
    with pytest.raises(NotApproved, match="expired"):
        executions.start(harness.rt, CAROL, "demo", {}, number=1, trigger="test")
    with pytest.raises(NotApproved, match="expired"):
        executions.prepare(harness.rt, CAROL, "demo")
    assert catalog.get(harness.rt, "demo").status == "APPROVED"


def test_the_shorter_age_counts(harness: Harness) -> None:
    """A runbook may ask for less than the setting and never for more."""
    harness.publish(
        runbook("short", http("a"), approval_max_age="2d"), runbook("long", http("a"), approval_max_age="90d")
    )
    later(harness, 2 * DAY)
    with pytest.raises(NotApproved):
        harness.start("short")
    harness.start("long")
    later(harness, 28 * DAY)
    with pytest.raises(NotApproved):
        harness.start("long")
    harness.settle_for(approval_max_age=None)
    harness.start("long")


def test_what_is_under_way_goes_on_and_a_retry_or_replay_begins_anew(harness: Harness) -> None:
    """A gate is passed and the next step done; what has failed is not tried again."""
    harness.publish(runbook("demo", gate("ask"), http("a")), runbook("queued", http("a")))
    run, waiting = harness.start("demo"), harness.start("queued")
    harness.advance(run)
    later(harness, 30 * DAY)
    controls.pause(harness.rt, CAROL, run)
    controls.resume(harness.rt, CAROL, run)
    assert harness.status(run) == "WAITING"
    harness.run(waiting)
    assert harness.status(waiting) == "FAILED"
    assert harness.execution(waiting).error["code"] != "not_approved"
    with pytest.raises(NotApproved, match="queued@1 expired"):
        controls.retry(harness.rt, CAROL, waiting)
    with pytest.raises(NotApproved, match="queued@1 expired"):
        replay(harness.rt, CAROL, waiting)


def test_a_failed_run_goes_on_by_no_skip(harness: Harness, target: Target) -> None:
    """That lets it begin anew, as a retry does."""
    run = harness.begin(http("a"), http("b", target.url("/b"), needs=["a"]))
    assert harness.run(run) == "FAILED"
    later(harness, 30 * DAY)
    with pytest.raises(NotApproved, match="expired"):
        skipping.skip(harness.rt, CAROL, run, "a", "it is fine")
    harness.run(run)
    assert (harness.status(run), target.paths()) == ("FAILED", [])


def test_a_run_that_goes_on_starts_its_children(harness: Harness) -> None:
    """They belong to it; nobody starts the child by itself."""
    child = runbook("child", {"id": "wait", "type": "delay", "with": {"for": "1s"}}, approval_max_age="1h")
    parent = runbook("parent", gate("ask", timeout="3h"), {"id": "go", "type": "runbook", "with": {"id": "child"}})
    harness.publish(child, parent)
    run = harness.start("parent")
    harness.advance(run)
    later(harness, HOUR)
    with pytest.raises(NotApproved):
        harness.start("child")
    voting.vote(harness.rt, ALICE, run, "ask", Decision.APPROVE)
    harness.advance(run)
    assert harness.run(str(harness.step(run, "go").child)) == "SUCCESS"
    assert harness.run(run) == "SUCCESS"


def test_renewing_lasts_for_as_long_again(harness: Harness) -> None:
    """By whoever may approve it; before its time, unread, by its author or after a change it is refused."""
    harness.publish(runbook("demo", http("a")))
    digest = catalog.version(harness.rt, "demo").digest
    with pytest.raises(Conflict, match="too early"):
        version_approval.renew(harness.rt, DAVE, "demo")
    later(harness, 30 * DAY)
    with pytest.raises(NotAllowed, match="platform admin"):
        version_approval.renew(harness.rt, BOB, "demo")
    with pytest.raises(Conflict, match="not what you were shown"):
        version_approval.renew(harness.rt, DAVE, "demo", 1, "sha256:" + "0" * 64)
    with database.transaction():
        RunbookVersion.update(author=DAVE.user_id).execute()
    with pytest.raises(NotAllowed, match="your own edit"):
        version_approval.renew(harness.rt, DAVE, "demo", 1, digest)
    done, quorum = version_approval.renew(harness.rt, ALICE, "demo", 1, digest)
    assert (done.decided_at, done.status, quorum.missing) == (harness.clock.time, "APPROVED", ())
    harness.start("demo")
    with pytest.raises(Conflict, match="too early"):
        version_approval.renew(harness.rt, ALICE, "demo", 1, digest)
    with database.reading():
        row = audit.of_thing(1, "runbook:demo@1")[-1]
    assert (row.action, row.detail["digest"]) == ("runbook.renew", digest)
    later(harness, 30 * DAY)
    with pytest.raises(NotApproved):
        harness.start("demo")


def test_an_old_button_renews_no_newer_version(harness: Harness) -> None:
    """Nor one that was deprecated, nor what never expires."""
    harness.publish(runbook("demo", http("a")))
    digest = catalog.version(harness.rt, "demo").digest
    later(harness, 29 * DAY)
    harness.publish(runbook("demo", http("a"), http("b")))
    with pytest.raises(NotApproved, match="Only version 2"):
        version_approval.renew(harness.rt, ALICE, "demo", 1, digest)
    version_approval.deprecate(harness.rt, ALICE, "demo")
    with pytest.raises(NotApproved, match="DEPRECATED"):
        version_approval.renew(harness.rt, ALICE, "demo", 2)
    harness.settle_for(approval_max_age=None)
    harness.publish(runbook("other", http("a")))
    with pytest.raises(Conflict, match="does not expire"):
        version_approval.renew(harness.rt, ALICE, "other")


def test_two_who_renew_at_once_renew_once(harness: Harness) -> None:
    """The other is told that it is too early."""
    harness.publish(runbook("demo", http("a")))
    later(harness, 29 * DAY)
    results = at_once(*(lambda who=who: version_approval.renew(harness.rt, who, "demo", 1) for who in (ALICE, DAVE)))
    assert [type(each) for each in errors(results)] == [Conflict]


def test_what_is_to_be_renewed_is_listed_a_week_before(harness: Harness) -> None:
    """Or at half of a short age; what waits for an approval anyway is not."""
    harness.publish(runbook("demo", http("a")), runbook("short", http("a"), approval_max_age="4h"))
    harness.sync(draft=runbook("draft", http("a")))
    assert renewals.due(harness.rt) == []
    later(harness, 2 * HOUR)
    assert [each.version.slug for each in renewals.due(harness.rt)] == ["short"]
    later(harness, 23 * DAY)
    found = renewals.due(harness.rt)
    assert [(each.version.slug, each.expired) for each in found] == [("short", True), ("demo", False)]
    assert len(renewals.for_person(harness.rt, ALICE, found)) == 2
    assert renewals.for_person(harness.rt, CAROL, found) == []


def test_with_keep_the_version_that_runs_is_renewed(harness: Harness) -> None:
    """Although a newer draft waits."""
    harness.settle_for(on_edit="keep")
    harness.publish(runbook("demo", http("a")))
    harness.sync(demo=runbook("demo", http("b")))
    later(harness, 30 * DAY)
    with pytest.raises(NotApproved, match="demo@1 expired"):
        harness.start("demo")
    version_approval.renew(harness.rt, ALICE, "demo")
    harness.start("demo")
