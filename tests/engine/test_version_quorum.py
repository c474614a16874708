"""Approvals that take several people: how many admins, whose owners, and what counts for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from house import ACCESS, ALICE, BOB, CAROL, DAVE, GROUPS, OSCAR, House, at_once, errors, http, runbook

from engine.access import people, standing
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
def house(house: House) -> House:
    """High risk takes two admins; Erin and the admin Dave own the tag db, the admin Alice the tag net."""
    house.settle_for(definition_approvals=2)
    house.write(_access_yaml=OWNED)
    house.know_groups(DBA)
    return house


def draft(house: House, url: str = "a", **top) -> int:
    house.sync(demo=runbook("demo", http("a", f"http://127.0.0.1:9/{url}"), **{"risk": "high", **top}))
    return catalog.get(house.rt, "demo").current_number


def missing(house: House) -> tuple[str, ...]:
    return renewals.approval(house.rt, catalog.version(house.rt, "demo")).quorum.missing


def approve(house: House, who: Actor, digest: str | None = None) -> str:
    number = catalog.get(house.rt, "demo").current_number
    return version_approval.approve(house.rt, who, "demo", number, digest).status


def test_the_last_of_them_approves(house: House) -> None:
    """The first is on record and runs nothing."""
    draft(house)
    assert approve(house, ALICE) == "DRAFT"
    assert missing(house) == ("1 of 2 platform admins",)
    with pytest.raises(NotApproved):
        executions.prepare(house.rt, CAROL, "demo")
    assert can(house.rt, DAVE, "admin approve", "demo").but == "It still needs 1 of 2 platform admins."
    assert not catalog.may_approve(house.rt, ALICE, catalog.version(house.rt, "demo"))
    assert approve(house, DAVE) == "APPROVED"
    with database.reading():
        rows = audit.of_thing(1, "runbook:demo@1")
    assert [row.action for row in rows][-2:] == ["runbook.vote", "runbook.approve"]
    assert rows[-1].detail["approved_by"] == [ALICE.user_id, DAVE.user_id]
    executions.prepare(house.rt, CAROL, "demo")


def test_only_high_risk_takes_several(house: House) -> None:
    """One is enough for anything else."""
    draft(house, risk="medium")
    assert approve(house, ALICE) == "APPROVED"


def test_one_person_counts_once(house: House) -> None:
    """Under whichever account, and however often."""
    draft(house)
    for user in (ALICE.user_id, "U0ALICE02"):
        record = PersonRecord(user, "alice", "alice@example.com", "member", None, house.clock.time)
        people.remember(house.rt, record)
    house.know_groups({**DBA, "S0PLATFORM": ("platform", {ALICE.user_id, "U0ALICE02"})})
    assert approve(house, ALICE) == "DRAFT"
    with pytest.raises(Conflict, match=r"approved demo@1 already. It still needs 1 of 2 platform admins"):
        approve(house, ALICE)
    with pytest.raises(Conflict, match="already"):
        approve(house, Actor("U0ALICE02", standing="member"))
    assert catalog.get(house.rt, "demo").status == "DRAFT"


@pytest.mark.parametrize("door", ["account", "e-mail"])
def test_the_author_never_counts(house: House, door: str) -> None:
    """Nor another account of theirs."""
    number = draft(house)
    mail = "dave@example.com"
    for user in (DAVE.user_id, "U0DAVE002"):
        people.remember(house.rt, PersonRecord(user, "dave", mail, "member", None, house.clock.time))
    by = {"author": "U0DAVE002"} if door == "account" else {"author_email": mail}
    with database.transaction():
        RunbookVersion.update(**by).where(RunbookVersion.number == number).execute()
    approve(house, ALICE)
    with pytest.raises(NotAllowed, match="your own edit"):
        approve(house, replace(DAVE, email=mail))
    assert catalog.get(house.rt, "demo").status == "DRAFT"


def test_who_is_no_admin_any_more_does_not_count(house: House) -> None:
    """Their word is looked at again when the quorum is reached."""
    draft(house)
    approve(house, ALICE)
    house.know_groups({**DBA, "S0PLATFORM": ("platform", {DAVE.user_id})})
    assert approve(house, DAVE) == "DRAFT"
    assert missing(house) == ("1 of 2 platform admins",)
    people.remember_groups(house.rt, [])
    assert missing(house) == ("2 of 2 platform admins",)


def test_who_has_left_does_not_count(house: House) -> None:
    """A deactivated account is nobody's."""
    draft(house)
    approve(house, ALICE)
    people.remember(house.rt, PersonRecord(ALICE.user_id, "alice", None, "deleted", None, house.clock.time))
    assert standing.standing_of(house.rt, ALICE.user_id) == "deleted"
    assert approve(house, DAVE) == "DRAFT"


