"""What came of a case: the way that the run took, what it called and said, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.catalog import catalog
from engine.rehearsal.coverage import points_of
from engine.rehearsal.stubs import Made, Script
from engine.runs import executions
from engine.steps.context import container_path, scopes_of
from storage import database, events, steps
from storage.executions import family
from storage.records import Json
from storage.states import StepStatus

if TYPE_CHECKING:
    from engine.rehearsal.world import World

RUN_ID = "R-REHEARSED"
"""What the ids of runs are shown as, since they are drawn by lot."""
_ENDED = (StepStatus.SUCCESS, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED)
SAID = "message"
"""The kind of the event that something was said."""
_MOST_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class Observed:
    """`trouble` is why the case could not be played to its end, "" where it was. `points` are what it covered.

    `outcome` is how the run stood then, and `error` why it failed. `path` has each step that ended, with how. `run_id`
    is the run in this world's tables, "" where it did not start.
    """

    outcome: str
    error: str
    path: tuple[tuple[str, str], ...]
    calls: tuple[Json, ...]
    outputs: Json
    messages: tuple[str, ...]
    points: frozenset[str]
    trouble: str
    run_id: str = ""


def not_started(trouble: str) -> Observed:
    """Of a run that could not be started."""
    return Observed("", "", (), (), {}, (), frozenset(), trouble)


def of(world: World, run_id: str, script: Script, trouble: str) -> Observed:
    """What the tables of this world and its stubs say of a run; ids of runs and secrets are replaced."""
    run = executions.find(world.rt, run_id)
    with database.reading():
        ids = family(run_id)
        path, messages = told(run_id)
        rows = steps.of_execution(run_id)
        points = points_of(catalog.definition_of(run.version_id), rows)

    def shown(value: Any) -> Any:
        masked = world.redactor.redact_json(value)
        return without_ids(masked, ids)

    error = shown((run.error or {}).get("message") or "")
    calls = tuple(shown(_call(made)) for made in script.made)
    outputs, messages = shown(run.result or {}), shown(messages)
    said = tuple(messages)
    return Observed(str(run.status), error, tuple(path), calls, outputs, said, points, shown(trouble), run_id)


def _call(made: Made) -> dict[str, Json]:
    return {"step": made.step, "method": made.method, "url": made.url, "headers": made.headers, "text": made.body}


def without_ids(value: Any, ids: list[str]) -> Any:
    """A value with `RUN_ID` for the id of every run in it."""
    if isinstance(value, str):
        for each in ids:
            value = value.replace(each, RUN_ID)
        return value
    if isinstance(value, dict):
        return {key: without_ids(each, ids) for key, each in value.items()}
    return [without_ids(each, ids) for each in value] if isinstance(value, list) else value


def told(run_id: str, prefix: str = "") -> tuple[list[tuple[str, str]], list[str]]:
    """The steps of a run and those below it in the order in which they began, and what was said. Needs a connection."""
    rows = {row.path: row for row in steps.of_execution(run_id)}
    scopes = {row.path: row.scope for row in rows.values()}
    happened, path, messages = events.after(run_id, 0, _MOST_EVENTS), list[tuple[str, str]](), list[str]()
    for row in map(rows.__getitem__, in_order(scopes, (event.path for event in happened))):
        if row.status in _ENDED:
            path.append((f"{prefix}{row.path}", str(row.status)))
        if row.child is not None:
            below, said = told(row.child, f"{prefix}{row.path}/")
            path += below
            messages += said
    return path, [*(event.data["text"] for event in happened if event.kind == SAID), *messages]


def in_order(scopes: Mapping[str, str], named: Iterable[str | None]) -> list[str]:
    """Each step that an event names, by its first one; what holds a step stands before it. `scopes` are by path."""
    found: dict[str, None] = {}
    for path in named:
        if path is None or path not in scopes:
            continue
        for scope in reversed(scopes_of(scopes[path])):
            found.setdefault(container_path(scope)[0])
        found.setdefault(path)
    return list(found)
