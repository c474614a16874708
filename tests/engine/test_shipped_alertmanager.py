"""The runbooks for Alertmanager that ship, against Debian's Alertmanager."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Clock, Harness

from engine import boot
from engine.config import settings
from storage import database
from storage.states import ExecutionStatus

SHIPPED = Path(__file__).parents[2] / "runbooks.d"
RUNBOOKS = ("alertmanager-silence", "alertmanager-silence-expire")
CONFIGURATION = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """Its address. The process is the test's own, keeps what it keeps in the test's folder and talks to no peer."""
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        assert os.environ.get("REQUIRE_ALERTMANAGER") != "1", "there is no prometheus-alertmanager on the PATH"
        pytest.skip("there is no prometheus-alertmanager on the PATH")
    (tmp_path / "alertmanager.yml").write_text(CONFIGURATION)
    port = free_port()
    options = {
        "config.file": tmp_path / "alertmanager.yml",
        "storage.path": tmp_path / "alertmanager",
        "web.listen-address": f"127.0.0.1:{port}",
        "cluster.listen-address": "",
    }
    with (tmp_path / "alertmanager.log").open("wb") as log:
        command = [program, *(f"--{name}={value}" for name, value in options.items())]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 20
        while not answers(url):
            assert process.poll() is None, (tmp_path / "alertmanager.log").read_text()
            assert time.monotonic() < until, "Alertmanager did not get ready"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def harness(database_url: str, tmp_path: Path, runbooks_dir: Path, alertmanager: str) -> Iterator[Harness]:
    """An engine with the clock of the day, so that a silence which begins now has begun for Alertmanager, too."""
    loaded = settings.load({"DATABASE_URL": database_url, "RUNBOOKS_DIR": str(runbooks_dir)}, tmp_path)
    clock = Clock(int(time.time() * 1000))
    rt = boot.open_engine(loaded)
    database.use_clock(clock)
    made = Harness(rt, clock)
    targets = f"targets: {{alertmanager: {{url: '{alertmanager}', allow_private: true}}}}"
    shipped = {name: (SHIPPED / f"{name}.yaml").read_text("utf-8") for name in RUNBOOKS}
    report = made.sync(_targets_yaml=targets, **shipped)
    assert report.ok, report.problems
    for name in RUNBOOKS:
        made.approve(name)
    yield made
    made.close()


def silences(alertmanager: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{alertmanager}/api/v2/silences").json()
    return found


def silence(harness: Harness, hours: int = 1) -> str:
    until = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return harness.start("alertmanager-silence", alertname="HighLatency", until=until)


def test_a_silence_comes_into_force_and_is_expired(harness: Harness, alertmanager: str) -> None:
    run = silence(harness)
    assert harness.run(run) is ExecutionStatus.SUCCESS
    (made,) = silences(alertmanager)
    assert made["status"]["state"] == "active"
    assert made["createdBy"] == "U0CAROL01"
    assert run in made["comment"]
    assert {(each["name"], each["value"]) for each in made["matchers"]} == {
        ("alertname", "HighLatency"),
        ("instance", ".*"),
    }
    assert harness.run(harness.start("alertmanager-silence-expire", silence=made["id"])) is ExecutionStatus.SUCCESS
    assert [each["status"]["state"] for each in silences(alertmanager)] == ["expired"]


def test_one_that_is_over_is_not_expired_again(harness: Harness, alertmanager: str) -> None:
    assert harness.run(silence(harness)) is ExecutionStatus.SUCCESS
    (made,) = silences(alertmanager)
    assert httpx.delete(f"{alertmanager}/api/v2/silence/{made['id']}").status_code == 200
    again = harness.start("alertmanager-silence-expire", silence=made["id"])
    assert harness.run(again) is ExecutionStatus.FAILED
    assert set(harness.all_steps(again)) >= {"before", "in-force"}
    assert harness.step(again, "in-force").status == "FAILED"
    assert harness.attempts(again, "expire") == []


def test_a_silence_that_would_end_in_the_past_fails_the_run(harness: Harness, alertmanager: str) -> None:
    assert harness.run(silence(harness, hours=-1)) is ExecutionStatus.FAILED
    assert silences(alertmanager) == []
