"""The REST API of a real deployment: a token from the host, a run followed to its end, a stop that waits for nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from deployment import ALICE, CAROL, Deployment, wait_for
from httpx_sse import connect_sse

BOOK = """
apiVersion: runbook/v1
id: ping
name: Ping
team: payments
steps:
  - id: wait-a-little
    type: delay
    with: {for: 300ms}
  - id: sign-off
    type: approval
    with: {approvers: {roles: [platform_admin]}, message: "Go on?"}
    timeout: 15m
"""


def token(deployment: Deployment, who: str) -> str:
    """A token made on the host, as an operator does."""
    command = [sys.executable, "-P", "-m", "bot.cli", "token", "create", who, "a test", "--scopes", "run,approve,admin"]
    made = subprocess.run(
        command, cwd=deployment.folder, env=deployment.environment(), capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


@pytest.mark.slow
def test_a_run_over_rest_from_start_to_end(tmp_path: Path) -> None:
    """By real processes; the stream tells everything, and an open one does not hold up SIGTERM."""
    with Deployment(tmp_path) as deployment:
        deployment.runbook("ping", BOOK)
        deployment.up()
        asking: dict[str, Any] = {"base_url": f"{deployment.base}/api/v1", "trust_env": False, "timeout": 30}
        alice, carol = (
            httpx.Client(**asking, headers={"Authorization": f"Bearer {token(deployment, who)}"})
            for who in (ALICE, CAROL)
        )
        assert alice.post("/runbooks/ping/approve", json={"version": 1}).status_code == 200
        run = carol.post("/runbooks/ping/execute", json={}).json()["execution"]["id"]
        told: list[str] = []
        listener = threading.Thread(target=follow, args=(carol, run, told), daemon=True)
        listener.start()
        wait_for(lambda: "gate_opened" in told, 20, "the gate")
        assert alice.post(f"/executions/{run}/steps/sign-off/approve", json={}).status_code == 200
        listener.join(20)
        assert (told[0], told[-2:]) == ("started", ["ended", "end"])
        assert carol.get(f"/executions/{run}").json()["status"] == "SUCCESS"
        assert "runbook_run_seconds" in httpx.get(f"{deployment.base}/metrics", trust_env=False).text

        open_run = carol.post("/runbooks/ping/execute", json={"force": True, "reason": "again"}).json()
        told.clear()
        listener = threading.Thread(target=follow, args=(carol, open_run["execution"]["id"], told), daemon=True)
        listener.start()
        wait_for(lambda: "gate_opened" in told, 20, "the second gate")
        began = time.monotonic()
        assert deployment.stop() == 0
        assert time.monotonic() - began < 8
        listener.join(5)
        for client in (alice, carol):
            client.close()


def follow(client: httpx.Client, run: str, told: list[str]) -> None:
    """Note the kind of every event that a stream tells."""
    with connect_sse(client, "GET", f"/executions/{run}/events") as source:
        for event in source.iter_sse():
            if event.data:
                told.append(event.event)
                event.json()
