"""The runbooks as the catalogue page shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from bot.page.freezes import Banner, banner
from bot.page.states import Look
from bot.slack.views.words import version_words
from engine.access import freezes
from engine.access.policy import Action, Actor, ruled, verdict
from engine.catalog import catalog, renewals
from engine.runs import executions
from engine.runtime import Runtime
from storage.catalog_records import RunbookRecord
from storage.freeze_records import FreezeRecord
from storage.records import ExecutionRecord, Filter, Json
from storage.states import VersionStatus

PAGE = 25
"""Runbooks on one page."""
_RUNS, _LONGEST = 3, 200
_LOOKS = {VersionStatus.DRAFT: Look.WAIT, VersionStatus.APPROVED: Look.GOOD, VersionStatus.DEPRECATED: Look.LEFT}


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    kind: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A runbook; `yours` says that who looks may run it, `frozen` that a freeze keeps everybody from it."""

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
    frozen: bool
    parameters: tuple[Parameter, ...]
    runs: tuple[ExecutionRecord, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The runbooks that fit what was looked for, in part: `page` of `pages`, counted from 1, of `total` runbooks.

    `turn` is the address of another page, without its number, and `frozen` what is frozen at all.
    """

    entries: tuple[Entry, ...]
    asked: Mapping[str, str]
    statuses: tuple[str, ...]
    page: int
    pages: int
    total: int
    turn: str
    frozen: Banner


def catalogue(rt: Runtime, actor: Actor, asked: Mapping[str, str]) -> Found:
    """The runbooks that this person may look at, by id, each with its newest version and its latest runs.

    `asked` may have `text`, `tag`, `team`, `status` and `page`; a page that is none is the first.
    """
    wanted = {name: asked.get(name, "").strip()[:_LONGEST] for name in ("text", "tag", "team", "status")}
    status = wanted["status"].upper()
    found = renewals.listing(
        rt, wanted["text"], wanted["tag"] or None, team=wanted["team"] or None, status=status or None
    )
    seen = [each for each in found if verdict(rt, actor, Action.VIEW, each).allowed]
    pages = max(1, -(-len(seen) // PAGE))
    said = asked.get("page", "")
    page = min(int(said), pages) if said.isascii() and said.isdigit() and 0 < len(said) < 7 and int(said) else 1
    in_force = freezes.in_force(rt)
    entries = tuple(
        _entry(rt, actor, each, _latest(rt, each), in_force) for each in seen[(page - 1) * PAGE : page * PAGE]
    )
    turn = f"/runbooks?{urlencode({name: value for name, value in wanted.items() if value})}"
    statuses = tuple(each.lower() for each in renewals.STATUSES)
    return Found(entries, wanted, statuses, page, pages, len(seen), f"{turn}&page=", banner(rt, in_force))


def _latest(rt: Runtime, runbook: RunbookRecord) -> list[ExecutionRecord]:
    return executions.recent(rt, Filter(slug=runbook.slug), _RUNS)


def _entry(
    rt: Runtime,
    actor: Actor,
    runbook: RunbookRecord,
    runs: Iterable[ExecutionRecord],
    in_force: Sequence[FreezeRecord],
) -> Entry:
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
        yours=approved and ruled(rt, actor, Action.START, runbook, heed_freezes=False).allowed,
        frozen=bool(freezes.covering(rt, runbook, in_force)),
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
