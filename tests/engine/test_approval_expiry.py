"""Approvals that last for a time: what an expired one stops, what it does not, and who renews it."""

from __future__ import annotations

import pytest
from house import ALICE, BOB, CAROL, DAVE, HOUR, House, at_once, errors, gate, http, runbook

from engine.catalog import catalog, renewals, version_approval
from engine.errors import Conflict, NotAllowed, NotApproved
from engine.runs import approvals, controls, executions
from engine.runs.replaying import replay
from storage import audit, database
from storage.states import Decision
from storage.tables import RunbookVersion

DAY = 24 * HOUR


def later(house: House, ms: int) -> None:
    """Let time pass, and hear of groups again as the bot does."""
    house.clock.tick(ms)
    house.know_groups()


@pytest.fixture
def house(house: House) -> House:
    """Approvals last for thirty days."""
    house.settle_for(approval_max_age=30 * DAY)
    return house


def test_an_expired_approval_starts_nothing_and_says_what_to_do(house: House) -> None:
    """The version stays APPROVED; `run`, by name and by version, is refused from that moment on."""
    house.publish(runbook("demo", http("a")))
    later(house, 30 * DAY - 1)
    house.start("demo")
    later(house, 1)
    with pytest.raises(NotApproved, match=r"demo@1 expired on 20\d\d-\d\d-\d\d at .*`admin renew demo`"):
        house.start("demo")
    with pytest.raises(NotApproved, match="expired"):
        executions.start(house.rt, CAROL, "demo", {}, number=1, trigger="test")
    with pytest.raises(NotApproved, match="expired"):
        executions.prepare(house.rt, CAROL, "demo")
    assert catalog.get(house.rt, "demo").status == "APPROVED"


def test_the_shorter_age_counts(house: House) -> None:
    """A runbook may ask for less than the setting and never for more."""
    house.publish(
        runbook("short", http("a"), approval_max_age="2d"), runbook("long", http("a"), approval_max_age="90d")
    )
    later(house, 2 * DAY)
    with pytest.raises(NotApproved):
        house.start("short")
    house.start("long")
    later(house, 28 * DAY)
    with pytest.raises(NotApproved):
        house.start("long")
    house.settle_for(approval_max_age=None)
    house.start("long")


def test_what_is_under_way_goes_on_and_a_retry_or_replay_begins_anew(house: House) -> None:
    """A gate is passed and the next step done; what has failed is not tried again."""
    house.publish(runbook("demo", gate("ask"), http("a")), runbook("queued", http("a")))
    run, waiting = house.start("demo"), house.start("queued")
    house.advance(run)
    later(house, 30 * DAY)
    controls.pause(house.rt, CAROL, run)
    controls.resume(house.rt, CAROL, run)
    assert house.status(run) == "WAITING"
    house.run(waiting)
    assert house.status(waiting) == "FAILED"
    assert house.execution(waiting).error["code"] != "not_approved"
    with pytest.raises(NotApproved, match="queued@1 expired"):
        controls.retry(house.rt, CAROL, waiting)
    with pytest.raises(NotApproved, match="queued@1 expired"):
        replay(house.rt, CAROL, waiting)


def test_a_run_that_goes_on_starts_its_children(house: House) -> None:
    """They belong to it; nobody starts the child by itself."""
    child = runbook("child", {"id": "wait", "type": "delay", "with": {"for": "1s"}}, approval_max_age="1h")
    parent = runbook("parent", gate("ask", timeout="3h"), {"id": "go", "type": "runbook", "with": {"id": "child"}})
    house.publish(child, parent)
    run = house.start("parent")
    house.advance(run)
    later(house, HOUR)
    with pytest.raises(NotApproved):
        house.start("child")
    approvals.vote(house.rt, ALICE, run, "ask", Decision.APPROVE)
    house.advance(run)
    assert house.run(str(house.step(run, "go").child)) == "SUCCESS"
    assert house.run(run) == "SUCCESS"


