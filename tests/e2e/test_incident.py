"""The sample incident with real processes: as it should go, and with processes killed under it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deployment import ALICE, CAROL, DAVE, LB_TOKEN, OSCAR, Deployment, wait_for

RESTART = """
apiVersion: runbook/v1
id: restart
name: Restart a service
description: Drain it, ask, restart it, see it healthy, put it back.
team: payments
risk: high
parameters:
  type: object
  required: [service]
  properties:
    service: {type: string, enum: [checkout, basket]}
steps:
  - id: drain
    type: http
    with:
      method: POST
      url: "TARGET/lb/drain/{{ params.service }}"
      auth: {type: bearer, token: "{{ secrets.lb_token }}"}
    idempotent: true
  - id: sign-off
    type: approval
    with: {min_approvals: 2, approvers: {roles: [platform_admin]}, message: "Restart {{ params.service }}?"}
  - id: restart
    type: http
    with: {method: POST, url: "TARGET/hosts/restart/{{ params.service }}"}
    idempotent: true
  - id: healthy
    type: poll
    with: {url: "TARGET/hosts/health/{{ params.service }}", until: "response.json.ok", interval: 1s}
  - id: restore
    type: http
    with:
      method: POST
      url: "TARGET/lb/restore/{{ params.service }}"
      auth: {type: bearer, token: "{{ secrets.lb_token }}"}
    idempotent: true
