"""The calls of a real run are among those that its plan showed, for any runbook."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import count
from typing import Any

from anyrunbook import runbooks
from harness import ALICE, CAROL, DAVE, MINUTE, Harness, http, runbook
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.catalog import catalog
from engine.errors import EngineError
from engine.orchestration.admission import Wanted
from engine.runs import controls, executions, plans, voting
from storage.states import Decision

NUMBERS = count(1)
PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}}}


def wanted(slug: str, **parameters: Any) -> Wanted:
    return Wanted(slug, parameters, trigger="test")


@settings(
    max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_what_a_run_calls_is_among_what_its_plan_says(harness: Harness, data: st.DataObject) -> None:
    """Any runbook, whose calls read what is known and what is not."""
    body = data.draw(runbooks())
    body.pop("concurrency", None)
    harness.know_groups()  # time has passed in the runs before
    steps_ = _reading(body.pop("steps"), data)
    phases = {key: _reading(body.pop(key), data) for key in ("on_failure", "finally") if key in body}
    slug = f"any-{next(NUMBERS)}"
    if catalog.find(harness.rt, "child") is None:
        harness.publish(runbook("child", http("inner", "http://127.0.0.1:9/inner")))
    harness.publish(runbook(slug, *steps_, parameters=PARAMETERS, **body, **phases))
    plan = plans.make(harness.rt, CAROL, wanted(slug, n=1))
    known = {(each["step"], each["with"]["url"]) for each in plan.every_step() if "url" in each.get("with", {})}
    run = plans.request(harness.rt, CAROL, wanted(slug, n=1), plan.digest, force=False, reuse_within_ms=0).execution.id
    harness.run(run, MINUTE)
    for asked in executions.view(harness.rt, run).gates:
        for who in (ALICE, DAVE):
            with suppress(EngineError):
                voting.vote(harness.rt, who, run, asked.approval.path, Decision.APPROVE)
        harness.run(run, MINUTE)
    for row in harness.step_runs(run):
        for attempt in harness.attempts(run, row.path):
            if attempt.request and attempt.request.get("url"):
                assert any(_fits(row.step_id, attempt.request["url"], *each) for each in known), (row.path, known)
    if not harness.status(run).ended:
        controls.cancel(harness.rt, ALICE, run, "", force=True)
        if not harness.status(run).ended:
            controls.cancel(harness.rt, ALICE, run, "", force=True)


def _reading(steps: list[dict[str, Any]], data: st.DataObject, inside: bool = False) -> list[dict[str, Any]]:
    """The steps, whose calls name something in their URL."""
    for step in steps:
        if step["type"] == "http":
            read = ["{{ params.n }}", "{{ execution.id }}", *(["{{ index }}"] if inside else [])]
            step["with"]["url"] += data.draw(st.sampled_from(read))
        for block in ("then", "else", "steps"):
            _reading(step["with"].get(block, []), data, inside or step["type"] == "loop")
    return steps


def _fits(step: str, url: str, planned_step: str, planned_url: str) -> bool:
    pattern = re.sub(r"\\\{\\\{.*?\\\}\\\}", ".*", re.escape(planned_url))
    return step == planned_step and re.fullmatch(pattern, url) is not None
