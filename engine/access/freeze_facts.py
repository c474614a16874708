"""What of a runbook or run the scope of a freeze may name, and whose freezes count for it.

What would begin is covered with the runbooks that it calls: whatever begins then does not begin them either. What is
under way is covered with the runs that wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.definition import codec
from engine.definition.kinds import kind_of
from engine.runtime import Runtime
from storage import database, executions, runbooks
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ExecutionRecord
from storage.states import VersionStatus


@dataclass(frozen=True, slots=True)
class Facts:
    """What of one runbook or run a scope may name; None among the teams is nobody's."""

    slug: str
    teams: frozenset[str | None]
    tags: frozenset[str]


def beginning(rt: Runtime, thing: RunbookRecord | ExecutionRecord) -> list[Facts]:
    """What counts when this is started, retried or replayed: itself, and each runbook that it calls, however deep."""
    with database.reading():
        facts, called = _with_calls(thing)
        found = {thing.slug: facts}
        while called:
            slug = called.pop()
            runbook = runbooks.find(rt.workspace_id, slug) if slug not in found else None
            if runbook is not None:
                found[slug], more = _with_calls(runbook)
                called |= more
    return list(found.values())


def under_way(run: ExecutionRecord) -> list[Facts]:
    """What counts while this goes on: itself, and each run that waits for it."""
    with database.reading():
        return [of(each) for each in executions.with_parents(run)]


def of(thing: RunbookRecord | ExecutionRecord) -> Facts:
    """Its own: as it is now, and as the versions say that are approved, or that it runs.

    Nobody escapes a freeze by an edit that waits for its approval.
    """
    with database.reading():
        return _facts(thing, *_read(thing))


def _with_calls(thing: RunbookRecord | ExecutionRecord) -> tuple[Facts, set[str]]:
    """Its own facts, and the ids of the runbooks that it calls itself."""
    runbook, running, before = _read(thing)
    calling = running
    if isinstance(thing, RunbookRecord):
        current = runbooks.version(thing.id, thing.current_number)
        calling = [*([current] if current else ()), *before]
    return _facts(thing, runbook, running, before), {slug for each in calling for slug in _calls(each)}


def _read(
    thing: RunbookRecord | ExecutionRecord,
) -> tuple[RunbookRecord | None, list[VersionRecord], list[VersionRecord]]:
    """Its runbook, the version that it runs, and the one that is approved beside a draft."""
    runbook = runbooks.by_id(thing.runbook_id) if isinstance(thing, ExecutionRecord) else thing
    return runbook, _running(thing), _approved_before(runbook) if runbook else []


def _facts(
    thing: RunbookRecord | ExecutionRecord,
    runbook: RunbookRecord | None,
    running: list[VersionRecord],
    before: list[VersionRecord],
) -> Facts:
    said = [each.definition for each in (*running, *before)]
    teams = {thing.team, *([runbook.team] if runbook else ()), *(each.get("team") for each in said)}
    tags = {*(runbook.tags if runbook else ()), *(tag for each in said for tag in each.get("tags") or ())}
    return Facts(thing.slug, frozenset(teams), frozenset(tags))


def _running(thing: RunbookRecord | ExecutionRecord) -> list[VersionRecord]:
    found = runbooks.version_by_id(thing.version_id) if isinstance(thing, ExecutionRecord) else None
    return [found] if found is not None else []


def _approved_before(runbook: RunbookRecord) -> list[VersionRecord]:
    """The version that was approved last, where a draft stands before it."""
    draft = runbook.status is VersionStatus.DRAFT
    found = runbooks.last_approved(runbook.id, runbook.current_number) if draft else None
    return [found] if found is not None else []


def _calls(version: VersionRecord) -> Iterator[str]:
    try:
        definition = codec.from_canonical(version.definition)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # what cannot be read does not run
        return
    yield from (step.with_["id"] for step in definition.by_id.values() if kind_of(step).starts_run)
