"""Who has which role, and who are the people behind roles, users and groups that a gate names.

Roles come from `_access.yaml` as last synced, group members from Slack as last heard. Groups whose members were not
heard of for `GROUPS_FRESH_MS` count as empty: a stale list must not let anybody in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.access import choosers
from engine.runtime import Runtime
from storage import database, people
from storage.records import Json

GROUPS_FRESH_MS = 15 * 60_000
"""How long what Slack said of a group counts. It is asked every 5 minutes: two answers may be lost."""


@dataclass(frozen=True)
class Roles:
    """What one person is. `stale` says that a group which might have said more could not be asked."""

    platform_admin: bool = False
    responder: bool = False
    admin_of: frozenset[str] = field(default_factory=frozenset)
    member_of: frozenset[str] = field(default_factory=frozenset)
    stale: bool = False


def roles_of(rt: Runtime, user_id: str) -> Roles:
    """The roles of a person by the access file and the groups as they are known now."""
    policy = policy_of(rt)
    named = Members(rt, user_id)
    teams: Mapping[str, Json] = policy.get("teams") or {}
    return Roles(
        platform_admin=named(policy.get("platform_admins")),
        responder=named(policy.get("responders")),
        admin_of=frozenset(team for team, who in teams.items() if named(who.get("admins"))),
        member_of=frozenset(team for team, who in teams.items() if named(who.get("members"))),
        stale=named.stale,
    )


class Members:
    """Asks whether one person is among ids of people and groups, remembering whether a stale group was met."""

    def __init__(self, rt: Runtime, user_id: str) -> None:
        self.user_id = user_id
        self.stale = False
        self._rt = rt
        self._groups: dict[str, frozenset[str] | None] | None = None

    def __call__(self, ids: Iterable[str] | None) -> bool:
        """Whether they are one of `ids`, or in one of the groups among these."""
        wanted = list(ids or ())
        return self.user_id in wanted or any(self.in_group(each) for each in wanted if not each.startswith(("U", "W")))

    def in_group(self, group: str) -> bool:
        """Whether they are in this group, named by id or handle; where its members are not known, no, and `stale`."""
        if self._groups is None:
            self._groups = _fresh_groups(self._rt)
        members = self._groups.get(group)
        if members is None:
            self.stale = True
        return members is not None and self.user_id in members


def _fresh_groups(rt: Runtime) -> dict[str, frozenset[str] | None]:
    """Members by group id and by handle; None for a group that was last heard of too long ago."""
    since = database.now() - GROUPS_FRESH_MS
    found: dict[str, frozenset[str] | None] = {}
    with database.reading():
        for group in people.groups(rt.workspace_id):
            members = group.members if group.fetched_at >= since else None
            found[group.group_id] = members
            found[group.handle] = members
    return found


def are_stale(rt: Runtime, groups: Iterable[str]) -> bool:
    """Whether the members of one of these groups are not known now."""
    known = _fresh_groups(rt)
    return any(known.get(each) is None for each in groups)


def runners(rt: Runtime, team: str | None) -> tuple[str, ...]:
    """The people and user groups nearest at hand who may run and steer a team's runbooks, or global ones, as ids."""
    found = with_role(rt, "team_member", team) if team is not None else named_in(rt, "responders")
    return found or named_in(rt, "platform_admins")


def approver_ids(rt: Runtime, approvers: Json, team: str | None) -> tuple[str, ...]:
    """The people and user groups who may decide at a gate, as the access file and the runbook name them."""
    wanted = [("role", each) for each in approvers.get("roles", ())]
    wanted += [(kind, each) for kind in ("user", "group") for each in approvers.get(f"{kind}s", ())]
    wanted += [_criterion(each) for each in approvers.get("minima", ())]
    found = [ids for kind, name in wanted for ids in (with_role(rt, name, team) if kind == "role" else (name,))]
    return tuple(dict.fromkeys(found))


def group_ids(rt: Runtime, groups: Iterable[str]) -> tuple[str, ...]:
    """These groups by their ids, those that are named by a known handle too: only an id can be rung."""
    with database.reading():
        known = {each.handle: each.group_id for each in people.groups(rt.workspace_id)}
    return tuple(dict.fromkeys(known.get(each, each) for each in groups))


def candidates(rt: Runtime, approvers: Json) -> list[str]:
    """User ids of all who might be among a gate's approvers, those named one by one first."""
    with database.reading():
        members = sorted({member for group in people.groups(rt.workspace_id) for member in group.members})
    return list(dict.fromkeys([*users_in(approvers), *users_in(policy_of(rt)), *members]))


