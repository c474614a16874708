"""Approvals that take several people: how many admins, whose owners, and what counts for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import ACCESS, ALICE, BOB, CAROL, DAVE, GROUPS, OSCAR, Harness, at_once, errors, http, runbook

from engine.access import account_status, people
from engine.access import policy as access
from engine.access.policy import Action, Actor
from engine.catalog import authoring, catalog, notices, renewals, version_approval
from engine.errors import Conflict, NotAllowed, NotApproved
from engine.queries.can import can
from engine.runs import executions
from storage import audit, database, version_approvals
from storage.people_records import PersonRecord
from storage.tables import RunbookVersion

ERIN = Actor("U0ERIN001", standing="member")
OWNED = ACCESS + "owners:\n  tags: {db: [S0DBA], net: [U0ALICE01]}\n"
DBA = {**GROUPS, "S0DBA": ("dba", {ERIN.user_id, DAVE.user_id})}


@pytest.fixture
def harness(harness: Harness) -> Harness:
    """High risk takes two admins; Erin and the admin Dave own the tag db, the admin Alice the tag net."""
    harness.settle_for(definition_approvals=2)
    harness.write(_access_yaml=OWNED)
    harness.know_groups(DBA)
    return harness


def draft(harness: Harness, url: str = "a", **top) -> int:
    harness.sync(demo=runbook("demo", http("a", f"http://127.0.0.1:9/{url}"), **{"risk": "high", **top}))
    return catalog.get(harness.rt, "demo").current_number


def missing(harness: Harness) -> tuple[str, ...]:
    return renewals.approval(harness.rt, catalog.version(harness.rt, "demo")).quorum.missing


def approve(harness: Harness, who: Actor, digest: str | None = None) -> str:
    number = catalog.get(harness.rt, "demo").current_number
    return version_approval.approve(harness.rt, who, "demo", number, digest).status


def test_the_last_of_them_approves(harness: Harness) -> None:
    """The first is on record and runs nothing."""
    draft(harness)
    assert approve(harness, ALICE) == "DRAFT"
    assert missing(harness) == ("1 of 2 platform admins",)
    with pytest.raises(NotApproved):
        executions.prepare(harness.rt, CAROL, "demo")
    assert can(harness.rt, DAVE, "admin approve", "demo").but == "It still needs 1 of 2 platform admins."
    assert not catalog.may_approve(harness.rt, ALICE, catalog.version(harness.rt, "demo"))
    assert approve(harness, DAVE) == "APPROVED"
    with database.reading():
        rows = audit.of_thing(1, "runbook:demo@1")
    assert [row.action for row in rows][-2:] == ["runbook.vote", "runbook.approve"]
    assert rows[-1].detail["approved_by"] == [ALICE.user_id, DAVE.user_id]
    executions.prepare(harness.rt, CAROL, "demo")


def test_only_high_risk_takes_several(harness: Harness) -> None:
    """One is enough for anything else."""
    draft(harness, risk="medium")
    assert approve(harness, ALICE) == "APPROVED"


def test_one_person_counts_once(harness: Harness) -> None:
    """Under whichever account, and however often."""
    draft(harness)
    for user in (ALICE.user_id, "U0ALICE02"):
        record = PersonRecord(user, "alice", "alice@example.com", "member", None, harness.clock.time)
        people.remember(harness.rt, record)
    harness.know_groups({**DBA, "S0PLATFORM": ("platform", {ALICE.user_id, "U0ALICE02"})})
    assert approve(harness, ALICE) == "DRAFT"
    with pytest.raises(Conflict, match=r"approved demo@1 already. It still needs 1 of 2 platform admins"):
        approve(harness, ALICE)
    with pytest.raises(Conflict, match="already"):
        approve(harness, Actor("U0ALICE02", standing="member"))
    assert catalog.get(harness.rt, "demo").status == "DRAFT"


@pytest.mark.parametrize("door", ["account", "e-mail"])
def test_the_author_never_counts(harness: Harness, door: str) -> None:
    """Nor another account of theirs."""
    number = draft(harness)
    mail = "dave@example.com"
    for user in (DAVE.user_id, "U0DAVE002"):
        people.remember(harness.rt, PersonRecord(user, "dave", mail, "member", None, harness.clock.time))
    by = {"author": "U0DAVE002"} if door == "account" else {"author_email": mail}
    with database.transaction():
        RunbookVersion.update(**by).where(RunbookVersion.number == number).execute()
    approve(harness, ALICE)
    with pytest.raises(NotAllowed, match="your own edit"):
        approve(harness, replace(DAVE, email=mail))
    assert catalog.get(harness.rt, "demo").status == "DRAFT"


def test_who_is_no_admin_any_more_does_not_count(harness: Harness) -> None:
    """Their word is looked at again when the quorum is reached."""
    draft(harness)
    approve(harness, ALICE)
    harness.know_groups({**DBA, "S0PLATFORM": ("platform", {DAVE.user_id})})
    assert approve(harness, DAVE) == "DRAFT"
    assert missing(harness) == ("1 of 2 platform admins",)
    people.remember_groups(harness.rt, [])
    assert missing(harness) == ("2 of 2 platform admins",)


def test_who_has_left_does_not_count(harness: Harness) -> None:
    """A deactivated account is nobody's."""
    draft(harness)
    approve(harness, ALICE)
    people.remember(harness.rt, PersonRecord(ALICE.user_id, "alice", None, "deleted", None, harness.clock.time))
    assert account_status.standing_of(harness.rt, ALICE.user_id) == "deleted"
    assert approve(harness, DAVE) == "DRAFT"


