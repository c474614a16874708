"""`now`: one moment for a step, whatever becomes of its attempts, and none for what is looked at more than once."""

from __future__ import annotations

from typing import Any

import pytest
from harness import CAROL, Harness, Target, gate, http, runbook
from local_server import answer

from engine.definition.load import examine
from engine.runs import replay_run
from storage import approvals, database

ACT = http("act", url="https://h.example.com/", outputs={"at": "{{ now }}"})


def test_a_call_that_is_made_again_says_the_same(harness: Harness, target: Target) -> None:
    """Servers compare what came with one Idempotency-Key: another body would be refused."""
    step = http("act", target.url("/act") + "?at={{ now }}", retry={"max_attempts": 3, "delay": "10s"})
    harness.publish(runbook("demo", step))
    target.does["/act"] = [answer(b"no", "500 Oops"), answer(b"no", "500 Oops"), answer()]
    assert harness.run(harness.start("demo")) == "SUCCESS"
    assert len(target.paths()) == 3
    assert len(set(target.paths())) == 1


def test_a_replay_has_a_moment_of_its_own(harness: Harness, target: Target) -> None:
    harness.publish(runbook("demo", http("act", target.url("/act"), outputs={"at": "{{ now }}"})))
    first = harness.start("demo")
    assert harness.run(first) == "SUCCESS"
    harness.clock.tick(60_000)
    second = replay_run.replay(harness.rt, CAROL, first, reason="once more").id
    assert harness.run(second) == "SUCCESS"
    one, other = (harness.step(each, "act").outputs["at"] for each in (first, second))
    assert one < other


def test_a_gate_shows_what_is_behind_it_as_written(harness: Harness, target: Target) -> None:
    """What people look at does not change while they look, or every vote would be void."""
    step = http("act", target.url("/act"), json={"at": "{{ now }}"}, method="POST")
    harness.publish(runbook("demo", gate("ask"), step))
    run = harness.start("demo")
    harness.advance(run)
    with database.reading():
        (asked,) = approvals.of_execution(run)
    assert "{{ now }}" in str(asked.preview)


def problems(*steps: dict[str, Any], **top: Any) -> list[str]:
    return [each.message for each in examine(runbook("demo", *steps, **top).encode(), "x.yaml").problems]


@pytest.mark.parametrize(
    "step",
    [
        {"id": "s", "type": "delay", "with": {"for": "1s"}, "if": "now > execution.started_at"},
        {"id": "s", "type": "branch", "with": {"if": "now > '2026'", "then": [ACT]}},
        {"id": "s", "type": "loop", "with": {"items": "{{ [now] }}", "steps": [ACT]}},
        {"id": "s", "type": "loop", "with": {"while": "now < '2026'", "steps": [ACT]}},
        gate("s", message="{{ now }}"),
    ],
)
def test_what_decides_a_runs_way_has_no_now(step: dict[str, Any]) -> None:
    (problem,) = problems(step)
    assert "`now` is not there in what decides a run's way" in problem


def test_now_is_a_text() -> None:
    assert problems(ACT) == []
    (problem,) = problems({"id": "s", "type": "message", "with": {"text": "{{ now.year }}"}})
    assert "`now` is a text such as" in problem
