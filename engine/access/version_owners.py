"""Owners of tags: without the word of one of them no version of a runbook with that tag is approved.

The access file names them. An owner who is no platform admin approves for their tag, and never suffices.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.access.actions import Actor, Verdict
from engine.access.roles import Members, named_in, no_such_role, policy_of
from engine.runtime import Runtime
from storage import database, version_approvals
from storage.catalog_records import VersionRecord

RULE = "Only platform admins and owners of its tags may approve a version, and never an edit of their own."


def owners(rt: Runtime) -> Mapping[str, tuple[str, ...]]:
    """The ids of people and groups who own each tag, by the access file."""
    tags = (policy_of(rt).get("owners") or {}).get("tags") or {}
    return {tag: tuple(ids) for tag, ids in tags.items()}


def owns_any(rt: Runtime, user_id: str) -> bool:
    """Whether this person owns any tag at all."""
    named = Members(rt, user_id)
    return any(named(ids) for ids in owners(rt).values())


def owned_tags(rt: Runtime, version: VersionRecord) -> dict[str, tuple[str, ...]]:
    """The tags whose owners a version needs, and who these are.

    Those of the version that was approved before count as well, so that nobody drops a tag to be rid of its owners.
    """
    known = owners(rt)
    if not known:
        return {}
    with database.reading():
        before = version_approvals.approved_before(version, rt.workspace_id)
    tags = [*version.definition.get("tags", ()), *(before.definition.get("tags", ()) if before else ())]
    return {tag: known[tag] for tag in dict.fromkeys(tags) if tag in known}


def rule(rt: Runtime, actor: Actor, version: VersionRecord) -> Verdict | None:
    """What the owners' rule says to somebody who is no platform admin; None where the version has no such tag."""
    found = owned_tags(rt, version)
    if not found:
        return None
    named = Members(rt, actor.user_id)
    mine = next((tag for tag, ids in found.items() if named(ids)), None)
    if mine is not None:
        return Verdict(True, f"{RULE} You are an owner of tag {mine}.", RULE, f"an owner of tag {mine}")
    asked = (*named_in(rt, "platform_admins"), *(each for ids in found.values() for each in ids))
    return Verdict(False, no_such_role(RULE, stale=named.stale), RULE, "", tuple(dict.fromkeys(asked)))
