"""What is said of what the bot is made of, whatever the tools that are asked answer."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "deps.py"
SAFE = {"name": "a", "version": "1", "vulns": []}
UNSAFE = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def tool(folder: Path, name: str, answer: str, code: int = 0) -> None:
    (folder / name).write_text(f"#!{sys.executable}\nimport sys\nprint({answer!r})\nsys.exit({code})\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def deps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with tools of our own, in a folder of its own."""
    spec = importlib.util.spec_from_file_location("deps", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BIN", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "sbom.json").write_text('{"components": []}')
    tool(tmp_path, "cyclonedx-py", "")
    return module


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SAFE], 0, "no known vulnerability"),
        ([SAFE, UNKNOWN], 0, "Not known to the advisory database: c"),
        ([SAFE, UNSAFE], 1, "b 2: PYSEC-1, fixed in 3"),
        ([UNKNOWN], 75, "COULD NOT BE ASKED"),
        (None, 75, "COULD NOT BE ASKED"),
    ],
)
def test_what_is_known_is_told(
    deps: ModuleType, capsys: pytest.CaptureFixture[str], packages: Any, code: int, said: str
) -> None:
    """Unsafe, safe, and nobody asked are three answers."""
    tool(deps.BIN, "pip-audit", json.dumps({"dependencies": packages}) if packages else "no route", int(code != 0))
    assert deps.main() == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("packages", "code"), [(None, 0), ([UNSAFE], 1)])
def test_only_an_outage_of_others_is_fine(
    deps: ModuleType, monkeypatch: pytest.MonkeyPatch, packages: Any, code: int
) -> None:
    """What is unsafe fails in CI, too."""
    monkeypatch.setattr(sys, "argv", ["deps.py", "--unreachable-is-fine"])
    tool(deps.BIN, "pip-audit", json.dumps({"dependencies": packages}) if packages else "", 1)
    assert deps.main() == code


def test_a_list_that_is_wrong_fails(deps: ModuleType) -> None:
    """Without one there is nothing to hand on."""
    tool(deps.BIN, "cyclonedx-py", "", 1)
    assert deps.main() == 1
