"""What may be written at a place of a runbook's text, and what is said of what stands there: by the format's schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.definition.cursor import ITEM, Place, line_of, place_of
from engine.definition.kinds import KINDS
from engine.definition.kinds.loop import TEMPLATE_ROOTS
from engine.definition.references import FACTS
from engine.definition.schema import document
from engine.expressions.filters import FILTERS
from storage.records import Json

_WORD = re.compile(r"[\w$-]*$")
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
    line = line_of(before)
    if before.rfind("{{") > before.rfind("}}") or (line.key in _CONDITIONS and not before.rstrip().endswith(":")):
        return _in_expression(lines, row, before, names)
    lines[row] = before if line.key else before + "_:" * (not before.strip(" -"))
    place = place_of(lines, row)
    if place.in_text or "{" in before or "#" in before:
        return Completion()
    if line.key:
        return _fitting(before, list(_values(place, line.key, lines[:row], names)))
    if before.strip(" ").startswith("-") and place.path[-1:] == (ITEM,) and place.path[-2:-1] == ("needs",):
        return _fitting(before, [Suggestion(each, each, "step") for each in step_ids(lines[:row])])
    return _fitting(before, list(_keys(place)))


def meaning(text: str, row: int, column: int) -> str:
    """What the schema says of the key at a place, or of the kind of step that is named there, "" for nothing."""
    lines = text.split("\n")
    line = line_of(lines[row]) if row < len(lines) else None
    if line is None or not line.key:
        return ""
    node = _node(place_of(lines, row))
    described = _described(_property(node, line.key))
    value = line.rest.strip()
    if column > line.column + len(line.key) and line.key == "type" and value in KINDS:
        return _described(document()["$defs"].get(value, {}))
    return described


def step_ids(lines: Sequence[str]) -> list[str]:
    """The ids of the steps in these lines."""
    return list(dict.fromkeys(each for line in lines for each in _STEP_ID.findall(line)))


def _fitting(before: str, found: list[Suggestion]) -> Completion:
    word = _WORD.search(before)
    return Completion(len(word[0]) if word else 0, found)


def _in_expression(lines: Sequence[str], row: int, before: str, names: Names) -> Completion:
    if _FILTER.search(before):
        return _fitting(before, [Suggestion(each, each, "filter") for each in sorted(FILTERS)])
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
    return _fitting(before, [Suggestion(each, each, sort) for each, sort in found])


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


def _keys(place: Place) -> Iterator[Suggestion]:
    node = _node(place)
    required = node.get("required", ())
    for key, said in _properties(node).items():
        schema = _resolved(said)
        opens = schema.get("type") in ("object", "array") or "properties" in schema
        sort = "needed" if key in required else "key"
        yield Suggestion(key, f"{key}:" if opens else f"{key}: ", sort, _described(said))


def _values(place: Place, key: str, above: Sequence[str], names: Names) -> Iterator[Suggestion]:
    if key == "target":
        yield from (Suggestion(each, each, "target") for each in names.targets)
    if key == "needs":
        yield from (Suggestion(each, f"[{each}]", "step") for each in step_ids(above))
    schema = _resolved(_property(_node(place), key))
    meanings = schema.get("enumDescriptions", ())
    for number, value in enumerate(schema.get("enum", ())):
        yield Suggestion(_said(value), _said(value), "value", meanings[number] if number < len(meanings) else "")
    if "const" in schema:
        yield Suggestion(_said(schema["const"]), _said(schema["const"]), "value")
    if schema.get("type") == "boolean":
        yield from (Suggestion(each, each, "value") for each in ("true", "false"))
    for value in schema.get("examples", ()):
        if isinstance(value, str):
            yield Suggestion(value, value, "example")


def _said(value: Json) -> str:
    return {True: "true", False: "false", None: "null"}[value] if value in (True, False, None) else str(value)


def _node(place: Place) -> dict[str, Any]:
    """The schema of the mapping at a place; an empty one where nothing is known of it."""
    node: Mapping[str, Any] = document()
    for key in place.path:
        if key == ITEM:
            node = node.get("items", {})
        elif key == "with" and place.kind in document()["$defs"]:
            node = document()["$defs"][place.kind]
        else:
            node = _property(node, key)
        node = _resolved(node)
    return dict(node)


def _property(node: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = _properties(node).get(key)
    if found is None:
        more = node.get("additionalProperties")
        found = more if isinstance(more, dict) else {}
    return found if isinstance(found, dict) else {}


def _properties(node: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in (*node.get("allOf", ()), *node.get("anyOf", ()), *node.get("oneOf", ()), node):
        if isinstance(part, dict):
            found |= _resolved(part).get("properties", {})
    return found


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself, with what a `$ref` leads to below what stands beside it."""
    while "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        node = {**document()["$defs"].get(name, {}), **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _described(node: Mapping[str, Any]) -> str:
    return str(node.get("description") or _resolved(node).get("description", ""))
