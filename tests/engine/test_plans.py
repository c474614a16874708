"""Plans: what a run would do is shown before it begins, and exactly that is started."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, OSCAR, Harness, Target, gate, http, runbook

from engine.errors import Frozen, NotAllowed, NotApproved
from engine.orchestration.admission import Wanted
from engine.runs import executions, plans
from engine.runs.plan_records import Plan, PlanChanged
from storage import database
from storage.states import ExecutionStatus

PARAMETERS = {"type": "object", "properties": {"host": {"type": "string"}, "n": {"type": "integer"}}}


def wanted(slug: str = "demo", /, **parameters: Any) -> Wanted:
    return Wanted(slug, parameters, trigger="test")


def planned(harness: Harness, *steps: dict[str, Any], given: dict[str, Any] | None = None, **top: Any) -> Plan:
    harness.publish(runbook("demo", *steps, parameters=PARAMETERS, **top))
    return plans.make(harness.rt, CAROL, wanted(**(given or {})))


def test_calls_are_rendered_and_secrets_are_masked(harness: Harness, target: Target) -> None:
    url = target.url("/restart/{{ params.host }}")
    step = http("restart", url, method="POST", headers={"X-Key": "{{ secrets.canary }}"}, json={"n": "{{ params.n }}"})
    plan = planned(harness, step, given={"host": "web 1", "n": 2})
    (shown,) = plan.steps
    assert shown["with"]["url"] == target.url("/restart/web%201")
    assert shown["with"]["json"] == {"n": 2}
    assert "c4nary" not in json.dumps(shown)
    assert plan.destinations[0]["secrets"] == ["canary"]
    assert plan.obstacles == ()
    assert target.paths() == []


def test_what_only_the_run_knows_is_open(harness: Harness) -> None:
    first = http("first")
    second = http("second", json={"a": "{{ steps.first.outputs.status | default(7) }}", "b": "{{ params.n }}"})
    third = http("third", if_="steps.first.outputs.status == 200", text="{{ execution.id }} {{ now }}")
    never = http("never", if_="params.n == 3")
    plan = planned(harness, first, second, third, never, given={"n": 2})
    assert plan.steps[1]["with"]["json"] == {"a": "{{ steps.first.outputs.status | default(7) }}", "b": 2}
    assert plan.steps[2]["when"] == "open"
    assert plan.steps[2]["with"]["text"] == "{{ execution.id }} {{ now }}"
    assert plan.steps[3]["when"] == "no"
    assert "with" not in plan.steps[3]
