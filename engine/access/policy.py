"""Who may do what. One function decides, `verdict`; every door asks it, at the moment of the act.

The rule of each action is in `engine.access.rules`, who has which role in `engine.access.roles`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from engine.access import account_status, external_policy, freezes, version_owners
from engine.access.actions import SYSTEM, Action, Actor, Draft, FreezeScope, Gate, RequestedAction, Task, Thing, Verdict
from engine.access.policy_input import About
from engine.access.roles import roles_of
from engine.access.rules import RULES, incident_rule, run_rule, teams_seen
from engine.errors import Frozen, NotAllowed
from engine.runtime import Runtime
from storage import approvals, database, executions, manual_tasks, people
from storage.states import Scope

__all__ = [
    "ELSEWHERE",
    "SCOPE_OF",
    "SYSTEM",
    "About",
    "Action",
    "Actor",
    "Draft",
    "FreezeScope",
    "Gate",
    "RequestedAction",
    "Task",
    "Thing",
    "Verdict",
    "abilities",
    "acting",
    "admit",
    "as_of_now",
    "authorise",
    "authorise_by_rules",
    "named",
    "ruled",
    "teams_seen",
    "verdict",
]  # fmt: skip


def abilities(rt: Runtime, actor: Actor) -> frozenset[Action]:
    """What this person may do to anything at all, as far as roles and open gates say so."""
    if actor.standing != account_status.MEMBER:
        return frozenset()
    roles = roles_of(rt, actor.user_id)
    if roles.platform_admin:
        return frozenset(Action)
    found = {Action.VIEW, Action.TOKEN}
    if roles.responder or roles.admin_of or roles.member_of:
        found |= {action for action, rule in RULES.items() if rule in (run_rule, incident_rule)} | {
            Action.VOTE,
            Action.DO,
        }
    if roles.admin_of:
        found |= {Action.EDIT, Action.REPORT, Action.FREEZE, Action.UNFREEZE}
    if version_owners.owns_any(rt, actor.user_id):
        found.add(Action.APPROVE)
    found |= {Action.VOTE} if _is_asked(rt, actor) else set()
    return frozenset(found | ({Action.DO} if _is_assigned(rt, actor) else set()))


def _is_asked(rt: Runtime, actor: Actor) -> bool:
    """Whether a gate that is open now names this person."""
    with database.reading(), people.reads_cached():
        gates = approvals.soonest_open(rt.workspace_id, _GATES)
        runs = executions.by_ids({gate.execution_id for gate in gates})
        return any(ruled(rt, actor, Action.VOTE, Gate(gate, runs[gate.execution_id])).allowed for gate in gates)


def _is_assigned(rt: Runtime, actor: Actor) -> bool:
    """Whether something that is to be done by hand now names this person."""
    with database.reading(), people.reads_cached():
        tasks = manual_tasks.soonest_open(rt.workspace_id, _GATES)
        runs = executions.by_ids({task.execution_id for task in tasks})
        return any(ruled(rt, actor, Action.DO, Task(task, runs[task.execution_id])).allowed for task in tasks)


def authorise(
    rt: Runtime,
    actor: Actor,
    action: Action,
    thing: Thing = None,
    about: About | None = None,
    *,
    heed_freezes: bool = True,
) -> None:
    """Raise `NotAllowed` with the verdict's sentence unless `actor` may do this now; `Frozen` where it is a freeze's.

    Their token and standing are read again, so inside the transaction that acts this is what holds when it commits.
    Raises `NotAuthenticated` where the token has ended meanwhile.
    """
    _must(verdict(rt, as_of_now(rt, actor), action, thing, about, heed_freezes=heed_freezes))


def authorise_by_rules(
    rt: Runtime, actor: Actor, action: Action, thing: Thing = None, *, heed_freezes: bool = True
) -> None:
    """The same by our own rules alone, for a first quick answer; `authorise` is to follow before anything is done."""
    _must(ruled(rt, as_of_now(rt, actor), action, thing, heed_freezes=heed_freezes))


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
    if external_policy.is_asked(rt, actor, action):  # so that it is not asked while the transaction is open
        authorise(rt, actor, action, thing)
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
        raise (Frozen if decided.rule == freezes.RULE else NotAllowed)(decided.why, decided.ask)


def verdict(
    rt: Runtime,
    actor: Actor,
    action: Action,
    thing: Thing = None,
    about: About | None = None,
    *,
    heed_freezes: bool = True,
) -> Verdict:
    """Whether `actor`, taken for who they say they are, may do `action` to `thing`: the whole policy.

    What our own rules allow is asked of the external policy, if there is one; of a run to be started, with `about`.
    """
    decided = ruled(rt, actor, action, thing, heed_freezes=heed_freezes)
    refused = external_policy.refusal(rt, actor, action, thing, about) if decided.allowed else None
    return refused or decided


def ruled(rt: Runtime, actor: Actor, action: Action, thing: Thing = None, *, heed_freezes: bool = True) -> Verdict:
    """What our own rules say: for lists and buttons, which show what may be done and decide nothing.

    `heed_freezes` is False for what no freeze stops: a part of what is under way, and what two people agreed on.
    """
    decided = _barred(actor, action) or RULES[action](rt, actor, action, thing)
    frozen = freezes.refusal(rt, action, thing) if heed_freezes and decided.allowed else None
    return frozen or decided


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

_GATES = 200
"""Open gates, and open tasks, that are looked at when it is asked what somebody may do at all."""
_SYSTEM = frozenset({Action.SYNC, Action.VIEW, Action.TOKEN, Action.TOKENS})
SCOPE_OF: Mapping[Action, Scope] = {
    Action.VIEW: Scope.READ,
    Action.AUDIT: Scope.READ,
    Action.REPORT: Scope.READ,
    Action.TOKEN: Scope.READ,
    Action.VOTE: Scope.APPROVE,
    Action.SYNC: Scope.ADMIN,
    Action.APPROVE: Scope.ADMIN,
    Action.DEPRECATE: Scope.ADMIN,
    Action.ROLLBACK: Scope.ADMIN,
    Action.EDIT: Scope.ADMIN,
    Action.TOKENS: Scope.ADMIN,
    Action.SECRETS: Scope.READ,
    Action.SECRET_SET: Scope.ADMIN,
    Action.REVIEW: Scope.ADMIN,
    Action.FREEZE: Scope.ADMIN,
    Action.UNFREEZE: Scope.ADMIN,
}
"""The scope that a token needs for an action; `run` for what is not named."""
