"""Cases one by one: stubs, answers and time, what ends a case, and that nothing of this machine is in reach."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definition.load import load
from engine.rehearsal import judge, play, world
from engine.rehearsal.rehearse import CaseResult, FileResult, rehearse
from engine.rehearsal.world import Published, World
from engine.steps import options_call

URL = "https://api.example.com/x"


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    with world.opened() as found:
        yield found


def call(name: str, **keys: Any) -> dict[str, Any]:
    with_ = {"url": URL, **{key: keys.pop(key) for key in ("method", "json", "headers", "auth", "text") if key in keys}}
    return {"id": name, "type": "http", "with": with_, **keys}


def book(*steps: dict[str, Any], slug: str = "demo", **top: Any) -> Published:
    text = json.dumps({"apiVersion": "runbook/v1", "id": slug, "name": slug, "steps": steps, **top})
    return Published(load(text.encode(), "demo.yaml"), text)


def played(made: World, subject: Published, *others: Published, **case: Any) -> CaseResult:
    case = {"name": "a", "expect": {"outcome": "SUCCESS"}, **case}
    known = {each.runbook.id: each for each in others}
    result = rehearse(made, "demo.rehearsal.yaml", json.dumps({"cases": [case]}).encode(), subject, lambda: known)
    assert result.problems == ()
    return result.cases[0]


def test_hours_of_waiting_take_no_time(made: World) -> None:
    """A delay, a retry with its pauses, a poll and a gate that nobody decides."""
    steps = [
        {"id": "pause", "type": "delay", "with": {"for": "5h"}},
        call("again", retry={"max_attempts": 5, "delay": "10m"}),
        {"id": "ask", "type": "approval", "with": {"approvers": {"roles": ["responder"]}}, "timeout": "24h",
         "on_timeout": "approve"},
    ]  # fmt: skip
    stubs = {"again": [{"error": "timeout"}, {"status": 503}, {"error": "connection_refused"}, {"status": 200}]}
    got = played(made, book(*steps, timeout="20h"), stubs=stubs, answers={"ask": {"expire": True}})
    assert got.failures == ()
    assert got.seconds < 10


def test_the_clock_starts_when_the_case_says(made: World) -> None:
    say = {"id": "say", "type": "message", "with": {"text": "{{ execution.started_at }} {{ execution.id }}"}}
    expect = {"outcome": "SUCCESS", "messages": ["2026-03-01T11:00:00Z R-REHEARSED"]}
    assert played(made, book(say), at="2026-03-01T12:00:00+01:00", expect=expect).failures == ()


def test_a_stub_is_found_by_the_most_exact_name(made: World) -> None:
    """Its address, the run of the step, the step, a pattern."""
    say = {"id": "say", "type": "message", "with": {"text": "{{ steps.go.outputs.by }}"}}
    loop = {"id": "each", "type": "loop", "with": {"items": [1, 2], "steps": [call("go"), say]}}
    loop["with"]["steps"][0]["outputs"] = {"by": "{{ response.json.by }}"}
    last = {**call("last"), "with": {"url": f"{URL}/last"}}
    rest = {**call("rest"), "with": {"url": f"{URL}/rest"}}
    stubs = {
        "GET https://api.example.com/*": {"status": 200},
        "go": {"json": {"by": "step"}},
        "each[1].go": {"json": {"by": "round"}},
        f"GET {URL}/last": {"status": 200},
        "last": {"status": 500},
    }
    expect = {"outcome": "SUCCESS", "messages": ["step", "round"]}
    assert played(made, book(loop, last, rest), stubs=stubs, expect=expect).failures == ()


def test_no_call_leaves(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without a stub fails the case, whatever else is expected, and a step that connects by itself does so too."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it got out"))
    got = played(made, book(call("one"), call("two"), on_failure=[call("tell")]), stubs={"tell": {"status": 200}})
    assert got.failures == ("there is no stub for GET https://api.example.com/x, which `one` calls",)
    grpc = {"id": "g", "type": "grpc", "with": {"target": "a.example.com:1", "service": "a.B", "method": "C"}}
    assert "there is no stub for GRPC a.example.com:1/a.B/C" in played(made, book(grpc)).failures[0]


@pytest.mark.parametrize("risk", ["low", "high"])
def test_no_system_is_asked_for_choices(made: World, monkeypatch: pytest.MonkeyPatch, risk: str) -> None:
    """A value is what the case says, also at high risk, where a real run has to have it checked."""
    asked: list[str] = []
    monkeypatch.setattr(options_call, "ask", lambda *_: asked.append("somebody"))
    rules = {"type": "string", "x-options": {"url": "https://inventory.example/hosts"}}
    say = {"id": "say", "type": "message", "with": {"text": "{{ params.host }}"}}
    subject = book(say, risk=risk, parameters={"type": "object", "properties": {"host": rules}})
    expect = {"outcome": "SUCCESS", "messages": ["db-1"]}
    assert played(made, subject, parameters={"host": "db-1"}, reason="A test.", expect=expect).failures == ()
    assert asked == []


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"type": "approval", "with": {"approvers": {"roles": ["responder"]}}}, "`x` asks for approval"),
        ({"type": "wait", "with": {"key": "k"}}, "`x` waits for the event k"),
        ({"type": "http", "with": {"url": URL, "method": "POST"}}, "nobody saw how `x` ended"),
    ],
)
def test_what_is_asked_has_to_be_answered(made: World, step: dict[str, Any], said: str) -> None:
    got = played(made, book({"id": "x", **step}), stubs={"x": {"error": "timeout"}})
    assert len(got.failures) == 1
    assert said in got.failures[0]


@pytest.mark.parametrize(
    ("step", "answer", "outcome"),
    [
        ({"type": "approval", "with": {"approvers": {"groups": ["oncall"]}}}, {"approve": "U0BOB0001"}, "SUCCESS"),
        ({"type": "approval", "with": {"approvers": {"users": ["U0BOB0001"]}}}, {"approve": "U0BOB0001"}, "SUCCESS"),
        ({"type": "approval", "with": {"approvers": {"roles": ["responder"]}}}, {"reject": "U0BOB0001"}, "FAILED"),
        ({"type": "approval", "with": {"approvers": {"roles": ["responder"]}}}, {"cancel": "U0BOB0001"}, "CANCELLED"),
        ({"type": "wait", "with": {"key": "k", "from": ["ci"]}}, {"event": {"ok": True}}, "SUCCESS"),
        ({"type": "wait", "with": {"key": "k"}}, {"expire": True}, "FAILED"),
        ({"type": "http", "with": {"url": URL, "method": "POST"}}, {"resolve": "done"}, "SUCCESS"),
        ({"type": "http", "with": {"url": URL, "method": "POST"}}, {"resolve": "failed"}, "FAILED"),
    ],
)
def test_people_and_events_answer(made: World, step: dict[str, Any], answer: Any, outcome: str) -> None:
    stubs, expect = {"x": {"error": "connection_lost"}}, {"outcome": outcome}
    assert played(made, book({"id": "x", **step}), stubs=stubs, answers={"x": answer}, expect=expect).failures == ()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"approve": "U0STARTER"}, "You asked for this run, so others have to decide about it."),
        ({"approve": "U0OTHER01"}, "may"),
        ({"event": 1}, "approve, reject or {expire: true} answers that"),
    ],
)
def test_who_may_not_decide_may_not_here(made: World, answer: Any, said: str) -> None:
    """Nobody decides about what they asked for, and nobody but the users that a gate names."""
    step = {"id": "x", "type": "approval", "with": {"approvers": {"users": ["U0BOB0001", "U0STARTER"]}}}
    got = played(made, book(step), answers={"x": answer})
    assert len(got.failures) == 1
    assert said in got.failures[0]


def test_another_runbook_is_played_with_it(made: World) -> None:
    child = book(call("go", method="POST"), {"id": "say", "type": "message", "with": {"text": "Done"}}, slug="child")
    parent = book({"id": "start", "type": "runbook", "with": {"id": "child"}})
    expect = {"outcome": "SUCCESS", "path": ["start", "start/go", "start/say"], "messages": ["Done"]}
    assert played(made, parent, child, stubs={"start/go": {"status": 201}}, expect=expect).failures == ()
    assert "child" in played(made, parent, expect={"outcome": "SUCCESS"}).failures[0]


def test_secrets_are_placeholders_and_masked(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process has under that name."""
    monkeypatch.setenv("RUNBOOK_SECRET_KEY1", "c4nary-b1rd-of-the-m1ne")
    step = call(
        "x", method="POST", json={"key": "{{ secrets.key1 }}"}, auth={"type": "bearer", "token": "{{ secrets.t }}"}
    )
    expect = {"outcome": "SUCCESS", "calls": [{"json": {"key": "‹secret key1›"}, "headers": {"authorization": "-"}}]}
    (said,) = played(made, book(step), stubs={"x": {"status": 200}}, expect=expect).failures
    assert said == 'call 1: expected header authorization: "-", and it was "Bearer ‹secret t›"'


