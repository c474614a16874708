"""Break-glass: two people, one run, everything on record, and a review that somebody else closes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import ACCESS, ALICE, BOB, CAROL, DAVE, HOUR, MINUTE, OSCAR, Harness, Target, at_once, gate, http, runbook

from engine.access import people
from engine.access.policy import Actor
from engine.catalog import notices, version_approval
from engine.errors import Conflict, EngineError, Frozen, NotAllowed, NotApproved, NotFound, ReasonRequired
from engine.orchestration.admission import Wanted
from engine.runs import break_glass, controls, executions, freezing, replay_run, skipping, voting
from storage import audit, database
from storage.people_records import PersonRecord
from storage.records import Filter
from storage.states import Decision, ExecutionStatus

DAY = 24 * HOUR
ERIN, FRANK = (Actor(user, standing="member") for user in ("U0ERIN001", "U0FRANK01"))


@pytest.fixture
def harness(harness: Harness, target: Target) -> Harness:
    harness.publish(runbook("pay", http("a", target.url("/pay"))))
    known(harness)
    harness.settle_for(break_glass=True, audit_channel="C0AUDIT01")
    return harness


def known(harness: Harness) -> None:
    for each in (ALICE, BOB, CAROL, DAVE, ERIN, FRANK):
        person = PersonRecord(each.user_id, each.user_id, None, "member", None, harness.clock.time)
        people.remember(harness.rt, person)


def freeze(harness: Harness, **keys) -> str:
    return freezing.freeze(harness.rt, ALICE, "pay", "release night", lasting="6h", **keys).freeze.id


def ask(harness: Harness, who=CAROL, slug: str = "pay", **keys) -> str:
    return break_glass.ask(harness.rt, who, Wanted(slug, {}, "test", reason="the shop is down", **keys)).id


def agree(harness: Harness, asked: str, who=BOB) -> executions.Accepted:
    return break_glass.agree(harness.rt, who, asked)


def count(harness: Harness) -> int:
    return len(executions.recent(harness.rt, Filter(), 50))


def test_it_runs_inside_a_freeze_when_a_second_person_agrees(harness: Harness, target: Target) -> None:
    frozen = freeze(harness, hold_running=True)
    asked = ask(harness)
    assert count(harness) == 0
    run = agree(harness, asked).execution
    assert run.reason == f"break-glass {asked} by @U0CAROL01 with @U0BOB0001: the shop is down"
    assert harness.run(run.id) == "SUCCESS"
    assert target.paths() == ["/pay"]
    found = break_glass.find(harness.rt, ALICE, asked)
    assert (found.overrides["freezes"], found.execution_id, found.agreed_by) == ([frozen], run.id, BOB.user_id)
    told = [each.content for each in notices.pending(harness.rt) if each.kind == notices.BREAK_GLASS]
    assert [(each["did"], each["channel"]) for each in told] == [("asked", "C0AUDIT01"), ("agreed", "C0AUDIT01")]
    with database.reading():
        rows = [each.action for each in audit.recent(harness.rt.workspace_id, 50)]
    assert {"break_glass.ask", "break_glass.agree"} <= set(rows)
    with pytest.raises(Frozen):
        harness.start("pay")


def test_nobody_agrees_with_themselves_without_a_role_or_too_late(harness: Harness) -> None:
    freeze(harness)
    asked = ask(harness)
    for who in (CAROL, OSCAR):
        with pytest.raises(NotAllowed):
            agree(harness, asked, who)
    for each, mail in ((BOB, "Carol@Example.com"), (CAROL, "carol@example.com")):
        person = PersonRecord(each.user_id, each.user_id, mail, "member", None, harness.clock.time)
        people.remember(harness.rt, person)
    with pytest.raises(NotAllowed, match="a second person"):
        agree(harness, asked, BOB)
    harness.clock.tick(10 * MINUTE)
    with pytest.raises(Conflict, match="10 minutes"):
        agree(harness, asked, ALICE)
    assert count(harness) == 0


def test_a_changed_address_makes_nobody_a_second_person(harness: Harness) -> None:
    freeze(harness)
    for each, mail in ((BOB, "carol@example.com"), (CAROL, "carol@example.com")):
        person = PersonRecord(each.user_id, each.user_id, mail, "member", None, harness.clock.time)
        people.remember(harness.rt, person)
    asked = ask(harness)
    for mail in ("other@example.com", None):
        people.remember(harness.rt, PersonRecord(CAROL.user_id, "C", mail, "member", None, harness.clock.time))
        with pytest.raises(NotAllowed, match="a second person"):
            agree(harness, asked, BOB)


def test_a_requester_who_lost_their_role_runs_nothing(harness: Harness) -> None:
    freeze(harness)
    asked = ask(harness)
    harness.know_groups({"S0PLATFORM": ("platform", {"U0ALICE01"}), "S0PAYMENTS": ("payments", set())})
    with pytest.raises(NotAllowed):
        agree(harness, asked, BOB)


def test_agreed_twice_at_once_it_runs_once(harness: Harness) -> None:
    freeze(harness)
    asked = ask(harness)
    done = at_once(*[lambda who=who: agree(harness, asked, who) for who in (ALICE, BOB, DAVE)])
    assert sum(isinstance(each, executions.Accepted) for each in done) == 1
    assert count(harness) == 1


def test_what_stands_in_the_way_since_is_not_overridden(harness: Harness) -> None:
    freeze(harness)
    asked = ask(harness)
    freezing.freeze(harness.rt, ALICE, "everything", "worse", lasting="1h")
    with pytest.raises(Conflict, match="does not override F-"):
        agree(harness, asked)
    assert count(harness) == 0


WINDOW = "windows:\n  - {name: w, scope: %s, reason: %s, from: 2027-01-01T00:00, until: 2027-06-01T00:00}\n"


def test_a_window_that_became_another_is_not_overridden(harness: Harness) -> None:
    """It has the name of the one that two people were shown."""
    harness.sync(_calendar_yaml=WINDOW % ("pay", "the backup runs"))
    asked, kept = ask(harness), ask(harness)
    harness.sync(_calendar_yaml=WINDOW % ("everything", "the year ends"))
    with pytest.raises(Conflict, match="does not override calendar:w"):
        agree(harness, asked)
    assert count(harness) == 0
    harness.sync(_calendar_yaml=WINDOW % ("pay", "the backup runs"))
    assert agree(harness, kept)


@pytest.mark.parametrize("agreed", [False, True])
def test_a_draft_that_was_withdrawn_since_does_not_run_or_go_on(harness: Harness, target: Target, agreed: bool) -> None:
    """Also when it was made a draft again, to be looked at anew."""
    harness.sync(pay=runbook("pay", http("a", target.url("/new"))))
    asked = ask(harness)
    run = agree(harness, asked).execution.id if agreed else ""
    harness.clock.tick(1000)
    version_approval.deprecate(harness.rt, ALICE, "pay", 2, "it drops the tables")
    if agreed:
        controls.pause(harness.rt, CAROL, run)
    version_approval.rollback(harness.rt, ALICE, "pay", 2, "to look at it again")
    with pytest.raises(Conflict):
        controls.resume(harness.rt, CAROL, run) if agreed else agree(harness, asked)
    harness.sweep()
    assert target.paths() == []


def test_a_draft_runs_only_as_it_was_shown_and_not_by_its_author(harness: Harness, target: Target) -> None:
    harness.sync(pay=runbook("pay", http("new", target.url("/new"))))
    with pytest.raises(NotApproved):
        harness.start("pay")
    asked = ask(harness)
    assert break_glass.find(harness.rt, ALICE, asked).overrides["draft"]
    harness.sync(pay=runbook("pay", http("newer", target.url("/newer"))))
    with pytest.raises((Conflict, NotApproved)):
        agree(harness, asked)
    run = agree(harness, ask(harness)).execution
    assert harness.run(run.id) == "SUCCESS"
    assert target.paths() == ["/newer"]
    with pytest.raises(NotApproved):
        harness.start("pay")


def test_its_author_does_not_let_a_draft_run(harness: Harness, target: Target) -> None:
    mail = "bob@example.com"
    harness.sync(pay=runbook("pay", http("new", target.url("/new"))))
    with database.transaction():
        from storage.tables import RunbookVersion

        RunbookVersion.update(author_email=mail).where(RunbookVersion.number == 2).execute()
    asked = ask(harness)
    with pytest.raises(NotAllowed, match="your own edit"):
        agree(harness, asked, replace(BOB, email=mail))
    assert agree(harness, asked, DAVE)


def test_what_is_deprecated_does_not_run_by_it_nor_goes_on(harness: Harness, target: Target) -> None:
    freeze(harness)
    asked = ask(harness)
    version_approval.deprecate(harness.rt, ALICE, "pay", 1, "bad")
    for act in (lambda: agree(harness, asked), lambda: ask(harness)):
        with pytest.raises(NotApproved, match="DEPRECATED"):
            act()
    harness.sync(pay=runbook("pay", http("new", target.url("/new"))))
    run = agree(harness, ask(harness)).execution
    version_approval.deprecate(harness.rt, ALICE, "pay", 2, "bad")
    harness.run(run.id)
    assert target.paths() == []
    assert harness.execution(run.id).status is ExecutionStatus.FAILED


def test_a_quorum_becomes_one_approval_of_somebody_who_may(harness: Harness, target: Target) -> None:
    harness.publish(runbook("careful", gate("ask", min_approvals=2), http("a", target.url("/careful"), needs=["ask"])))
    asked = ask(harness, DAVE, "careful")
    assert break_glass.find(harness.rt, ALICE, asked).overrides["quorum"] == ["ask"]
    run = agree(harness, asked, BOB).execution
    harness.run(run.id)
    with pytest.raises(NotAllowed):
        voting.vote(harness.rt, DAVE, run.id, None, Decision.APPROVE)
    voting.vote(harness.rt, ALICE, run.id, None, Decision.APPROVE)
    assert harness.run(run.id) == "SUCCESS"


def test_nothing_to_override_no_reason_or_switched_off(harness: Harness) -> None:
    with pytest.raises(Conflict, match="Nothing forbids"):
        ask(harness)
    freeze(harness)
    with pytest.raises(ReasonRequired):
        break_glass.ask(harness.rt, CAROL, Wanted("pay", {}, "test"))
    with pytest.raises(NotAllowed):
        ask(harness, OSCAR)
    asked = ask(harness)
    harness.settle_for(break_glass=False)
    for act in (lambda: ask(harness), lambda: agree(harness, asked)):
        with pytest.raises(Conflict, match="BREAK_GLASS is not set"):
            act()


def test_a_review_is_closed_by_a_platform_admin_who_had_no_part_in_it(harness: Harness) -> None:
    freeze(harness)
    asked = ask(harness)
    with pytest.raises(Conflict, match="Nobody has agreed"):
        break_glass.review(harness.rt, DAVE, asked, "x")
    agree(harness, asked, ALICE)
    with pytest.raises(ReasonRequired):
        break_glass.review(harness.rt, DAVE, asked, " ")
    for who in (ALICE, BOB, CAROL):
        with pytest.raises(NotAllowed):
            break_glass.review(harness.rt, who, asked, "fine")
    done = break_glass.review(harness.rt, DAVE, asked, "the disk was full")
    assert (done.reviewed_by, done.note) == (DAVE.user_id, "the disk was full")
    with pytest.raises(Conflict, match="closed already"):
        break_glass.review(harness.rt, DAVE, asked, "again")


def test_an_overdue_review_blocks_both_people(harness: Harness) -> None:
    freeze(harness)
    asked = ask(harness)
    agree(harness, asked, BOB)
    harness.clock.tick(7 * DAY + 1)
    harness.know_groups()
    known(harness)
    freeze(harness)
    for who in (CAROL, BOB):
        with pytest.raises(Conflict, match="is open for more than 7 days"):
            ask(harness, who)
    other = ask(harness, ALICE)
    with pytest.raises(Conflict, match="is open for more than 7 days"):
        agree(harness, other, BOB)
    break_glass.review(harness.rt, DAVE, asked, "fine")
    agree(harness, other, BOB)
    with pytest.raises(NotFound):
        break_glass.find(harness.rt, ALICE, "B-NOTHING")


def test_its_failed_run_is_not_retried_inside_the_freeze(harness: Harness, target: Target) -> None:
    """It is for one run; what goes on after that is asked for anew."""
    target.does["/pay"] = [lambda conn, _: conn.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")]
    freeze(harness)
    run = agree(harness, ask(harness)).execution
    assert harness.run(run.id) == "FAILED"
    with pytest.raises(Frozen):
        controls.retry(harness.rt, CAROL, run.id)


@pytest.mark.parametrize("on_edit", ["stop", "keep"])
@pytest.mark.parametrize("teams", [("payments", "infra"), ("infra", "payments"), (None, "infra")])
def test_a_draft_that_changes_its_team_is_run_by_neither(harness: Harness, target: Target, teams, on_edit: str) -> None:
    """A draft gives nobody a role, and whoever ran the approved version does not run what uses another team's."""
    harness.write(_access_yaml=ACCESS + "  infra: {members: [U0ERIN001, U0FRANK01]}\n")
    harness.publish(runbook("moved", http("a", target.url("/old")), team=teams[0]))
    harness.settle_for(on_edit=on_edit)
    harness.sync(moved=runbook("moved", http("a", target.url("/new")), team=teams[1]))
    for who in (ERIN, CAROL, ALICE):
        with pytest.raises(NotAllowed):
            ask(harness, who, "moved", number=2)


