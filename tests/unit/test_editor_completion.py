"""What may be written at a place of a runbook: by the schema, however broken the text around it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.definition.completion import Names, complete, meaning
from engine.definition.cursor import ITEM, place_of
from engine.definition.schema import document
from storage.records import Json

TEXT = """\
apiVersion: runbook/v1
id: sample
parameters:
  type: object
  properties:
    service: {type: string}
    grace:
      type: integer
steps:
  - id: drain
    type: http
    with:
      url: https://example.com
  - with:
      steps:
        - id: inner
          type: delay
          with:
            for: 1s
    id: each
    type: loop
"""
NAMES = Names(("lb_token",), ("web",))
KEYS = st.sampled_from(["id", "with", "steps", "type", "json", "name", "then"])


def labels(more: str) -> list[str]:
    text = TEXT + more
    lines = text.split("\n")
    return [each.label for each in complete(text, len(lines) - 1, lines[-1], NAMES).suggestions]


@pytest.mark.parametrize(
    ("more", "some"),
    [
        ("ri", {"risk", "finally"}),
        ("  - id: x\n    ty", {"type", "needs"}),
        ("  - ", {"type", "uses"}),
        ("  - id: x\n    type: ", {"http", "loop"}),
        ("  - id: x\n    type: http\n    with:\n      ", {"url", "headers"}),
        ("  - type: delay\n    with:\n      ", {"for"}),
        ("  - with:\n      ", set()),
        ("  - id: x\n    needs: [", {"drain", "inner"}),
        ("  - id: x\n    needs:\n      - ", {"drain"}),
        ("  - id: x\n    type: http\n    with:\n      target: ", {"web"}),
        ("finally:\n  - id: x\n    idempotent: ", {"true", "false"}),
        ("risk: ", {"low", "high"}),
        ('  - {id: x, with: {url: "{{ params.', {"service", "grace"}),
        ('a: "{{ steps.', {"drain", "each"}),
        ('a: "{{ steps.drain.', {"outputs"}),
        ('a: "{{ secrets.', {"lb_token"}),
        ('a: "{{ targets.', {"web"}),
        ('a: "{{ execution.', {"requester"}),
        ('a: "{{ params.service | ', {"default", "join"}),
        ("  - id: x\n    if: par", {"params", "steps"}),
        ("description: |\n  ri", set()),
        ("# ri", set()),
    ],
)
def test_what_fits_is_offered(more: str, some: set[str]) -> None:
    found = set(labels(more))
    assert some <= found
    assert bool(found) == bool(some)


def test_of_a_kind_only_what_it_takes_is_offered() -> None:
    assert set(labels("  - type: delay\n    with:\n      ")) == set(document()["$defs"]["delay"]["properties"])


def test_what_is_chosen_takes_the_place_of_what_was_begun() -> None:
    found = complete(f"{TEXT}ri", TEXT.count("\n"), "ri", NAMES)
    assert found.replaces == 2
    (risk,) = [each for each in found.suggestions if each.label == "risk"]
    assert (risk.puts, risk.meaning) == ("risk: ", document()["properties"]["risk"]["description"])


def test_the_meaning_of_a_key_and_of_a_kind() -> None:
    assert meaning(TEXT, 12, 7) == document()["$defs"]["url"]["description"]
    assert meaning(TEXT, 10, 11) == document()["$defs"]["http"]["description"]
    assert meaning(TEXT, 999, 0) == meaning("", 0, 0) == ""


@given(st.text(st.sampled_from("abid: -[]{}|>#\"'\n.\t{}%é"), max_size=200), st.integers(0, 20), st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_no_text_is_an_accident(text: str, row: int, before: str) -> None:
    complete(text, row, before.replace("\n", ""), NAMES)
    meaning(text, row, len(before))


@given(
    st.recursive(
        st.integers(0, 9),
        lambda inner: (
            st.dictionaries(KEYS, inner, min_size=1, max_size=3)
            | st.lists(inner.filter(lambda each: not isinstance(each, list)), min_size=1, max_size=3)
        ),
        max_leaves=12,
    )
)
@example([{"id": [{"id": 0}]}])
@settings(max_examples=200, deadline=None)
def test_the_place_of_a_key_is_what_a_reader_of_yaml_says(data: Json) -> None:
    """However deep it stands, as the keys that lead to it."""
    text = yaml.safe_dump({"top": data}, sort_keys=False)
    lines = text.rstrip("\n").split("\n")
    node = yaml.compose(text)
    for row, path in _places(node, ()):
        assert place_of(lines, row).path == path, (text, row)


def _places(node: yaml.Node, path: tuple[str, ...]) -> list[tuple[int, tuple[str, ...]]]:
    found = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found += [(key.start_mark.line, path), *_places(value, (*path, key.value))]
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            found += _places(value, (*path, ITEM))
    return found


@pytest.mark.parametrize(
    "file", sorted(Path(__file__).parents[2].glob("runbooks.d/[!_]*.yaml")), ids=lambda each: each.stem
)
def test_every_key_of_the_samples_that_the_schema_describes_has_a_meaning(file: Path) -> None:
    if file.stem.endswith(".rehearsal"):
        return
    lines = file.read_text().split("\n")
    rows = [row for row, line in enumerate(lines) if re.match(r" *(type: \w|with:|timeout:|- id:)", line)]
    unsaid = [lines[row] for row in rows if not meaning("\n".join(lines), row, 0)]
    assert [each for each in unsaid if not each.startswith("      ")] == []
