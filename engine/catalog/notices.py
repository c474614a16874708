"""What people should hear of that no thread tells: what becomes of an incident, a new draft, the audit, a long run.

Noted in the transaction in which it happens, told later by whoever shows runs in Slack, at least once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from engine.access import version_owners
from engine.access.account_status import MEMBER, judged
from engine.access.policy import Action, Actor, ruled
from engine.access.roles import candidates
from engine.runtime import Runtime
from storage import database, notices, people
from storage.catalog_records import NoticeRecord
from storage.records import IncidentRecord, Json

INCIDENT, DRAFT, BREAK_GLASS, LONG_RUN = "incident", "draft", "break_glass", "long_run"
AUDIT_HEAD, AUDIT_REPORT = "audit_head", notices.LASTING
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


def of_head(rt: Runtime, head: Json) -> None:
    """Note the head of the audit's chain, to be told in the channel that is set for that."""
    notices.add(rt.workspace_id, AUDIT_HEAD, head)


def of_report(rt: Runtime, since: int, until: int) -> None:
    """Note that a month is over, whose compliance report is to be told in the same channel."""
    notices.add(rt.workspace_id, AUDIT_REPORT, {"since": since, "until": until})


def of_break_glass(rt: Runtime, did: str, asked_id: str, channels: Collection[str]) -> None:
    """Note that somebody has asked for a break-glass, or agreed to one, for these channels."""
    for channel in channels:
        notices.add(rt.workspace_id, BREAK_GLASS, {"did": did, "id": asked_id, "channel": channel})


def of_long_run(rt: Runtime, execution_id: str, person: str) -> None:
    """Note that a run which no channel shows takes longer than expected, for who answers for it."""
    notices.add(rt.workspace_id, LONG_RUN, {"execution": execution_id, "person": person})


def admins(rt: Runtime, limit: int) -> list[Actor]:
    """At most `limit` people whom Slack calls members, those named one by one first: platform admins, then owners."""
    with database.reading(), people.reads_cached():
        asked = candidates(rt, {})
        known = people.recall_all(rt.workspace_id, asked)
        everybody = [Actor(user, standing=judged(rt, known.get(user))) for user in asked]
        found = [each for each in everybody if ruled(rt, each, Action.SYNC, None).allowed]
        if version_owners.owners(rt):
            members = (each for each in everybody if each.standing == MEMBER and each not in found)
            found += [each for each in members if version_owners.owns_any(rt, each.user_id)]
        return found[:limit]


def pending(rt: Runtime) -> list[NoticeRecord]:
    """What is still to be told, the oldest first."""
    with database.reading():
        return notices.pending(rt.workspace_id, _MOST)


def mark_announced(_rt: Runtime, ids: Collection[int]) -> None:
    """Tell these no more."""
    with database.transaction():
        notices.delete(ids)
