"""Who may do what. One function decides, `verdict`; every door asks it, at the moment of the act.

Who has which role is `engine.access.roles`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.access import account_status, choosers
from engine.access.roles import Roles, approver_ids, describe_approvers, is_approver, named_in, roles_of, runners
from engine.errors import NotAllowed
from engine.runtime import Runtime
from storage import approvals, database, executions, people, runbooks
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ApprovalRecord, ExecutionRecord
from storage.states import Scope, VersionStatus


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate together with the execution it stands in: who may decide depends on both."""

    approval: ApprovalRecord
    execution: ExecutionRecord


@dataclass(frozen=True, slots=True)
class Draft:
    """A runbook that somebody wants to write, of the team that it would belong to."""

    slug: str
    team: str | None


Thing = RunbookRecord | VersionRecord | ExecutionRecord | Gate | Draft | None


class Action(StrEnum):
    """What can be done with a runbook or a run; each value is the verb that a refusal has for it."""

    VIEW = "look at"
    START = "run"
    CANCEL = "cancel"
    RESOLVE = "resolve"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    SKIP = "skip a step of"
    REPLAY = "replay"
    HANDOVER = "hand over"
    INCIDENT = "keep the incident of"
    VOTE = "decide"
    SYNC = "sync"
    APPROVE = "approve"
    DEPRECATE = "deprecate"
    ROLLBACK = "roll back"
    EDIT = "edit"
    AUDIT = "read the audit of"
    TOKEN = "have tokens of one's own for"  # noqa: S105 - words
    TOKENS = "see the tokens of"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, and through which door (slack, cli, api, page, system). `standing` is as in `PersonRecord`, or unknown.

    `scopes` is what the token they came with is for and `token` its id; both are None where they came in person. `here`
    is the channel in which they are seen to be now: they typed or clicked there.
    """

    user_id: str
    name: str = ""
    email: str | None = None
    standing: str = account_status.UNKNOWN
    door: str = "slack"
    scopes: frozenset[Scope] | None = None
    token: str | None = None
    here: str = ""


SYSTEM = Actor(user_id="system", name="Runbook Bot", standing=account_status.MEMBER, door="system")


@dataclass(frozen=True, slots=True)
class RequestedAction:
    """Somebody and what they are about to do: asked about once more inside the transaction that does it."""

    actor: Actor
    action: Action


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is allowed, and the sentence that says so to whom it is about.

    `rule` is the rule that decided, `role` what this person has of it ("an admin of team payments", "" for
    nothing), and `ask` the people and user groups that have what it takes, as ids.
    """

    allowed: bool
    why: str
    rule: str = ""
    role: str = ""
    ask: tuple[str, ...] = ()


def abilities(rt: Runtime, actor: Actor) -> frozenset[Action]:
    """What this person may do to anything at all, as far as roles and open gates say so."""
    if actor.standing != account_status.MEMBER:
        return frozenset()
    roles = roles_of(rt, actor.user_id)
    if roles.platform_admin:
        return frozenset(Action)
    found = {Action.VIEW, Action.TOKEN}
    if roles.responder or roles.admin_of or roles.member_of:
        found |= {action for action, rule in _RULES.items() if rule in (_run_rule, _incident_rule)} | {Action.VOTE}
    if roles.admin_of:
        found.add(Action.EDIT)
    return frozenset(found | ({Action.VOTE} if _is_asked(rt, actor) else set()))


def _is_asked(rt: Runtime, actor: Actor) -> bool:
    """Whether a gate that is open now names this person."""
    with database.reading(), people.reads_cached():
        gates = approvals.soonest_open(rt.workspace_id, _GATES)
        runs = executions.by_ids({gate.execution_id for gate in gates})
        return any(verdict(rt, actor, Action.VOTE, Gate(gate, runs[gate.execution_id])).allowed for gate in gates)


def authorise(rt: Runtime, actor: Actor, action: Action, thing: Thing = None) -> None:
    """Raise `NotAllowed` with the verdict's sentence unless `actor` may do this now.

    Their token and standing are read again, so inside the transaction that acts this is what holds when it commits.
    Raises `NotAuthenticated` where the token has ended meanwhile.
    """
    _must(verdict(rt, as_of_now(rt, actor), action, thing))


