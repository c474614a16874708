"""The whole policy, role by role: who may do what to which runbook."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import ALICE, BOB, HOUR, OSCAR, Harness, gate, http, runbook

from engine.access import people, roles
from engine.access import policy as access
from engine.access.actions import Team
from engine.access.policy import SYSTEM, Action, Actor, Gate, Thing
from engine.access.scopes import scope_of
from engine.catalog import catalog
from engine.errors import Conflict, NotAllowed
from engine.runs import controls, executions, idempotency
from storage.people_records import GroupRecord

MEMBER, RESPONDER = Actor("U0MEMBER1", standing="member"), Actor("U0ONDUTY1", standing="member")
ROLES = {
    "platform admin": ALICE,
    "team admin": BOB,
    "team member": MEMBER,
    "other team's admin": Actor("U0OTHER01", standing="member"),
    "responder": RESPONDER,
    "nobody": OSCAR,
    "the bot": SYSTEM,
}
POLICY = """\
platform_admins: [S0PLATFORM]
responders: [U0ONDUTY1]
teams:
  payments: {admins: [U0BOB0001], members: [U0MEMBER1]}
  search: {admins: [U0OTHER01]}
"""
# One letter a role, in the order above: y may, - may not.
MATRIX = {
    ("payments", Action.VIEW): "yyyyyyy",
    ("payments", Action.START): "yyy----",
    ("payments", Action.CANCEL): "yyy----",
    ("payments", Action.RESOLVE): "yyy----",
    ("payments", Action.PAUSE): "yyy----",
    ("payments", Action.RESUME): "yyy----",
    ("payments", Action.RETRY): "yyy----",
    ("payments", Action.SKIP): "yyy----",
    ("payments", Action.REPLAY): "yyy----",
    ("payments", Action.HANDOVER): "yyy----",
    ("payments", Action.APPROVE): "y------",
    ("payments", Action.DEPRECATE): "y------",
    ("payments", Action.ROLLBACK): "y------",
    ("payments", Action.EDIT): "yy-----",
    ("payments", Action.REPORT): "yy-----",
    ("payments", Action.FREEZE): "yy-----",
    ("payments", Action.UNFREEZE): "yy-----",
    (None, Action.FREEZE): "y------",
    (None, Action.UNFREEZE): "y------",
    (None, Action.VIEW): "yyyyyyy",
    (None, Action.START): "y---y--",
    (None, Action.CANCEL): "y---y--",
    (None, Action.RESOLVE): "y---y--",
    (None, Action.PAUSE): "y---y--",
    (None, Action.RESUME): "y---y--",
    (None, Action.RETRY): "y---y--",
    (None, Action.SKIP): "y---y--",
    (None, Action.REPLAY): "y---y--",
    (None, Action.HANDOVER): "y---y--",
    (None, Action.APPROVE): "y------",
    (None, Action.DEPRECATE): "y------",
    (None, Action.ROLLBACK): "y------",
    (None, Action.EDIT): "y------",
    ("no thing", Action.SYNC): "y-----y",
    ("no thing", Action.AUDIT): "y------",
    ("no thing", Action.REPORT): "y------",
    ("no thing", Action.REVIEW): "y------",
    ("no thing", Action.TOKEN): "yyyyyyy",
    ("no thing", Action.TOKENS): "y-----y",
    ("no thing", Action.INCIDENT): "yyyyy--",
    ("no thing", Action.SECRETS): "yyyyy--",
    ("no thing", Action.SECRET_SET): "y------",
}


@pytest.fixture
def harness(harness: Harness) -> Harness:
    """Two runbooks, one of a team and one for all, and a policy that names each role's person."""
    harness.sync(
        team=runbook("team", http("a")), everybody=runbook("everybody", http("a"), team=None), _access_yaml=POLICY
    )
    return harness


def things(harness: Harness, team: str | None, action: Action) -> list[Thing]:
    """What the action can be asked about."""
    if team == "no thing":
        return [None]
    slug = "team" if team else "everybody"
    if action in (Action.FREEZE, Action.UNFREEZE):
        return [scope_of(harness.rt, each) for each in (slug, "team:payments" if team else "everything")]
    found = catalog.get(harness.rt, slug)
    if action is Action.REPORT:
        return [Team(team)]
    if action in (Action.APPROVE, Action.DEPRECATE, Action.ROLLBACK):
        return [catalog.version(harness.rt, slug)]
    if action is Action.EDIT:
        return [found, access.Draft(slug, found.team)]
    if action is Action.START:
        return [found]
    if found.status == "DRAFT":
        harness.approve(slug)
    run = executions.start(harness.rt, ALICE, slug, {}, trigger="test")
    return [found, run] if action is Action.VIEW else [run]


@pytest.mark.parametrize(("team", "action"), MATRIX)
def test_every_role_may_do_exactly_what_the_table_says(harness: Harness, team: str | None, action: Action) -> None:
    """And a refusal names what is missing."""
    for thing in things(harness, team, action):
        decided = {name: access.verdict(harness.rt, who, action, thing) for name, who in ROLES.items()}
        assert "".join("y" if each.allowed else "-" for each in decided.values()) == MATRIX[team, action]
        assert all(each.why.endswith(".") for each in decided.values())


def test_the_table_names_every_action() -> None:
    """A new action has to be thought about here; votes and manual steps have tests of their own."""
    assert {action for _, action in MATRIX} | {Action.VOTE, Action.DO} == set(Action)


@pytest.mark.parametrize("standing", ["guest", "bot", "deleted", "stranger", "unknown", "something new"])
def test_only_full_members_do_anything(harness: Harness, standing: str) -> None:
    """Whatever role is written down for them, and looking included."""
    who = replace(ALICE, standing=standing)
    for action in Action:
        assert not access.verdict(harness.rt, who, action, None).allowed


