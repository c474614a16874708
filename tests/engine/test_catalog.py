"""Approving and withdrawing versions, and which of them runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import ALICE, BOB, CAROL, DAVE, OSCAR, Harness, http, runbook

from engine.access import people
from engine.access.policy import Actor
from engine.catalog import catalog, version_approval
from engine.errors import Conflict, NotAllowed, NotApproved, NotFound
from storage import audit, database
from storage.people_records import PersonRecord
from storage.tables import RunbookVersion


def draft(harness: Harness, url: str = "a", **top) -> int:
    """A new version of `demo`; its number."""
    harness.sync(demo=runbook("demo", http("a", f"http://127.0.0.1:9/{url}"), **top))
    return catalog.get(harness.rt, "demo").current_number


def written_by(number: int, **who: str) -> None:
    with database.transaction():
        RunbookVersion.update(**who).where(RunbookVersion.number == number).execute()


def test_a_platform_admin_approves(harness: Harness) -> None:
    """Who and when is kept, and it is on record with the digest."""
    number = draft(harness)
    version = version_approval.approve(harness.rt, ALICE, "demo", number)
    assert (version.status, version.decided_by, version.decided_at) == ("APPROVED", ALICE.user_id, harness.clock.time)
    assert catalog.get(harness.rt, "demo").status == "APPROVED"
    with database.reading():
        row = audit.of_thing(1, "runbook:demo@1")[-1]
    assert (row.action, row.actor, row.detail["digest"]) == ("runbook.approve", ALICE.user_id, version.digest)


@pytest.mark.parametrize("who", [BOB, CAROL, OSCAR])
def test_nobody_else_approves_or_withdraws(harness: Harness, who: Actor) -> None:
    """A team's admin may edit its runbooks, and that is all."""
    number = draft(harness)
    with pytest.raises(NotAllowed, match="platform admin"):
        version_approval.approve(harness.rt, who, "demo", number)
    with pytest.raises(NotAllowed, match="platform admin"):
        version_approval.deprecate(harness.rt, who, "demo")
    assert catalog.get(harness.rt, "demo").status == "DRAFT"


@pytest.mark.parametrize("author", [{"author": ALICE.user_id}, {"author_email": "ALICE@example.com"}])
@pytest.mark.parametrize("openly", [False, True])
def test_ones_own_edit_is_approved_by_somebody_else(harness: Harness, author: dict[str, str], openly: bool) -> None:
    """Known by user id or by e-mail; only ALLOW_SELF_APPROVAL lets it be."""
    number = draft(harness)
    written_by(number, **author)
    harness.settle_for(allow_self_approval=openly)
    alice = replace(ALICE, email="alice@example.com")
    if openly:
        assert version_approval.approve(harness.rt, alice, "demo", number).status == "APPROVED"
        return
    with pytest.raises(NotAllowed, match="your own edit"):
        version_approval.approve(harness.rt, alice, "demo", number)
    assert version_approval.approve(harness.rt, DAVE, "demo", number).status == "APPROVED"


@pytest.mark.parametrize("has", [ALICE.user_id, "U0ALICEOTHER"])
def test_an_edit_stays_ones_own_by_an_address_of_before(harness: Harness, has: str) -> None:
    """Known by Git's address alone, which this account, or another of the same person, had; no door said which."""
    number = draft(harness)
    written_by(number, author_email="Alice@old.example")
    for user, mail in ((has, "alice@old.example"), (has, "alice@new.example"), (ALICE.user_id, "alice@new.example")):
        people.remember(harness.rt, PersonRecord(user, "alice", mail, "member", None, harness.clock.time))
    with pytest.raises(NotAllowed, match="your own edit"):
        version_approval.approve(harness.rt, ALICE, "demo", number)
    assert version_approval.approve(harness.rt, DAVE, "demo", number).status == "APPROVED"


