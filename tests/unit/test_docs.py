"""The documentation: every link leads somewhere, every example works, every table says what the code says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import FENCE, ROOT, prose, read, rows, section, words

from bot import grammar
from bot.cli import host_commands, people
from bot.cli.options import NAMES
from engine.access import access_file
from engine.config import settings
from engine.definition.load import examine
from engine.definition.references import FACTS
from engine.definition.schema import file_validator
from engine.egress.allowed_addresses import RANGES, Tier
from engine.expressions import OPERATORS
from engine.expressions.filters import FILTERS
from engine.expressions.values import TESTS

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("storage", "engine", "bot")

_LINK = re.compile(r"\]\(([^()\s]+)\)")
_TEST = re.compile(r"\b(tests/[\w/]+\.py)(?:::(test_\w+))?")
_MODULE = re.compile(r"(?<![\w/])((?:storage|engine|bot)/[\w/.]*\w/?)")


def slug(heading: str) -> str:
    """The anchor that a heading gets: lower case, punctuation dropped, dashes for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    found = re.findall(r"^#{1,6} (.+)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    slugs = [slug(heading) for heading in found]
    assert len(slugs) == len(set(slugs)), f"{page.name} has two headings with one anchor"
    return set(slugs)


def broken_links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            yield target


def fences(language: str) -> list[tuple[str, str]]:
    found = [(page, each) for page in PAGES for each in FENCE.findall(page.read_text(encoding="utf-8"))]
    return [(page.name, text) for page, (name, text) in found if name == language]


def runbook_fences() -> list[tuple[str, str]]:
    return [(page, text) for page, text in fences("yaml") if re.search(r"^apiVersion:", text, re.MULTILINE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there, and every anchor a heading of it."""
    assert list(broken_links(page)) == []


def test_every_page_is_linked_from_the_readme_or_another_page() -> None:
    """Nobody finds what nothing points to."""
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in _LINK.findall(page.read_text(encoding="utf-8"))
        if not target.startswith(("http", "#"))
    }
    assert {page for page in PAGES if page.parent.name == "docs"} <= linked


def test_the_pictures_are_small() -> None:
    """A page's picture is a PNG of at most 250 KB."""
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size <= 250_000


@pytest.mark.parametrize(("page", "text"), runbook_fences())
def test_runbooks_shown_are_faultless(page: str, text: str) -> None:
    """A runbook that is copied from a page passes `runbook check` without a warning."""
    found = examine(text.encode(), page)
    assert [str(each) for each in (*found.problems, *found.warnings)] == []


def test_enough_runbooks_are_shown() -> None:
    """The test above has something to test, in the README and in the guide."""
    pages = [page for page, _ in runbook_fences()]
    assert pages.count("README.md") == 1
    assert pages.count("runbooks.md") >= 4


def test_the_access_file_shown_is_faultless(tmp_path: Path) -> None:
    """What is shown as `_access.yaml` is one."""
    shown = [text for _, text in fences("yaml") if "platform_admins" in text]
    assert shown
    for text in shown:
        path = tmp_path / access_file.NAME
        path.write_text(text, encoding="utf-8")
        policy, problems = access_file.read(path)
        assert policy is not None
        assert problems == []


def test_json_shown_is_json() -> None:
    """Every block that says it is JSON can be read as such."""
    shown = fences("json")
    assert shown
    for _, text in shown:
        json.loads(text)


def schema_keys() -> list[tuple[str, set[str]]]:
    """The headings of the guide and the keys of the schema that have to have a row below them."""
    schema: dict[str, Any] = file_validator().schema
    kinds = schema["$defs"]
    approval = kinds["approval"]["properties"]
    return [
        ("### Top level", set(schema["properties"])),
        ("### Steps", set(kinds["step"]["properties"]) | set(kinds["retry"]["properties"])),
        ("### http", set(kinds["http"]["properties"])),
        ("### poll", set(kinds["poll"]["properties"]) - set(kinds["http"]["properties"])),
        ("### approval", set(approval) | {f"approvers.{key}" for key in approval["approvers"]["properties"]}),
        ("### webhook: the one-call form", set(kinds["webhook"]["properties"])),
    ]


@pytest.mark.parametrize(("heading", "keys"), schema_keys())
def test_every_key_of_the_format_has_a_row(heading: str, keys: set[str]) -> None:
    """The guide's tables have each key of the schema, and no other."""
    found = {cells[0].strip("`") for cells in rows(section(read("docs/runbooks.md"), heading)) if len(cells) == 4}
    assert found == keys


def test_every_kind_of_step_is_told() -> None:
    """Each kind has its heading; those of the second page have each key of their `with` in its table."""
    schema: dict[str, Any] = file_validator().schema["$defs"]
    first, second = read("docs/runbooks.md"), read("docs/kinds.md")
    told = {words(kind)[0]: set(words(keys)) for kind, _, keys, _, _ in rows(section(second, "## Kinds"))}
    kinds = set(schema["step"]["properties"]["type"]["enum"])
    assert {kind for kind in kinds if f"\n### {kind}\n" in first} == kinds - set(told)
    assert all(f"\n### {kind}\n" in second for kind in told)
    assert told == {kind: set(schema[kind]["properties"]) for kind in told}


def test_every_way_to_prove_who_calls_is_told() -> None:
    """Each type of `auth` has a row, and each key of it is named."""
    auth = file_validator().schema["$defs"]["auth"]["properties"]
    table = rows(section(read("docs/kinds.md"), "## How a call proves who it is"))
    assert {words(kind)[0] for kind, _, _ in table} == set(auth["type"]["enum"]) - {"none"}
    assert set(auth) - {"type"} <= {word for _, keys, _ in table for word in words(keys)}


def test_every_keyword_of_parameters_is_named() -> None:
    """The guide names exactly the keywords of JSON Schema that are allowed."""
    allowed = set(file_validator().schema["$defs"]["parameterSchema"]["properties"])
    formats = file_validator().schema["$defs"]["parameterSchema"]["properties"]["format"]["enum"]
    table = " ".join(cells[1] for cells in rows(section(read("docs/runbooks.md"), "## Parameters")))
    assert set(words(table)) == allowed | set(formats) | {"#/$defs/…"}


@pytest.mark.parametrize(("start", "known"), [("Filters:", FILTERS), ("Tests:", TESTS), ("Operators:", OPERATORS)])
def test_what_expressions_have_is_listed(start: str, known: dict[str, object]) -> None:
    """Filters, tests and operators are named in the guide, all and only those."""
    (line,) = [line for line in read("docs/runbooks.md").splitlines() if line.startswith(start)]
    assert words(line) == list(known)


def test_facts_in_the_guide_are_facts() -> None:
    """What templates may read is named in the guide, and what nothing fills in is named as such."""
    text = section(read("docs/runbooks.md"), "## Values and conditions")
    table = {cells[0].strip("`"): set(words(cells[1])) for cells in rows(text)}
    for root, facts in FACTS.items():
        named = {fact for fact in facts if fact in table[root] or f"`{root}.{fact}`" in text}
        assert named == set(facts)


def test_every_setting_has_its_row() -> None:
    """The settings table has each setting in its order, with its default."""
    found = [
        (words(name)[0], words(default)[0] if words(default) else "")
        for name, default, _ in rows(section(read("docs/operations.md"), "## Settings"))
    ]
    assert found == [(each.name, each.default) for each in settings.SETTINGS]


def test_what_is_never_called_is_named() -> None:
    """Every range that nothing opens is in the guide for operators."""
    text = section(read("docs/operations.md"), "## What steps may call")
    assert {str(each.network) for each in RANGES if each.tier is Tier.NEVER} <= set(words(text))


def test_every_verb_has_its_row() -> None:
    """The tables of commands have each verb once, with its usage, and an example that is understood."""
    found = rows(read("docs/commands.md").partition("## On the command line")[0])
    assert sorted(words(usage)[0] for usage, _, _ in found) == sorted(each.usage for each in grammar.VERBS)
    for _, example, _ in found:
        text = words(example)[0].removeprefix("/runbook ")
        command = grammar.parse(text)
        assert text.startswith(command.verb)


def test_every_alias_is_named() -> None:
    """Other words for a verb are told beside the verb that they mean."""
    (line,) = re.findall(r"^- `start`.*?(?=^\S|\Z)", read("docs/commands.md"), re.MULTILINE | re.DOTALL)
    told = {}
    for part in line.split(";"):
        *others, verb = words(part)
        told |= dict.fromkeys(others, verb)
    assert told == grammar.ALIASES


def test_command_line_verbs_are_told() -> None:
    """The table of the command line is what the parser takes."""
    text = section(read("docs/commands.md"), "### For operators")
    told = {words(name)[0].split(" ")[0] for name, _ in rows(text)}
    actions = next(each for each in host_commands._parser("")._actions if each.choices)
    assert told == set(actions.choices)


def test_command_line_options_and_exit_codes_are_told() -> None:
    """Each option and each exit code has its row."""
    text = section(read("docs/commands.md"), "## On the command line").partition("### ")[0]
    told = [cells[0].strip("`").split(" ")[0] for cells in rows(text)]
    assert {each for each in told if each.startswith("--")} == {each for each in NAMES if each.startswith("--")}
    codes = (people.DONE, people.FAILED, people.USAGE, people.REFUSED, people.STILL_OPEN, people.INTERRUPTED)
    assert [each for each in told if each.isdigit()] == [str(code) for code in codes]


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_tests_exist(page: Path) -> None:
    """A test that a page names is there under that name."""
    for name, function in _TEST.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name
        assert not function or function in functions_in(ROOT / name), f"{name}::{function}"


def test_every_promise_names_its_module_and_its_tests() -> None:
    """Each of the promises says where it is kept and by what it is held."""
    text = section(read("docs/durability.md"), "## The promises")
    promises = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert [each.partition(":")[0] for each in promises] == [*(f"G{number}" for number in range(1, 12)), "Fair"]
    for promise in promises:
        assert _MODULE.search(promise), promise
        assert any(function for _, function in _TEST.findall(promise)), promise


def test_every_defence_names_a_test() -> None:
    """Each row of the threat model has one that holds it."""
    defences = rows(section(read("docs/security.md"), "## Defences"))
    assert len(defences) > 20
    assert [each[0] for each in defences if not _TEST.search(each[2])] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_modules_exist(page: Path) -> None:
    """A module or folder of the code that a page names is there."""
    found = [name for code in words(page.read_text(encoding="utf-8")) for name in _MODULE.findall(code)]
    assert [name for name in found if not (ROOT / name).exists()] == []


def test_every_package_is_on_the_map() -> None:
    """The map has a line for each package, those of the practice workspace and of the API's models with theirs."""
    folders = {
        path.parent.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    }
    told = {
        re.match(r"`([^`]+)`", cells[0])[1] for cells in rows(section(read("docs/architecture.md"), "## Module map"))
    }
    inside = ("bot/simulator/", "bot/api/models", "storage/migrations")
    assert told == {name for name in folders if not name.startswith(inside)}
