"""Completion in a real bash, and its scripts in the shells that are there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bot.cli import completion, operate
from bot.grammar import VERBS

OPERATORS = tuple(operate.VERBS)
FAKE = """#!/bin/sh
case "$1" in
  list) printf '[\\n  {\\n    "id": "restart-api"\\n  },\\n  {\\n    "id": "purge"\\n  }\\n]\\n';;
  show) [ "$2" = restart-api ] && printf '  approved, version 1\\n  service=api|web (required)\\n  grace=integer\\n';;
  runs) printf '[\\n  {\\n    "id": "R-7K2M9Q"\\n  }\\n]\\n';;
esac
"""
"""A `runbook` that answers what completion looks up, in the shape that `--json` has."""


def completed(tmp_path: Path, line: str) -> set[str]:
    """What bash offers when Tab is pressed at the end of this line."""
    program = tmp_path / "runbook"
    program.write_text(FAKE)
    program.chmod(0o755)
    script = tmp_path / "completion.bash"
    script.write_text(completion.script("bash", OPERATORS))
    asked = (
        f'source "{script}"; COMP_LINE="$1"; COMP_POINT=${{#1}}; compopt() {{ :; }}; _runbook; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", asked, "bash", line],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("runbook sta", {"start", "status"}),
        ("runbook doc", {"doctor"}),
        ("runbook run ", {"restart-api", "purge", "reason="}),
        ("runbook run re", {"restart-api", "reason="}),
        ("runbook start pu", {"purge"}),
        ("runbook run restart-api ", {"service=", "grace=", "reason="}),
        ("runbook execute restart-api service=api gr", {"grace="}),
        ("runbook run purge s", set()),
        ("runbook pause ", {"R-7K2M9Q", "reason="}),
        ("runbook cancel R-7K2M9Q f", {"force="}),
        ("runbook admin appr", {"approve"}),
        ("runbook admin approve p", {"purge"}),
        ("runbook completion z", {"zsh"}),
        ("runbook help ad", {"admin"}),
        ("runbook run restart-api --no", {"--no-wait"}),
        ("runbook nonsense x", set()),
    ],
)
def test_bash_offers_what_fits(tmp_path: Path, line: str, offered: set[str]) -> None:
    """Verbs, aliases, words of admins, ids that are looked up, keys, and our own options."""
    assert completed(tmp_path, line) == offered


def test_every_verb_is_offered(tmp_path: Path) -> None:
    """People's and operators'."""
    assert {verb.name.partition(" ")[0] for verb in VERBS} | set(OPERATORS) <= completed(tmp_path, "runbook ")


def test_nothing_is_offered_where_nothing_answers(tmp_path: Path) -> None:
    """Without a token there are no ids, and no complaint."""
    assert completed(tmp_path, "runbook show q") == set()


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_shell_itself_can_read_its_script(tmp_path: Path, shell: str) -> None:
    """Where that shell is on this machine."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} on this machine")
    script = tmp_path / "script"
    script.write_text(completion.script(shell, OPERATORS))
    subprocess.run([program, "-n", str(script)], check=True, capture_output=True)
