"""What Slack tells about people and groups, kept so that every door judges by the same."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable

from engine.access import account_status
from engine.access.policy import Actor
from engine.access.roles import users_in
from engine.errors import Conflict
from engine.runtime import Runtime
from storage import approvals, database, manual_tasks, people
from storage.people_records import GroupRecord, PersonRecord
from storage.records import Json

_ID = re.compile(r"\([UW][A-Z0-9]{2,20}\)", re.ASCII)


def remember(rt: Runtime, person: PersonRecord) -> None:
    """Keep what Slack says of a person now."""
    with database.transaction():
        people.remember(rt.workspace_id, person)


def recall(rt: Runtime, user_id: str) -> PersonRecord | None:
    """What was last known of a person; see `fetched_at` for how old that is."""
    with database.reading():
        return people.recall(rt.workspace_id, user_id)


def names(rt: Runtime, user_ids: Collection[str]) -> dict[str, str]:
    """The names of those of these people who are known, by their ids.

    A name that two people of the workspace have, or that has an id in brackets already, is followed by its own id.
    """
    if not user_ids:
        return {}
    with database.reading():
        known = [each for each in people.recall_all(rt.workspace_id, user_ids).values() if each.name]
        had = Counter(map(_as_read, people.every_name(rt.workspace_id))) if known else {}
    shared = {each.user_id for each in known if had[_as_read(each.name)] > 1 or _ID.search(_as_read(each.name))}
    return {each.user_id: f"{each.name} ({each.user_id})" if each.user_id in shared else each.name for each in known}


def _as_read(name: str) -> str:
    """A name without what people who read it hardly see: case, the width of its letters and of its gaps."""
    return " ".join(unicodedata.normalize("NFKC", name).upper().split())


def as_known(rt: Runtime, user_id: str) -> Actor:
    """Who Slack last said that somebody is; of whom it said nothing, or nothing lately, the standing is unknown."""
    person = recall(rt, user_id)
    if person is None:
        return Actor(user_id, user_id, None, account_status.UNKNOWN, "api")
    return Actor(person.user_id, person.name, person.email, account_status.standing_of(rt, user_id), "api")


def groups_named(rt: Runtime) -> set[str]:
    """The group ids and handles that roles, open gates and open manual steps depend on."""
    with database.reading():
        policy = people.policy(rt.workspace_id) or {}
        asked = _asked_now(rt)
    ids = {*policy.get("platform_admins", ()), *policy.get("responders", ())}
    for who in policy.get("teams", {}).values():
        ids |= {*who.get("admins", ()), *who.get("members", ())}
    ids |= {each for owners in (policy.get("owners") or {}).get("tags", {}).values() for each in owners}
    groups = {each for each in ids if not each.startswith(("U", "W"))}
    return groups.union(*(each.get("groups", ()) for each in asked))


def _asked_now(rt: Runtime) -> list[Json]:
    """Whom the open gates and manual steps name, each as its step has it. Needs an open connection."""
    gates, tasks = approvals.all_open(rt.workspace_id), manual_tasks.all_open(rt.workspace_id)
    return [*(gate.approvers for gate in gates), *(task.assignees for task in tasks)]


def due_for_refresh(rt: Runtime, older_than_ms: int, limit: int) -> list[str]:
    """At most `limit` people of whom was heard longer ago than this, or never, and whose standing matters now.

    They are named in the access file or by an open gate or manual step, are in a group that is, have voted at an open
    gate, own a token that counts, or answer for an open run. Those of whom was heard longest ago come first.
    """
    with database.reading():
        named = [people.policy(rt.workspace_id) or {}, *_asked_now(rt)]
        members = (group.members for group in people.groups(rt.workspace_id))
        matter = people.people_who_matter(rt.workspace_id).union(users_in(named), *members)
        heard = people.last_seen_at(rt.workspace_id)
    since = database.now() - older_than_ms
    return sorted((each for each in matter if heard.get(each, 0) < since), key=lambda each: heard.get(each, 0))[:limit]


def remember_groups(rt: Runtime, groups: Iterable[GroupRecord]) -> None:
    """Replace all that is known of groups."""
    with database.transaction():
        people.remember_groups(rt.workspace_id, groups)


def groups_age_ms(rt: Runtime) -> int | None:
    """How long ago groups were last heard of; None when never."""
    with database.reading():
        known = people.groups(rt.workspace_id)
    return database.now() - min(group.fetched_at for group in known) if known else None


def bind_workspace(rt: Runtime, slack_team: str, name: str) -> None:
    """Tie this deployment to a Slack team. Raises `Conflict` when it belongs to another."""
    with database.transaction():
        if not people.bind_workspace(rt.workspace_id, slack_team, name):
            known = people.the_workspace()
            raise Conflict(
                f"This database belongs to the Slack workspace {known.name or known.slack_team}, "
                f"not to {name or slack_team}: use another DATABASE_URL or that workspace's token."
            )


def now() -> int:
    """Epoch milliseconds by the database's clock, for `fetched_at`."""
    return database.now()
