"""What may be written at a place of a rehearsal's text: by its schema, and by the runbook that it rehearses."""

from __future__ import annotations

from engine.definition import rehearsals
from engine.definition.completion import (
    Completion,
    Names,
    Suggestion,
    block_cursor,
    fitting,
    offered,
    parameter_names,
    said_of,
    step_ids,
)
from engine.definition.cursor import ITEM
from engine.definition.flow_cursor import flow_cursor
from engine.definition.schema_places import SchemaPlaces

_CASE = ("cases", ITEM)


def complete(text: str, row: int, before: str, runbook: str) -> Completion:
    """What may stand behind the text `before` of the line `row`, counted from 0; `runbook` is the runbook's text."""
    lines = text.split("\n")
    if row >= len(lines):
        return Completion()
    inside = flow_cursor(lines, row, before)
    cursor = inside or block_cursor(lines, row, before)
    if cursor.idle:
        return Completion()
    named = _named(cursor.place.path, cursor.key, runbook)
    if named:
        puts = "" if cursor.key or cursor.place.path[-1] == ITEM else ": "
        return fitting(
            before, [Suggestion(each, each + puts, sort) for each, sort in named if each not in cursor.taken]
        )
    return fitting(before, offered(_places(), cursor, (), Names(), in_flow=inside is not None))


def meaning(text: str, row: int, column: int) -> str:
    """What the schema says of the key at a place, "" for nothing."""
    return said_of(_places(), text, row, column)


def _places() -> SchemaPlaces:
    return SchemaPlaces(rehearsals.document())


def _named(path: tuple[str, ...], key: str, runbook: str) -> list[tuple[str, str]]:
    """The runbook's steps or parameters, where the place takes their names."""
    if path == (*_CASE, "parameters") and not key:
        return [(each, "parameter") for each in parameter_names(runbook.split("\n"))]
    at_step = not key and path in ((*_CASE, "stubs"), (*_CASE, "answers"), (*_CASE, "expect", "path", ITEM))
    if at_step or (key == "step" and path == (*_CASE, "expect", "calls", ITEM)):
        return [(each, "step") for each in step_ids(runbook.split("\n"))]
    return []
