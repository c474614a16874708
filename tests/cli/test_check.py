"""`runbook check` of a folder: what a sync would read of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli.entry import main

GOOD = "apiVersion: runbook/v1\nid: ID\nname: Good\nsteps:\n  - {id: say, type: message, with: {text: Hello}}\n"


def test_every_file_of_a_folder_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other `_*.yaml` and what is no YAML are no runbooks; the access file is checked with them."""
    (tmp_path / "a.yaml").write_text(GOOD.replace("ID", "a"))
    (tmp_path / "b.yml").write_text(GOOD.replace("ID", "b"))
    (tmp_path / "_draft.yaml").write_text("{{ nonsense")
    (tmp_path / "README.md").write_text("# nonsense")
    (tmp_path / "_access.yaml").write_text("platform_admins: [U0ALICE01]\n")
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "3 files are fine\n"
    (tmp_path / "_access.yaml").write_text("platform_admin: [U0ALICE01]\n")
    (tmp_path / "c.yaml").write_text(GOOD.replace("ID", "a"))
    assert main(["check", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "_access.yaml" in told
    assert "the id a is used by a.yaml and c.yaml" in told


def test_an_empty_folder_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert "there is no runbook in this folder" in capsys.readouterr().out
