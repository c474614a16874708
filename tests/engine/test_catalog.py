"""Approving and withdrawing versions, and which of them runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from house import ALICE, BOB, CAROL, DAVE, OSCAR, House, http, runbook

from engine.access.policy import Actor
from engine.catalog import catalog, version_approval
from engine.errors import Conflict, NotAllowed, NotApproved, NotFound
from storage import audit, database
from storage.tables import RunbookVersion


def draft(house: House, url: str = "a", **top) -> int:
    """A new version of `demo`; its number."""
    house.sync(demo=runbook("demo", http("a", f"http://127.0.0.1:9/{url}"), **top))
    return catalog.get(house.rt, "demo").current_number


def written_by(number: int, **who: str) -> None:
    with database.transaction():
        RunbookVersion.update(**who).where(RunbookVersion.number == number).execute()


def test_a_platform_admin_approves(house: House) -> None:
    """Who and when is kept, and it is on record with the digest."""
    number = draft(house)
    version = version_approval.approve(house.rt, ALICE, "demo", number)
    assert (version.status, version.decided_by, version.decided_at) == ("APPROVED", ALICE.user_id, house.clock.time)
    assert catalog.get(house.rt, "demo").status == "APPROVED"
    with database.reading():
        row = audit.of_thing(1, "runbook:demo@1")[-1]
    assert (row.action, row.actor, row.detail["digest"]) == ("runbook.approve", ALICE.user_id, version.digest)


@pytest.mark.parametrize("who", [BOB, CAROL, OSCAR])
def test_nobody_else_approves_or_withdraws(house: House, who: Actor) -> None:
    """A team's admin may edit its runbooks, and that is all."""
    number = draft(house)
    with pytest.raises(NotAllowed, match="platform admin"):
        version_approval.approve(house.rt, who, "demo", number)
    with pytest.raises(NotAllowed, match="platform admin"):
        version_approval.deprecate(house.rt, who, "demo")
    assert catalog.get(house.rt, "demo").status == "DRAFT"


@pytest.mark.parametrize("author", [{"author": ALICE.user_id}, {"author_email": "ALICE@example.com"}])
@pytest.mark.parametrize("openly", [False, True])
def test_ones_own_edit_is_approved_by_somebody_else(house: House, author: dict[str, str], openly: bool) -> None:
    """Known by user id or by e-mail; only ALLOW_SELF_APPROVAL lets it be."""
    number = draft(house)
    written_by(number, **author)
    house.settle_for(allow_self_approval=openly)
    alice = replace(ALICE, email="alice@example.com")
    if openly:
        assert version_approval.approve(house.rt, alice, "demo", number).status == "APPROVED"
        return
    with pytest.raises(NotAllowed, match="your own edit"):
        version_approval.approve(house.rt, alice, "demo", number)
    assert version_approval.approve(house.rt, DAVE, "demo", number).status == "APPROVED"


def test_an_approval_is_bound_to_what_was_shown(house: House) -> None:
    """Another digest, an older version and a version that is decided are each refused."""
    first = draft(house)
    shown = catalog.version(house.rt, "demo").digest
    with pytest.raises(Conflict, match="not what you were shown"):
        version_approval.approve(house.rt, ALICE, "demo", first, "sha256:" + "0" * 64)
    second = draft(house, "b")
    with pytest.raises(Conflict, match="not the newest"):
        version_approval.approve(house.rt, ALICE, "demo", first, shown)
    version_approval.approve(house.rt, ALICE, "demo", second)
    with pytest.raises(Conflict, match="already approved"):
        version_approval.approve(house.rt, DAVE, "demo", second)
    with pytest.raises(NotFound, match="no version 9"):
        version_approval.approve(house.rt, ALICE, "demo", 9)


def test_withdrawing_a_runbook_withdraws_every_version(house: House) -> None:
    """Also the ones approved before the current draft, and also when the current one was withdrawn by itself."""
    house.settle_for(on_edit="keep")
    version_approval.approve(house.rt, ALICE, "demo", draft(house))
    second = draft(house, "b")
    version_approval.deprecate(house.rt, ALICE, "demo", second)
    assert [each.status for each in catalog.history(house.rt, "demo")] == ["DEPRECATED", "APPROVED"]
    version_approval.deprecate(house.rt, ALICE, "demo", reason="retired")
    assert [each.status for each in catalog.history(house.rt, "demo")] == ["DEPRECATED", "DEPRECATED"]
    with pytest.raises(Conflict, match="already"):
        version_approval.deprecate(house.rt, ALICE, "demo")
    with pytest.raises(NotApproved):
        house.start("demo")


def test_a_withdrawn_version_says_why_it_does_not_run(house: House) -> None:
    """The reason given is the reason shown."""
    version_approval.approve(house.rt, ALICE, "demo", draft(house))
    version_approval.deprecate(house.rt, ALICE, "demo", reason="It drops the wrong host.")
    with pytest.raises(NotApproved, match=r"DEPRECATED.*wrong host"):
        house.start("demo")


