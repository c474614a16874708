"""`expect` and `retry.if`: the author says which answers are success, and which others may be asked for again."""

from __future__ import annotations

from typing import Any

import grpc as grpcio
import pytest
from harness import Harness, Target, http, runbook
from hypothesis import given
from hypothesis import strategies as st
from local_server import answer

from engine.definition.load import examine
from engine.steps import grpc_expectations
from engine.steps.expectations import Expectations
from engine.steps.grpc_status import NOBODY_KNOWS
from engine.steps.outcome import Failed, Succeeded, Unknown

JSON = "Content-Type: application/json"


def call(target: Target, **keys: Any) -> dict[str, Any]:
    expect = {"expect": keys.pop("expect")} if "expect" in keys else {}
    step = http("ask", target.url("/ask"), **keys)
    return {**step, "with": {**step["with"], **expect}}


def ran(harness: Harness, *steps: dict[str, Any], **top: Any) -> tuple[str, str]:
    run = harness.begin(*steps, **top)
    return str(harness.run(run)), run


@pytest.mark.parametrize(
    ("expect", "status", "body", "result"),
    [
        ("response.status == 404", "404 Not Found", b"{}", "SUCCESS"),
        ("response.status == 404", "200 OK", b"{}", "FAILED"),
        ("response.json.ok", "200 OK", b'{"ok":true}', "SUCCESS"),
        ("response.json.ok", "200 OK", b'{"error":"full"}', "FAILED"),
        ({"field": "response.status", "operator": "in", "value": [200, 409]}, "409 Conflict", b"{}", "SUCCESS"),
        ("response.json.ok", "200 OK", b"<html>", "FAILED"),
        ("response.json.count", "200 OK", b'{"count":"false"}', "FAILED"),
    ],
)
def test_expect_decides_what_is_success(
    harness: Harness, target: Target, expect: Any, status: str, body: bytes, result: str
) -> None:
    target.does["/ask"] = [answer(body, status, JSON)]
    assert ran(harness, call(target, expect=expect))[0] == result
    assert len(target.hits) == 1


def test_what_is_wanted_hands_on_its_answer(harness: Harness, target: Target) -> None:
    target.does["/ask"] = [answer(b'{"gone":true}', "404 Not Found", JSON)]
    _, run = ran(harness, call(target, expect="response.status == 404"))
    outputs = harness.step(run, "ask").outputs
    assert (outputs["status"], outputs["json"]) == (404, {"gone": True})


def test_what_is_not_wanted_is_told(harness: Harness, target: Target) -> None:
    """By a code of its own where its status is one of success, and with what the answer says."""
    target.does["/ask"] = [answer(b'{"error":"no room"}', "200 OK", JSON)]
    _, run = ran(harness, call(target, expect="response.json.ok"))
    error = harness.step(run, "ask").error
    assert error["code"] == "unexpected_answer"
    assert "no room" in error["message"]


def test_a_post_is_made_again_where_its_author_says_so(harness: Harness, target: Target) -> None:
    """And only for the answers that they name: without `retry.if`, or for another answer, it is made once."""
    locked, broken = answer(b"{}", "423 Locked", JSON), answer(b"{}", "500 Internal Server Error", JSON)
    retry = {"max_attempts": 3, "delay": "1s", "if": "response.status == 423"}
    target.does["/ask"] = [locked, locked, answer(b"{}", "200 OK", JSON)]
    assert ran(harness, call(target, method="POST", retry=retry))[0] == "SUCCESS"
    assert len(target.hits) == 3
    plain = {"max_attempts": 3, "delay": "1s"}
    for slug, first, how in (("other", broken, retry), ("plain", locked, plain)):
        target.hits.clear()
        target.does["/ask"] = [first, answer(b"{}", "200 OK", JSON)]
        assert ran(harness, call(target, method="POST", retry=how), slug=slug)[0] == "FAILED"
        assert len(target.hits) == 1


def test_an_author_may_want_fewer_retries(harness: Harness, target: Target) -> None:
    """What would be tried again by itself is not, where `retry.if` says no."""
    target.does["/ask"] = [answer(b"{}", "503 Service Unavailable", JSON, "Retry-After: 1"), answer(b"{}", "200 OK")]
    assert ran(harness, call(target, retry={"max_attempts": 3, "if": "response.status == 423"}))[0] == "FAILED"
    assert len(target.hits) == 1


def test_what_nobody_saw_is_not_asked_about(harness: Harness, target: Target) -> None:
    """A POST whose answer was lost is UNKNOWN, whatever `retry.if` would say of an answer."""
    target.does["/ask"] = [lambda conn, _request: conn.close()]
    run = harness.begin(call(target, method="POST", expect=True, retry={"max_attempts": 3, "if": True}))
    harness.advance(run)
    assert harness.step(run, "ask").status == "UNKNOWN"
    assert len(target.hits) == 1


STATUSES = st.sampled_from([each for each in grpcio.StatusCode if each is not grpcio.StatusCode.OK])


@given(STATUSES, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_only_a_grpc_answer_is_judged(
    code: grpcio.StatusCode, retryable: bool, unknown: bool, expect: bool, retry_if: bool
) -> None:
    """What a lost connection looks like too stays as it was, whatever the author wants of answers."""
    outputs = {"code": code.name, "message": "x", "metadata": {}}
    was = Unknown("grpc_status", "x") if unknown else Failed("grpc_status", "x", retryable, outputs=outputs)
    now = grpc_expectations.judge(was, Expectations(expect, retry_if, {}), lambda value: value)
    if unknown or code in NOBODY_KNOWS:
        assert now is was
    elif expect:
        assert isinstance(now, Succeeded)
        assert now.outputs["code"] == code.name
    else:
        assert isinstance(now, Failed)
        assert now.retryable is retry_if


def test_an_ok_that_is_not_wanted_fails() -> None:
    was = Succeeded({"code": "OK", "json": {"accepted": False}, "metadata": {}})
    wants = Expectations("response.json.accepted", None, {})
    now = grpc_expectations.judge(was, wants, lambda value: value)
    assert isinstance(now, Failed)
    assert (now.code, now.retryable) == ("unexpected_answer", False)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"expect": "response.statu == 200"}, "there is no `response.statu`; did you mean `status`?"),
        ({"expect": "response.status"}, "`response.status` is a number"),
        ({"expect": "secrets.token == 'x'"}, "secrets may stand"),
        ({"retry": {"if": "response.status"}}, "`response.status` is a number"),
        ({"retry": {"if": "{{ response.status == 1 }}"}}, "is a bare expression"),
        ({"if_": "response.status == 1"}, "`response` is there in"),
    ],
)
def test_what_is_wrong_is_told(target: Target, keys: dict[str, Any], complaint: str) -> None:
    found = str(examine(runbook("demo", call(target, **keys)).encode(), "demo.yaml").problems)
    assert complaint.casefold() in found.casefold()
