"""Break-glass: two people, one run, everything on record, and a review that somebody else closes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from house import ALICE, BOB, CAROL, DAVE, HOUR, MINUTE, OSCAR, House, Target, at_once, gate, http, runbook

from engine.access import people
from engine.catalog import notices, version_approval
from engine.errors import Conflict, Frozen, NotAllowed, NotApproved, NotFound, ReasonRequired
from engine.orchestration.admission import Wanted
from engine.runs import approvals, break_glass, controls, executions, freezing
from storage import audit, database
from storage.people_records import PersonRecord
from storage.records import Filter
from storage.states import Decision, ExecutionStatus

DAY = 24 * HOUR


@pytest.fixture
def house(house: House, target: Target) -> House:
    house.publish(runbook("pay", http("a", target.url("/pay"))))
    known(house)
    house.settle_for(break_glass=True, audit_channel="C0AUDIT01")
    return house


def known(house: House) -> None:
    for each in (ALICE, BOB, CAROL, DAVE):
        person = PersonRecord(each.user_id, each.user_id, None, "member", None, house.clock.time)
        people.remember(house.rt, person)


def freeze(house: House, **keys) -> str:
    return freezing.freeze(house.rt, ALICE, "pay", "release night", lasting="6h", **keys).freeze.id


def ask(house: House, who=CAROL, slug: str = "pay", **keys) -> str:
    return break_glass.ask(house.rt, who, Wanted(slug, {}, "test", reason="the shop is down", **keys)).id


def agree(house: House, asked: str, who=BOB) -> executions.Accepted:
    return break_glass.agree(house.rt, who, asked)


def count(house: House) -> int:
    return len(executions.recent(house.rt, Filter(), 50))


def test_it_runs_inside_a_freeze_when_a_second_person_agrees(house: House, target: Target) -> None:
    frozen = freeze(house, hold_running=True)
    asked = ask(house)
    assert count(house) == 0
    run = agree(house, asked).execution
    assert run.reason == f"break-glass {asked} by @U0CAROL01 with @U0BOB0001: the shop is down"
    assert house.run(run.id) == "SUCCESS"
    assert target.paths() == ["/pay"]
    found = break_glass.find(house.rt, ALICE, asked)
    assert (found.overrides["freezes"], found.execution_id, found.agreed_by) == ([frozen], run.id, BOB.user_id)
    told = [each.content for each in notices.pending(house.rt) if each.kind == notices.BREAK_GLASS]
    assert [(each["did"], each["channel"]) for each in told] == [("asked", "C0AUDIT01"), ("agreed", "C0AUDIT01")]
    with database.reading():
        rows = [each.action for each in audit.recent(house.rt.workspace_id, 50)]
    assert {"break_glass.ask", "break_glass.agree"} <= set(rows)
    with pytest.raises(Frozen):
        house.start("pay")


def test_nobody_agrees_with_themselves_without_a_role_or_too_late(house: House) -> None:
    freeze(house)
    asked = ask(house)
    for who in (CAROL, OSCAR):
        with pytest.raises(NotAllowed):
            agree(house, asked, who)
    for each, mail in ((BOB, "Carol@Example.com"), (CAROL, "carol@example.com")):
        person = PersonRecord(each.user_id, each.user_id, mail, "member", None, house.clock.time)
        people.remember(house.rt, person)
    with pytest.raises(NotAllowed, match="a second person"):
        agree(house, asked, BOB)
    house.clock.tick(10 * MINUTE)
    with pytest.raises(Conflict, match="10 minutes"):
        agree(house, asked, ALICE)
    assert count(house) == 0


def test_a_requester_who_lost_their_role_runs_nothing(house: House) -> None:
    freeze(house)
    asked = ask(house)
    house.know_groups({"S0PLATFORM": ("platform", {"U0ALICE01"}), "S0PAYMENTS": ("payments", set())})
    with pytest.raises(NotAllowed):
        agree(house, asked, BOB)


def test_agreed_twice_at_once_it_runs_once(house: House) -> None:
    freeze(house)
    asked = ask(house)
    done = at_once(*[lambda who=who: agree(house, asked, who) for who in (ALICE, BOB, DAVE)])
    assert sum(isinstance(each, executions.Accepted) for each in done) == 1
    assert count(house) == 1


def test_what_stands_in_the_way_since_is_not_overridden(house: House) -> None:
    freeze(house)
    asked = ask(house)
    freezing.freeze(house.rt, ALICE, "everything", "worse", lasting="1h")
    with pytest.raises(Conflict, match="does not override F-"):
        agree(house, asked)
    assert count(house) == 0


def test_a_draft_runs_only_as_it_was_shown_and_not_by_its_author(house: House, target: Target) -> None:
    house.sync(pay=runbook("pay", http("new", target.url("/new"))))
    with pytest.raises(NotApproved):
        house.start("pay")
    asked = ask(house)
    assert break_glass.find(house.rt, ALICE, asked).overrides["draft"]
    house.sync(pay=runbook("pay", http("newer", target.url("/newer"))))
    with pytest.raises((Conflict, NotApproved)):
        agree(house, asked)
    run = agree(house, ask(house)).execution
    assert house.run(run.id) == "SUCCESS"
    assert target.paths() == ["/newer"]
    with pytest.raises(NotApproved):
        house.start("pay")


def test_its_author_does_not_let_a_draft_run(house: House, target: Target) -> None:
    mail = "bob@example.com"
    house.sync(pay=runbook("pay", http("new", target.url("/new"))))
    with database.transaction():
        from storage.tables import RunbookVersion

        RunbookVersion.update(author_email=mail).where(RunbookVersion.number == 2).execute()
    asked = ask(house)
    with pytest.raises(NotAllowed, match="your own edit"):
        agree(house, asked, replace(BOB, email=mail))
    assert agree(house, asked, DAVE)


def test_what_is_deprecated_does_not_run_by_it_nor_goes_on(house: House, target: Target) -> None:
    freeze(house)
    asked = ask(house)
    version_approval.deprecate(house.rt, ALICE, "pay", 1, "bad")
    for act in (lambda: agree(house, asked), lambda: ask(house)):
        with pytest.raises(NotApproved, match="DEPRECATED"):
            act()
    house.sync(pay=runbook("pay", http("new", target.url("/new"))))
    run = agree(house, ask(house)).execution
    version_approval.deprecate(house.rt, ALICE, "pay", 2, "bad")
    house.run(run.id)
    assert target.paths() == []
    assert house.execution(run.id).status is ExecutionStatus.FAILED


def test_a_quorum_becomes_one_approval_of_somebody_who_may(house: House, target: Target) -> None:
    house.publish(runbook("careful", gate("ask", min_approvals=2), http("a", target.url("/careful"), needs=["ask"])))
    asked = ask(house, DAVE, "careful")
    assert break_glass.find(house.rt, ALICE, asked).overrides["quorum"] == ["ask"]
    run = agree(house, asked, BOB).execution
    house.run(run.id)
    with pytest.raises(NotAllowed):
        approvals.vote(house.rt, DAVE, run.id, None, Decision.APPROVE)
    approvals.vote(house.rt, ALICE, run.id, None, Decision.APPROVE)
    assert house.run(run.id) == "SUCCESS"


def test_nothing_to_override_no_reason_or_switched_off(house: House) -> None:
    with pytest.raises(Conflict, match="Nothing forbids"):
        ask(house)
    freeze(house)
    with pytest.raises(ReasonRequired):
        break_glass.ask(house.rt, CAROL, Wanted("pay", {}, "test"))
    with pytest.raises(NotAllowed):
        ask(house, OSCAR)
    asked = ask(house)
    house.settle_for(break_glass=False)
    for act in (lambda: ask(house), lambda: agree(house, asked)):
        with pytest.raises(Conflict, match="BREAK_GLASS is not set"):
            act()


def test_a_review_is_closed_by_a_platform_admin_who_had_no_part_in_it(house: House) -> None:
    freeze(house)
    asked = ask(house)
    with pytest.raises(Conflict, match="Nobody has agreed"):
        break_glass.review(house.rt, DAVE, asked, "x")
    agree(house, asked, ALICE)
    with pytest.raises(ReasonRequired):
        break_glass.review(house.rt, DAVE, asked, " ")
    for who in (ALICE, BOB, CAROL):
        with pytest.raises(NotAllowed):
            break_glass.review(house.rt, who, asked, "fine")
    done = break_glass.review(house.rt, DAVE, asked, "the disk was full")
    assert (done.reviewed_by, done.note) == (DAVE.user_id, "the disk was full")
    with pytest.raises(Conflict, match="closed already"):
        break_glass.review(house.rt, DAVE, asked, "again")


def test_an_overdue_review_blocks_both_people(house: House) -> None:
    freeze(house)
    asked = ask(house)
    agree(house, asked, BOB)
    house.clock.tick(7 * DAY + 1)
    house.know_groups()
    known(house)
    freeze(house)
    for who in (CAROL, BOB):
        with pytest.raises(Conflict, match="is open for more than 7 days"):
            ask(house, who)
    other = ask(house, ALICE)
    with pytest.raises(Conflict, match="is open for more than 7 days"):
        agree(house, other, BOB)
    break_glass.review(house.rt, DAVE, asked, "fine")
    agree(house, other, BOB)
    with pytest.raises(NotFound):
        break_glass.find(house.rt, ALICE, "B-NOTHING")


def test_its_failed_run_is_not_retried_inside_the_freeze(house: House, target: Target) -> None:
    """It is for one run; what goes on after that is asked for anew."""
    target.does["/pay"] = [lambda conn, _: conn.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")]
    freeze(house)
    run = agree(house, ask(house)).execution
    assert house.run(run.id) == "FAILED"
    with pytest.raises(Frozen):
        controls.retry(house.rt, CAROL, run.id)