def test_an_edit_begins_anew(house: House) -> None:
    """And so does what was deprecated meanwhile."""
    draft(house)
    approve(house, ALICE)
    draft(house, "b")
    assert approve(house, DAVE) == "DRAFT"
    version_approval.deprecate(house.rt, ALICE, "demo")
    version_approval.rollback(house.rt, ALICE, "demo")
    assert missing(house) == ("2 of 2 platform admins",)
    assert approve(house, ALICE) == "DRAFT"


def test_a_vote_for_another_text_counts_for_nothing(house: House) -> None:
    """By the digest of what was shown, and by the one that is kept with the vote."""
    draft(house)
    with pytest.raises(Conflict, match="not what you were shown"):
        approve(house, ALICE, "sha256:" + "0" * 64)
    approve(house, ALICE, catalog.version(house.rt, "demo").digest)
    from storage.version_tables import VersionApproval

    with database.transaction():
        VersionApproval.update(digest="sha256:" + "0" * 64).execute()
    assert missing(house) == ("2 of 2 platform admins",)


def test_two_at_once_approve_once(house: House) -> None:
    """The same two, twice each: one of them was the last."""
    draft(house)
    results = at_once(*(lambda who=who: approve(house, who) for who in (ALICE, DAVE, ALICE, DAVE)))
    assert len(errors(results)) == 2
    assert all(isinstance(each, Conflict) for each in errors(results))
    with database.reading():
        rows = [row.action for row in audit.of_thing(1, "runbook:demo@1")]
    assert (rows.count("runbook.vote"), rows.count("runbook.approve")) == (1, 1)
    assert catalog.get(house.rt, "demo").status == "APPROVED"


def test_lowering_the_risk_takes_as_many(house: House) -> None:
    """What was high when it was last approved is not made low by one."""
    draft(house)
    approve(house, ALICE)
    approve(house, DAVE)
    draft(house, risk="low")
    assert approve(house, ALICE) == "DRAFT"
    assert approve(house, DAVE) == "APPROVED"
    draft(house, "b", risk="low")
    assert approve(house, ALICE) == "APPROVED"


def test_an_owner_is_needed_and_never_enough(house: House) -> None:
    """Erin, who is no admin, approves for the tag; Alice for the platform."""
    draft(house, risk="low", tags=["db"])
    assert approve(house, ERIN) == "DRAFT"
    assert missing(house) == ("1 of 1 platform admins",)
    assert approve(house, ALICE) == "APPROVED"
    draft(house, "b", risk="low", tags=["db"])
    assert approve(house, ALICE) == "DRAFT"
    assert missing(house) == ("an owner of tag db",)
    assert can(house.rt, ERIN, "admin approve", "demo").but == "It still needs an owner of tag db."
    assert approve(house, ERIN) == "APPROVED"


def test_an_admin_who_owns_the_tag_counts_as_both(house: House) -> None:
    """One person is enough where nothing else is asked for."""
    draft(house, risk="low", tags=["db"])
    assert approve(house, DAVE) == "APPROVED"


def test_each_tag_needs_its_own_owner(house: House) -> None:
    """And high risk its admins beside them."""
    draft(house, tags=["db", "net", "free"])
    assert missing(house) == ("2 of 2 platform admins", "an owner of tag db", "an owner of tag net")
    approve(house, ERIN)
    approve(house, ALICE)
    assert missing(house) == ("1 of 2 platform admins",)
    assert approve(house, DAVE) == "APPROVED"


