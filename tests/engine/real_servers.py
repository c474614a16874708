"""Servers of other people's making as processes of a test, and the runbooks that ship, which call them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import ALICE, CAROL, DAVE, HOUR, Harness

from engine.config.secrets import VARIABLE_PREFIX
from engine.runs import executions, voting
from engine.steps.perform import Tools
from engine.text.redaction import Redactor
from storage import database
from storage.executions import next_due_at
from storage.states import Decision, ExecutionStatus

SHIPPED = Path(__file__).parents[2] / "runbooks.d"
GRACE_S = 10
TIMES_AS_FAST = 10
RUN_S = 45


def program(name: str) -> str:
    """Where it is. Where it is not, the test is skipped, or fails if REQUIRE_NAME is 1."""
    found = shutil.which(name)
    if found is None:
        missing(name, f"there is no {name} on the PATH")
    return str(found)


def missing(name: str, why: str) -> None:
    """Skips the test, or fails it where the environment says that this server has to be there."""
    assert os.environ.get(f"REQUIRE_{name.upper()}") != "1", why
    pytest.skip(why)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(url: str, **keys: Any) -> bool:
    try:
        return httpx.get(url, timeout=1, **keys).is_success
    except httpx.HTTPError:
        return False


def wait_for(
    ready: Callable[[], bool], what: str, within_s: float, process: subprocess.Popen[bytes] | None = None
) -> None:
    until = time.monotonic() + within_s
    while not ready():
        assert process is None or process.poll() is None, f"{what} has ended"
        assert time.monotonic() < until, f"{what} was not ready within {within_s} s"
        time.sleep(0.1)


@contextmanager
def running(
    command: Sequence[str], log: Path, ready: Callable[[], bool], within_s: float = 60, **how: Any
) -> Iterator[None]:
    """The command as a process that is `ready`, and ended with the block; `how` is what Popen takes."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, **how)
    try:
        wait_for(ready, f"{command[0]}, whose log is {log},", within_s, process)
        yield
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(GRACE_S)


def know_secrets(harness: Harness, secrets: Mapping[str, str]) -> None:
    """Have a worker that knows the secrets which the targets read."""
    harness.settle_for(secret_variables={f"{VARIABLE_PREFIX}{name.upper()}": said for name, said in secrets.items()})
    redactor = Redactor()
    harness.tools = Tools(harness.egress, harness.rt.secrets(redactor), redactor)
    harness.runner = harness.worker("real")


def approve(harness: Harness, targets: Mapping[str, Any], *slugs: str) -> None:
    """Approve runbooks as they ship, with the templates beside them, for targets that are on this machine."""
    private = {name: {**said, "allow_private": True} for name, said in targets.items()}
    harness.write(_targets_yaml=json.dumps({"targets": private}))
    shutil.copytree(SHIPPED / "_templates", harness.folder / "_templates", dirs_exist_ok=True)
    report = harness.sync(**{slug: (SHIPPED / f"{slug}.yaml").read_text("utf-8") for slug in slugs})
    assert report.ok, report.problems
    for slug in slugs:
        harness.approve(slug)


def run(harness: Harness, slug: str, /, **parameters: Any) -> tuple[str, ExecutionStatus]:
    """Start it, agree to whatever it asks, and see how it ends."""
    execution = executions.start(harness.rt, CAROL, slug, parameters, trigger="test", reason="An incident").id
    status = _in_time(harness, execution)
    for who in (ALICE, DAVE):
        if status is ExecutionStatus.WAITING:
            voting.vote(harness.rt, who, execution, None, Decision.APPROVE, "")
            status = _in_time(harness, execution)
    return execution, status


def _in_time(harness: Harness, execution: str) -> ExecutionStatus:
    """As the harness runs it, but a server needs time of its own: what falls due in ten seconds is waited for one."""
    until, real = harness.clock.time + HOUR, time.monotonic() + RUN_S
    harness.advance(execution)
    while harness.status(execution) in ("PENDING", "RUNNING") and harness.clock.time < until:
        assert time.monotonic() < real, f"{harness.all_steps(execution)} after {RUN_S} s"
        before = harness.execution(execution)
        if not harness.sweep() or harness.execution(execution) == before:
            with database.reading():
                due = next_due_at(harness.clock.time) or until
            time.sleep(min(due - harness.clock.time, HOUR) / 1000 / TIMES_AS_FAST)
            harness.clock.time = due
    return harness.status(execution)


def troubles(harness: Harness, execution: str) -> dict[str, Any]:
    """What the steps that failed say, for the message of a test."""
    return {each.path: each.error for each in harness.step_runs(execution) if each.error}
