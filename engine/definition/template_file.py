"""A step template's file by itself: its shape, and the rules that its steps have in every runbook that uses it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from engine.definition import checks, parameter_options, structure, tree
from engine.definition.schema import Finding, checker, document
from engine.definition.schema import findings as schema_findings
from engine.definition.yaml_source import Source
from engine.text.problem import Problem
from storage.records import Json

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_AROUND: dict[str, Json] = {"apiVersion": "runbook/v1", "id": "template", "name": "template", "team": "template"}
"""The runbook around a template's steps: it has a team, since the runbooks that use it may have one."""


def is_name(name: Json) -> bool:
    """Whether this is the name of a template, and so of no other file than its own."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


@cache
def template_schema() -> dict[str, Json]:
    """The published JSON Schema of a template's file, with the runbook's in it."""
    text = resources.files(__package__).joinpath("template.schema.json").read_text("utf-8")
    loaded: dict[str, Json] = json.loads(text.replace("schema.json#", "#"))
    return {**loaded, "$defs": document()["$defs"]}


@cache
def _validator() -> Any:
    return checker(template_schema())


def check(source: Source) -> list[Problem]:
    """Everything that is wrong with a template, once what it uses itself is in its place."""
    found = list(schema_findings(_validator(), source.data))
    if not found:
        found = list(_rule_findings(source.data))
    return [source.located(each.path, each.message, at_key=each.at_key) for each in found]


def _rule_findings(data: dict[str, Json]) -> Iterator[Finding]:
    around: dict[str, Json] = {
        **_AROUND,
        **{key: data[key] for key in ("parameters", "steps", "outputs") if key in data},
    }
    yield from parameter_options.refused(data.get("parameters"))
    blocks = tuple(tree.blocks(around))
    excess = structure.too_many(blocks)
    if excess:
        yield excess
        return
    yield from checks.findings(around, blocks, frozenset({()}))
