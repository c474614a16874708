"""AWS as moto plays it, and the runbooks that ship in a deployment whose targets lead there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import yaml
from harness import ALICE, CAROL, DAVE, Harness

from engine.config.secrets import VARIABLE_PREFIX
from engine.runs import executions, voting
from engine.steps.perform import Tools
from engine.text.redaction import Redactor
from storage.states import Decision, ExecutionStatus

SHIPPED = Path(__file__).parents[2] / "runbooks.d"
KEYS = {"aws_access_key_id": "AKIAFAKE0000EXAMPLE1", "aws_secret_access_key": "not-a-key-of-anybody-0123456789"}
REGION = "eu-central-1"


@contextmanager
def moto_server() -> Iterator[str]:
    """The URL of an AWS in threads of this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client(url: str, service: str) -> Any:
    """What a person at AWS's own command line would see."""
    key, secret = KEYS.values()
    return boto3.client(service, REGION, endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret)


def shipped_targets(url: str) -> dict[str, Any]:
    """The targets of AWS as they ship, at another address."""
    targets = yaml.safe_load((SHIPPED / "_targets.yaml").read_text())["targets"]
    return {
        name: {**said, "url": url, "allow_private": True} for name, said in targets.items() if name.startswith("aws_")
    }


def know_keys(harness: Harness) -> None:
    """Have a worker that knows the secrets which the targets read."""
    harness.settle_for(secret_variables={f"{VARIABLE_PREFIX}{name.upper()}": value for name, value in KEYS.items()})
    redactor = Redactor()
    harness.tools = Tools(harness.egress, harness.rt.secrets(redactor), redactor)
    harness.runner = harness.worker("aws")


def approved(
    harness: Harness, url: str, slug: str, edits: Iterable[tuple[str, str]] = (), **more: dict[str, Any]
) -> str:
    """A runbook that ships, approved with what its targets are here; `more` are other targets.

    `edits` are what somebody who takes it over changes in it: words that are there, and what stands in their place.
    """
    text = (SHIPPED / f"{slug}.yaml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    harness.write(_targets_yaml=json.dumps({"targets": {**shipped_targets(url), **more}}))
    report = harness.sync(**{slug: text})
    assert report.ok, report.problems
    harness.approve(slug)
    return slug


def run(harness: Harness, slug: str, /, **parameters: Any) -> tuple[str, ExecutionStatus]:
    """Start it, agree to whatever it asks, and see how it ends."""
    execution = executions.start(harness.rt, CAROL, slug, parameters, trigger="test", reason="An incident").id
    status = harness.run(execution)
    for who in (ALICE, DAVE):
        if status is ExecutionStatus.WAITING:
            voting.vote(harness.rt, who, execution, None, Decision.APPROVE, "")
            status = harness.run(execution)
    return execution, status


def troubles(harness: Harness, execution: str) -> dict[str, Any]:
    """What the steps that failed say, for the message of a test."""
    return {each.path: each.error for each in harness.step_runs(execution) if each.error}