def admit(actor: Actor, action: Action) -> None:
    """Raise `NotAllowed` where standing or scope alone forbid `action`, whatever it would be done to.

    Every door asks this first, of somebody whom it has just identified and for looking too, so that nothing is told,
    and no form opened, before it.
    """
    refused = _barred(actor, action)
    if refused is not None:
        _must(refused)


@contextmanager
def acting(rt: Runtime, actor: Actor, action: Action, thing: Thing = None) -> Iterator[None]:
    """A transaction in which `actor` does `action`; whether they may is asked in it. Raises as `authorise`."""
    with database.transaction():
        authorise(rt, actor, action, thing)
        yield


def as_of_now(rt: Runtime, actor: Actor) -> Actor:
    """The same with the standing that they have now, never a better one than they came with.

    Raises `NotAuthenticated` where their token was revoked or has expired.
    """
    if actor.door == "system":
        return actor
    if actor.token is not None:
        actor = replace(actor, scopes=account_status.token_now(rt, actor.token).scopes)
    if actor.standing != account_status.MEMBER:
        return actor
    return replace(actor, standing=account_status.standing_of(rt, actor.user_id))


def _must(decided: Verdict) -> None:
    if not decided.allowed:
        raise NotAllowed(decided.why, decided.ask)


def verdict(rt: Runtime, actor: Actor, action: Action, thing: Thing = None) -> Verdict:
    """Whether `actor`, taken for who they say they are, may do `action` to `thing`: the whole policy."""
    return _barred(actor, action) or _RULES[action](rt, actor, action, thing)


def _barred(actor: Actor, action: Action) -> Verdict | None:
    """What the door, the standing or the token's scopes decide without a look at the thing."""
    if actor.door == "system":
        return Verdict(action in _SYSTEM, "The bot itself and its host only look, sync, and see to tokens.")
    if actor.standing != account_status.MEMBER:
        return Verdict(False, _STANDING.get(actor.standing, _STANDING[account_status.UNKNOWN]))
    needed = SCOPE_OF.get(action, Scope.RUN)
    if actor.scopes is not None and needed not in actor.scopes:
        return Verdict(False, f"This token is not for that: it lacks the scope {needed}.")
    return None


def teams_seen(rt: Runtime, actor: Actor) -> frozenset[str] | None:
    """The teams whose runbooks and runs this person may look at; None for every team's. What is global, members may."""
    if actor.scopes is None:
        return None
    roles = roles_of(rt, actor.user_id)
    return None if roles.platform_admin or roles.responder else roles.member_of | roles.admin_of


ELSEWHERE = "a run of another team"


def named(rt: Runtime, actor: Actor, execution_ids: Iterable[str]) -> list[str]:
    """These runs by their ids; of one that this person may not look at only `ELSEWHERE` is said."""
    with database.reading():
        runs = [(each, executions.by_id(each)) for each in execution_ids]
    return [each if run and verdict(rt, actor, Action.VIEW, run).allowed else ELSEWHERE for each, run in runs]


_STANDING = {
    "bot": "Bots may not use runbooks: a person has to do this.",
    "guest": "Guests may not use runbooks: ask a full member of this workspace.",
    "deleted": "This account is deactivated.",
    "stranger": "People of other workspaces may not use runbooks here.",
    account_status.UNKNOWN: "Slack could not say who you are just now, so this was refused. Try again in a minute.",
}


def _view_rule(rt: Runtime, actor: Actor, _action: Action, thing: Thing) -> Verdict:
    """In person everyone may look. A token, which may leak, shows what its person has a role for or a part in."""
    if actor.scopes is None or not isinstance(thing, RunbookRecord | ExecutionRecord):
        return Verdict(True, "Everyone in the workspace may look.")
    team = _team_that_runs(rt, thing)
    if team is None:
        return Verdict(True, "Everyone in the workspace may look.")
    seen = teams_seen(rt, actor)
    allowed = seen is None or team in seen
    if not allowed and isinstance(thing, ExecutionRecord):
        allowed = actor.user_id in (thing.requester, thing.owner) or _decides(rt, actor, thing)
    return Verdict(allowed, f"By a token only team {team}, responders and platform admins see {thing.slug}.")


