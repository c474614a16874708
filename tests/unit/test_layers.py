"""The direction of imports: bot → engine → storage, and nothing points back, not even from inside a function."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("storage", "engine", "bot")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere in it, by its full name."""
    package = list(path.relative_to(ROOT).with_suffix("").parts)[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def offences(where: str, *forbidden: str, allowed: tuple[str, ...] = ()) -> list[str]:
    """What files below `where` import of `forbidden`, as "file: module"."""
    return [
        f"{path.relative_to(ROOT)}: {module}"
        for path in FILES
        if path.is_relative_to(ROOT / where)
        for module in imports(path)
        if within(module, *forbidden) and not within(module, *allowed)
    ]


ROOMS = {
    "egress": "",
    "text": "",
    "config": "egress text",
    "expressions": "text",
    "definition": "expressions text",
    "steps": "definition expressions egress config text",
    "access": "definition egress config text",
    "catalog": "access definition egress text",
    "orchestration": "access catalog definition expressions steps text",
    "runs": "orchestration access catalog definition expressions steps config text",
    "queries": "runs orchestration access catalog definition expressions steps config text",
    "worker": "queries runs orchestration access catalog definition expressions steps config egress text",
    "rehearsal": "worker queries runs orchestration access catalog definition expressions steps config egress text",
}
"""The packages of `engine`, lowest first, and which of the others each may import."""
NOUNS = (
    "storage.records", "storage.catalog_records", "storage.people_records", "storage.secret_records",
    "storage.task_records", "storage.freeze_records", "storage.states",
)  # fmt: skip
"""What storage hands out, which every layer may name."""
SHARED = (
    "errors", "failpoints", "runtime", "database_errors", "local_redis", "conversations", "received_secrets",
    "option_cache",
)  # fmt: skip
"""Modules of `engine` itself that every package may import; the other ones stand above all of them."""
SLACK_ROOMS = {
    "views": "",
    "projector": "views",
    "verbs": "views",
    "forms": "verbs views",
    "transport": "forms verbs views",
}
"""The packages of `bot/slack`, lowest first, and which of the others each may import."""


def crossings(package: str, rooms: dict[str, str], shared: tuple[str, ...] | None) -> list[str]:
    """Imports from a room of a package into another, or into what stands above them, that its table does not allow."""
    found = []
    for room, allowed in rooms.items():
        for path in sorted((ROOT / package / room).rglob("*.py")):
            for module in imports(path):
                into = module.removeprefix(f"{package.replace('/', '.')}.").split(".")[0]
                ours = within(module, package.replace("/", "."))
                other = into in rooms if shared is None else into not in shared
                if ours and other and into not in (room, *allowed.split()):
                    found.append(f"{path.relative_to(ROOT)}: {module}")
    return found


def test_the_rooms_of_the_engine_look_one_way() -> None:
    """As the module map in docs/architecture.md says."""
    assert {path.name for path in (ROOT / "engine").iterdir() if (path / "__init__.py").exists()} == set(ROOMS)
    assert crossings("engine", ROOMS, SHARED) == []


def test_the_rooms_of_slack_look_one_way() -> None:
    """What they share imports none of them."""
    assert crossings("bot/slack", SLACK_ROOMS, None) == []
    shared = [path for path in (ROOT / "bot/slack").glob("*.py") for module in imports(path)
              if within(module, *(f"bot.slack.{room}" for room in SLACK_ROOMS if room != "views"))]  # fmt: skip
    assert shared == []


def test_the_doors_go_round_in_no_circle() -> None:
    """The pages are built upon the API, the API upon none of them."""
    assert offences("bot/api", "bot.page", "bot.cli", "bot.slack") == []


@pytest.mark.parametrize("where", ["bot/simulator/page", "bot/page/static"])
def test_the_scripts_of_a_page_go_round_in_no_circle(where: str) -> None:
    """Each can be read before those that import it."""
    scripts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / where).glob("*.js")}
    needs = {name: set(re.findall(r'from "\./([\w.]+)"', text)) for name, text in scripts.items()}
    assert list(TopologicalSorter(needs).static_order())


def test_there_is_something_to_look_at() -> None:
    """A test that reads no file proves nothing."""
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(PACKAGES)
    assert len(FILES) > 50


def test_storage_imports_nothing_of_the_house() -> None:
    """It is the ground floor."""
    assert offences("storage", "engine", "bot") == []


def test_the_engine_knows_no_door() -> None:
    """Nothing of bot, and no Slack or web library."""
    assert offences("engine", "bot", "slack_sdk", "slack_bolt", "starlette", "uvicorn") == []


@pytest.mark.parametrize("where", ["engine", "bot"])
def test_sql_and_peewee_are_in_storage_only(where: str) -> None:
    """Nobody else knows how things are kept."""
    assert offences(where, "peewee", "playhouse", "psycopg", "sqlite3", "storage.tables") == []


def test_the_doors_see_of_storage_only_its_nouns() -> None:
    """What they want done, they ask the engine for."""
    assert offences("bot", "storage", allowed=NOUNS) == []


def test_the_practice_workspace_knows_nothing_of_the_rest() -> None:
    """It speaks HTTP, like Slack."""
    found = offences("bot/simulator", "storage", "engine", "bot", allowed=("bot.simulator",))
    assert found == []


@pytest.mark.parametrize("name", ["run_status", "retry_backoff", "gate_reminders", "skip_rules"])
def test_the_rules_of_a_run_are_pure(name: str) -> None:
    """They import definitions and nouns, and nothing else of the harness."""
    path = ROOT / "engine/orchestration" / f"{name}.py"
    ours = [module for module in imports(path) if within(module, *PACKAGES)]
    assert path.exists()
    assert all(within(module, "engine.definition.model", "engine.definition.kinds", *NOUNS) for module in ours)


def test_the_audit_is_written_in_one_place() -> None:
    """So that every row names its thing alike and says through which door its actor came."""
    writing = re.compile(r"\baudit\.write\(|f\"(execution|incident|runbook|token|secret):\{")
    found = [str(path.relative_to(ROOT)) for path in FILES if writing.search(path.read_text(encoding="utf-8"))]
    assert found == ["engine/access/auditing.py"]


def test_late_and_relative_imports_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reading itself: imports in functions, relative ones and those by name."""
    folder = tmp_path / "engine" / "steps"
    folder.mkdir(parents=True)
    lines = ["import bot.web", "from ..x import y", "from . import z", "importlib.import_module('bot.cli')"]
    (folder / "late.py").write_text("def f():\n" + "".join(f"    {line}\n" for line in lines))
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    found = set(imports(folder / "late.py"))
    assert {"bot.web", "engine.x.y", "engine.steps.z", "bot.cli"} <= found
