"""The runbooks of others that are rewritten in the docs: without a warning, rehearsed, and each with its original."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import ROOT, read, rows

from bot.cli import main

FOLDER = ROOT / "docs/examples"
EXAMPLES = [path for path in sorted(FOLDER.glob("[!_]*.yaml")) if not path.name.endswith(".rehearsal.yaml")]


def test_all_are_right_and_bring_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--strict", str(FOLDER)]) == 0, capsys.readouterr()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_passes_its_rehearsals(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rehearsal = path.with_suffix(".rehearsal.yaml")
    assert main(["rehearse", str(rehearsal)]) == 0, capsys.readouterr()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_names_its_original_as_the_table_does(path: Path) -> None:
    """And says what reads differently."""
    (row,) = [cells for cells in rows(read("docs/examples/README.md")) if f"({path.name})" in cells[0]]
    head = path.read_text("utf-8").partition("apiVersion")[0]
    (original,) = re.findall(r"\((https://[^)]+)\)", row[1])
    assert original in head
    assert "# What reads differently: " in head


def test_there_are_eight_and_the_table_has_no_other() -> None:
    named = [re.findall(r"\(([^)]+\.yaml)\)", cells[0])[0] for cells in rows(read("docs/examples/README.md"))]
    assert named == [path.name for path in EXAMPLES]
    assert len(named) == 8
