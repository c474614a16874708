"""The monthly compliance report: noted by one worker once a month is over, and for every month that was missed."""

from __future__ import annotations

from engine.catalog import notices
from engine.queries.compliance import last_month
from engine.runtime import Runtime
from storage import audit_jobs, database

MOST_MONTHS = 12
_KIND = "report"


def note_due(rt: Runtime) -> None:
    """Note the report of each month that has ended since the last one, to be told in `AUDIT_CHANNEL`.

    The first month that is told of is the one in which the channel was set.
    """
    if not rt.settings.audit_channel:
        return
    with database.reading():
        if not _due(rt):
            return
    with database.transaction():
        audit_jobs.lock(rt.workspace_id, _KIND)
        for since, until in _due(rt):
            if since is not None:
                notices.of_report(rt, since, until)
            audit_jobs.note(rt.workspace_id, _KIND, until)


def _due(rt: Runtime) -> list[tuple[int | None, int]]:
    """The months to tell of, the oldest first; only an end where none was told of before."""
    last, (since, until) = audit_jobs.last(rt.workspace_id, _KIND), last_month(database.now())
    if last is None:
        return [(None, until)]
    found: list[tuple[int | None, int]] = []
    while until > last[0] and len(found) < MOST_MONTHS:
        found.append((since, until))
        since, until = last_month(since)[0], since
    return found[::-1]
