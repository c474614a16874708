"""What the language of runbooks has, each rehearsed once: bodies, answers, expectations, failures, `now`, templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_rehearse_cases import URL, book, call, made, played  # noqa: F401 - `made` is a fixture

from engine.rehearsal.rehearse import read_runbook, rehearse
from engine.rehearsal.world import World

SAY = {"id": "say", "type": "message", "with": {"text": "{{ steps.x.outputs.told }}"}}


def test_a_form_goes_out_as_a_browser_sends_it(made: World) -> None:  # noqa: F811
    step = {"id": "x", "type": "http", "with": {"url": URL, "method": "POST", "form": {"a": "1 2", "n": 7}}}
    sent = {"text": "a=1+2&n=7", "headers": {"content-type": "application/x-www-form-urlencoded"}}
    expect = {"outcome": "SUCCESS", "calls": [sent]}
    assert played(made, book(step), stubs={"x": {"status": 204}}, expect=expect).failures == ()


def test_parts_go_out_the_same_each_time(made: World) -> None:  # noqa: F811
    """The boundary is of the content, so that a case can expect it."""
    parts = [{"name": "note", "text": "hello"}, {"name": "file", "text": "a,b", "filename": "h.csv"}]
    step = {"id": "x", "type": "http", "with": {"url": URL, "method": "POST", "multipart": parts}}
    sent = []
    for _ in range(2):
        expect = {"outcome": "SUCCESS", "calls": [{"text": "-"}]}
        (said,) = played(made, book(step), stubs={"x": {"status": 204}}, expect=expect).failures
        sent.append(said)
    assert "hello" in sent[0]
    assert "h.csv" in sent[0]
    assert sent[0] == sent[1]


@pytest.mark.parametrize(
    ("form", "stub", "read", "told"),
    [
        ("xml", {"text": "<a><b>7</b></a>", "headers": {"Content-Type": "application/xml"}}, "response.xml.a.b", "7"),
        ("lines", {"text": "one\ntwo\n"}, "response.lines[1]", "two"),
        ("text", {"text": '{"a": 1}'}, "response.text", '{"a": 1}'),
        ("json", {"text": '{"a": 1}'}, "response.json.a", "1"),
    ],
)
def test_an_answer_is_read_as_the_step_says(
    made: World,  # noqa: F811
    form: str,
    stub: Any,
    read: str,
    told: str,
) -> None:
    step = {**call("x", outputs={"told": f"{{{{ {read} }}}}"})}
    step["with"] = {**step["with"], "response_format": form}
    expect = {"outcome": "SUCCESS", "messages": [told]}
    assert played(made, book(step, SAY), stubs={"x": stub}, expect=expect).failures == ()


def test_an_answer_that_is_not_what_it_says_fails(made: World) -> None:  # noqa: F811
    step = call("x", outputs={"told": "{{ response.xml.a }}"})
    step["with"] = {**step["with"], "response_format": "xml"}
    assert played(made, book(step), stubs={"x": {"text": "<a>"}}, expect={"outcome": "FAILED"}).failures == ()


@pytest.mark.parametrize(
    ("stubs", "outcome", "calls"),
    [
        ([{"status": 404}], "SUCCESS", 1),
        ([{"status": 200}], "FAILED", 1),
        ([{"status": 200, "json": {"busy": True}}, {"status": 404}], "SUCCESS", 2),
        ([{"error": "connection_refused"}, {"status": 404}], "SUCCESS", 2),
    ],
)
def test_what_is_expected_and_asked_again(made: World, stubs: Any, outcome: str, calls: int) -> None:  # noqa: F811
    retry = {"max_attempts": 3, "delay": "1s", "if": "response.json.busy"}
    step = call("x", method="POST", retry=retry)
    step["with"] = {**step["with"], "expect": "response.status == 404"}
    expect = {"outcome": outcome, "calls": [{"method": "POST"}] * calls}
    assert played(made, book(step), stubs={"x": stubs}, expect=expect).failures == ()


def test_a_failure_that_is_reported(made: World) -> None:  # noqa: F811
    """The others go on, the run ends FAILED, and cleanup reads how each has ended."""
    tell = {"id": "tell", "type": "message", "with": {"text": "{{ steps.x.status }} {{ steps.x.error.code }}"}}
    steps = [call("x", continue_on_error="report"), {"id": "go", "type": "message", "with": {"text": "On"}}]
    path = [{"x": "FAILED"}, "go", "tell"]
    expect = {"outcome": "FAILED", "path": path, "messages": ["On", "FAILED http_status"]}
    subject = book(*steps, on_failure=[tell])
    assert played(made, subject, stubs={"x": {"status": 400}}, expect=expect).failures == ()


def test_now_is_the_time_of_the_case(made: World) -> None:  # noqa: F811
    """It starts at `at`, and has gone on by a delay."""
    say = {"type": "message", "with": {"text": "{{ now | date('%Y-%m-%d %H:%M') }}"}}
    pause = {"id": "pause", "type": "delay", "with": {"for": "20m"}}
    subject = book({"id": "a", **say}, pause, {"id": "b", **say})
    expect = {"outcome": "SUCCESS", "messages": ["2026-12-31 23:50", "2027-01-01 00:10"]}
    assert played(made, subject, at="2026-12-31T23:50:00Z", expect=expect).failures == ()


def test_steps_of_a_template_and_a_target(made: World, tmp_path: Path) -> None:  # noqa: F811
    """What the files beside it make of a runbook is what is rehearsed."""
    (tmp_path / "_templates").mkdir()
    template = {
        "apiVersion": "runbook/v1", "kind": "template",
        "parameters": {"type": "object", "required": ["host"], "properties": {"host": {"type": "string"}}},
        "steps": [{"id": "out", "type": "http", "with": {"target": "lb", "path": "/out/{{ params.host }}"}}],
    }  # fmt: skip
    (tmp_path / "_templates" / "drain.yaml").write_text(json.dumps(template))
    target = {"url": "https://lb.example.com/v1", "headers": {"X-Team": "sre"}}
    (tmp_path / "_targets.yaml").write_text(json.dumps({"targets": {"lb": target}}))
    body = {"apiVersion": "runbook/v1", "id": "demo", "name": "Demo",
            "steps": [{"id": "away", "uses": "drain", "with": {"host": "h1"}}]}  # fmt: skip
    (tmp_path / "demo.yaml").write_text(json.dumps(body))
    subject = read_runbook(tmp_path / "demo.yaml")
    assert subject is not None
    (name,) = [key for key in subject.runbook.by_id if key != "away"]
    sent = {"url": "https://lb.example.com/v1/out/h1", "headers": {"x-team": "sre"}, "step": name}
    case = {"name": "a", "stubs": {name: {"status": 204}}, "expect": {"outcome": "SUCCESS", "calls": [sent]}}
    result = rehearse(made, "f", json.dumps({"cases": [case]}).encode(), subject, dict)
    assert result.problems == ()
    assert result.cases[0].failures == ()