def test_an_edit_begins_anew(harness: Harness) -> None:
    """And so does what was deprecated meanwhile."""
    draft(harness)
    approve(harness, ALICE)
    draft(harness, "b")
    assert approve(harness, DAVE) == "DRAFT"
    version_approval.deprecate(harness.rt, ALICE, "demo")
    version_approval.rollback(harness.rt, ALICE, "demo")
    assert missing(harness) == ("2 of 2 platform admins",)
    assert approve(harness, ALICE) == "DRAFT"


def test_a_vote_for_another_text_counts_for_nothing(harness: Harness) -> None:
    """By the digest of what was shown, and by the one that is kept with the vote."""
    draft(harness)
    with pytest.raises(Conflict, match="not what you were shown"):
        approve(harness, ALICE, "sha256:" + "0" * 64)
    approve(harness, ALICE, catalog.version(harness.rt, "demo").digest)
    from storage.version_tables import VersionApproval

    with database.transaction():
        VersionApproval.update(digest="sha256:" + "0" * 64).execute()
    assert missing(harness) == ("2 of 2 platform admins",)


def test_two_at_once_approve_once(harness: Harness) -> None:
    """The same two, twice each: one of them was the last."""
    draft(harness)
    results = at_once(*(lambda who=who: approve(harness, who) for who in (ALICE, DAVE, ALICE, DAVE)))
    assert len(errors(results)) == 2
    assert all(isinstance(each, Conflict) for each in errors(results))
    with database.reading():
        rows = [row.action for row in audit.of_thing(1, "runbook:demo@1")]
    assert (rows.count("runbook.vote"), rows.count("runbook.approve")) == (1, 1)
    assert catalog.get(harness.rt, "demo").status == "APPROVED"


def test_lowering_the_risk_takes_as_many(harness: Harness) -> None:
    """What was high when it was last approved is not made low by one."""
    draft(harness)
    approve(harness, ALICE)
    approve(harness, DAVE)
    draft(harness, risk="low")
    assert approve(harness, ALICE) == "DRAFT"
    assert approve(harness, DAVE) == "APPROVED"
    draft(harness, "b", risk="low")
    assert approve(harness, ALICE) == "APPROVED"


def test_an_owner_is_needed_and_never_enough(harness: Harness) -> None:
    """Erin, who is no admin, approves for the tag; Alice for the platform."""
    draft(harness, risk="low", tags=["db"])
    assert approve(harness, ERIN) == "DRAFT"
    assert missing(harness) == ("1 of 1 platform admins",)
    assert approve(harness, ALICE) == "APPROVED"
    draft(harness, "b", risk="low", tags=["db"])
    assert approve(harness, ALICE) == "DRAFT"
    assert missing(harness) == ("an owner of tag db",)
    assert can(harness.rt, ERIN, "admin approve", "demo").but == "It still needs an owner of tag db."
    assert approve(harness, ERIN) == "APPROVED"