def _decides(rt: Runtime, actor: Actor, execution: ExecutionRecord) -> bool:
    """Whether a gate of this execution asks for this person."""
    with database.reading():
        gates = approvals.of_execution(execution.id)
    roles = roles_of(rt, actor.user_id)
    return any(is_approver(rt, actor.user_id, roles, gate.approvers, execution.team)[0] for gate in gates)


def _edit_rule(rt: Runtime, actor: Actor, action: Action, thing: Thing) -> Verdict:
    assert isinstance(thing, RunbookRecord | Draft)
    roles, team = roles_of(rt, actor.user_id), thing.team
    if team is None:
        rule = f"Only platform admins may {action} {thing.slug}, a global runbook."
        return _said("a platform admin" * roles.platform_admin, roles, rule, lambda: named_in(rt, "platform_admins"))
    rule = f"Only admins of team {team} and platform admins may {action} {thing.slug}."
    has = _first("a platform admin" * roles.platform_admin, f"an admin of team {team}" * (team in roles.admin_of))
    return _said(has, roles, rule, lambda: named_in(rt, "platform_admins"))


def _own_rule(_rt: Runtime, _actor: Actor, _action: Action, _thing: Thing) -> Verdict:
    return Verdict(True, "Everyone may have tokens of their own.")


def _run_rule(rt: Runtime, actor: Actor, action: Action, thing: Thing) -> Verdict:
    assert isinstance(thing, RunbookRecord | ExecutionRecord)
    roles, team = roles_of(rt, actor.user_id), _team_that_runs(rt, thing)
    if team is None:
        rule = f"Only responders and platform admins may {action} {thing.slug}, a global runbook."
        has = _first("a platform admin" * roles.platform_admin, "a responder" * roles.responder)
        return _said(has, roles, rule, lambda: runners(rt, team))
    rule = f"Only members and admins of team {team} and platform admins may {action} {thing.slug}."
    has = _first(
        "a platform admin" * roles.platform_admin,
        f"an admin of team {team}" * (team in roles.admin_of),
        f"a member of team {team}" * (team in roles.member_of),
    )
    return _said(has, roles, rule, lambda: runners(rt, team))


def _team_that_runs(rt: Runtime, thing: RunbookRecord | ExecutionRecord) -> str | None:
    """The team of what runs: with `ON_EDIT=keep` that of the last approved version, whatever a newer draft says."""
    if isinstance(thing, RunbookRecord) and thing.status is VersionStatus.DRAFT and rt.settings.on_edit == "keep":
        with database.reading():
            running = runbooks.last_approved(thing.id, thing.current_number)
        if running is not None:
            team: str | None = running.definition.get("team")
            return team
    return thing.team


def _incident_rule(rt: Runtime, actor: Actor, action: Action, _thing: Thing) -> Verdict:
    roles = roles_of(rt, actor.user_id)
    has = _first(
        "a platform admin" * roles.platform_admin,
        "a responder" * roles.responder,
        "in a team" * bool(roles.admin_of | roles.member_of),
    )
    rule = f"Only responders, platform admins and people in a team may {action} a channel."
    return _said(has, roles, rule, lambda: runners(rt, None))


def _admin_rule(rt: Runtime, actor: Actor, action: Action, thing: Thing) -> Verdict:
    roles = roles_of(rt, actor.user_id)
    subject = _SUBJECTS.get(action, "a runbook")
    rule = f"Only a platform admin may {action} {subject}."
    has = "a platform admin" * roles.platform_admin
    decided = _said(has, roles, rule, lambda: named_in(rt, "platform_admins"))
    if decided.allowed and action is Action.APPROVE and isinstance(thing, VersionRecord):
        return _own_edit(rt, actor, thing)
    return decided


def _own_edit(rt: Runtime, actor: Actor, version: VersionRecord) -> Verdict:
    mine = version.author == actor.user_id or (
        actor.email is not None and (version.author_email or "").casefold() == actor.email.casefold()
    )
    if mine and not rt.settings.allow_self_approval:
        who = f"Version {version.number} of {version.slug} is your own edit"
        others = tuple(each for each in named_in(rt, "platform_admins") if each != actor.user_id)
        rule = "Nobody approves an edit of their own."
        return Verdict(False, f"{who}: another platform admin has to approve it.", rule, "its author", others)
    rule = "Only a platform admin may approve a runbook, and never an edit of their own."
    return Verdict(True, f"{rule} You are a platform admin.", rule, "a platform admin")


