"""`runbook audit verify` on the bot's host: its exit codes, and what it says of files that are no heads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.cli import entry
from engine import boot
from engine.config import settings
from engine.config.settings import Settings
from engine.queries import audit_chain
from engine.runtime import Runtime
from storage import audit, database, sql

ANCHORS = ("nonsense", "[]", '{"seq": 0, "hash": "x"}', '{"seq": true, "hash": "x"}', '{"seq": 1}', "", "\x00")


@pytest.fixture
def rt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    monkeypatch.chdir(tmp_path)
    loaded: Settings = settings.load({}, tmp_path)
    boot.migrate_database(loaded)
    made = boot.open_engine(loaded)
    with database.transaction():
        for number in range(4):
            audit.write(made.workspace_id, "U0ALICE01", "test.row", f"thing:{number}")
    return made


def test_a_whole_chain_is_0_and_a_broken_one_1(rt: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    """The first row that is wrong is named first, with what was done to it."""
    assert entry.main(["audit", "verify"]) == 0
    assert "4 rows, the chain is whole, keyed from row 1 on" in capsys.readouterr().out
    with database.transaction():
        sql.run("DROP TRIGGER audit_sealed")
        sql.run("UPDATE audit SET actor = 'U0OTHER01' WHERE seq = 2")
    assert entry.main(["audit", "verify", "--since", "3"]) == 0
    capsys.readouterr()
    assert entry.main(["audit", "verify"]) == 1
    assert capsys.readouterr().out.startswith("row 2 was changed: it does not say what was sealed")


def test_heads_noted_elsewhere_are_compared(rt: Runtime, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows cut off the end are found by them alone."""
    found = audit_chain.verify(rt)
    file = tmp_path / "heads.jsonl"
    file.write_text(json.dumps({"at": "now", "seq": found.seq, "hash": found.hash, "mac": found.mac}) + "\n\n")
    assert entry.main(["audit", "verify", "--anchor", str(file)]) == 0
    with database.transaction():
        sql.run("DROP TRIGGER audit_kept")
        sql.run("DELETE FROM audit WHERE seq >= 3")
    capsys.readouterr()
    assert entry.main(["audit", "verify"]) == 0
    assert entry.main(["audit", "verify", "--anchor", str(file)]) == 1
    assert "row 3 was cut off the end" in capsys.readouterr().out


@pytest.mark.parametrize("text", ANCHORS)
def test_a_file_without_heads_is_wrong_usage(
    rt: Runtime, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which line is wrong and what belongs there."""
    assert rt.workspace_id
    file = tmp_path / "heads.jsonl"
    file.write_text(text)
    assert entry.main(["audit", "verify", "--anchor", str(file)]) == 2
    assert "heads.jsonl" in capsys.readouterr().err


def test_what_is_no_time_or_row_is_wrong_usage(rt: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    """And it says what would be one; a time since which nothing was sealed is no reason to say that all is well."""
    assert rt.workspace_id
    assert [entry.main(["audit", "verify", "--since", each]) for each in ("soon", "2999-01-01")] == [2, 2]
    said = capsys.readouterr().err
    assert "2027-01-31T09:00Z" in said
    assert "no row was sealed since 2999-01-01" in said
    assert entry.main(["audit", "verify", "--since", "1d"]) == 0
