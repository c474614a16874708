"""The audit as people read it: searched, and its chain checked."""

from __future__ import annotations

from dataclasses import dataclass

from engine.access import channels
from engine.access.policy import Action, Actor, authorise
from engine.queries import audit_chain
from engine.queries.audit_chain import Verified
from engine.runtime import Runtime
from storage import audit, audit_jobs, database
from storage.records import AuditRecord, Head
from storage.states import Severity


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last row of the chain, None while there is none, and when and of which row a head was noted elsewhere."""

    last: Head | None
    noted: tuple[int, int] | None


def search(
    rt: Runtime,
    actor: Actor,
    *,
    who: str | None = None,
    action: str | None = None,
    thing: str | None = None,
    severity: Severity | None = None,
    since: int | None = None,
    until: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[AuditRecord]:
    """The newest rows that fit, for platform admins; what is None does not matter.

    The facts of incidents in channels that are not theirs are left out.

    `since` (with it) and `until` (without it) are epoch milliseconds, `before` is the id of the row to go on behind.
    """
    authorise(rt, actor, Action.AUDIT)
    with database.reading():
        found = audit.search(
            rt.workspace_id, who=who, action=action, thing=thing, severity=severity, since=since, until=until,
            before=before, limit=limit,
        )  # fmt: skip
    return [channels.shown_row(rt, actor, row) for row in found]


def check(rt: Runtime, actor: Actor) -> Verified:
    """Recompute the whole chain, for platform admins."""
    authorise(rt, actor, Action.AUDIT)
    return audit_chain.verify(rt)


def head(rt: Runtime, actor: Actor) -> ChainHead:
    """Where the chain ends, and which head was noted elsewhere last, for platform admins."""
    authorise(rt, actor, Action.AUDIT)
    with database.reading():
        return ChainHead(audit.head(rt.workspace_id), audit_jobs.last(rt.workspace_id, audit_jobs.HEAD))
