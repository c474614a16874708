"""Whether the people whom the access file names are enough for a runbook's gates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from engine.access.access_file import Policy
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook
from engine.definition.placed import every_step
from engine.definition.schema import Finding, Path
from storage.records import Json


def findings(runbook: Runbook, policy: Policy) -> Iterator[Finding]:
    """Gates, and minima of gates, that nobody could ever fill; who is in a user group only Slack knows."""
    for placed in every_step(runbook):
        if kind_of(placed.step).is_gate:
            yield from _gate_findings(placed.step.with_, placed.with_path, policy, runbook.team)


def cautions(runbook: Runbook, policy: Policy) -> Iterator[Finding]:
    """Gates and minima that need somebody who may ask for the run, and so would not decide about it.

    Only people who are named one by one are known to be needed, and to be able to run it.
    """
    team = runbook.team
    runs = {*_named(policy, "platform_admin", team), *_named(policy, "team_member" if team else "responder", team)}
    for placed in every_step(runbook):
        if kind_of(placed.step).is_gate and not placed.step.with_["allow_self"]:
            yield from _cautions(placed.step.with_, placed.with_path, policy, team, runs)


def _cautions(
    with_: dict[str, Json], path: Path, policy: Policy, team: str | None, runs: Collection[str]
) -> Iterator[Finding]:
    approvers = with_["approvers"]
    needed = _needed(_everyone(approvers, policy, team), with_["min_approvals"], runs)
    if needed:
        message = f"all {with_['min_approvals']} who may approve have to" if with_["min_approvals"] > 1 else _ONLY
        told = message.format(needed[0]) + _COULD.format(" or ".join(needed))
        yield Finding((*path, "approvers"), told, rule="needs-requester")
    for index, each in enumerate(approvers.get("minima", ())):
        wanted = _named(policy, each["role"], team) if "role" in each else (each.get("user") or each.get("group", ""),)
        asking = _needed(_people(wanted), each["count"], runs)
        if asking and asking != needed:
            whom = f"this minimum needs {' and '.join(asking)}"
            told = whom + _COULD.format(" or ".join(asking))
            yield Finding((*path, "approvers", "minima", index), told, rule="needs-requester")


_ONLY = "only {} may approve"
_COULD = ", and nobody decides about a run that they asked for: one that {} asks for could not go on"


def _needed(people: frozenset[str] | None, least: int, runs: Collection[str]) -> list[str]:
    """Those of these people who may run it, where every one of them is needed."""
    return sorted(people & set(runs)) if people is not None and len(people) == least else []


def _gate_findings(with_: dict[str, Json], path: Path, policy: Policy, team: str | None) -> Iterator[Finding]:
    approvers, least = with_["approvers"], with_["min_approvals"]
    everyone = _everyone(approvers, policy, team)
    if everyone is not None and len(everyone) < least:
        message = f"{least} must approve, and `_access.yaml` names {_so_few(everyone)} who may: nobody could ever start"
        yield Finding((*path, "min_approvals"), f"{message} what follows")
    for index, each in enumerate(approvers.get("minima", ())):
        some = _people(_named(policy, each["role"], team)) if "role" in each else None
        if some is not None and len(some) < each["count"]:
            message = f"{each['count']} of `{each['role']}` must approve, and `_access.yaml` names {_so_few(some)}"
            yield Finding((*path, "approvers", "minima", index), f"{message}: nobody could ever start what follows")


def _so_few(people: frozenset[str]) -> str:
    return f"only {len(people)}" if people else "nobody"


def _everyone(approvers: Json, policy: Policy, team: str | None) -> frozenset[str] | None:
    return _people(
        [*approvers.get("users", ()), *approvers.get("groups", ())]
        + [one for role in approvers.get("roles", ()) for one in _named(policy, role, team)]
    )


def _people(ids: Iterable[str]) -> frozenset[str] | None:
    """The different people among ids; None when there is a user group among them."""
    found = frozenset(ids)
    return found if all(each.startswith(("U", "W")) for each in found) else None


def _named(policy: Policy, role: str, team: str | None) -> tuple[str, ...]:
    who = policy.teams.get(team or "", {})
    members = (*who.get("admins", ()), *who.get("members", ()))
    names = {"platform_admin": policy.platform_admins, "responder": policy.responders, "team_member": members}
    return names.get(role, tuple(who.get("admins", ())))