def test_owners_are_owners_of_their_tags_only(house: House) -> None:
    """Nobody else approves because a version has owners, and owners nothing without the tag."""
    draft(house, risk="low", tags=["db"])
    for who in (BOB, CAROL, OSCAR):
        with pytest.raises(NotAllowed, match="Only platform admins and owners of its tags"):
            approve(house, who)
    decided = access.verdict(house.rt, OSCAR, Action.APPROVE, catalog.version(house.rt, "demo"))
    assert {"S0PLATFORM", "S0DBA"} <= set(decided.ask)
    house.sync(other=runbook("other", http("a")))
    with pytest.raises(NotAllowed, match="Only a platform admin"):
        version_approval.approve(house.rt, ERIN, "other", 1)
    for action in (Action.DEPRECATE, Action.ROLLBACK, Action.SYNC):
        thing = None if action is Action.SYNC else catalog.version(house.rt, "demo")
        assert not access.verdict(house.rt, ERIN, action, thing).allowed
    assert Action.APPROVE in access.abilities(house.rt, ERIN)
    assert Action.APPROVE not in access.abilities(house.rt, OSCAR)


def test_an_owners_own_edit_is_for_another_owner(house: House) -> None:
    """As with admins."""
    number = draft(house, risk="low", tags=["db"])
    with database.transaction():
        RunbookVersion.update(author=ERIN.user_id).where(RunbookVersion.number == number).execute()
    with pytest.raises(NotAllowed, match="your own edit"):
        approve(house, ERIN)


def test_dropping_a_tag_drops_no_owner(house: House) -> None:
    """Not by a new version, a deprecated one between, a rollback, or deleting the runbook and writing it anew."""
    draft(house, risk="low", tags=["db"])
    approve(house, DAVE)
    draft(house, "b", risk="low")
    assert approve(house, ALICE) == "DRAFT"
    version_approval.deprecate(house.rt, ALICE, "demo")
    draft(house, "c", risk="low")
    assert approve(house, ALICE) == "DRAFT"
    assert missing(house) == ("an owner of tag db",)
    assert approve(house, ERIN) == "APPROVED"
    draft(house, "d", risk="low")
    assert approve(house, ALICE) == "APPROVED"


def test_a_runbook_written_anew_keeps_its_owners(house: House) -> None:
    """What was deleted was approved all the same."""
    house.sync(demo=runbook("demo", http("a")))
    text = runbook("ours", http("a"), tags=["db"])
    authoring.create(house.rt, BOB, text)
    version_approval.approve(house.rt, DAVE, "ours", 1)
    authoring.delete(house.rt, BOB, "ours")
    authoring.create(house.rt, BOB, runbook("ours", http("b")))
    assert version_approval.approve(house.rt, ALICE, "ours", 2).status == "DRAFT"


def test_a_group_of_owners_that_slack_did_not_tell_of_owns_nothing(house: House) -> None:
    """It is among those that Slack is asked about."""
    draft(house, risk="low", tags=["db"])
    assert "S0DBA" in people.groups_named(house.rt)
    house.know_groups()
    with pytest.raises(NotAllowed, match="could not be asked"):
        approve(house, ERIN)


def test_renewing_takes_as_many(house: House) -> None:
    """One of two renews nothing yet."""
    day = 86_400_000
    house.settle_for(approval_max_age=30 * day)
    draft(house, tags=["db"])
    approve(house, ALICE)
    approve(house, DAVE)
    house.clock.tick(30 * day)
    house.know_groups(DBA)
    _, quorum = version_approval.renew(house.rt, ALICE, "demo")
    assert quorum.missing == ("1 of 2 platform admins", "an owner of tag db")
    with pytest.raises(NotApproved, match="expired"):
        executions.prepare(house.rt, CAROL, "demo")
    with pytest.raises(Conflict, match="already"):
        version_approval.renew(house.rt, ALICE, "demo")
    _, quorum = version_approval.renew(house.rt, DAVE, "demo")
    assert quorum.missing == ()
    executions.prepare(house.rt, CAROL, "demo")
    with database.reading():
        assert version_approvals.waiting(catalog.version(house.rt, "demo").id) == []


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
def test_owners_that_are_wrong_are_told(house: House, text: str, complaint: str) -> None:
    """With the place, and the roles of before stay."""
    report = house.sync(_access_yaml=ACCESS + text + "\n", demo=runbook("demo", http("a")))
    assert any(complaint in str(each) for each in report.problems), report.problems


def test_owners_are_told_of_what_waits_for_them(house: House) -> None:
    """After the platform admins, of whom there may be enough; of the others nobody is."""
    draft(house, risk="low", tags=["db"])
    told = [each.user_id for each in notices.admins(house.rt, 10)]
    assert told[-1] == ERIN.user_id
    assert set(told) == {ALICE.user_id, DAVE.user_id, ERIN.user_id}
    assert len(notices.admins(house.rt, 2)) == 2
