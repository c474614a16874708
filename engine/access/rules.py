"""The rule for each action: which role it takes, and the sentence that says so.

`engine.access.policy` asks them; nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.access import choosers, kept_version, version_owners
from engine.access.actions import Action, Actor, Draft, FreezeScope, Gate, Task, Team, Thing, Verdict
from engine.access.roles import (
    Roles,
    approver_ids,
    describe_approvers,
    is_approver,
    named_in,
    no_such_role,
    roles_of,
    runners,
)
from engine.runtime import Runtime
from storage import approvals, database, manual_tasks
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ApprovalRecord, ExecutionRecord


def teams_seen(rt: Runtime, actor: Actor) -> frozenset[str] | None:
    """The teams whose runbooks and runs this person may look at; None for every team's. What is global, members may."""
    if actor.scopes is None:
        return None
    roles = roles_of(rt, actor.user_id)
    return None if roles.platform_admin or roles.responder else roles.member_of | roles.admin_of


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
    """Whether a gate or a manual step of this execution asks for this person."""
    with database.reading():
        asked = [gate.approvers for gate in approvals.of_execution(execution.id)]
        asked += [task.assignees for task in manual_tasks.of_execution(execution.id)]
    roles = roles_of(rt, actor.user_id)
    return any(is_approver(rt, actor.user_id, roles, each, execution.team)[0] for each in asked)


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


def run_rule(rt: Runtime, actor: Actor, action: Action, thing: Thing) -> Verdict:
    """Who may start and steer runs of what belongs to a team, or to nobody."""
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
    """The team of what runs, whatever a draft beside it says."""
    running = kept_version.of(rt, thing) if isinstance(thing, RunbookRecord) else None
    if running is None:
        return thing.team
    team: str | None = running.definition.get("team")
    return team


def _freeze_rule(rt: Runtime, actor: Actor, action: Action, thing: Thing) -> Verdict:
    """Who may keep a scope from beginning, and let it begin again: nobody lifts what they could not have set."""
    scope = thing if isinstance(thing, FreezeScope) else FreezeScope("everything")
    roles, team = roles_of(rt, actor.user_id), scope.team
    who = "platform admins" if team is None else f"admins of team {team} and platform admins"
    has = _first("a platform admin" * roles.platform_admin, f"an admin of team {team}" * (team in roles.admin_of))
    rule = f"Only {who} may {action} {scope.slug}."
    return _said(has, roles, rule, lambda: named_in(rt, "platform_admins"))


def incident_rule(rt: Runtime, actor: Actor, action: Action, _thing: Thing) -> Verdict:
    """What takes any role at all: saying what a channel's incident is about, and seeing which secrets there are."""
    roles = roles_of(rt, actor.user_id)
    has = _first(
        "a platform admin" * roles.platform_admin,
        "a responder" * roles.responder,
        "in a team" * bool(roles.admin_of | roles.member_of),
    )
    rule = f"Only responders, platform admins and people in a team may {action} {_SUBJECTS.get(action, 'a channel')}."
    return _said(has, roles, rule, lambda: runners(rt, None))


def _admin_rule(rt: Runtime, actor: Actor, action: Action, _thing: Thing) -> Verdict:
    roles = roles_of(rt, actor.user_id)
    subject = _SUBJECTS.get(action, "a runbook")
    rule = f"Only a platform admin may {action} {subject}."
    has = "a platform admin" * roles.platform_admin
    return _said(has, roles, rule, lambda: named_in(rt, "platform_admins"))


def _report_rule(rt: Runtime, actor: Actor, action: Action, thing: Thing) -> Verdict:
    roles, team = roles_of(rt, actor.user_id), thing.name if isinstance(thing, Team) else None
    admin, about = "a platform admin" * roles.platform_admin, f"team {team}" if team else "everything"
    rule = f"Only {f'admins of team {team} and ' if team else ''}platform admins may {action} {about}."
    has = _first(admin, f"an admin of team {team}" * (team in roles.admin_of))
    return _said(has, roles, rule, lambda: named_in(rt, "platform_admins"))


def _approve_rule(rt: Runtime, actor: Actor, action: Action, thing: Thing) -> Verdict:
    """Platform admins, and owners of a version's tags beside them; never who wrote it."""
    decided = _admin_rule(rt, actor, action, thing)
    if not isinstance(thing, VersionRecord):
        return decided
    if not decided.allowed:
        decided = version_owners.rule(rt, actor, thing) or decided
    return _own_edit(rt, actor, thing, decided.role) if decided.allowed else decided


