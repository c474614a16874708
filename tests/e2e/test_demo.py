"""`make demo ONCE=1`: a newcomer's first minute."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from deployment import free_port, wait_for

from bot.demo import TARGET_PORT

pytestmark = pytest.mark.slow


@pytest.fixture
def environment() -> dict[str, str]:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", TARGET_PORT)) == 0:
            pytest.skip(f"port {TARGET_PORT} is in use on this machine")
    return {**os.environ, "PORT": str(free_port()), "PRACTICE_PORT": str(free_port())}


def test_the_demo_plays_its_incident_and_exits_with_0(environment: dict[str, str]) -> None:
    """Every line of the incident is told, it succeeds, and nothing is left running."""
    command = [sys.executable, "-P", "-m", "bot.demo", "--once"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "· Succeeded" in done.stdout
    assert "http://" not in done.stdout  # no address that is dead by the time it could be opened
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", TARGET_PORT)) != 0


def test_ctrl_c_stops_the_demo_and_all_it_started(environment: dict[str, str], tmp_path: Path) -> None:
    """SIGINT ends the demo, the bot and the practice workspace."""
    with (tmp_path / "out").open("wb") as out:
        command = [sys.executable, "-P", "-m", "bot.demo"]
        demo = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    wait_for(lambda: "Open http" in (tmp_path / "out").read_text(), 60, "the address")
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(environment["PORT"]))) != 0


def test_a_broken_setting_is_one_sentence(environment: dict[str, str]) -> None:
    """A port that is none is named, with what to do."""
    command = [sys.executable, "-P", "-m", "bot.demo", "--once"]
    done = subprocess.run(
        command, env={**environment, "PORT": "soon"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "demo: PORT=soon is no port: give a number from 1 to 65535."