def test_renewing_lasts_for_as_long_again(house: House) -> None:
    """By whoever may approve it; before its time, unread, by its author or after a change it is refused."""
    house.publish(runbook("demo", http("a")))
    digest = catalog.version(house.rt, "demo").digest
    with pytest.raises(Conflict, match="too early"):
        version_approval.renew(house.rt, DAVE, "demo")
    later(house, 30 * DAY)
    with pytest.raises(NotAllowed, match="platform admin"):
        version_approval.renew(house.rt, BOB, "demo")
    with pytest.raises(Conflict, match="not what you were shown"):
        version_approval.renew(house.rt, DAVE, "demo", 1, "sha256:" + "0" * 64)
    with database.transaction():
        RunbookVersion.update(author=DAVE.user_id).execute()
    with pytest.raises(NotAllowed, match="your own edit"):
        version_approval.renew(house.rt, DAVE, "demo", 1, digest)
    done, quorum = version_approval.renew(house.rt, ALICE, "demo", 1, digest)
    assert (done.decided_at, done.status, quorum.missing) == (house.clock.time, "APPROVED", ())
    house.start("demo")
    with pytest.raises(Conflict, match="too early"):
        version_approval.renew(house.rt, ALICE, "demo", 1, digest)
    with database.reading():
        row = audit.of_thing(1, "runbook:demo@1")[-1]
    assert (row.action, row.detail["digest"]) == ("runbook.renew", digest)
    later(house, 30 * DAY)
    with pytest.raises(NotApproved):
        house.start("demo")


def test_an_old_button_renews_no_newer_version(house: House) -> None:
    """Nor one that was deprecated, nor what never expires."""
    house.publish(runbook("demo", http("a")))
    digest = catalog.version(house.rt, "demo").digest
    later(house, 29 * DAY)
    house.publish(runbook("demo", http("a"), http("b")))
    with pytest.raises(NotApproved, match="Only version 2"):
        version_approval.renew(house.rt, ALICE, "demo", 1, digest)
    version_approval.deprecate(house.rt, ALICE, "demo")
    with pytest.raises(NotApproved, match="DEPRECATED"):
        version_approval.renew(house.rt, ALICE, "demo", 2)
    house.settle_for(approval_max_age=None)
    house.publish(runbook("other", http("a")))
    with pytest.raises(Conflict, match="does not expire"):
        version_approval.renew(house.rt, ALICE, "other")


def test_two_who_renew_at_once_renew_once(house: House) -> None:
    """The other is told that it is too early."""
    house.publish(runbook("demo", http("a")))
    later(house, 29 * DAY)
    results = at_once(*(lambda who=who: version_approval.renew(house.rt, who, "demo", 1) for who in (ALICE, DAVE)))
    assert [type(each) for each in errors(results)] == [Conflict]


def test_what_is_to_be_renewed_is_listed_a_week_before(house: House) -> None:
    """Or at half of a short age; what waits for an approval anyway is not."""
    house.publish(runbook("demo", http("a")), runbook("short", http("a"), approval_max_age="4h"))
    house.sync(draft=runbook("draft", http("a")))
    assert renewals.due(house.rt) == []
    later(house, 2 * HOUR)
    assert [each.version.slug for each in renewals.due(house.rt)] == ["short"]
    later(house, 23 * DAY)
    found = renewals.due(house.rt)
    assert [(each.version.slug, each.expired) for each in found] == [("short", True), ("demo", False)]
    assert len(renewals.for_person(house.rt, ALICE, found)) == 2
    assert renewals.for_person(house.rt, CAROL, found) == []


def test_with_keep_the_version_that_runs_is_renewed(house: House) -> None:
    """Although a newer draft waits."""
    house.settle_for(on_edit="keep")
    house.publish(runbook("demo", http("a")))
    house.sync(demo=runbook("demo", http("b")))
    later(house, 30 * DAY)
    with pytest.raises(NotApproved, match="demo@1 expired"):
        house.start("demo")
    version_approval.renew(house.rt, ALICE, "demo")
    house.start("demo")
