"""`runbook rehearse --from` on the bot's host: masked, only for who may look at the run, and passing at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from harness import ALICE, CAROL, OSCAR, Actor, Harness, Target, answer, gate, http

from engine.access import tokens
from engine.runs import voting
from storage import database
from storage.states import Decision

SECRET = "c4nary-b1rd-of-the-m1ne"
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


def asked(harness: Harness, who: Actor, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line of this person, in a process of its own on the same database."""
    _, token = tokens.create(harness.rt, who, "cli")
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(harness.folder.parent), "RUNBOOK_TOKEN": token,
"DATABASE_URL": f"sqlite:///{harness.rt.settings.database_url.path}",
        "RUNBOOKS_DIR": str(harness.folder), "RUNBOOK_SECRET_CANARY": SECRET,
    }  # fmt: skip
    command = [sys.executable, "-m", "bot.cli", *words]
    return subprocess.run(command, env=environ, cwd=harness.folder.parent, capture_output=True, text=True, timeout=60)


@pytest.fixture
def ended(harness: Harness, target: Target) -> str:
    """A run with a gate, a secret in what was sent, which the server has echoed, and a retry."""
    body = f'{{"echo": "{SECRET}", "n": 7}}'.encode()
    target.does["/x"] = [answer(b"", "503 Busy"), answer(body, "200 OK", "Content-Type: application/json")]
    call = http(
        "x",
        target.url("/x"),
        method="PUT",
        json={"key": "{{ secrets.canary }}"},
        outputs={"n": "{{ response.json.n }}"},
    )
    run_id = harness.begin(gate("ask"), call, outputs={"n": "{{ steps.x.outputs.n }}"})
    harness.run(run_id)
    voting.vote(harness.rt, ALICE, run_id, "ask", Decision.APPROVE)
    assert harness.run(run_id) == "SUCCESS"
    return run_id


def test_what_is_recorded_is_masked_and_passes(harness: Harness, ended: str) -> None:
    database.use_clock(None)
    made = asked(harness, CAROL, "rehearse", "--from", ended)
    assert made.returncode == 0, made.stderr
    assert SECRET not in made.stdout
    assert "‹secret canary›" in made.stdout
    assert ended not in made.stdout.replace(f"As in {ended}", "")
    (harness.folder / "demo.rehearsal.yaml").write_text(made.stdout)
    played = asked(harness, CAROL, "rehearse", str(harness.folder))
    assert played.returncode == 0, played.stdout
    assert "1 passed" in played.stdout


def test_who_may_not_see_the_run_records_nothing(harness: Harness, ended: str) -> None:
    database.use_clock(None)
    made = asked(harness, OSCAR, "rehearse", "--from", ended)
    assert made.returncode != 0
    assert made.stdout == ""


def test_a_run_that_is_not_there_is_said(harness: Harness) -> None:
    database.use_clock(None)
    made = asked(harness, ALICE, "rehearse", "--from", "R-NONE22")
    assert made.returncode == 3
    assert "R-NONE22" in made.stderr
