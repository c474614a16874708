"""One table says what is to be known of a kind of step, and everything else asks it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from engine.definition import schema
from engine.definition.kinds import BLOCKS, CONTAINERS, KINDS
from engine.steps.perform import ACTS
from storage import steps

ROOT = Path(__file__).parents[2]
TABLE = "engine/definition/kinds"
ELSEWHERE = {
    "engine/steps/perform.py": "the registry of what does a step, held complete below",
    "storage/steps.py": "storage imports nothing; its containers are held to the table below",
    "bot/api/idempotent_answers.py": "kinds of things, as the audit names them",
    "bot/slack/projector/threads.py": "kinds of events",
    "bot/simulator": "it imports nothing of the rest; these are Slack's words",
    "bot/serving": "types of ASGI scopes and messages",
    "bot/prometheus.py": "types of ASGI scopes",
    "bot/unauthenticated_limit.py": "types of ASGI scopes",
}
"""Where the name of a kind stands for something else or cannot be asked for, each with why."""


def literals(path: Path) -> Iterator[int]:
    """The lines of a file that compare a kind with a name of one, or list several kinds by name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            about = any("kind" in ast.unparse(side) or "type" in ast.unparse(side) for side in sides)
            if about and any(each in KINDS for side in sides for each in _names(side)):
                yield node.lineno
        elif isinstance(node, ast.Match) and "kind" in ast.unparse(node.subject):
            patterns = [each for case in node.cases for each in ast.walk(case.pattern)]
            named = [each.value for each in patterns if isinstance(each, ast.MatchValue)]
            if any(name in KINDS for value in named for name in _names(value)):
                yield node.lineno
        elif isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
            names = _names(node)
            if len(names) > 1 and set(names) <= set(KINDS):
                yield node.lineno


def _names(node: ast.expr) -> list[str]:
    """The texts that an expression is or holds directly."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    held = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    return [each.value if isinstance(each, ast.Constant) else "" for each in held]


@cache
def found() -> dict[str, list[int]]:
    files = sorted(path for package in ("storage", "engine", "bot") for path in (ROOT / package).rglob("*.py"))
    named = {str(path.relative_to(ROOT)): list(literals(path)) for path in files}
    return {name: lines for name, lines in named.items() if lines and not name.startswith(TABLE)}


def test_only_the_table_knows_the_kinds_by_name() -> None:
    """Adding a kind touches its file, the table, the schema and what does it, and nothing else."""
    assert {name: lines for name, lines in found().items() if not name.startswith(tuple(ELSEWHERE))} == {}


def test_every_exception_is_one() -> None:
    """What needs none any more is struck off the list."""
    assert [each for each in ELSEWHERE if not any(name.startswith(each) for name in found())] == []


@pytest.mark.parametrize(
    "text",
    [
        'step.kind == "loop"', 'row["kind"] in ("branch", "x")', 'step.get("type") != "http"', '{"wait", "delay"}',
        'x = {"poll": 1, "http": 2}', 'match step.kind:\n    case "loop" | "branch": pass',
    ],
)  # fmt: skip
def test_a_literal_is_seen(tmp_path: Path, text: str) -> None:
    """The reading itself."""
    file = tmp_path / "some.py"
    file.write_text(text)
    assert list(literals(file)) == [1]


def test_the_table_is_whole() -> None:
    """What stands elsewhere about the kinds says what the table says."""
    assert set(ACTS) == set(KINDS) - CONTAINERS
    assert set(steps.CONTAINERS) == CONTAINERS == {name for name, kind in KINDS.items() if kind.blocks}
    assert set(BLOCKS) == schema._INNER_LISTS
    assert all(kind.is_container for kind in KINDS.values() if kind.repeats)
    assert {path.stem for path in (ROOT / TABLE).glob("*.py")} == {*KINDS, "__init__", "kind", "call"}


def test_the_schema_says_what_the_table_says() -> None:
    """Which keys a kind takes: of its `with`, and of the step around it. A `webhook:` is an `http` with more keys."""
    webhook = schema.document()["$defs"]["webhook"]["properties"]
    for kind in KINDS.values():
        known = {*kind.schema["properties"], *(webhook if kind.name == "http" else ())}
        treated = {*kind.treatments, *kind.defaults, *kind.shown, *kind.secret_keys, *kind.bounds, *kind.blocks}
        assert treated <= known, kind.name
    forbidden = {
        rule["then"]["not"]["required"][0]: set(rule["if"]["properties"]["type"]["enum"])
        for holder in ("step", "keysOfKind")
        for rule in schema.document()["$defs"][holder]["allOf"]
        if "not" in rule.get("then", {})
    }
    others = {name for name, kind in KINDS.items() if not kind.calls_out}
    assert forbidden["retry"] == others
    assert forbidden["idempotent"] == others | {"poll"}
    asks_nobody = {name for name, kind in KINDS.items() if not (kind.is_gate or kind.is_manual)}
    assert forbidden["on_timeout"] == forbidden["notify"] == asks_nobody