def test_the_stated_reason_is_what_the_pattern_is_asked_of(harness: Harness) -> None:
    harness.settle_for(reason_pattern=r"^the shop")
    freeze(harness)
    assert "the shop is down" in agree(harness, ask(harness)).execution.reason
    with pytest.raises(ReasonRequired):
        break_glass.ask(harness.rt, CAROL, Wanted("pay", {}, "test", reason="down: the shop"))


def test_a_replay_does_not_say_that_two_people_overrode_something(harness: Harness) -> None:
    frozen = freeze(harness)
    run = agree(harness, ask(harness)).execution
    harness.run(run.id)
    freezing.unfreeze(harness.rt, ALICE, frozen)
    assert replay_run.replay(harness.rt, CAROL, run.id).reason == "the shop is down"


def test_a_quorum_is_overridden_for_the_parameters_that_two_people_saw(harness: Harness, target: Target) -> None:
    target.does["/a"] = [lambda conn, _: conn.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")]
    number = {"type": "object", "properties": {"n": {"type": "integer"}}}
    call = http("a", target.url("/a"), needs=["ask"], json={"n": "{{ params.n }}"})
    harness.publish(runbook("careful", gate("ask", min_approvals=2), call, parameters=number))
    asked = break_glass.ask(harness.rt, CAROL, Wanted("careful", {"n": 1}, "test", reason="down")).id
    run = agree(harness, asked).execution.id
    harness.run(run)
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, parameters={"n": 1000})
    harness.run(run)
    voting.vote(harness.rt, DAVE, run, None, Decision.APPROVE)
    assert harness.run(run) == "WAITING"
    assert target.paths() == ["/a"]


