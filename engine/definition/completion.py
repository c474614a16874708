"""What may be written at a place of a runbook's text, and what is said of what stands there: by the format's schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.definition.cursor import ITEM, Place, line_of, place_of
from engine.definition.flow_cursor import Cursor, flow_cursor
from engine.definition.kinds import KINDS
from engine.definition.kinds.loop import TEMPLATE_ROOTS
from engine.definition.references import FACTS
from engine.definition.schema import document
from engine.definition.schema_places import Node, SchemaPlaces
from engine.expressions.filters import FILTERS
from storage.records import Json

_WORD = re.compile(r"[\w$-]*$")
_BEHIND_WORD = re.compile(r"[\w.$-]*$")
_WORD_HERE = re.compile(r"[\w.$-]+")
_CHAIN = re.compile(r"((?:[A-Za-z_][\w-]*\.)*)[\w-]*$")
_FILTER = re.compile(r"\|\s*\w*$")
_STEP_ID = re.compile(r"""(?:^\s+(?:- +)*|[{,]\s*)id:\s*["']?([a-z][a-z0-9-]*)""")
_OF_STEP = ("outputs", "status", "error")
_CONDITIONS = ("if", "until", "while", "that")


@dataclass(frozen=True, slots=True)
class Names:
    """What a text may name that does not stand in it: secrets, without their values, and targets."""

    secrets: Sequence[str] = ()
    targets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One thing to write: its `label`, the text that it `puts` there, what it is, and what it means."""

    label: str
    puts: str
    sort: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What fits; so many characters before the cursor are replaced by what is chosen."""

    replaces: int = 0
    suggestions: list[Suggestion] = field(default_factory=list)


def complete(text: str, row: int, before: str, names: Names) -> Completion:
    """What may stand at the cursor, which is in the line `row`, counted from 0, behind the text `before`."""
    lines = [*text.split("\n")]
    if row >= len(lines):
        return Completion()
    inside = flow_cursor(lines, row, before)
    key = inside.key if inside else line_of(before).key
    if before.rfind("{{") > before.rfind("}}") or (key in _CONDITIONS and not before.rstrip().endswith(":")):
        return in_expression(lines, row, before, names)
    cursor = inside or block_cursor(lines, row, before)
    if cursor.idle:
        return Completion()
    if not cursor.key and cursor.place.path[-2:] == ("needs", ITEM):
        return fitting(before, [Suggestion(each, each, "step") for each in step_ids(lines[:row])])
    if not cursor.key and not inside and "{" in before:
        return Completion()
    return fitting(before, offered(_places(), cursor, lines[:row], names, in_flow=inside is not None))


def block_cursor(lines: Sequence[str], row: int, before: str) -> Cursor:
    """The cursor where no bracket is open; nothing is said of a text of several lines, nor of a comment."""
    key = line_of(before).key
    typed = before if key else before + "_:" * (not before.strip(" -"))
    place = place_of([*lines[:row], typed, *lines[row + 1 :]], row)
    return Cursor(place, key, idle=place.in_text or "#" in before)


def offered(
    places: SchemaPlaces, cursor: Cursor, above: Sequence[str], names: Names, *, in_flow: bool
) -> list[Suggestion]:
    """What a schema lets stand at the cursor: the keys of the mapping, or the values of a key or an item."""
    node = places.node(cursor.place)
    if cursor.key:
        return list(_values(places.under(node, cursor.key), cursor.key, above, names, places))
    keys = list(_keys(places, node, cursor.taken, in_flow=in_flow))
    return keys or list(_values(node, "", above, names, places))


def meaning(text: str, row: int, column: int) -> str:
    """What the schema says of the key at a place, or of the kind of step that is named there, "" for nothing."""
    return said_of(_places(), text, row, column)


def said_of(places: SchemaPlaces, text: str, row: int, column: int) -> str:
    """What a schema says of the key at a place, or of the kind of step that is named there, "" for nothing."""
    lines = text.split("\n")
    line = lines[row] if row < len(lines) else ""
    start = len(_BEHIND_WORD.sub("", line[:column]))
    word = _WORD_HERE.match(line, start)
    inside = flow_cursor(lines, row, line[:start])
    if inside is not None and not inside.idle:
        key = inside.key or (word[0] if word else "")
        place, at_value, value = inside.place, bool(inside.key), word[0] if word else ""
    else:
        read = line_of(line)
        key, value, place = read.key, read.rest.strip(), place_of(lines, row) if line else Place(())
        at_value = column > read.column + len(key)
    if not key or place.in_text:
        return ""
    if at_value and key == "type" and value in KINDS:
        return places.described(document()["$defs"].get(value, {}))
    return places.described(places.under(places.node(place), key))


def _places() -> SchemaPlaces:
    return SchemaPlaces(document())


def step_ids(lines: Sequence[str]) -> list[str]:
    """The ids of the steps in these lines."""
    return list(dict.fromkeys(each for line in lines for each in _STEP_ID.findall(line)))


def fitting(before: str, found: list[Suggestion]) -> Completion:
    """What is found, in the place of the word that was begun."""
    word = _WORD.search(before)
    return Completion(len(word[0]) if word else 0, found)


def in_expression(lines: Sequence[str], row: int, before: str, names: Names) -> Completion:
    """What may stand in a template or condition: its roots, what they hold, and filters."""
    if _FILTER.search(before):
        return fitting(before, [Suggestion(each, each, "filter") for each in sorted(FILTERS)])
    chain = _CHAIN.search(before)
    roots = tuple(chain[1].split(".")[:-1]) if chain else ()
    match roots:
        case ():
            found = [(each, "root") for each in TEMPLATE_ROOTS]
        case ("params",):
            found = [(each, "parameter") for each in parameter_names(lines)]
        case ("steps",):
            found = [(each, "step") for each in step_ids(lines[:row])]
        case ("steps", _):
            found = [(each, "of a step") for each in _OF_STEP]
        case ("secrets",):
            found = [(each, "secret") for each in names.secrets]
        case ("targets",):
            found = [(each, "target") for each in names.targets]
        case (root,):
            found = [(each, "fact") for each in FACTS.get(root, ())]
        case _:
            found = []
    return fitting(before, [Suggestion(each, each, sort) for each, sort in found])


def parameter_names(lines: Sequence[str]) -> list[str]:
    """The parameters that these lines declare."""
    found: list[str] = []
    inside, column = False, -1
    for text in lines:
        line = line_of(text)
        if not line.key:
            continue
        if line.column == 0:
            inside, column = line.key == "parameters", -1
        elif inside and column < 0 and line.key == "properties":
            column = line.column
            known: int | None = None
        elif inside and column >= 0 and line.column > column:
            known = line.column if known is None else known
            found += [line.key] if line.column == known else []
        elif inside and column >= 0 and line.column <= column:
            inside = False
    return found


def _keys(places: SchemaPlaces, node: Node, taken: frozenset[str], *, in_flow: bool) -> Iterator[Suggestion]:
    required = node.get("required", ())
    for key, said in places.properties(node).items():
        if key in taken or said is False:
            continue
        schema = places.resolved(said) if isinstance(said, dict) else {}
        opens = schema.get("type") in ("object", "array") or "properties" in schema
        sort = "needed" if key in required else "key"
        yield Suggestion(key, f"{key}:" if opens and not in_flow else f"{key}: ", sort, places.described(schema))


def _values(node: Node, key: str, above: Sequence[str], names: Names, places: SchemaPlaces) -> Iterator[Suggestion]:
    if key == "target":
        yield from (Suggestion(each, each, "target") for each in names.targets)
    if key == "needs":
        yield from (Suggestion(each, f"[{each}]", "step") for each in step_ids(above))
    for schema in places.parts(node):
        meanings = schema.get("enumDescriptions", ())
        for number, value in enumerate(schema.get("enum", ())):
            yield Suggestion(_said(value), _said(value), "value", meanings[number] if number < len(meanings) else "")
        if "const" in schema:
            yield Suggestion(_said(schema["const"]), _said(schema["const"]), "value")
        if "boolean" in (schema.get("type"), *_several(schema.get("type"))):
            yield from (Suggestion(each, each, "value") for each in ("true", "false"))
        for value in schema.get("examples", ()):
            if isinstance(value, str):
                yield Suggestion(value, value, "example")


def _several(types: Json) -> Sequence[Json]:
    return types if isinstance(types, list) else ()


def _said(value: Json) -> str:
    return {True: "true", False: "false", None: "null"}[value] if value in (True, False, None) else str(value)