def test_authorise_raises_the_verdicts_sentence(harness: Harness) -> None:
    """The sentence is for the person who asked."""
    with pytest.raises(NotAllowed, match="Only members and admins of team payments and platform admins may run team"):
        access.authorise(harness.rt, OSCAR, Action.START, catalog.get(harness.rt, "team"))


def test_before_the_first_sync_nobody_has_a_role(rt) -> None:
    """An empty database lets nobody in."""
    assert roles.roles_of(rt, "U0ALICE01") == roles.Roles()


def test_members_of_a_group_lose_their_role_with_it(harness: Harness) -> None:
    """Groups are asked at the moment of the deed."""
    version = catalog.version(harness.rt, "team")
    assert access.verdict(harness.rt, ALICE, Action.APPROVE, version).allowed
    harness.know_groups({"S0PLATFORM": ("platform", set())})
    assert not access.verdict(harness.rt, ALICE, Action.APPROVE, version).allowed


def test_a_group_nobody_has_heard_of_lets_nobody_in_and_says_so(harness: Harness) -> None:
    """The refusal says that the group could not be asked."""
    people.remember_groups(harness.rt, [])
    decided = access.verdict(harness.rt, ALICE, Action.SYNC)
    assert not decided.allowed
    assert "could not be asked" in decided.why


def test_stale_groups_take_nothing_from_people_who_are_named(harness: Harness) -> None:
    """Who is in the file by user id needs no group."""
    harness.clock.tick(roles.GROUPS_FRESH_MS + 1)
    team = catalog.get(harness.rt, "team")
    assert access.verdict(harness.rt, BOB, Action.START, team).allowed
    assert not access.verdict(harness.rt, ALICE, Action.START, team).allowed


def test_a_group_called_like_a_person_is_no_person(harness: Harness) -> None:
    """A handle that spells a user's id gives that user nothing."""
    record = GroupRecord("S0NEW0001", "U0OSCAR01", frozenset({OSCAR.user_id}), harness.clock.time)
    people.remember_groups(harness.rt, [record])
    harness.sync(_access_yaml="platform_admins: [U0SOMEONE]\n")
    assert not roles.roles_of(harness.rt, OSCAR.user_id).platform_admin


def test_a_gates_team_roles_are_those_of_the_runs_team(harness: Harness) -> None:
    """Another team's admin is no admin here, and a global run has no team."""
    harness.write(_access_yaml=POLICY)
    harness.publish(runbook("gated", gate("ask", approvers={"roles": ["team_admin"]})))
    run = harness.start("gated", MEMBER)
    harness.advance(run)
    opened = Gate(executions.view(harness.rt, run).gates[0].approval, harness.execution(run))
    assert access.verdict(harness.rt, BOB, Action.VOTE, opened).allowed
    assert not access.verdict(harness.rt, ROLES["other team's admin"], Action.VOTE, opened).allowed
    nowhere = replace(opened, execution=replace(opened.execution, team=None))
    assert not access.verdict(harness.rt, BOB, Action.VOTE, nowhere).allowed


@pytest.mark.parametrize(
    ("approvers", "words"),
    [
        ({}, "nobody"),
        ({"roles": ["platform_admin"]}, "platform admins"),
        ({"roles": ["team_admin"], "users": ["U0X"]}, "admins of team payments and @U0X"),
        ({"roles": ["responder"], "users": ["U0X"], "groups": ["oncall"]}, "responders, @U0X and group oncall"),
    ],
)
def test_approvers_are_named_in_words(approvers: dict[str, list[str]], words: str) -> None:
    """As a person would say it."""
    assert roles.describe_approvers(approvers, "payments") == words


def test_the_groups_to_ask_slack_about_are_those_that_anything_depends_on(harness: Harness) -> None:
    """Roles' groups, and those of gates that are open."""
    assert people.groups_named(harness.rt) == {"S0PLATFORM"}
    harness.publish(runbook("gated", gate("ask", approvers={"groups": ["oncall", "S0ONCALL"]})))
    run = harness.start("gated", MEMBER)
    harness.advance(run)
    assert people.groups_named(harness.rt) == {"S0PLATFORM", "oncall", "S0ONCALL"}
    controls.cancel(harness.rt, MEMBER, run)
    assert people.groups_named(harness.rt) == {"S0PLATFORM"}


def test_the_age_of_what_is_known_of_groups(harness: Harness) -> None:
    """That of the oldest; never heard of any is told from just heard."""
    harness.clock.tick(1_000)
    assert people.groups_age_ms(harness.rt) == 1_000
    people.remember_groups(harness.rt, [])
    assert people.groups_age_ms(harness.rt) is None


def test_a_deployment_belongs_to_one_slack_team(harness: Harness) -> None:
    """Another team's token is refused in words."""
    people.bind_workspace(harness.rt, "T0FIRST01", "First")
    people.bind_workspace(harness.rt, "T0FIRST01", "First")
    with pytest.raises(Conflict, match="belongs to the Slack workspace First, not to Second"):
        people.bind_workspace(harness.rt, "T0SECOND1", "Second")


def test_a_redelivered_request_is_known(harness: Harness) -> None:
    """Seen once, it is not new again within a day."""
    assert idempotency.first_time(harness.rt, "T:1") is True
    assert idempotency.first_time(harness.rt, "T:1") is False
    harness.clock.tick(2 * 24 * HOUR)
    harness.sweep()
    assert idempotency.first_time(harness.rt, "T:1") is True