def test_an_admin_who_owns_the_tag_counts_as_both(harness: Harness) -> None:
    """One person is enough where nothing else is asked for."""
    draft(harness, risk="low", tags=["db"])
    assert approve(harness, DAVE) == "APPROVED"


def test_each_tag_needs_its_own_owner(harness: Harness) -> None:
    """And high risk its admins beside them."""
    draft(harness, tags=["db", "net", "free"])
    assert missing(harness) == ("2 of 2 platform admins", "an owner of tag db", "an owner of tag net")
    approve(harness, ERIN)
    approve(harness, ALICE)
    assert missing(harness) == ("1 of 2 platform admins",)
    assert approve(harness, DAVE) == "APPROVED"


def test_owners_are_owners_of_their_tags_only(harness: Harness) -> None:
    """Nobody else approves because a version has owners, and owners nothing without the tag."""
    draft(harness, risk="low", tags=["db"])
    for who in (BOB, CAROL, OSCAR):
        with pytest.raises(NotAllowed, match="Only platform admins and owners of its tags"):
            approve(harness, who)
    decided = access.verdict(harness.rt, OSCAR, Action.APPROVE, catalog.version(harness.rt, "demo"))
    assert {"S0PLATFORM", "S0DBA"} <= set(decided.ask)
    harness.sync(other=runbook("other", http("a")))
    with pytest.raises(NotAllowed, match="Only a platform admin"):
        version_approval.approve(harness.rt, ERIN, "other", 1)
    for action in (Action.DEPRECATE, Action.ROLLBACK, Action.SYNC):
        thing = None if action is Action.SYNC else catalog.version(harness.rt, "demo")
        assert not access.verdict(harness.rt, ERIN, action, thing).allowed
    assert Action.APPROVE in access.abilities(harness.rt, ERIN)
    assert Action.APPROVE not in access.abilities(harness.rt, OSCAR)


def test_an_owners_own_edit_is_for_another_owner(harness: Harness) -> None:
    """As with admins."""
    number = draft(harness, risk="low", tags=["db"])
    with database.transaction():
        RunbookVersion.update(author=ERIN.user_id).where(RunbookVersion.number == number).execute()
    with pytest.raises(NotAllowed, match="your own edit"):
        approve(harness, ERIN)


def test_dropping_a_tag_drops_no_owner(harness: Harness) -> None:
    """Not by a new version, a deprecated one between, a rollback, or deleting the runbook and writing it anew."""
    draft(harness, risk="low", tags=["db"])
    approve(harness, DAVE)
    draft(harness, "b", risk="low")
    assert approve(harness, ALICE) == "DRAFT"
    version_approval.deprecate(harness.rt, ALICE, "demo")
    draft(harness, "c", risk="low")
    assert approve(harness, ALICE) == "DRAFT"
    assert missing(harness) == ("an owner of tag db",)
    assert approve(harness, ERIN) == "APPROVED"
    draft(harness, "d", risk="low")
    assert approve(harness, ALICE) == "APPROVED"


def test_a_runbook_written_anew_keeps_its_owners(harness: Harness) -> None:
    """What was deleted was approved all the same."""
    harness.sync(demo=runbook("demo", http("a")))
    text = runbook("ours", http("a"), tags=["db"])
    authoring.create(harness.rt, BOB, text)
    version_approval.approve(harness.rt, DAVE, "ours", 1)
    authoring.delete(harness.rt, BOB, "ours")
    authoring.create(harness.rt, BOB, runbook("ours", http("b")))
    assert version_approval.approve(harness.rt, ALICE, "ours", 2).status == "DRAFT"


def test_a_group_of_owners_that_slack_did_not_tell_of_owns_nothing(harness: Harness) -> None:
    """It is among those that Slack is asked about."""
    draft(harness, risk="low", tags=["db"])
    assert "S0DBA" in people.groups_named(harness.rt)
    harness.know_groups()
    with pytest.raises(NotAllowed, match="could not be asked"):
        approve(harness, ERIN)


