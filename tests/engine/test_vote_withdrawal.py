"""Taking back one's word for a version: only one's own, only while others are missing, and on record."""

from __future__ import annotations

import pytest
from harness import ALICE, BOB, CAROL, DAVE, Harness, at_once, http, runbook

from engine.access import people
from engine.access.policy import Actor
from engine.catalog import catalog, renewals, version_approval
from engine.errors import Conflict, EngineError, NotAllowed
from storage import audit, database
from storage.people_records import PersonRecord
from storage.tables import RunbookVersion


@pytest.fixture
def harness(harness: Harness) -> Harness:
    harness.settle_for(definition_approvals=2)
    harness.sync(demo=runbook("demo", http("a"), risk="high"))
    return harness


def approve(harness: Harness, who: Actor) -> str:
    return version_approval.approve(harness.rt, who, "demo", catalog.get(harness.rt, "demo").current_number).status


def deeds(harness: Harness) -> list[tuple[str, str]]:
    with database.reading():
        return [(row.actor, row.action) for row in audit.of_thing(1, "runbook:demo@1")]


def test_what_was_taken_back_counts_for_nothing(harness: Harness) -> None:
    """The other's word alone approves nothing; said again, it counts again."""
    approve(harness, ALICE)
    _, left = version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1)
    assert left.missing == ("2 of 2 platform admins",)
    assert approve(harness, DAVE) == "DRAFT"
    assert approve(harness, ALICE) == "APPROVED"
    assert (ALICE.user_id, "runbook.withdraw") in deeds(harness)


def test_only_ones_own_word_is_taken_back(harness: Harness) -> None:
    """Not by another admin, not by whoever may not approve, and not twice."""
    approve(harness, ALICE)
    with pytest.raises(Conflict, match="by you"):
        version_approval.withdraw_vote(harness.rt, DAVE, "demo")
    for who in (BOB, CAROL):
        with pytest.raises(NotAllowed):
            version_approval.withdraw_vote(harness.rt, who, "demo")
    version_approval.withdraw_vote(harness.rt, ALICE, "demo")
    with pytest.raises(Conflict, match="none to withdraw"):
        version_approval.withdraw_vote(harness.rt, ALICE, "demo")


def test_another_account_of_the_same_person_takes_it_back(harness: Harness) -> None:
    """As it could not vote a second time."""
    for user in (ALICE.user_id, "U0ALICE02"):
        record = PersonRecord(user, "alice", "alice@example.com", "member", None, harness.clock.time)
        people.remember(harness.rt, record)
    harness.know_groups({"S0PLATFORM": ("platform", {ALICE.user_id, "U0ALICE02", DAVE.user_id})})
    approve(harness, ALICE)
    version_approval.withdraw_vote(harness.rt, Actor("U0ALICE02", standing="member"), "demo")
    assert approve(harness, DAVE) == "DRAFT"


def test_a_decision_is_not_taken_back(harness: Harness) -> None:
    """Nor by the one whose word was the last, nor once the version was withdrawn or replaced."""
    approve(harness, ALICE)
    assert approve(harness, DAVE) == "APPROVED"
    for who in (ALICE, DAVE):
        with pytest.raises(Conflict, match="none to withdraw"):
            version_approval.withdraw_vote(harness.rt, who, "demo", 1)
    assert catalog.get(harness.rt, "demo").status == "APPROVED"
    harness.sync(demo=runbook("demo", http("b"), risk="high"))
    approve(harness, ALICE)
    with pytest.raises(Conflict):
        version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1)
    version_approval.withdraw_vote(harness.rt, ALICE, "demo", 2)


def test_a_renewal_is_taken_back(harness: Harness) -> None:
    """While the other's is missing; what it renews is as due as before."""
    approve(harness, ALICE)
    approve(harness, DAVE)
    harness.settle_for(definition_approvals=2, approval_max_age=3_600_000)
    with database.transaction():
        RunbookVersion.update(decided_at=harness.clock.time - 3_000_000).execute()
    version_approval.renew(harness.rt, ALICE, "demo")
    version_approval.withdraw_vote(harness.rt, ALICE, "demo")
    version_approval.renew(harness.rt, DAVE, "demo")
    (due,) = renewals.due(harness.rt)
    assert due.quorum.people == [DAVE.user_id]


