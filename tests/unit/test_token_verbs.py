"""`runbook token` on the host."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bot import cli
from storage import database


@pytest.fixture
def host(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a migrated database, as the operator sees it."""
    shutil.copy(sqlite_template, tmp_path / "host.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'host.db'}")
    monkeypatch.setattr("engine.text.logs.install_logging", lambda *_: None)


@pytest.mark.usefixtures("host")
def test_an_operator_makes_lists_and_ends_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    """The secret alone goes to standard output, so that a script can take it."""
    assert cli.main(["token", "create", "U0ALICE01", "deploy job", "--scopes", "run", "--expires", "2d"]) == 0
    made = capsys.readouterr()
    assert made.out.startswith("rbk_")
    assert made.out.count("\n") == 1
    token_id = made.err.split()[0]
    assert cli.main(["token", "list"]) == 0
    assert capsys.readouterr().out.split()[:3] == [token_id, "U0ALICE01", "read,run"]
    assert cli.main(["token", "revoke", token_id]) == 0
    assert "revoked" in capsys.readouterr().out
    assert cli.main(["token", "revoke", token_id]) == 3
    assert "revoked already" in capsys.readouterr().err
    assert cli.main(["token", "create", "alice", "x", "--expires", "never"]) == 2
    wrong = capsys.readouterr().err
    assert "person: a Slack user id" in wrong
    assert "expires:" in wrong
    database.close_database()