def _own_edit(rt: Runtime, actor: Actor, version: VersionRecord, role: str) -> Verdict:
    if choosers.wrote(rt, actor.user_id, actor.email, version) and not rt.settings.allow_self_approval:
        who = f"Version {version.number} of {version.slug} is your own edit"
        others = tuple(each for each in named_in(rt, "platform_admins") if each != actor.user_id)
        rule = "Nobody approves an edit of their own."
        return Verdict(False, f"{who}: another platform admin has to approve it.", rule, "its author", others)
    rule = "Only a platform admin may approve a runbook, and never an edit of their own."
    rule = rule if role == "a platform admin" else version_owners.RULE
    return Verdict(True, f"{rule} You are {role}.", rule, role)


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


def _do_rule(rt: Runtime, actor: Actor, action: Action, thing: Thing) -> Verdict:
    """Whom a manual step names, and where it names nobody whoever may steer the run; who asked for the run too."""
    assert isinstance(thing, Task)
    assignees, run = thing.task.assignees, thing.execution
    if not assignees:
        return run_rule(rt, actor, action, run)
    roles = roles_of(rt, actor.user_id)
    allowed, stale = is_approver(rt, actor.user_id, roles, assignees, run.team)
    rule = f"Only {describe_approvers(assignees, run.team)} may do this."
    asked = Roles(stale=stale or roles.stale)
    return _said("among them" * allowed, asked, rule, lambda: approver_ids(rt, assignees, run.team))


def _chose(rt: Runtime, actor: Actor, gate: ApprovalRecord, execution: ExecutionRecord) -> str:
    """What this person did to choose what a gate is about, "" for anybody else."""
    if actor.user_id not in choosers.of_gate(rt, gate, execution):
        return ""
    if actor.user_id == execution.requester:
        return "asked for this run"
    if actor.user_id in (execution.owners or ()):
        return "took this run over"
    if actor.user_id in (gate.barred or ()):
        return "had a step skipped that this is about, or gave answers that it shows"
    if choosers.chose_values(execution, actor.user_id):
        return "chose values of this run or of one that it belongs to"
    return "have the e-mail address of somebody who chose what this run does"


def _first(*texts: str) -> str:
    return next((text for text in texts if text), "")


def _said(has: str, roles: Roles, rule: str, ask: Callable[[], tuple[str, ...]]) -> Verdict:
    if has:
        return Verdict(True, f"{rule} You are {has}.", rule, has)
    return Verdict(False, no_such_role(rule, stale=roles.stale), rule, "", ask())


_SUBJECTS = {
    Action.SYNC: "the runbooks", Action.AUDIT: "everything", Action.TOKENS: "other people",
    Action.SECRETS: "secrets", Action.SECRET_SET: "secrets",
    Action.REVIEW: "a break-glass",
}  # fmt: skip
_STEERING = (
    Action.START, Action.CANCEL, Action.RESOLVE, Action.PAUSE, Action.RESUME, Action.RETRY, Action.SKIP, Action.REPLAY,
    Action.HANDOVER,
)  # fmt: skip
RULES: Mapping[Action, Callable[[Runtime, Actor, Action, Thing], Verdict]] = {
    Action.VIEW: _view_rule,
    Action.EDIT: _edit_rule,
    Action.AUDIT: _admin_rule,
    Action.TOKEN: _own_rule,
    Action.TOKENS: _admin_rule,
    **dict.fromkeys(_STEERING, run_rule),
    Action.INCIDENT: incident_rule,
    Action.REVIEW: _admin_rule,
    Action.FREEZE: _freeze_rule,
    Action.UNFREEZE: _freeze_rule,
    Action.SYNC: _admin_rule,
    Action.APPROVE: _approve_rule,
    Action.DEPRECATE: _admin_rule,
    Action.ROLLBACK: _admin_rule,
    Action.VOTE: _vote_rule,
    Action.DO: _do_rule,
    Action.REPORT: _report_rule,
    Action.SECRETS: incident_rule,
    Action.SECRET_SET: _admin_rule,
}
"""The rule that decides each action."""