def test_an_approval_is_bound_to_what_was_shown(harness: Harness) -> None:
    """Another digest, an older version and a version that is decided are each refused."""
    first = draft(harness)
    shown = catalog.version(harness.rt, "demo").digest
    with pytest.raises(Conflict, match="not what you were shown"):
        version_approval.approve(harness.rt, ALICE, "demo", first, "sha256:" + "0" * 64)
    second = draft(harness, "b")
    with pytest.raises(Conflict, match="not the newest"):
        version_approval.approve(harness.rt, ALICE, "demo", first, shown)
    version_approval.approve(harness.rt, ALICE, "demo", second)
    with pytest.raises(Conflict, match="already approved"):
        version_approval.approve(harness.rt, DAVE, "demo", second)
    with pytest.raises(NotFound, match="no version 9"):
        version_approval.approve(harness.rt, ALICE, "demo", 9)


def test_withdrawing_a_runbook_withdraws_every_version(harness: Harness) -> None:
    """Also the ones approved before the current draft, and also when the current one was withdrawn by itself."""
    harness.settle_for(on_edit="keep")
    version_approval.approve(harness.rt, ALICE, "demo", draft(harness))
    second = draft(harness, "b")
    version_approval.deprecate(harness.rt, ALICE, "demo", second)
    assert [each.status for each in catalog.history(harness.rt, "demo")] == ["DEPRECATED", "APPROVED"]
    version_approval.deprecate(harness.rt, ALICE, "demo", reason="retired")
    assert [each.status for each in catalog.history(harness.rt, "demo")] == ["DEPRECATED", "DEPRECATED"]
    with pytest.raises(Conflict, match="already"):
        version_approval.deprecate(harness.rt, ALICE, "demo")
    with pytest.raises(NotApproved):
        harness.start("demo")


def test_a_withdrawn_version_says_why_it_does_not_run(harness: Harness) -> None:
    """The reason given is the reason shown."""
    version_approval.approve(harness.rt, ALICE, "demo", draft(harness))
    version_approval.deprecate(harness.rt, ALICE, "demo", reason="It drops the wrong host.")
    with pytest.raises(NotApproved, match=r"DEPRECATED.*wrong host"):
        harness.start("demo")


def test_a_withdrawn_version_comes_back_as_a_draft(harness: Harness) -> None:
    """Only the newest, only a deprecated one, only by a platform admin, and it needs its approval again."""
    first = draft(harness)
    with pytest.raises(Conflict, match="nothing to roll back"):
        version_approval.rollback(harness.rt, ALICE, "demo")
    version_approval.approve(harness.rt, ALICE, "demo", first)
    run = harness.start("demo")
    version_approval.deprecate(harness.rt, ALICE, "demo", reason="wrong host")
    assert catalog.open_runs(harness.rt, "demo", [first]) == [run]
    assert catalog.open_runs(harness.rt, "demo", [first + 1]) == []
    with pytest.raises(Conflict, match=r"deprecated \(wrong host\).*`admin rollback demo`"):
        version_approval.approve(harness.rt, ALICE, "demo", first)
    with pytest.raises(NotAllowed, match="Only a platform admin may roll back"):
        version_approval.rollback(harness.rt, BOB, "demo")
    assert version_approval.rollback(harness.rt, ALICE, "demo").status == "DRAFT"
    with database.reading():
        row = audit.of_thing(1, "runbook:demo@1")[-1]
    assert (row.action, row.actor, row.detail["was"]) == ("runbook.rollback", ALICE.user_id, "wrong host")
    assert version_approval.approve(harness.rt, ALICE, "demo", first).status == "APPROVED"
    draft(harness, "b")
    with pytest.raises(Conflict, match="not the newest"):
        version_approval.rollback(harness.rt, ALICE, "demo", first)


def test_a_draft_stops_the_runbook_or_keeps_the_last_approved_version(harness: Harness) -> None:
    """ON_EDIT decides; an approved draft then takes its place."""
    version_approval.approve(harness.rt, ALICE, "demo", draft(harness))
    second = draft(harness, "b")
    with pytest.raises(NotApproved, match="Version 2 of demo is a DRAFT"):
        harness.start("demo")
    harness.settle_for(on_edit="keep")
    assert harness.execution(harness.start("demo")).number == 1
    version_approval.approve(harness.rt, ALICE, "demo", second)
    assert harness.execution(harness.start("demo")).number == 2