def _vote_rule(rt: Runtime, actor: Actor, _action: Action, thing: Thing) -> Verdict:
    assert isinstance(thing, Gate)
    approval, execution = thing.approval, thing.execution
    own = _chose(rt, actor, approval, execution)
    if own and not (approval.allow_self or rt.settings.allow_self_approval):
        others = tuple(each for each in approver_ids(rt, approval.approvers, execution.team) if each != actor.user_id)
        rule = "Nobody decides about what they chose themselves."
        return Verdict(False, f"You {own}, so others have to decide about it.", rule, f"the one who {own}", others)
    roles = roles_of(rt, actor.user_id)
    allowed, stale = is_approver(rt, actor.user_id, roles, approval.approvers, execution.team)
    rule = f"Only {describe_approvers(approval.approvers, execution.team)} may decide this."
    asked = Roles(stale=stale or roles.stale)
    return _said("among them" * allowed, asked, rule, lambda: approver_ids(rt, approval.approvers, execution.team))


def _chose(rt: Runtime, actor: Actor, gate: ApprovalRecord, execution: ExecutionRecord) -> str:
    """What this person did to choose what a gate is about, "" for anybody else."""
    if actor.user_id not in choosers.of_gate(rt, gate, execution):
        return ""
    if actor.user_id == execution.requester:
        return "asked for this run"
    if actor.user_id in (execution.owners or ()):
        return "took this run over"
    if actor.user_id in (gate.barred or ()):
        return "had a step skipped that this is about"
    if choosers.chose_values(execution, actor.user_id):
        return "chose values of this run or of one that it belongs to"
    return "have the e-mail address of somebody who chose what this run does"


def _first(*texts: str) -> str:
    return next((text for text in texts if text), "")


def _said(has: str, roles: Roles, rule: str, ask: Callable[[], tuple[str, ...]]) -> Verdict:
    if has:
        return Verdict(True, f"{rule} You are {has}.", rule, has)
    doubt = " Slack could not be asked who is in a group this depends on; try again in a minute." if roles.stale else ""
    return Verdict(False, f"{rule} You have no such role.{doubt} Roles are kept in _access.yaml.", rule, "", ask())


_GATES = 200
"""Open gates that are looked at when it is asked what somebody may do at all."""
_SUBJECTS = {Action.SYNC: "the runbooks", Action.AUDIT: "everything", Action.TOKENS: "other people"}
_SYSTEM = frozenset({Action.SYNC, Action.VIEW, Action.TOKEN, Action.TOKENS})
SCOPE_OF: Mapping[Action, Scope] = {
    Action.VIEW: Scope.READ,
    Action.AUDIT: Scope.READ,
    Action.TOKEN: Scope.READ,
    Action.VOTE: Scope.APPROVE,
    Action.SYNC: Scope.ADMIN,
    Action.APPROVE: Scope.ADMIN,
    Action.DEPRECATE: Scope.ADMIN,
    Action.ROLLBACK: Scope.ADMIN,
    Action.EDIT: Scope.ADMIN,
    Action.TOKENS: Scope.ADMIN,
}
"""The scope that a token needs for an action; `run` for what is not named."""
_STEERING = (
    Action.START, Action.CANCEL, Action.RESOLVE, Action.PAUSE, Action.RESUME, Action.RETRY, Action.SKIP, Action.REPLAY,
    Action.HANDOVER,
)  # fmt: skip
_RULES: Mapping[Action, Callable[[Runtime, Actor, Action, Thing], Verdict]] = {
    Action.VIEW: _view_rule,
    Action.EDIT: _edit_rule,
    Action.AUDIT: _admin_rule,
    Action.TOKEN: _own_rule,
    Action.TOKENS: _admin_rule,
    **dict.fromkeys(_STEERING, _run_rule),
    Action.INCIDENT: _incident_rule,
    Action.SYNC: _admin_rule,
    Action.APPROVE: _admin_rule,
    Action.DEPRECATE: _admin_rule,
    Action.ROLLBACK: _admin_rule,
    Action.VOTE: _vote_rule,
}