"""

ONCE = {"drain checkout": 1, "restart checkout": 1, "restore checkout": 1}


def started(deployment: Deployment) -> None:
    """The bot is up, the runbook approved and running."""
    deployment.runbook("restart", RESTART)
    deployment.up()
    deployment.approve_runbook("restart")
    deployment.command(CAROL, 'run restart service=checkout reason="errors"')


def decided(deployment: Deployment) -> None:
    deployment.click(ALICE, "gate.approve")
    deployment.click(DAVE, "gate.approve")


@pytest.mark.parametrize(
    ("database", "mode"),
    [
        ("sqlite", "socket"),
        ("postgresql", "http"),
        pytest.param("sqlite", "http", marks=pytest.mark.slow),
        pytest.param("postgresql", "socket", marks=pytest.mark.slow),
    ],
    indirect=["database"],
)
def test_an_incident_from_command_to_finished_thread(mode: str, tmp_path: Path, database: str) -> None:
    """A run goes from the slash command over two approvals to its end, and Slack has nothing to refuse."""
    with Deployment(tmp_path / "bot", mode=mode, database=database) as deployment:
        started(deployment)
        deployment.click(OSCAR, "gate.approve")
        deployment.said(OSCAR, "Only platform admins may decide this")
        decided(deployment)
        assert "Succeeded" in deployment.ended()
        deployment.said(CAROL, "Succeeded after")
        assert deployment.effects() == ONCE
        assert deployment.problems() == []
        assert deployment.button(ALICE, "gate.approve") is None
        assert deployment.stop() == 0


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
def test_kill_9_of_every_process_in_turn(tmp_path: Path, database: str) -> None:
    """kill -9 of worker, Redis and web process each end in a finished run, with nothing done twice."""
    with Deployment(tmp_path / "bot", database=database) as deployment:
        deployment.slow("/lb/drain/checkout", 1500)
        started(deployment)
        wait_for(lambda: "Running" in " ".join(deployment.texts()), 15, "the card")
        deployment.kill("worker")
        deployment.said(CAROL, "Waiting for a decision", 20)
        deployment.kill("web")
        wait_for(deployment.ready, 15, "the new web process")
        deployment.click(ALICE, "gate.approve")
        deployment.said(ALICE, "1 more needed", 15)
        deployment.kill("redis-server")
        deployment.slow("/hosts/restart/checkout", 1500)
        deployment.click(DAVE, "gate.approve")
        assert "Succeeded" in deployment.ended()
        done = deployment.effects()
        assert set(done) == set(ONCE), done
        assert done["restore checkout"] == 1


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
def test_a_killed_worker_leaves_a_call_that_must_not_be_repeated_to_a_person(tmp_path: Path, database: str) -> None:
    """A worker killed during a call that is not idempotent leaves UNKNOWN; nobody repeats it; a person settles it."""
    with Deployment(tmp_path / "bot", database=database) as deployment:
        text = RESTART.replace('restart/{{ params.service }}"}\n    idempotent: true', 'restart/{{ params.service }}"}')
        deployment.runbook("restart", text)
        deployment.up()
        deployment.approve_runbook("restart")
        deployment.command(CAROL, 'run restart service=checkout reason="errors"')
        deployment.slow("/hosts/restart/checkout", 2500)
        decided(deployment)
        wait_for(lambda: "restart: …" if _status(deployment, "restart") == "in_progress" else None, 15, "the restart")
        time.sleep(0.3)
        deployment.kill("worker")
        deployment.said(CAROL, "nobody saw how it ended", 20)
        assert "Succeeded" not in " ".join(deployment.texts())
        execution = next(text for text in deployment.texts() if "· R-" in text).split("· ")[1].split(" ")[0]
        deployment.command(CAROL, f'resolve {execution} restart done note="the hosts say it restarted"')
        assert "Succeeded" in deployment.ended()
        assert deployment.effects()["restart checkout"] == 1


def _status(deployment: Deployment, step: str) -> str | None:
    for message in deployment.messages():
        for block in message.get("blocks", []):
            for task in block.get("tasks", []) if block["type"] == "plan" else []:
                if task["title"].split(" ")[0] == step:
                    return str(task["status"])
    return None


def test_nothing_is_left_running_after_sigterm(tmp_path: Path) -> None:
    """SIGTERM ends the bot and all its children within 20 s, and its lock is gone."""
    with Deployment(tmp_path / "bot") as deployment:
        deployment.up()
        pids = [deployment.child(word) for word in ("web", "worker", "redis-server")]
        assert all(pids)
        assert deployment.stop(20) == 0
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        assert not (deployment.folder / "var" / "up.lock").exists()


def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    """kill -9 of `runbook up` itself leaves no process behind."""
    with Deployment(tmp_path / "bot") as deployment:
        deployment.up()
        pids = [deployment.child(word) for word in ("web", "worker", "redis-server")]
        assert deployment.process is not None
        os.kill(deployment.process.pid, signal.SIGKILL)
        deployment.process.wait()
        wait_for(lambda: not [pid for pid in pids if _alive(pid)], 20, "the end of all children")


def _alive(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """A second bot on the same port says so in one sentence and exits with 2."""
    with Deployment(tmp_path / "bot") as deployment:
        deployment.up()
        other = tmp_path / "other"
        other.mkdir()
        command = [sys.executable, "-P", "-m", "bot.cli", "up"]
        done = subprocess.run(
            command, cwd=other, env=deployment.environment(), capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 2
        last = done.stderr.strip().splitlines()[-1]
        taken = f"runbook: PORT: 127.0.0.1:{deployment.port} is taken by another program. "
        assert last == taken + "Set PORT to a free one, or 0 to have one picked."


def test_a_secret_shows_nowhere(tmp_path: Path) -> None:
    """The token that a step sends is in no database file, log, Slack call or Redis; only the target saw it."""
    echo = RESTART.replace("TARGET/lb/drain/{{ params.service }}", "TARGET/lb/nonsense/{{ params.service }}")
    with Deployment(tmp_path / "bot", LOG_LEVEL="DEBUG") as deployment:
        deployment.runbook("restart", echo.replace("{{ params.service }}?", "it?"))
        deployment.up()
        deployment.approve_runbook("restart")
        deployment.command(CAROL, 'run restart service=checkout reason="errors"')
        assert "Failed" in deployment.ended()
        shown = deployment.calls()
        deployment.stop()
        stored = b"".join(path.read_bytes() for path in (deployment.folder / "var").rglob("*") if path.is_file())
        assert LB_TOKEN.encode() not in stored
        assert LB_TOKEN not in deployment.log()
        assert LB_TOKEN not in shown
