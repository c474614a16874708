"""A team that the access file does not have is named beside it, in the studio's check and on the approval card."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli import host_commands

BOOK = "apiVersion: runbook/v1\nid: x\nname: X\n{0}steps:\n  - {{id: a, type: delay, with: {{for: 1s}}}}\n"
ACCESS = (
    "platform_admins: [U0ALICE01]\nresponders: [U0BOB0001]\nteams:\n  payments: {admins: [U0BOB0001], members: []}\n"
)


@pytest.mark.parametrize(
    ("team", "hint"), [("paymets", "; did you mean `payments`? [unknown-team]"), ("zebra", "may run it [unknown-team]")]
)
def test_it_is_told_with_its_line_and_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], team: str, hint: str
) -> None:
    (tmp_path / "x.yaml").write_text(BOOK.format(f"team: {team}\n"))
    (tmp_path / "_access.yaml").write_text(ACCESS)
    assert host_commands.main(["check", str(tmp_path / "x.yaml")]) == 0
    told = capsys.readouterr().out
    assert f"x.yaml:4:7: warning: `_access.yaml` has no team `{team}`" in told
    assert hint in told


@pytest.mark.parametrize("team", ["", "team: payments\n"])
def test_a_known_team_and_none_are_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str], team: str) -> None:
    (tmp_path / "x.yaml").write_text(BOOK.format(team))
    (tmp_path / "_access.yaml").write_text(ACCESS)
    assert host_commands.main(["check", str(tmp_path / "x.yaml")]) == 0
    assert "unknown-team" not in capsys.readouterr().out