def with_role(rt: Runtime, role: str, team: str | None) -> tuple[str, ...]:
    """The ids of people and groups that the access file gives this role, in this team where it is a role of teams."""
    if role in ("platform_admin", "responder"):
        return named_in(rt, f"{role}s")
    who = _team(rt, team)
    return (*who.get("admins", ()), *(who.get("members", ()) if role == "team_member" else ()))


def _team(rt: Runtime, team: str | None) -> Mapping[str, Json]:
    found: Mapping[str, Json] = (policy_of(rt).get("teams") or {}).get(team) or {}
    return found


def named_in(rt: Runtime, key: str) -> tuple[str, ...]:
    """The ids in one list of the access file, such as `responders`."""
    return tuple(policy_of(rt).get(key) or ())


def policy_of(rt: Runtime) -> Mapping[str, Json]:
    """The access file as last read, empty before the first time. Opens a reading of its own."""
    with database.reading():
        return people.policy(rt.workspace_id) or {}


def users_in(value: Json) -> list[str]:
    """Every Slack user id in an access policy or a gate's approvers, in order."""
    if isinstance(value, str):
        return [value] if value.startswith(("U", "W")) else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [user for part in parts for user in users_in(part)]


def is_approver(rt: Runtime, user_id: str, roles: Roles, approvers: Json, team: str | None) -> tuple[bool, bool]:
    """Whether somebody is among the approvers, and whether a group that might have said so is not known well enough."""
    named = Members(rt, user_id)
    wanted = [
        (kind.removesuffix("s"), name) for kind in ("roles", "users", "groups") for name in approvers.get(kind, ())
    ]
    wanted += [_criterion(each) for each in approvers.get("minima", ())]
    return any([_fits(named, roles, kind, name, team) for kind, name in wanted]), named.stale  # noqa: C419 - ask all


def unmet(rt: Runtime, approvers: Json, people_: Iterable[str], team: str | None) -> list[str]:
    """Which of a gate's minima these people do not meet yet, in words: "1 of group db-owners".

    One person counts once, under however many accounts.
    """
    voters = [(Members(rt, each), roles_of(rt, each)) for each in people_]
    missing = []
    for minimum in approvers.get("minima", ()):
        kind, name = _criterion(minimum)
        fitting = [named.user_id for named, roles in voters if _fits(named, roles, kind, name, team)]
        met = len(choosers.persons(rt, fitting))
        if met < minimum["count"]:
            missing.append(f"{minimum['count'] - met} of {_in_words(kind, name, team)}")
    return missing


def _criterion(minimum: Mapping[str, Json]) -> tuple[str, str]:
    return next((kind, str(minimum[kind])) for kind in ("role", "user", "group") if kind in minimum)


def _fits(named: Members, roles: Roles, kind: str, name: str, team: str | None) -> bool:
    if kind == "group":
        return named.in_group(name)
    if kind == "user":
        return named.user_id == name
    has: Mapping[str, bool] = {
        "platform_admin": roles.platform_admin,
        "responder": roles.responder,
        "team_admin": team in roles.admin_of,
        "team_member": team in roles.member_of | roles.admin_of,
    }
    return has.get(name, False)


def describe_approvers(approvers: Json, team: str | None) -> str:
    """Who may decide, in words: "platform admins, @U0ALICE01 and group oncall"."""
    kinds = (("roles", "role"), ("users", "user"), ("groups", "group"))
    parts = [_in_words(one, name, team) for many, one in kinds for name in approvers.get(many, ())]
    parts += [_in_words(*_criterion(each), team) for each in approvers.get("minima", ())]
    parts = list(dict.fromkeys(parts))
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "nobody"


def _in_words(kind: str, name: str, team: str | None) -> str:
    if kind != "role":
        return f"@{name}" if kind == "user" else f"group {name}"
    words = {
        "platform_admin": "platform admins",
        "responder": "responders",
        "team_admin": f"admins of team {team}" if team else "team admins",
        "team_member": f"members of team {team}" if team else "team members",
    }
    return words.get(name, name)


def no_such_role(rule: str, *, stale: bool) -> str:
    """What is said to whoever lacks what a rule asks for; `stale` says that Slack was not heard about a group."""
    doubt = " Slack could not be asked who is in a group this depends on; try again in a minute." if stale else ""
    return f"{rule} You have no such role.{doubt} Roles are kept in _access.yaml."
