"""Whether the people whom the access file names are enough for a runbook's gates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.access_file import Policy
from engine.definition.lint import every_step
from engine.definition.model import Runbook
from engine.definition.schema import Finding, Path
from storage.records import Json


def findings(runbook: Runbook, policy: Policy) -> Iterator[Finding]:
    """Gates, and minima of gates, that nobody could ever fill; who is in a user group only Slack knows."""
    for placed in every_step(runbook):
        if placed.step.kind == "approval":
            yield from _gate_findings(placed.step.with_, placed.with_path, policy, runbook.team)


def _gate_findings(with_: dict[str, Json], path: Path, policy: Policy, team: str | None) -> Iterator[Finding]:
    approvers, least = with_["approvers"], with_["min_approvals"]
    everyone = _people(
        [*approvers.get("users", ()), *approvers.get("groups", ())]
        + [one for role in approvers.get("roles", ()) for one in _named(policy, role, team)]
    )
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


def _people(ids: Iterable[str]) -> frozenset[str] | None:
    """The different people among ids; None when there is a user group among them."""
    found = frozenset(ids)
    return found if all(each.startswith(("U", "W")) for each in found) else None


def _named(policy: Policy, role: str, team: str | None) -> tuple[str, ...]:
    who = policy.teams.get(team or "", {})
    members = (*who.get("admins", ()), *who.get("members", ()))
    names = {"platform_admin": policy.platform_admins, "responder": policy.responders, "team_member": members}
    return names.get(role, tuple(who.get("admins", ())))
