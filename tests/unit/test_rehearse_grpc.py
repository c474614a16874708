"""Cases with calls by gRPC: stubs say what the server answers, and the step makes of it what it makes of a real one."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from test_rehearse_cases import book, call, made, played  # noqa: F401 - `made` is a fixture

from engine.definition import rehearsals
from engine.rehearsal import record_grpc
from engine.rehearsal.world import World

WITH = {
    "target": "pay.example.com:443", "service": "shop.v1.Orders", "method": "Cancel",
    "message": {"id": "{{ params.id }}", "key": "{{ secrets.key1 }}"}, "metadata": {"x-who": "bot"},
}  # fmt: skip
URL = "pay.example.com:443/shop.v1.Orders/Cancel"
PARAMETERS = {"type": "object", "properties": {"id": {"type": "integer", "default": 7}}}


def grpc(**keys: Any) -> dict[str, Any]:
    return {"id": "x", "type": "grpc", "with": {**WITH, **keys.pop("with_", {})}, **keys}


def test_what_is_sent_and_answered(made: World, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Nothing leaves, secrets are masked, and outputs are those of a real answer."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it got out"))
    subject = book(grpc(), parameters=PARAMETERS, outputs={"x": "{{ steps.x.outputs }}"})
    sent = {"step": "x", "method": "GRPC", "url": URL, "json": {"id": 7, "key": "‹secret key1›"},
            "headers": {"x-who": "bot"}}  # fmt: skip
    answered = {"code": "OK", "json": {"state": "GONE", "n": 1}, "metadata": {"x-by": "a"}}
    expect = {"outcome": "SUCCESS", "calls": [sent], "outputs": {"x": answered}}
    stubs = {"x": {"json": {"state": "GONE", "n": 1}, "headers": {"x-by": "a"}}}
    assert played(made, subject, stubs=stubs, expect=expect).failures == ()


@pytest.mark.parametrize(
    ("stub", "keys", "outcome", "calls"),
    [
        ({"code": "NOT_FOUND", "message": "no such order"}, {}, "FAILED", 1),
        ([{"code": "INTERNAL"}, {"code": "OK"}], {"idempotent": True, "retry": {"max_attempts": 2}}, "SUCCESS", 2),
        ([{"code": "INTERNAL"}, {"code": "OK"}], {"retry": {"max_attempts": 2}}, "FAILED", 1),
        ([{"error": "connection_refused"}, {"json": {}}], {"retry": {"max_attempts": 2}}, "SUCCESS", 2),
        ([{"error": "timeout"}, {"json": {}}], {"idempotent": True, "retry": {"max_attempts": 2}}, "SUCCESS", 2),
        ({"code": "NOT_FOUND"}, {"with_": {"expect": "response.status == 'NOT_FOUND'"}}, "SUCCESS", 1),
        ([{"code": "NOT_FOUND"}, {"json": {}}],
         {"retry": {"max_attempts": 2, "if": "response.status == 'NOT_FOUND'"}}, "SUCCESS", 2),
    ],
)  # fmt: skip
def test_what_an_answer_comes_to(made: World, stub: Any, keys: Any, outcome: str, calls: int) -> None:  # noqa: F811
    """Only what may be sent again is, as ever: what says that nothing was sent, or an answer that was seen coming."""
    expect = {"outcome": outcome, "calls": [{"method": "GRPC"}] * calls}
    assert played(made, book(grpc(**keys), parameters=PARAMETERS), stubs={"x": stub}, expect=expect).failures == ()


@pytest.mark.parametrize("stub", [{"error": "timeout"}, {"error": "connection_lost"}, {"code": "UNAVAILABLE"}])
def test_nobody_knows_how_it_ended(made: World, stub: Any) -> None:  # noqa: F811
    subject = book(grpc(), parameters=PARAMETERS)
    assert "nobody saw how `x` ended" in played(made, subject, stubs={"x": stub}).failures[0]
    assert played(made, subject, stubs={"x": stub}, answers={"x": {"resolve": "done"}}).failures == ()


def test_what_the_server_says_is_told(made: World) -> None:  # noqa: F811
    stubs = {f"GRPC {URL}": {"code": "NOT_FOUND", "message": "no such order"}}
    (said,) = played(made, book(grpc(), parameters=PARAMETERS), stubs=stubs).failures
    assert "pay.example.com:443 answered NOT_FOUND: no such order." in said


def test_one_without_a_stub_ends_the_case(made: World) -> None:  # noqa: F811
    (said,) = played(made, book(grpc(), parameters=PARAMETERS)).failures
    assert said == f"there is no stub for GRPC {URL}, which `x` calls"
    pattern = {"GRPC pay.example.com:443/shop.v1.*": {"json": {}}}
    assert played(made, book(grpc(), parameters=PARAMETERS), stubs=pattern).failures == ()


@pytest.mark.parametrize(
    ("step", "stub", "said"),
    [
        (grpc(), {"status": 200}, "`x` calls by gRPC: `code`, `message` and `json` or `error` answer that"),
        (grpc(), [{"json": {}}, {"text": "x"}], "`x` calls by gRPC"),
        (call("x"), {"code": "NOT_FOUND"}, "`x` calls by HTTP"),
        (grpc(), {"code": "GONE"}, "must be an answer"),
        (grpc(), {"message": "x"}, "must be an answer"),
        (grpc(), {"code": "NOT_FOUND", "status": 404}, "must be an answer"),
        (grpc(), {"code": "NOT_FOUND", "error": "timeout"}, "must be an answer"),
    ],
)
def test_what_is_wrong_with_a_stub_is_said_before(step: dict[str, Any], stub: Any, said: str) -> None:
    case = {"name": "a", "stubs": {"x": stub}, "expect": {"outcome": "SUCCESS"}}
    subject = book(step, parameters=PARAMETERS)
    (found,) = rehearsals.load(json.dumps({"cases": [case]}).encode(), "f", subject.runbook).problems
    assert said in found.message


@pytest.mark.parametrize(
    ("response", "error", "stub"),
    [
        ({"code": "OK", "metadata": {"x-by": "a"}, "message": '{"n": 1}'}, None,
         {"json": {"n": 1}, "headers": {"x-by": "a"}}),
        ({"code": "NOT_FOUND", "metadata": {}, "details": "gone"}, None, {"code": "NOT_FOUND", "message": "gone"}),
        (None, {"code": "connect"}, {"error": "connection_refused"}),
    ],
)  # fmt: skip
def test_a_recorded_answer_is_a_stub(response: Any, error: Any, stub: Any) -> None:
    """Of what the evidence of a real run holds; nothing is left to be written."""
    notes: list[str] = []
    request = {"target": "pay.example.com:443", "service": "shop.v1.Orders", "method": "Cancel", "message": '{"id": 7}'}
    assert record_grpc.stub(notes, "x", {"response": response, "error": error, "request": request}) == stub
    assert record_grpc.call("x", request) == {"step": "x", "method": "GRPC", "url": URL, "json": {"id": 7}}
    assert notes == []
