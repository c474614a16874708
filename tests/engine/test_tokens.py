"""Tokens: what they allow, how long, and what is kept of them."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from harness import ALICE, BOB, CAROL, HOUR, OSCAR, Harness, gate, http, runbook

from engine.access import account_status, people, tokens
from engine.access import policy as access
from engine.access.policy import SCOPE_OF, SYSTEM, Action, Actor, Gate, Task
from engine.catalog import catalog
from engine.errors import Conflict, InvalidParameters, NotAllowed, NotAuthenticated, NotFound
from engine.runs import executions, manual_tasks
from engine.text.logs import RedactingHandler
from engine.text.redaction import Redactor
from storage import audit, database
from storage.columns import dicts
from storage.people_records import PersonRecord
from storage.people_tables import Token
from storage.states import Scope

DAY = 24 * HOUR


def by_token(harness: Harness, who: Actor, scopes: str = "read,run,approve,admin") -> Actor:
    """Who somebody is by a token of theirs."""
    _, secret = tokens.create(harness.rt, who, "a test", scopes=scopes)
    return tokens.actor_of(harness.rt, tokens.authenticate(harness.rt, secret))


def test_a_secret_is_known_again_and_kept_nowhere(harness: Harness) -> None:
    """Only its digest is in the table; the audit says who made what."""
    made, secret = tokens.create(harness.rt, CAROL, "deploy job", scopes="run", expires="2d")
    assert secret.startswith("rbk_")
    assert len(secret) == 47
    assert tokens.authenticate(harness.rt, secret) == made
    assert (made.user_id, made.scopes, made.expires_at) == (
        CAROL.user_id, {Scope.READ, Scope.RUN}, harness.clock.time + 2 * DAY,
    )  # fmt: skip
    with database.reading():
        assert secret not in str(dicts(Token.select()))
        (row,) = audit.of_thing(harness.rt.workspace_id, f"token:{made.id}")
    assert (row.actor, row.action, row.detail["scopes"]) == (CAROL.user_id, "token.create", ["read", "run"])
    assert secret not in str(row)


@pytest.mark.parametrize("secret", ["", "rbk_", "rbk_" + "A" * 43, "\ud800", "x" * 100_000])
def test_a_secret_that_nobody_was_given_is_refused(harness: Harness, secret: str) -> None:
    """Whatever it looks like."""
    tokens.create(harness.rt, CAROL, "another")
    with pytest.raises(NotAuthenticated, match="not known"):
        tokens.authenticate(harness.rt, secret)


def test_a_token_ends_with_its_time_and_by_a_word(harness: Harness) -> None:
    """Expired and revoked are told apart, and a second revocation changes nothing."""
    short, short_secret = tokens.create(harness.rt, CAROL, "short", expires="1h")
    long, long_secret = tokens.create(harness.rt, CAROL, "long")
    harness.clock.tick(HOUR)
    with pytest.raises(NotAuthenticated, match="has expired"):
        tokens.authenticate(harness.rt, short_secret)
    for token_id in (short.id, "T-NOSUCH22"):
        with pytest.raises(NotAuthenticated):
            account_status.token_now(harness.rt, token_id)
    assert account_status.token_now(harness.rt, long.id) == long
    tokens.revoke(harness.rt, CAROL, long.id.lower())
    with pytest.raises(NotAuthenticated):
        account_status.token_now(harness.rt, long.id)
    with pytest.raises(NotAuthenticated, match="was revoked"):
        tokens.authenticate(harness.rt, long_secret)
    with pytest.raises(Conflict):
        tokens.revoke(harness.rt, CAROL, long.id)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": " "}, {"name"}),
        ({"name": "x" * 81}, {"name"}),
        ({"name": "a\nb"}, {"name"}),
        ({"name": "x", "scopes": "read,fly"}, {"scopes"}),
        ({"name": "x", "expires": "soon"}, {"expires"}),
        ({"name": "x", "expires": "1s"}, {"expires"}),
        ({"name": "x", "expires": "400d"}, {"expires"}),
        ({"name": "", "scopes": "all", "expires": "0"}, {"name", "scopes", "expires"}),
    ],
)
def test_what_does_not_fit_is_named_at_once(harness: Harness, fields: dict[str, str], wrong: set[str]) -> None:
    """Every field that is wrong, not only the first."""
    with pytest.raises(InvalidParameters) as raised:
        tokens.create(harness.rt, CAROL, **fields)
    assert set(raised.value.fields) == wrong


def test_the_host_makes_tokens_for_people_only(harness: Harness) -> None:
    """A made-up id is refused; somebody who is no admin makes none for others."""
    made, _ = tokens.create(harness.rt, SYSTEM, "for bob", person=BOB.user_id)
    assert (made.user_id, made.created_by) == (BOB.user_id, "system")
    with pytest.raises(InvalidParameters, match="person"):
        tokens.create(harness.rt, SYSTEM, "for nobody", person="bob")
    with pytest.raises(NotAllowed):
        tokens.create(harness.rt, OSCAR, "for bob", person=BOB.user_id)


def test_people_see_their_own_and_admins_everybodys(harness: Harness) -> None:
    """Somebody else's token is as if it were not there."""
    harness.sync(one=runbook("one", http("a")))
    mine, _ = tokens.create(harness.rt, CAROL, "mine")
    theirs, _ = tokens.create(harness.rt, OSCAR, "theirs")
    assert tokens.listing(harness.rt, CAROL) == [mine]
    assert {each.id for each in tokens.listing(harness.rt, ALICE, everybody=True)} == {mine.id, theirs.id}
    with pytest.raises(NotAllowed):
        tokens.listing(harness.rt, CAROL, everybody=True)
    for token_id in (theirs.id, "T-NOSUCH22"):
        with pytest.raises(NotFound, match="There is no token"):
            tokens.revoke(harness.rt, CAROL, token_id)
    assert tokens.revoke(harness.rt, ALICE, theirs.id).revoked_by == ALICE.user_id


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_narrows_and_never_widens(harness: Harness, scope: Scope) -> None:
    """With a token, each action needs its scope and its person's role."""
    by_hand = {"id": "swap", "type": "manual", "needs": [], "with": {"instructions": "Swap the disk."}}
    harness.publish(runbook("gated", gate("ask", approvers={"roles": ["platform_admin"]}), by_hand))
    run = harness.start("gated")
    harness.advance(run)
    execution = harness.execution(run)
    opened = Gate(executions.view(harness.rt, run).gates[0].approval, execution)
    things = {
        Action.VOTE: opened, Action.START: catalog.get(harness.rt, "gated"),
        Action.EDIT: catalog.get(harness.rt, "gated"),
        Action.APPROVE: catalog.version(harness.rt, "gated"), Action.SYNC: None,
        Action.DO: Task(manual_tasks.open_at(harness.rt, run, "swap").task, execution),
    }  # fmt: skip
    for who in (ALICE, OSCAR):
        acting = by_token(harness, who, scope)
        for action in Action:
            thing = things.get(action, execution)
            alone = access.verdict(harness.rt, who, action, thing)
            narrowed = access.verdict(harness.rt, acting, action, thing)
            has = SCOPE_OF.get(action, Scope.RUN) in {scope, Scope.READ}
            seen = action is not Action.VIEW or who is ALICE
            assert narrowed.allowed == (alone.allowed and has and seen), (action, narrowed.why)
            assert has or (scope in ("read", "approve", "run", "admin") and "lacks the scope" in narrowed.why)


