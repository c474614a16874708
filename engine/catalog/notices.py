"""What people should hear of that is no part of a run: an incident's beginning, change and end, and a new draft.

Noted in the transaction in which it happens, told later by whoever shows runs in Slack, at least once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from engine.access.account_status import judged
from engine.access.policy import Action, Actor, verdict
from engine.access.roles import candidates
from engine.runtime import Runtime
from storage import database, notices, people
from storage.catalog_records import NoticeRecord
from storage.records import IncidentRecord

INCIDENT, DRAFT = "incident", "draft"
_MOST = 200


def of_incident(
    rt: Runtime, did: str, incident: IncidentRecord, by: str, changes: Mapping[str, Any] | None = None
) -> None:
    """Note that `by` (a user id, or `system`) has opened, changed or closed a channel's incident, inside its change."""
    content = {"did": did, "incident": incident.id, "channel": incident.channel, "by": by, "changes": changes or {}}
    notices.add(rt.workspace_id, INCIDENT, content)


def of_draft(rt: Runtime, slug: str, number: int, *, stops: bool) -> None:
    """Note a version that waits for an approval, inside the change that made it.

    `stops` says that the runbook ran until now, and does not until then.
    """
    notices.add(rt.workspace_id, DRAFT, {"slug": slug, "number": number, "stops": stops})


def admins(rt: Runtime, limit: int) -> list[Actor]:
    """At most `limit` platform admins whom Slack calls members, those named one by one first."""
    with database.reading(), people.reads_cached():
        asked = candidates(rt, {})
        known = people.recall_all(rt.workspace_id, asked)
        everybody = (Actor(user, standing=judged(rt, known.get(user))) for user in asked)
        return list(islice((each for each in everybody if verdict(rt, each, Action.SYNC, None).allowed), limit))


def pending(rt: Runtime) -> list[NoticeRecord]:
    """What is still to be told, the oldest first."""
    with database.reading():
        return notices.pending(rt.workspace_id, _MOST)


def mark_announced(_rt: Runtime, ids: Collection[int]) -> None:
    """Tell these no more."""
    with database.transaction():
        notices.delete(ids)