def test_renewing_takes_as_many(harness: Harness) -> None:
    """One of two renews nothing yet."""
    day = 86_400_000
    harness.settle_for(approval_max_age=30 * day)
    draft(harness, tags=["db"])
    approve(harness, ALICE)
    approve(harness, DAVE)
    harness.clock.tick(30 * day)
    harness.know_groups(DBA)
    _, quorum = version_approval.renew(harness.rt, ALICE, "demo")
    assert quorum.missing == ("1 of 2 platform admins", "an owner of tag db")
    with pytest.raises(NotApproved, match="expired"):
        executions.prepare(harness.rt, CAROL, "demo")
    with pytest.raises(Conflict, match="already"):
        version_approval.renew(harness.rt, ALICE, "demo")
    _, quorum = version_approval.renew(harness.rt, DAVE, "demo")
    assert quorum.missing == ()
    executions.prepare(harness.rt, CAROL, "demo")
    with database.reading():
        assert version_approvals.waiting(catalog.version(harness.rt, "demo").id) == []


@pytest.mark.parametrize("renews", [False, True])
def test_what_was_said_longer_ago_than_an_approval_lasts_counts_for_nothing(harness: Harness, renews: bool) -> None:
    """Who said it may say it again."""
    day = 86_400_000
    harness.settle_for(approval_max_age=30 * day)
    draft(harness)
    if renews:
        approve(harness, ALICE)
        approve(harness, DAVE)
        harness.clock.tick(29 * day)
        harness.know_groups(DBA)

    def say(who: Actor) -> tuple[str, ...]:
        if renews:
            return version_approval.renew(harness.rt, who, "demo")[1].missing
        approve(harness, who)
        return missing(harness)

    assert say(ALICE) == ("1 of 2 platform admins",)
    harness.clock.tick(30 * day)
    harness.know_groups(DBA)
    assert say(DAVE) == ("1 of 2 platform admins",)
    assert say(ALICE) == ()


def test_what_a_decision_was_made_without_counts_in_no_later_one(harness: Harness) -> None:
    """Dave has no role when the others renew, and has it again at the next renewal."""
    day = 86_400_000
    three = {**DBA, "S0PLATFORM": ("platform", {ALICE.user_id, DAVE.user_id, BOB.user_id})}
    two = {**DBA, "S0PLATFORM": ("platform", {ALICE.user_id, BOB.user_id})}
    harness.settle_for(approval_max_age=10 * day)
    draft(harness)
    approve(harness, ALICE)
    approve(harness, DAVE)
    harness.clock.tick(6 * day)
    harness.know_groups(three)
    version_approval.renew(harness.rt, DAVE, "demo")
    harness.know_groups(two)
    version_approval.renew(harness.rt, ALICE, "demo")
    assert version_approval.renew(harness.rt, BOB, "demo")[1].missing == ()
    harness.clock.tick(6 * day)
    harness.know_groups(three)
    assert version_approval.renew(harness.rt, ALICE, "demo")[1].missing == ("1 of 2 platform admins",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("owners: [S0DBA]", "`owners` must be a mapping with `tags`"),
        ("owners: {tag: {db: [S0DBA]}}", "unknown key `tag`; did you mean `tags`?"),
        ("owners: {tags: [db]}", "`tags` must map a tag"),
        ("owners: {tags: {db: S0DBA}}", "`db` must be a list"),
        ("owners: {tags: {db: []}}", "needs at least one owner"),
        ("owners: {tags: {db: [dba]}}", "`dba` is no Slack id"),
        ("owners: {tags: {'D B': [S0DBA]}}", "`D B` is no tag"),
    ],
)
def test_owners_that_are_wrong_are_told(harness: Harness, text: str, complaint: str) -> None:
    """With the place, and the roles of before stay."""
    report = harness.sync(_access_yaml=ACCESS + text + "\n", demo=runbook("demo", http("a")))
    assert any(complaint in str(each) for each in report.problems), report.problems


def test_owners_are_told_of_what_waits_for_them(harness: Harness) -> None:
    """After the platform admins, of whom there may be enough; of the others nobody is."""
    draft(harness, risk="low", tags=["db"])
    told = [each.user_id for each in notices.admins(harness.rt, 10)]
    assert told[-1] == ERIN.user_id
    assert set(told) == {ALICE.user_id, DAVE.user_id, ERIN.user_id}
    assert len(notices.admins(harness.rt, 2)) == 2