def test_a_token_shows_what_its_person_has_a_part_in(harness: Harness) -> None:
    """The team's things to the team, to responders and admins, to who asked for the run and to who decides in it."""
    harness.publish(runbook("gated", gate("ask", approvers={"users": ["U0OSCAR01"]})), runbook("plain", http("a")))
    gated, plain = harness.execution(harness.start("gated")), harness.execution(harness.start("plain", ALICE))
    harness.advance(gated.id)
    stranger = Actor("U0STRANGER", standing="member")

    def seen(who: Actor) -> list[bool]:
        by = by_token(harness, who)
        return [
            access.verdict(harness.rt, by, Action.VIEW, thing).allowed
            for thing in (catalog.get(harness.rt, "gated"), gated, plain)
        ]

    assert seen(ALICE) == seen(BOB) == seen(CAROL) == [True, True, True]
    assert seen(OSCAR) == [False, True, False]
    assert seen(stranger) == [False, False, False]
    mine = replace(plain, requester=stranger.user_id)
    assert access.verdict(harness.rt, by_token(harness, stranger), Action.VIEW, mine).allowed
    assert access.verdict(harness.rt, stranger, Action.VIEW, gated).allowed


def test_a_token_of_somebody_who_left_is_worth_nothing(harness: Harness) -> None:
    """What Slack last said of a person holds for their tokens too."""
    acting = by_token(harness, ALICE)
    access.authorise(harness.rt, acting, Action.VIEW)
    person = PersonRecord(ALICE.user_id, "alice", None, "deleted", None, harness.clock.time)
    people.remember(harness.rt, person)
    with pytest.raises(NotAllowed, match="deactivated"):
        access.authorise(harness.rt, acting, Action.VIEW)


def test_use_is_noted_once_a_minute(harness: Harness) -> None:
    """So that asking a hundred times a second writes nothing."""
    _, secret = tokens.create(harness.rt, CAROL, "busy")

    def used() -> int | None:
        return tokens.listing(harness.rt, CAROL)[0].last_used_at

    assert used() is None
    first = harness.clock.tick(1000)
    tokens.actor_of(harness.rt, tokens.authenticate(harness.rt, secret))
    harness.clock.tick(59_000)
    tokens.actor_of(harness.rt, tokens.authenticate(harness.rt, secret))
    assert used() == first
    harness.clock.tick(1_000)
    tokens.actor_of(harness.rt, tokens.authenticate(harness.rt, secret))
    assert used() == harness.clock.time


def test_the_log_shows_no_token(harness: Harness) -> None:
    """It is known by its looks, since its value is kept nowhere."""
    _, secret = tokens.create(harness.rt, CAROL, "leaky")
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "sent %s.", (f"Bearer {secret}",), None)
    shown = RedactingHandler(Redactor()).format(record)
    assert secret not in shown
    assert "Bearer ‹token›." in shown
