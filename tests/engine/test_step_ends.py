"""`steps.x.status` and `steps.x.error`: how a step ended, for whoever comes behind a failure or cleans up."""

from __future__ import annotations

from typing import Any

import pytest
from harness import BOB, Harness, Target, gate, http, runbook
from local_server import answer

from engine.definition.load import examine
from engine.runs import controls


def says(name: str, text: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "type": "message", "with": {"text": text}, **keys}


def said(harness: Harness, run: str, name: str) -> str:
    return str(harness.step(run, name).outputs["text"])


ENDS = "{{ steps.a.status }}/{{ steps.b.status }}: {{ steps.a.error.code | default('none') }}"


def test_cleanup_sees_how_steps_ended(harness: Harness, target: Target) -> None:
    target.does["/a"] = [answer(b'{"error":"no room"}', "404 Not Found", "Content-Type: application/json")]
    run = harness.begin(
        http("a", target.url("/a")), http("b", target.url("/b")),
        on_failure=[says("tell", ENDS + " {{ steps.a.error.message }}")],
        **{"finally": [says("always", ENDS), http("only", target.url("/only"), if_="steps.a.status == 'SUCCESS'")]},
    )  # fmt: skip
    assert harness.run(run) == "FAILED"
    assert said(harness, run, "tell").startswith("FAILED/BLOCKED: http_status The server answered 404")
    assert "no room" in said(harness, run, "tell")
    assert said(harness, run, "always") == "FAILED/BLOCKED: http_status"
    assert target.paths() == ["/a"]


def test_a_success_has_no_error(harness: Harness, target: Target) -> None:
    run = harness.begin(
        http("a", target.url("/a")), http("b", target.url("/b"), if_="params.no", needs=["a"]),
        parameters={"type": "object", "properties": {"no": {"type": "boolean", "default": False}}},
        **{"finally": [says("always", ENDS)]},
    )  # fmt: skip
    assert harness.run(run) == "SUCCESS"
    assert said(harness, run, "always") == "SUCCESS/SKIPPED: none"


def test_behind_a_tolerated_failure_others_go_by_it(harness: Harness, target: Target) -> None:
    target.does["/a"] = [answer(b"", "404 Not Found")]
    run = harness.begin(
        http("a", target.url("/a"), continue_on_error=True),
        http("other", target.url("/other"), if_="steps.a.status == 'FAILED' and steps.a.error.code == 'http_status'"),
        http("not", target.url("/not"), if_={"field": "steps.a.error", "operator": "exists", "value": False}),
    )
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/a", "/other"]


def test_a_gate_does_not_show_how_something_will_end(harness: Harness, target: Target) -> None:
    """What has not ended has no status yet: the gate shows the expression."""
    ask = http("a", target.url("/a"), continue_on_error=True)
    run = harness.begin(gate("ask"), ask, says("tell", "{{ steps.a.status }}", needs=["a"]))
    harness.advance(run)
    controls.cancel(harness.rt, BOB, run)
    shown = str([each.preview for each in gates(harness, run)])
    assert "steps.a.status" in shown
    assert "BLOCKED" not in shown


def gates(harness: Harness, run: str) -> Any:
    from storage import approvals, database

    with database.reading():
        return approvals.of_execution(run)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{{ steps.a.status }}", "`steps.a.status` is not there: this step starts only if `a` has not failed"),
        ("{{ steps.a.error.code }}", "`steps.a.error` is not there"),
        ("{{ steps.a.state }}", "has `outputs`, `status` and `error`, not `state`"),
        ("{{ steps.t.error.cod }}", "`steps.t.error` has no `cod`; did you mean `code`?"),
        ("{{ steps.t.status.x }}", "is text and has no `x`"),
    ],
)
def test_where_it_cannot_be_read_is_told(text: str, complaint: str) -> None:
    found = examine(
        runbook("demo", http("a"), http("t", continue_on_error=True), says("tell", text)).encode(), "demo.yaml"
    )
    assert complaint.casefold() in str(found.problems).casefold()


def test_a_status_is_no_condition() -> None:
    """It is text: `steps.a.status` alone would be neither yes nor no."""
    step = http("b", if_="steps.a.status")
    found = str(examine(runbook("demo", http("a", continue_on_error=True), step).encode(), "demo.yaml").problems)
    assert "must be true or false" in found