@pytest.mark.parametrize("draft", [False, True])
def test_its_run_goes_on_after_a_pause(harness: Harness, target: Target, draft: bool) -> None:
    """Two people have overridden just this, for just this run; what another freeze holds stays so."""
    if draft:
        harness.sync(pay=runbook("pay", http("a", target.url("/new"))))
    else:
        freeze(harness, hold_running=True)
    run = agree(harness, ask(harness)).execution.id
    controls.pause(harness.rt, CAROL, run)
    later = freezing.freeze(harness.rt, ALICE, "everything", "worse", lasting="1h", hold_running=True).freeze.id
    with pytest.raises(Frozen):
        controls.resume(harness.rt, CAROL, run)
    freezing.unfreeze(harness.rt, ALICE, later)
    controls.resume(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"


def test_a_failed_run_of_a_draft_does_not_go_on(harness: Harness, target: Target) -> None:
    target.does["/new"] = [lambda conn, _: conn.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")]
    harness.sync(pay=runbook("pay", http("a", target.url("/new"))))
    run = agree(harness, ask(harness)).execution.id
    assert harness.run(run) == "FAILED"
    for act in (
        lambda: controls.retry(harness.rt, CAROL, run), lambda: skipping.skip(harness.rt, CAROL, run, "a", "x"),
    ):  # fmt: skip
        with pytest.raises(EngineError):
            act()


def test_a_freeze_of_what_it_calls_is_shown_and_overridden(harness: Harness, target: Target) -> None:
    harness.publish(runbook("wrap", {"id": "c", "type": "runbook", "with": {"id": "pay"}}))
    frozen = freeze(harness)
    asked = ask(harness, CAROL, "wrap")
    assert break_glass.find(harness.rt, ALICE, asked).overrides["freezes"] == [frozen]
    run = agree(harness, asked).execution.id
    harness.run(run)
    assert target.paths() == ["/pay"]
