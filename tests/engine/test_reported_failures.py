"""`continue_on_error: report`: the others go on, and the run still ends FAILED, as any failed run does."""

from __future__ import annotations

from typing import Any

import pytest
from harness import BOB, Harness, Target, gate, http, runbook
from local_server import answer

from engine.definition.load import examine
from engine.errors import Conflict
from engine.runs import controls, executions


def failing(target: Target, name: str, **keys: Any) -> dict[str, Any]:
    target.does[f"/{name}"] = [answer(b"no", "404 Not Found")]
    return http(name, target.url(f"/{name}"), continue_on_error="report", **keys)


def test_the_others_go_on_and_the_run_fails(harness: Harness, target: Target) -> None:
    """Its cleanup is that of a failed run, and its error names every such step."""
    first, undo = http("first", target.url("/first")), {"type": "http", "with": {"url": target.url("/undo")}}
    steps = [{**first, "undo": undo}, failing(target, "a"), failing(target, "b"), http("last", target.url("/last"))]
    tail = {"on_failure": [http("tidy", target.url("/tidy"))], "finally": [http("always", target.url("/always"))]}
    run = harness.begin(*steps, **tail)
    assert harness.run(run) == "FAILED"
    assert target.paths() == ["/first", "/a", "/b", "/last", "/undo", "/tidy", "/always"]
    error = harness.execution(run).error
    assert (error["code"], error["step"]) == ("http_status", "a")
    assert "in spite of a, b" in error["message"]


def test_inside_a_loop_it_counts_too(harness: Harness, target: Target) -> None:
    """The rounds go on, no failure of the loop's own is counted, and the run fails at the end."""
    inner = failing(target, "a")
    loop = {"id": "each", "type": "loop", "with": {"items": [1, 2], "steps": [inner]}}
    run = harness.begin(loop, http("last", target.url("/last")))
    assert harness.run(run) == "FAILED"
    assert target.paths() == ["/a", "/a", "/last"]
    assert "each[0].a, each[1].a" in harness.execution(run).error["message"]


def test_what_did_not_fail_is_not_reported(harness: Harness, target: Target) -> None:
    step = failing(target, "a")
    target.does["/a"] = [answer(b"fine")]
    run = harness.begin(step)
    assert harness.run(run) == "SUCCESS"


def test_in_cleanup_it_changes_no_result(harness: Harness, target: Target) -> None:
    run = harness.begin(http("main", target.url("/main")), **{"finally": [failing(target, "a")]})
    assert harness.run(run) == "SUCCESS"


def test_what_the_run_went_past_is_not_retried(harness: Harness, target: Target) -> None:
    """What follows it has run already; the refusal says what to do instead."""
    run = harness.begin(failing(target, "a"), http("last", target.url("/last")))
    harness.run(run)
    for path in ("a", None):
        with pytest.raises(Conflict):
            controls.retry(harness.rt, BOB, run, path)
    assert target.paths() == ["/a", "/last"]
    assert executions.view(harness.rt, run).execution.status == "FAILED"


@pytest.mark.parametrize("said", ["yes please", 1, "reports"])
def test_no_other_word_is_taken(said: Any) -> None:
    step = {**http("a"), "continue_on_error": said}
    assert "continue_on_error" in str(examine(runbook("demo", step).encode(), "demo.yaml").problems)


def test_a_gate_is_not_gone_past_by_it(target: Target) -> None:
    step = {**gate("ask"), "continue_on_error": "report"}
    assert "not for a gate" in str(examine(runbook("demo", step).encode(), "demo.yaml").problems)
