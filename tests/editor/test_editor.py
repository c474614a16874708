"""What people see while they write a runbook: completion, hover and squiggles, by a real YAML language server."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from language_server import LanguageServer

from engine.definition.kinds import KINDS
from engine.definition.schema import document

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "engine" / "definition" / "schema.json"
REHEARSAL = SCHEMA.with_name("rehearsal.schema.json")
HEAD = f"# yaml-language-server: $schema={SCHEMA.as_uri()}\napiVersion: runbook/v1\nid: a\nname: A\n"
NUMBERS = itertools.count()

pytestmark = pytest.mark.slow


class Opened:
    """A document with the pointer where `|` stood."""

    def __init__(self, server: LanguageServer, text: str) -> None:
        before = (HEAD + text).partition("|")[0]
        self.server, self.uri = server, f"file:///runbooks/{next(NUMBERS)}.yaml"
        self.line, self.column = before.count("\n"), len(before.rpartition("\n")[2])
        self.wrong = [each["message"] for each in server.open(self.uri, (HEAD + text).replace("|", "", 1))]

    def offered(self) -> dict[str, str]:
        """The labels that may stand there, each with what it inserts."""
        items = self.server.completion(self.uri, self.line, self.column)
        return {each["label"]: each.get("insertText", each["label"]) for each in items}

    def told(self) -> str:
        return self.server.hover(self.uri, self.line, self.column).replace("\\", "")


def step(text: str) -> str:
    return f"steps:\n  - id: s\n    {text}"


def test_keys_of_the_file_are_offered(server: LanguageServer) -> None:
    assert set(document()["properties"]) - {"apiVersion", "id", "name"} <= set(Opened(server, "ri|").offered())


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_with_are_those_of_the_kind(server: LanguageServer, kind: str) -> None:
    offered = set(Opened(server, step(f"type: {kind}\n    with:\n      |\n")).offered())
    assert set(document()["$defs"][kind]["properties"]) <= offered
    assert offered - set(document()["$defs"][kind]["properties"]) <= {kind}  # a snippet of all that is required


def test_every_kind_is_offered_as_a_whole_step(server: LanguageServer) -> None:
    offered = Opened(server, "steps:\n  - |\n").offered()
    assert set(KINDS) <= set(offered)
    assert "type: poll" in offered["poll"]
    assert "${1:healthy}" in offered["poll"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("risk: |", {"low", "medium", "high"}),
        (step("type: |"), set(KINDS)),
        (step("type: http\n    with:\n      method: |"), {"GET", "POST", "DELETE"}),
        (step("type: approval\n    on_timeout: |"), {"fail", "reject", "approve"}),
        ("parameters:\n  type: object\n  properties:\n    a:\n      format: |", {"user", "channel", "date"}),
        (step("if:\n      operator: |"), {"eq", "matches"}),
        (step("type: http\n    with:\n      url: |"), {"URL with a parameter"}),
    ],
)
def test_values_are_offered(server: LanguageServer, text: str, words: set[str]) -> None:
    assert words <= set(Opened(server, text).offered())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ri|sk: low\nsteps: []", "How much can go wrong"),
        (step("type: http\n    idem|potent: true"), "whether the call may safely be made twice"),
        (step("type: poll\n    with:\n      unt|il: x"), "Asked of every answer"),
        (step("type: http\n    with:\n      head|ers: {a: b}"), "Headers of the call"),
        ("parameters:\n  type: object\n  properties:\n    a:\n      pat|tern: x", "RE2"),
        (step("type: ht|tp"), "One call."),
    ],
)
def test_what_a_key_means_is_told(server: LanguageServer, text: str, words: str) -> None:
    assert words in Opened(server, text).told()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("risk: hihg\nsteps: []|", '"low"'),
        (step("type: htp|"), '"http"'),
        (step("type: http\n    wit: 1|"), "wit"),
        (step("type: http\n    with: {url: 1}|"), "string"),
        ("concurrency: {limit: 1}\nsteps: []|", "group"),
    ],
)
def test_what_is_wrong_is_marked(server: LanguageServer, text: str, words: str) -> None:
    assert any(words in message for message in Opened(server, text).wrong)


@pytest.mark.parametrize("path", sorted((ROOT / "runbooks.d").glob("[!_]*.yaml")), ids=lambda path: path.stem)
def test_what_ships_has_no_mark(server: LanguageServer, path: Path) -> None:
    """Runbooks and their rehearsals, each by its own schema."""
    schema = REHEARSAL if path.stem.endswith(".rehearsal") else SCHEMA
    text = f"# yaml-language-server: $schema={schema.as_uri()}\n{path.read_text('utf-8')}"
    assert server.open(f"file:///runbooks/{next(NUMBERS)}.yaml", text) == []


def test_nothing_is_offered_inside_an_expression(server: LanguageServer) -> None:
    """The guide says so; when it is no longer true, the guide is to be changed."""
    offered = Opened(server, step("type: http\n    with:\n      url: 'https://h.example/{{ params.|'\n")).offered()
    assert not {"lower", "params", "steps"} & set(offered)
