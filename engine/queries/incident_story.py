"""The story of an incident so far, for somebody who comes late: its runs in order, what is open, who did what."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.access import auditing, channels
from engine.access.policy import Action, Actor, authorise
from engine.orchestration import incidents
from engine.queries import explain
from engine.queries.explain import Explanation
from engine.runtime import Runtime
from storage import audit, database
from storage import executions as stored
from storage.records import AuditRecord, ExecutionRecord, Filter, IncidentRecord
from storage.states import ExecutionStatus

WITHOUT_INCIDENT_MS = 24 * 3_600_000
"""How far back a channel's story goes where it is no incident."""

MOST_RUNS, MOST_EXPLAINED, MOST_DEEDS, MOST_FAILURES = 50, 12, 25, 5


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many of each a story does not tell: runs, runs under way, runs that failed, and deeds in the runs told."""

    runs: int = 0
    open: int = 0
    failures: int = 0
    deeds: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """What happened in a channel `since` then.

    `runs` are in order, the newest ones where there were too many (`more` are left out); `open` explains those that are
    under way, `failures` those that failed last. `deeds` are what people did, in order. `left_out` counts what did not
    fit into each.
    """

    incident: IncidentRecord | None
    since: int
    runs: tuple[ExecutionRecord, ...]
    more: bool
    open: tuple[Explanation, ...]
    failures: tuple[Explanation, ...]
    deeds: tuple[AuditRecord, ...]
    left_out: LeftOut = LeftOut()


def catch_up(rt: Runtime, actor: Actor, channel: str) -> Story:
    """The story of the channel's incident, the last one where none is open, else of the last 24 hours.

    Raises `ChannelNotAllowed` for who may not know what belongs to the channel.
    """
    authorise(rt, actor, Action.VIEW, None)
    channels.must_see(rt, actor, channel)
    actor = replace(actor, here=channel)  # Slack was asked: not again below, where the database is held
    incident = incidents.latest(rt, channel)
    since = incident.opened_at if incident is not None else database.now() - WITHOUT_INCIDENT_MS
    with database.reading():
        ours = Filter(channel=channel, since=since)
        newest = stored.page(rt.workspace_id, ours, limit=MOST_RUNS)
        under_way = _latest(rt, replace(ours, open=True), MOST_EXPLAINED)
        failed = _latest(rt, replace(ours, statuses=(ExecutionStatus.FAILED,)), MOST_FAILURES)
        counted = stored.tally(rt.workspace_id, channel, since)
        things = [auditing.of_execution(run.id) for run in newest]
        things += [auditing.of_incident(incident.id)] if incident else []
        deeds = audit.of_things(rt.workspace_id, things, MOST_DEEDS)
        left_out = LeftOut(
            counted.runs - len(newest), counted.open - len(under_way), counted.failed - len(failed),
            audit.count_of_things(rt.workspace_id, things) - len(deeds),
        )  # fmt: skip
        return Story(
            incident, since, tuple(reversed(newest)), left_out.runs > 0,
            tuple(explain.explain(rt, run.id, actor) for run in under_way),
            tuple(explain.explain(rt, run.id, actor) for run in failed),
            tuple(reversed(deeds)), left_out,
        )  # fmt: skip


def _latest(rt: Runtime, wanted: Filter, limit: int) -> list[ExecutionRecord]:
    """The newest runs that fit, in order."""
    return list(reversed(stored.page(rt.workspace_id, wanted, limit=limit)))
