"""Whose approvals a version has, and whose it still needs: platform admins, more than one for high risk, and owners.

Nothing that was said before is taken on trust: standing, role and authorship of everybody are looked at once more
whenever it is counted, and what was said of another text, or longer ago than an approval lasts, counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.access import account_status, choosers, version_owners
from engine.access.policy import Action, Actor, ruled
from engine.access.roles import Members, roles_of
from engine.catalog import approval_expiry, approved_targets
from engine.errors import Conflict
from engine.runtime import Runtime
from storage import database, version_approvals
from storage.catalog_records import VersionApprovalRecord, VersionRecord


@dataclass(frozen=True, slots=True)
class Quorum:
    """`approvals` are those that count towards `needed` platform admins and the owners; `missing` is said in words."""

    needed: int
    approvals: tuple[VersionApprovalRecord, ...]
    missing: tuple[str, ...]

    @property
    def people(self) -> list[str]:
        """Whose approvals count, by id."""
        return [each.user_id for each in self.approvals]


def quorum(rt: Runtime, version: VersionRecord, kind: str = version_approvals.APPROVE) -> Quorum:
    """How far a version is towards its approval, or with that `kind` its renewal."""
    version = approved_targets.as_shown(rt, version)
    with database.reading():
        said = version_approvals.waiting(version.id)
    counting = _one_each(rt, [each for each in said if each.kind == kind and _counts(rt, version, each)])
    needed = admins_needed(rt, version)
    admins = sum(roles_of(rt, each.user_id).platform_admin for each in counting)
    missing = [f"{needed - admins} of {needed} platform admins" * (admins < needed)]
    for tag, ids in version_owners.owned_tags(rt, version).items():
        missing += [] if any(Members(rt, each.user_id)(ids) for each in counting) else [f"an owner of tag {tag}"]
    return Quorum(needed, tuple(counting), tuple(filter(None, missing)))


def admins_needed(rt: Runtime, version: VersionRecord) -> int:
    """How many platform admins it takes. What was of high risk when it was last approved takes as many to be less."""
    with database.reading():
        before = version_approvals.approved_before(version, rt.workspace_id)
    risks = {each.definition.get("risk") for each in (version, before) if each is not None}
    return rt.settings.definition_approvals if "high" in risks else 1


def vote(rt: Runtime, actor: Actor, version: VersionRecord, kind: str) -> Quorum:
    """Add this person's approval under the runbook's lock; what then is missing. Raises `Conflict` the second time."""
    version = approved_targets.as_shown(rt, version)
    before = quorum(rt, version, kind)
    if _is_among(rt, actor, before):
        if before.missing:
            name, again = f"{version.slug}@{version.number}", ", ".join(before.missing)
            raise Conflict(
                f"You have approved {name} already. It still needs {again}. `admin withdraw {name}` takes it back."
            )
        return before
    version_approvals.add(version, rt.workspace_id, kind, actor.user_id, actor.email)
    return quorum(rt, version, kind)


def has_said(rt: Runtime, actor: Actor, version: VersionRecord, kind: str = version_approvals.APPROVE) -> bool:
    """Whether this person's approval counts already, under whichever of their accounts."""
    return _is_among(rt, actor, quorum(rt, version, kind))


def said_by(rt: Runtime, actor: Actor, version: VersionRecord, kind: str) -> list[VersionApprovalRecord]:
    """What this person has said of a version and what waits for others, under whichever of their accounts."""
    return [each for each in version_approvals.waiting(version.id) if each.kind == kind and _is_by(rt, actor, each)]


def _is_by(rt: Runtime, actor: Actor, said: VersionApprovalRecord) -> bool:
    return said.user_id in choosers.same_people(rt, [actor.user_id]) or _same(said.email, actor.email)


def _is_among(rt: Runtime, actor: Actor, found: Quorum) -> bool:
    return any(_is_by(rt, actor, each) for each in found.approvals)


def _counts(rt: Runtime, version: VersionRecord, said: VersionApprovalRecord) -> bool:
    now = Actor(said.user_id, email=said.email, standing=account_status.standing_of(rt, said.user_id))
    age = approval_expiry.max_age(rt, version.definition.get("approval_max_age_ms"))
    stands = said.digest == version.digest and (age is None or database.now() < said.at + age)
    return stands and ruled(rt, now, Action.APPROVE, version).allowed


def _one_each(rt: Runtime, said: list[VersionApprovalRecord]) -> list[VersionApprovalRecord]:
    """The first of each person's, by account and by e-mail address."""
    first = set(choosers.persons(rt, [each.user_id for each in said]))
    found: list[VersionApprovalRecord] = []
    for each in said:
        if each.user_id in first and not any(_same(each.email, other.email) for other in found):
            found.append(each)
    return found


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.casefold() == other.casefold()