def test_a_withdrawn_version_comes_back_as_a_draft(house: House) -> None:
    """Only the newest, only a deprecated one, only by a platform admin, and it needs its approval again."""
    first = draft(house)
    with pytest.raises(Conflict, match="nothing to roll back"):
        version_approval.rollback(house.rt, ALICE, "demo")
    version_approval.approve(house.rt, ALICE, "demo", first)
    run = house.start("demo")
    version_approval.deprecate(house.rt, ALICE, "demo", reason="wrong host")
    assert catalog.open_runs(house.rt, "demo", [first]) == [run]
    assert catalog.open_runs(house.rt, "demo", [first + 1]) == []
    with pytest.raises(Conflict, match=r"deprecated \(wrong host\).*`admin rollback demo`"):
        version_approval.approve(house.rt, ALICE, "demo", first)
    with pytest.raises(NotAllowed, match="Only a platform admin may roll back"):
        version_approval.rollback(house.rt, BOB, "demo")
    assert version_approval.rollback(house.rt, ALICE, "demo").status == "DRAFT"
    with database.reading():
        row = audit.of_thing(1, "runbook:demo@1")[-1]
    assert (row.action, row.actor, row.detail["was"]) == ("runbook.rollback", ALICE.user_id, "wrong host")
    assert version_approval.approve(house.rt, ALICE, "demo", first).status == "APPROVED"
    draft(house, "b")
    with pytest.raises(Conflict, match="not the newest"):
        version_approval.rollback(house.rt, ALICE, "demo", first)


def test_a_draft_stops_the_runbook_or_keeps_the_last_approved_version(house: House) -> None:
    """ON_EDIT decides; an approved draft then takes its place."""
    version_approval.approve(house.rt, ALICE, "demo", draft(house))
    second = draft(house, "b")
    with pytest.raises(NotApproved, match="Version 2 of demo is a DRAFT"):
        house.start("demo")
    house.settle_for(on_edit="keep")
    assert house.execution(house.start("demo")).number == 1
    version_approval.approve(house.rt, ALICE, "demo", second)
    assert house.execution(house.start("demo")).number == 2


def test_keep_runs_nothing_that_was_withdrawn(house: House) -> None:
    """Where no approved version is left, there is nothing to keep."""
    house.settle_for(on_edit="keep")
    first = draft(house)
    version_approval.approve(house.rt, ALICE, "demo", first)
    version_approval.deprecate(house.rt, ALICE, "demo", first)
    draft(house, "b")
    with pytest.raises(NotApproved):
        house.start("demo")


def test_the_diff_is_against_the_last_approved_version(house: House) -> None:
    """Drafts in between that nobody approved are not compared with; a first version is shown whole."""
    first = draft(house)
    assert catalog.diff(house.rt, "demo", first) == catalog.version(house.rt, "demo", first).source
    version_approval.approve(house.rt, ALICE, "demo", first)
    draft(house, "b")
    third = draft(house, "c")
    lines = catalog.diff(house.rt, "demo", third).splitlines()
    assert lines[:2] == ["--- demo@1", "+++ demo@3"]
    changed = [line for line in lines[2:] if line[0] in "+-"]
    assert [line.strip("+- ,") for line in changed] == [
        '"url": "http://127.0.0.1:9/a"',
        '"url": "http://127.0.0.1:9/c"',
    ]


def test_the_listing_is_searched_by_words_and_tags(house: House) -> None:
    """All words have to be somewhere in id, name and description."""
    house.sync(
        drain=runbook("drain", http("a"), name="Drain a node", tags=["linux"]),
        restart=runbook("restart", http("a"), name="Restart a service", description="Drains first."),
    )
    found = lambda *keys, **more: [each.slug for each in catalog.listing(house.rt, *keys, **more)]  # noqa: E731
    assert found() == ["drain", "restart"]
    assert found("DRAIN") == ["drain", "restart"]
    assert found("drain node") == ["drain"]
    assert found(tag="linux") == ["drain"]
    assert found("nothing") == []


def test_the_runbook_follows_the_file(house: House) -> None:
    """Name, team, tags and risk are those of the newest version."""
    draft(house)
    draft(house, "b", name="Other", team=None, tags=["x"], risk="high")
    found = catalog.get(house.rt, " DEMO ")
    assert (found.name, found.team, found.tags, found.risk, found.current_number) == ("Other", None, ("x",), "high", 2)


def test_an_author_nobody_knows_deserves_a_second_look(house: House) -> None:
    """Where nobody can be kept from approving their own edit, who approves is told so."""
    number = draft(house)
    assert "nobody is kept from approving" in catalog.warnings(catalog.version(house.rt, "demo", number))[0]
    written_by(number, author=BOB.user_id)
    assert not any("kept from" in each for each in catalog.warnings(catalog.version(house.rt, "demo", number)))
