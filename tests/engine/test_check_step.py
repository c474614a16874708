"""The `check` step: a run goes on only where its condition holds, and else says why it stopped."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Harness, Target, http, runbook

from engine.definition.load import examine

PARAMETERS = {"type": "object", "properties": {"replicas": {"type": "integer"}}, "required": ["replicas"]}


def check(**with_: Any) -> dict[str, Any]:
    return {"id": "enough", "type": "check", "with": with_}


def started(harness: Harness, target: Target, step: dict[str, Any], replicas: int) -> str:
    harness.publish(runbook("demo", step, http("act", target.url("/act"), needs=["enough"]), parameters=PARAMETERS))
    return harness.start("demo", replicas=replicas)


def test_what_holds_lets_the_run_go_on(harness: Harness, target: Target) -> None:
    run = started(harness, target, check(that="params.replicas >= 2"), 2)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/act"]


@pytest.mark.parametrize(
    ("that", "replicas"),
    [
        ("params.replicas >= 2", 1),
        ({"all": ["params.replicas > 0", {"field": "params.replicas", "operator": "in", "value": [5, 6]}]}, 1),
        (False, 9),
    ],
)
def test_what_does_not_hold_fails_the_run_with_its_message(
    harness: Harness, target: Target, that: Any, replicas: int
) -> None:
    run = started(harness, target, check(that=that, message="Only {{ params.replicas }} replicas."), replicas)
    assert harness.run(run) == "FAILED"
    step = harness.step(run, "enough")
    assert (step.status, step.error["code"]) == ("FAILED", "check_failed")
    assert step.error["message"] == f"Only {replicas} replicas."
    assert target.paths() == []


def test_without_a_message_it_still_says_what_happened(harness: Harness, target: Target) -> None:
    run = started(harness, target, check(that="params.replicas > 1"), 1)
    harness.run(run)
    assert harness.step(run, "enough").error["message"] == "What this check asks for does not hold."


def test_a_text_is_no_answer(harness: Harness, target: Target) -> None:
    """A text that is not empty is true in many languages: `"false"` must not mean yes."""
    parameters = {"type": "object", "properties": {"ready": {}}}
    harness.publish(
        runbook(
            "demo", check(that="params.ready"), http("act", target.url("/act"), needs=["enough"]), parameters=parameters
        )
    )
    run = harness.start("demo", ready="false")
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "enough").error["code"] != "check_failed"
    assert target.paths() == []


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"id": "c", "type": "check", "with": {"message": "no"}}, "that"),
        ({"id": "c", "type": "check", "with": {"that": "true"}, "retry": {"max_attempts": 2}}, "http and grpc"),
        ({"id": "c", "type": "check", "with": {"that": "true"}, "timeout": "5s"}, "decided at once"),
        ({"id": "c", "type": "check", "with": {"that": "secrets.token == 'x'"}}, "secret"),
        ({"id": "c", "type": "check", "with": {"that": "'false'"}}, "must be true or false"),
        ({"id": "c", "type": "check", "with": {"that": "steps.nowhere.outputs.x"}}, "nowhere"),
        ({"id": "c", "type": "check", "with": {"that": "true", "message": "{{ secrets.token }}"}}, "secret"),
    ],
)
def test_mistakes_are_told_when_the_file_is_checked(step: dict[str, Any], said: str) -> None:
    found = examine(runbook("demo", step).encode(), "demo.yaml").problems
    assert any(said in problem.message for problem in found), found
