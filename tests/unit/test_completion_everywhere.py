"""At every place of every text that ships, what stands there is offered once it is taken away or half typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.definition import rehearsal_completion, rehearsals
from engine.definition.completion import Completion, Names, complete, meaning
from engine.definition.cursor import ITEM, Place, place_of
from engine.definition.flow_cursor import flow_cursor
from engine.definition.schema import document
from engine.definition.schema_places import SchemaPlaces

ROOT = Path(__file__).parents[2]
FILES = sorted(each for folder in ("runbooks.d", "docs/examples") for each in ROOT.glob(f"{folder}/[!_]*.yaml"))
NAMES = Names((), ())
FLOW = """\
id: sample
steps:
  - id: first
    type: delay
    with: {for: 1s}
  - """


SAMPLE = 9
"""One text of so many is tried each time, and all of them with what is slow."""


def texts(*, rehearsing: bool) -> list[Any]:
    files = [each for each in FILES if rehearsals.is_rehearsal(each) is rehearsing]
    return [
        pytest.param(each, id=each.stem, marks=[pytest.mark.slow] * (place % SAMPLE != 0))
        for place, each in enumerate(files)
    ]


def _keys(node: yaml.Node, place: Place) -> Iterator[tuple[yaml.Node, yaml.Node, Place]]:
    """Each key with its value and the mapping that it is in, as a reader of YAML sees them."""
    if isinstance(node, yaml.MappingNode):
        said = {key.value: value.value for key, value in node.value if isinstance(value, yaml.ScalarNode)}
        for key, value in node.value:
            yield key, value, place
            kind = said.get("type", "") if key.value == "with" else place.kind
            yield from _keys(value, Place((*place.path, key.value), kind))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _keys(value, Place((*place.path, ITEM), place.kind))


def _without(lines: list[str], mark: yaml.Mark, end: int, kept: int) -> tuple[str, str]:
    """The text with all but `kept` characters of a word taken away, and what stands before the cursor then."""
    line = lines[mark.line]
    before = line[: mark.column + kept]
    return "\n".join([*lines[: mark.line], before + line[end:], *lines[mark.line + 1 :]]), before


def _missing(text: str, places: SchemaPlaces, ask: Mapping[str, str]) -> Iterator[str]:
    """Where a key, or one of a fixed set of values, that is taken away is not offered, or is where it may not be."""
    lines = text.split("\n")
    for key, value, place in _keys(yaml.compose(text), Place(())):
        known = places.properties(places.node(place))
        for kept in {0, len(key.value) // 2}:
            broken, before = _without(lines, key.start_mark, key.end_mark.column, kept)
            found = {each.label for each in _asked(broken, key.start_mark.line, before, ask).suggestions}
            if (key.value in known) != (key.value in found) and not (ask and key.value not in known):
                yield f"{key.start_mark.line + 1}:{key.start_mark.column + 1} {key.value} of {place}: {found}"
        choices = {each for part in places.parts(known.get(key.value) or {}) for each in part.get("enum", ())}
        if isinstance(value, yaml.ScalarNode) and value.value in choices:
            broken, before = _without(lines, value.start_mark, value.end_mark.column, 0)
            found = {each.label for each in _asked(broken, value.start_mark.line, before, ask).suggestions}
            if value.value not in found:
                yield f"{value.start_mark.line + 1}: {key.value}: {value.value} of {place}: {found}"


def _asked(text: str, row: int, before: str, ask: Mapping[str, str]) -> Completion:
    if "runbook" in ask:
        return rehearsal_completion.complete(text, row, before, ask["runbook"])
    return complete(text, row, before, NAMES)


@pytest.mark.parametrize("file", texts(rehearsing=False))
def test_every_key_of_a_runbook_is_offered_where_it_was(file: Path) -> None:
    """And nothing where a mapping's keys are anybody's choice."""
    assert list(_missing(file.read_text(), SchemaPlaces(document()), {})) == []


@pytest.mark.parametrize("file", texts(rehearsing=True))
def test_every_key_of_a_rehearsal_is_offered_where_it_was(file: Path) -> None:
    runbook = rehearsals.runbook_of(file).read_text()
    assert list(_missing(file.read_text(), SchemaPlaces(rehearsals.document()), {"runbook": runbook})) == []


@pytest.mark.parametrize(
    ("more", "some"),
    [
        ("{", {"id", "type", "needs"}),
        ("{id: x, ty", {"type"}),
        ("{id: x, type: ", {"http", "loop"}),
        ("{id: x, type: htt", {"http"}),
        ("{id: x, type: http, with: {", {"url", "headers"}),
        ("{id: x, type: http, with: {url: 'a: {b', me", {"method"}),
        ('{id: x, type: "http", "with": {"url": "a\\"}", ', {"method"}),
        ("{id: x, type: http, with: {method: ", {"GET", "POST"}),
        ("{id: x, needs: [", {"first"}),
        ("{id: x, needs: [first, ", {"first"}),
        ("{id: x,\n     type: http,\n     with: {url: a,\n            ", {"method"}),
        ("{id: x, with: {json: {a: [{b: 1}, {", set()),
        ("{id: x, # with: {", set()),
        ("{id: x, if: par", {"params"}),
        ("id: x\n    type: loop\n    with: {items: [1], steps: [{id: y, type: delay, with: {", {"for"}),
        ("id: x\n    type: http\n    with: {retry: 1}\n    retry: {", {"delay", "backoff"}),
        ("id: x\n    type: message\n    with:\n      text: |\n        {", set()),
        ("id: x\n    type: message\n    with:\n      text: |\n        - {", set()),
    ],
)
def test_inside_brackets_what_fits_is_offered(more: str, some: set[str]) -> None:
    text = FLOW + more
    lines = text.split("\n")
    found = {each.label for each in complete(text, len(lines) - 1, lines[-1], NAMES).suggestions}
    assert some <= found
    assert bool(found) == bool(some), found


def test_a_type_behind_the_cursor_counts_and_what_is_there_is_not_offered_again() -> None:
    line = "  - {with: {, url: x}, id: x, type: http}"
    text = f"steps:\n{line}\n"
    found = {each.label for each in complete(text, 1, line[:12], NAMES).suggestions}
    assert {"method", "headers"} <= found
    again = complete("a: {url: x, ", 0, "retry: {delay: 1s, ", NAMES)
    assert "backoff" in {each.label for each in again.suggestions}
    assert "delay" not in {each.label for each in again.suggestions}


def test_lists_in_lists_are_places_of_their_own() -> None:
    text = "top:\n  - - a: 1\n      b: 2\n    - c: 3\n  -\n    - d: 4\n"
    node = yaml.compose(text)
    lines = text.split("\n")
    for key, _, place in _keys(node, Place(())):
        assert place_of(lines, key.start_mark.line).path == place.path, key.value


def test_the_meaning_of_a_key_inside_brackets() -> None:
    text = "steps:\n  - {id: x, type: http, with: {url: a}}\n"
    line = text.split("\n")[1]
    assert meaning(text, 1, line.index("url") + 1) == document()["$defs"]["url"]["description"]
    assert meaning(text, 1, line.index("http") + 1) == document()["$defs"]["http"]["description"]


@given(st.lists(st.sampled_from([*"{}[],:'\"#\\ \na", "- ", "a: "]), max_size=60).map("".join), st.integers(0, 60))
@settings(max_examples=400, deadline=None)
def test_no_bracket_is_an_accident(text: str, column: int) -> None:
    lines = text.split("\n")
    for row, line in enumerate(lines):
        flow_cursor(lines, row, line[:column])
        complete(text, row, line[:column], NAMES)
        rehearsal_completion.complete(text, row, line[:column], text)
        meaning(text, row, column)
