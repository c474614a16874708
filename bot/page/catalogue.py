"""The runbooks as the catalogue page shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.page.states import Look
from bot.slack.views.words import version_words
from engine import catalog, executions
from engine.access import Action, Actor, verdict
from engine.runtime import Runtime
from storage.records import ExecutionRecord, Json, RunbookRecord
from storage.states import VersionStatus

_RECENT, _RUNS = 100, 3
_LOOKS = {VersionStatus.DRAFT: Look.WAIT, VersionStatus.APPROVED: Look.GOOD, VersionStatus.DEPRECATED: Look.LEFT}


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    kind: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A runbook; `yours` says that who looks may run it."""

    slug: str
    name: str
    description: str
    team: str
    risk: str
    tags: tuple[str, ...]
    number: int
    look: Look
    words: str
    yours: bool
    parameters: tuple[Parameter, ...]
    runs: tuple[ExecutionRecord, ...]


def catalogue(rt: Runtime, actor: Actor) -> list[Entry]:
    """The runbooks that this person may look at, each with its newest version and its latest runs."""
    runs: dict[str, list[ExecutionRecord]] = {}
    for run in executions.recent(rt, limit=_RECENT):
        runs.setdefault(run.slug, []).append(run)
    seen = [each for each in catalog.listing(rt) if verdict(rt, actor, Action.VIEW, each).allowed]
    return [_entry(rt, actor, each, runs.get(each.slug, [])[:_RUNS]) for each in seen]


def _entry(rt: Runtime, actor: Actor, runbook: RunbookRecord, runs: Iterable[ExecutionRecord]) -> Entry:
    schema = catalog.definition(catalog.version(rt, runbook.slug)).parameters
    required = schema.get("required", ())
    approved = runbook.status is VersionStatus.APPROVED
    return Entry(
        slug=runbook.slug,
        name=runbook.name,
        description=runbook.description,
        team=runbook.team or "",
        risk=runbook.risk,
        tags=runbook.tags,
        number=runbook.current_number,
        look=_LOOKS[runbook.status],
        words=version_words(runbook.status),
        yours=approved and verdict(rt, actor, Action.START, runbook).allowed,
        parameters=tuple(
            Parameter(name, _kind(given), name in required, given.get("description") or given.get("title") or "")
            for name, given in schema.get("properties", {}).items()
        ),
        runs=tuple(runs),
    )


def _kind(schema: dict[str, Json]) -> str:
    """What fits a parameter, in few words."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kind = schema.get("type", "anything")
    words = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    return f"{words}, default {schema['default']}" if "default" in schema else words