def test_keep_runs_nothing_that_was_withdrawn(harness: Harness) -> None:
    """Where no approved version is left, there is nothing to keep."""
    harness.settle_for(on_edit="keep")
    first = draft(harness)
    version_approval.approve(harness.rt, ALICE, "demo", first)
    version_approval.deprecate(harness.rt, ALICE, "demo", first)
    draft(harness, "b")
    with pytest.raises(NotApproved):
        harness.start("demo")


@pytest.mark.parametrize("back", ["edit", "rollback"])
def test_keep_brings_nothing_back_that_a_withdrawn_version_had_replaced(harness: Harness, back: str) -> None:
    """Neither an edit nor a rollback does; an approval does."""
    harness.settle_for(on_edit="keep")
    version_approval.approve(harness.rt, ALICE, "demo", draft(harness))
    version_approval.approve(harness.rt, ALICE, "demo", draft(harness, "b"))
    version_approval.deprecate(harness.rt, ALICE, "demo", 2, "it drops the wrong host")
    if back == "edit":
        draft(harness, "c")
    else:
        version_approval.rollback(harness.rt, ALICE, "demo")
    with pytest.raises(NotApproved, match="is a DRAFT"):
        harness.start("demo")
    newest = catalog.get(harness.rt, "demo").current_number
    version_approval.approve(harness.rt, ALICE, "demo", newest)
    draft(harness, "d")
    assert harness.execution(harness.start("demo")).number == newest


def test_the_diff_is_against_the_last_approved_version(harness: Harness) -> None:
    """Drafts in between that nobody approved are not compared with; a first version is shown whole."""
    first = draft(harness)
    assert catalog.diff(harness.rt, "demo", first) == catalog.version(harness.rt, "demo", first).source
    version_approval.approve(harness.rt, ALICE, "demo", first)
    draft(harness, "b")
    third = draft(harness, "c")
    lines = catalog.diff(harness.rt, "demo", third).splitlines()
    assert lines[:2] == ["--- demo@1", "+++ demo@3"]
    changed = [line for line in lines[2:] if line[0] in "+-"]
    assert [line.strip("+- ,") for line in changed] == [
        '"url": "http://127.0.0.1:9/a"',
        '"url": "http://127.0.0.1:9/c"',
    ]


def test_the_listing_is_searched_by_words_and_tags(harness: Harness) -> None:
    """All words have to be somewhere in id, name and description."""
    harness.sync(
        drain=runbook("drain", http("a"), name="Drain a node", tags=["linux"]),
        restart=runbook("restart", http("a"), name="Restart a service", description="Drains first."),
    )
    found = lambda *keys, **more: [each.slug for each in catalog.listing(harness.rt, *keys, **more)]  # noqa: E731
    assert found() == ["drain", "restart"]
    assert found("DRAIN") == ["drain", "restart"]
    assert found("drain node") == ["drain"]
    assert found(tag="linux") == ["drain"]
    assert found("nothing") == []


def test_the_runbook_follows_the_file(harness: Harness) -> None:
    """Name, team, tags and risk are those of the newest version."""
    draft(harness)
    draft(harness, "b", name="Other", team=None, tags=["x"], risk="high")
    found = catalog.get(harness.rt, " DEMO ")
    assert (found.name, found.team, found.tags, found.risk, found.current_number) == ("Other", None, ("x",), "high", 2)


def test_an_author_nobody_knows_deserves_a_second_look(harness: Harness) -> None:
    """Where nobody can be kept from approving their own edit, who approves is told so."""
    number = draft(harness)
    assert "nobody is kept from approving" in catalog.warnings(catalog.version(harness.rt, "demo", number))[0]
    written_by(number, author=BOB.user_id)
    assert not any("kept from" in each for each in catalog.warnings(catalog.version(harness.rt, "demo", number)))