@pytest.mark.parametrize("_round", range(3))
def test_a_withdrawal_and_the_last_word_at_once(harness: Harness, _round: int) -> None:
    """Either the version is approved by both, or it is a draft with one word."""
    approve(harness, ALICE)

    def last() -> None:
        approve(harness, DAVE)

    def back() -> None:
        try:
            version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1)
        except EngineError:
            return

    at_once(last, back)
    status = catalog.get(harness.rt, "demo").status
    taken_back = (ALICE.user_id, "runbook.withdraw") in deeds(harness)
    assert (status == "DRAFT") is taken_back


def test_another_text_than_was_shown_is_refused_with_what_changed(harness: Harness) -> None:
    """By its digest, whether the version is named as well or not."""
    seen = catalog.version(harness.rt, "demo").digest
    harness.sync(demo=runbook("demo", http("b"), risk="high", tags=["db"]))
    with pytest.raises(Conflict, match=r"that was demo@1, and what changed is .*tags"):
        version_approval.approve(harness.rt, ALICE, "demo", 2, seen)
    with pytest.raises(Conflict, match="no version of it reads so"):
        version_approval.approve(harness.rt, ALICE, "demo", 2, "sha256:made-up")
    now = catalog.version(harness.rt, "demo").digest
    with pytest.raises(Conflict, match="not what you were shown"):
        version_approval.approve(harness.rt, ALICE, "demo", 1, now)
    assert version_approval.approve(harness.rt, ALICE, "demo", 2, now).status == "DRAFT"


def test_a_word_for_another_text_is_not_taken_back(harness: Harness) -> None:
    """Which has the same name once a runbook was deleted and written anew."""
    approve(harness, ALICE)
    with pytest.raises(Conflict, match="not what you were shown: no version of it reads so"):
        version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1, "sha256:made-up")
    assert renewals.approval(harness.rt, catalog.version(harness.rt, "demo")).quorum.people == [ALICE.user_id]
    version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1, catalog.version(harness.rt, "demo").digest)


def test_a_stale_button_takes_no_later_renewal_back(harness: Harness) -> None:
    """What was said after it was shown stays, also where version and text are the same; by name it is taken back."""
    approve(harness, ALICE)
    shown = catalog.version(harness.rt, "demo")
    at = harness.clock.time
    approve(harness, DAVE)
    harness.settle_for(definition_approvals=2, approval_max_age=3_600_000)
    harness.clock.tick(1)
    with database.transaction():
        RunbookVersion.update(decided_at=harness.clock.time - 3_000_000).execute()
    version_approval.renew(harness.rt, ALICE, "demo")
    with pytest.raises(Conflict, match="is decided or taken back"):
        version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1, shown.digest, at)
    (due,) = renewals.due(harness.rt)
    assert due.quorum.people == [ALICE.user_id]
    version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1, shown.digest, harness.clock.time)


def test_a_button_takes_no_word_back_that_was_said_anew(harness: Harness) -> None:
    """Approved, taken back and approved again: the first button is over, though the row may have its old id."""
    approve(harness, ALICE)
    at = harness.clock.time
    version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1)
    harness.clock.tick(1)
    approve(harness, ALICE)
    with pytest.raises(Conflict, match="is decided or taken back"):
        version_approval.withdraw_vote(harness.rt, ALICE, "demo", 1, None, at)
    assert renewals.approval(harness.rt, catalog.version(harness.rt, "demo")).quorum.people == [ALICE.user_id]


def test_another_text_than_was_shown_is_not_rolled_back(harness: Harness) -> None:
    """It is compared where the change is made: nothing of it is done, and nothing is in the audit."""
    version_approval.deprecate(harness.rt, ALICE, "demo", reason="wrong host")
    with pytest.raises(Conflict, match="not what you were shown"):
        version_approval.rollback(harness.rt, ALICE, "demo", 1, digest="sha256:made-up")
    assert catalog.get(harness.rt, "demo").status == "DEPRECATED"
    assert "runbook.rollback" not in [deed for _, deed in deeds(harness)]
    digest = catalog.version(harness.rt, "demo").digest
    assert version_approval.rollback(harness.rt, ALICE, "demo", 1, digest=digest).status == "DRAFT"