@pytest.mark.parametrize(
    "source", ["{{ env.HOME }}", "{{ ''.__class__ }}", "{{ self }}", "{% include '/etc/passwd' %}"]
)
def test_templates_reach_nothing_of_this_machine(source: str) -> None:
    from engine.definition.load import examine

    step = {"id": "say", "type": "message", "with": {"text": source}}
    text = json.dumps({"apiVersion": "runbook/v1", "id": "demo", "name": "demo", "steps": [step]})
    assert examine(text.encode(), "demo.yaml").runbook is None


def test_what_is_in_a_stub_is_no_template(made: World) -> None:
    step = call("x", outputs={"told": "{{ response.json.a }}"})
    subject = book(step, outputs={"told": "{{ steps.x.outputs.told }}"})
    expect = {"outcome": "SUCCESS", "outputs": {"told": "{{ secrets.key1 }}"}}
    assert played(made, subject, stubs={"x": {"json": {"a": "{{ secrets.key1 }}"}}}, expect=expect).failures == ()


def test_what_goes_on_for_ever_is_ended(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the run's own time, by the most moves, and by a deadline of real time."""
    poll = {"id": "x", "type": "poll", "with": {"url": URL, "until": "false", "interval": "1s"}, "timeout": "1m"}
    stubs, expect = {"x": {"status": 200}}, {"outcome": "FAILED"}
    assert played(made, book(poll), stubs=stubs, expect=expect).failures == ()
    monkeypatch.setattr(play, "MAX_MOVES", 20)
    assert "was moved on 20 times" in played(made, book(poll), stubs=stubs, expect=expect).failures[0]
    monkeypatch.setattr(play, "CASE_LIMIT_S", 0.0)
    assert "took more than 0 s" in played(made, book(poll), stubs=stubs, expect=expect).failures[0]


def test_parameters_that_are_not_right_are_said(made: World) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    subject = book({"id": "say", "type": "message", "with": {"text": "{{ params.n }}"}}, parameters=schema)
    assert "the parameters are not right: n" in played(made, subject, parameters={"n": "x"}).failures[0]


def test_one_case_knows_nothing_of_another(made: World) -> None:
    subject = book({"id": "say", "type": "message", "with": {"text": "Hello"}}, concurrency={"group": "g", "limit": 1})
    asks = {"id": "x", "type": "approval", "with": {"approvers": {"roles": ["responder"]}}}
    waiting = book(asks, concurrency={"group": "g", "limit": 1, "on_conflict": "reject"})
    assert played(made, waiting).failures
    assert played(made, subject).failures == ()


def test_every_way_is_covered_or_named(made: World) -> None:
    branch = {"id": "b", "type": "branch", "with": {"if": "params.n > 1", "then": [call("t")], "else": [call("e")]}}
    loop = {"id": "l", "type": "loop", "with": {"items": "{{ params.list }}", "steps": [call("r")]}}
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 0}, "list": {"type": "array"}}}
    subject = book(branch, loop, parameters=schema)
    cases = [{"name": str(n), "parameters": {"n": n, "list": list(range(n))}, "stubs": {}} for n in (0, 1)]
    for each in cases:
        each |= {"stubs": {name: {"status": 200} for name in "ter"}, "expect": {"outcome": "SUCCESS"}}
    result: FileResult = rehearse(made, "f", json.dumps({"cases": cases}).encode(), subject, dict)
    assert result.passed
    assert result.points == 5 + 2 + 3
    assert result.missed == ("`b` never takes `then`", "`t` is never run", "`l` never has several rounds")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_holds_itself(value: Any) -> None:
    assert list(judge._of_value("v", value, value)) == []


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), VALUES)
def test_more_than_is_expected_does_not_matter_in_a_mapping(value: dict[str, Any], other: Any) -> None:
    assert list(judge._of_value("v", value, {**value, "another key": other})) == []


@given(VALUES, VALUES)
def test_what_differs_is_said(one: Any, other: Any) -> None:
    """What is expected as a whole, which is anything but a mapping, is there or is complained about."""
    alike = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if not isinstance(one, dict | list):
        assert (list(judge._of_value("v", one, other)) == []) == alike
