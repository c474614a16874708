"""What was promised of a run that has ended, held against its rows and against what the server really received."""

from __future__ import annotations

import gate_invariants
import invariants
import scenarios
from counting import CountingServer

from engine.runs import executions
from engine.runtime import Runtime
from storage import database, events

METHODS = ("GET", "PUT", "POST")


def check(rt: Runtime, server: CountingServer, run_id: str) -> None:
    """Raise `AssertionError` for the first promise that was not kept."""
    seen = executions.view(rt, run_id)
    run = seen.execution
    assert run.status == scenarios.ENDS[run.slug], (run.id, run.slug, run.status, run.error)
    invariants.check(run.id)
    invariants.check_audit(rt.workspace_id, run.id)
    with database.reading():
        story = events.after(run.id, 0, 10_000)
    resolved = {each.path for each in story if each.kind == "step_resolved"}
    for step in seen.steps:
        if step.attempts:
            with database.reading():
                lacking = list(gate_invariants.lacking_before(run.id, step.path))
            assert not lacking, f"{step.path} of {run.id} began, and {lacking} had not released it"
        if step.kind != "http":
            continue
        times = {method: server.arrived[method, f"rb-{run.id}-{step.path}"] for method in METHODS}
        assert times["POST"] <= 1, f"{step.path} of {run.id} took effect {times['POST']} times"
        if step.status == "SUCCESS" and step.path not in resolved:
            assert sum(times.values()) >= 1, f"{step.path} of {run.id} is done and never arrived"
    for child in scenarios.children(rt, run):
        check(rt, server, child.id)
    if run.slug == scenarios.CONTROLLED:
        assert not any(each.kind == "step_started" and each.path == "never" for each in story)
