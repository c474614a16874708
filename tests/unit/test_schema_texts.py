"""What editors show of the format: every key is described, and every kind of step has a snippet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from engine.definition import skeleton
from engine.definition.kinds import KINDS
from engine.definition.schema import document

SCHEMA = document()


def keys(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every key that may be written in a file, with its schema, wherever it is declared."""
    for name, rules in node.get("properties", {}).items():
        yield f"{path}.{name}", rules
        yield from keys(rules, f"{path}.{name}")
    for inside in ("items", "additionalProperties"):
        if isinstance(node.get(inside), dict):
            yield from keys(node[inside], f"{path}.{inside}")


KEYS = [*keys(SCHEMA, "runbook"), *(found for name, each in SCHEMA["$defs"].items() for found in keys(each, name))]


def described(rules: Any) -> str:
    """What an editor shows: the key's own words, else those of what it refers to."""
    own = rules.get("description") or SCHEMA["$defs"].get(rules.get("$ref", "").rpartition("/")[2], {}).get(
        "description"
    )
    return str(own or "")


@pytest.mark.parametrize(("path", "rules"), KEYS, ids=[path for path, _ in KEYS])
def test_every_key_is_described(path: str, rules: Any) -> None:
    assert described(rules).endswith((".", "…"))


def test_there_are_keys_to_look_at() -> None:
    assert len(KEYS) > 150


def test_every_kind_has_its_words_and_its_snippet() -> None:
    """In the order of the table of kinds, so that an editor shows them beside the right word."""
    step = SCHEMA["$defs"]["step"]
    asked = step["properties"]["type"]
    assert asked["enum"] == [each["label"] for each in step["defaultSnippets"]] == list(KINDS)
    assert asked["enumDescriptions"] == [each["description"] for each in step["defaultSnippets"]]
    assert all(described(SCHEMA["$defs"][kind]) for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_snippet_stops_in_order_and_is_a_step(kind: str) -> None:
    """Its stops are numbered from 1, and with none of them typed at it is a faultless step."""
    body = next(each["body"] for each in SCHEMA["$defs"]["step"]["defaultSnippets"] if each["label"] == kind)
    stops = [int(number) for number in re.findall(r"\$\{(\d+):", str(body))]
    assert stops == list(range(1, len(stops) + 1))
    assert "$" not in str(skeleton.starters()[kind])
    assert skeleton.text(skeleton.Answers("a", "A", kinds=(kind,)))
