"""Which JSON Schemas a runbook may have as its `parameters`: those that take bounded time and can be shown as a form.

A fixed set of keywords (`$defs/parameterSchema` of schema.json), `$ref` only to `#/$defs/…` and never in a ring,
patterns by RE2, nothing fetched, and no default or choice that the schema itself would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.definition.formats import FORMATS
from engine.definition.graph import cycle
from engine.definition.schema import Finding, Path, checker, findings, parameters_validator, predicate, subject
from engine.text.regex import compile_pattern
from engine.text.words import did_you_mean
from storage.records import Json

MAX_DEPTH = 10
MAX_NODES = 200
"""Subschemas in one schema, all levels together."""


def check_schema(schema: Json) -> list[Finding]:
    """What is wrong with a `parameters` schema, with the path inside it; empty when it may be used."""
    try:
        subschemas = list(_subschemas(schema))
    except ValueError as error:
        return [Finding((), f"`parameters` {error}")]
    found = list(findings(parameters_validator(), schema, ("parameters",)))
    return found or list(semantic_findings(schema, subschemas))


def semantic_findings(schema: dict[str, Json], subschemas: list[tuple[Path, dict[str, Json]]]) -> Iterator[Finding]:
    """What a schema of schemas cannot say, for a schema whose shape is already known to be right."""
    broken = list(_reference_findings(schema, subschemas))
    yield from broken
    for path, node in subschemas:
        if "x-prefill" in node and (len(path) != 2 or path[0] != "properties"):
            message = "`x-prefill` stands on a parameter itself, not deeper inside one"
            yield Finding((*path, "x-prefill"), message, at_key=True)
        yield from _pattern_findings(path, node)
        yield from _name_findings(path, node)
    if not broken:
        for path, node in subschemas:
            yield from _value_findings(schema, path, node)


def _named(path: Path) -> str:
    return subject(("parameters", *path))


def _subschemas(schema: Json) -> Iterator[tuple[Path, dict[str, Json]]]:
    """Every subschema with its path, the outermost first. Raises ValueError when there are too many or too deep."""
    waiting: list[tuple[Path, Json, int]] = [((), schema, 1)]
    for count in range(MAX_NODES + 1):
        if not waiting:
            return
        path, node, depth = waiting.pop(0)
        if depth > MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} deep")
        if count == MAX_NODES:
            break
        if isinstance(node, dict):
            yield path, node
            waiting.extend(_children(path, node, depth))
    raise ValueError(f"has more than {MAX_NODES} parts")


def _children(path: Path, node: dict[str, Json], depth: int) -> Iterator[tuple[Path, Json, int]]:
    for word in ("properties", "$defs"):
        if isinstance(node.get(word), dict):
            for key, child in node[word].items():
                yield (*path, word, key), child, depth + 1
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield (*path, word), node[word], depth + 1


def _reference_findings(schema: dict[str, Json], subschemas: list[tuple[Path, dict[str, Json]]]) -> Iterator[Finding]:
    definitions = schema.get("$defs", {})
    edges: dict[str, set[str]] = {name: set() for name in definitions}
    for path, node in subschemas:
        if path and "$defs" in node:
            yield Finding((*path, "$defs"), "`$defs` stands at the top of `parameters` only", at_key=True)
        if "$ref" not in node:
            continue
        target = node["$ref"].removeprefix("#/$defs/")
        if target not in definitions:
            yield Finding((*path, "$ref"), f"there is no `#/$defs/{target}`{did_you_mean(target, definitions)}")
        elif len(path) > 1 and path[0] == "$defs":
            edges[str(path[1])].add(target)
    ring = cycle(edges)
    if ring:
        yield Finding(("$defs",), f"`$ref`s go round in a ring: {' -> '.join(ring)}")


def _pattern_findings(path: Path, node: dict[str, Json]) -> Iterator[Finding]:
    try:
        compile_pattern(node.get("pattern", ""))
    except ValueError as error:
        yield Finding((*path, "pattern"), f"{_named((*path, 'pattern'))}: {error}")


def _name_findings(path: Path, node: dict[str, Json]) -> Iterator[Finding]:
    properties = node.get("properties", {})
    for index, name in enumerate(node.get("required", ())):
        if name not in properties:
            hint = did_you_mean(name, properties)
            yield Finding((*path, "required", index), f"`{name}` is required but not in `properties`{hint}")
    for name, needs in node.get("dependentRequired", {}).items():
        for unknown in sorted({name, *needs} - set(properties)):
            told = f"`dependentRequired` names `{unknown}`, which is not in `properties`"
            yield Finding((*path, "dependentRequired", name), told + did_you_mean(unknown, properties))


def _value_findings(schema: dict[str, Json], path: Path, node: dict[str, Json]) -> Iterator[Finding]:
    """A default that does not fit its own schema would fail every execution that leaves the parameter out."""
    given: dict[str, Json] = {key: node[key] for key in ("default", "const") if key in node}
    given |= {f"enum[{i}]": value for i, value in enumerate(node.get("enum", ()))}
    if not given:
        return
    rules = {key: value for key, value in node.items() if key not in {"default", "$defs"}}
    validator = value_checker({**rules, "$defs": schema.get("$defs", {})})
    for key, value in given.items():
        for error in validator.iter_errors(value):
            yield Finding((*path, key.partition("[")[0]), f"{_named((*path, key))} {predicate(error)}")


def value_checker(schema: dict[str, Json]) -> Any:
    """Checks values against `schema`, with the formats that parameters may have."""
    return checker(schema, FORMATS)


def resolved(schema: dict[str, Json], node: dict[str, Json]) -> dict[str, Json]:
    """`node`, with what its `$ref` points to laid under it. Follows a chain of `$ref`s, which is never a ring."""
    while "$ref" in node:
        target = schema.get("$defs", {}).get(node["$ref"].removeprefix("#/$defs/"), {})
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node
