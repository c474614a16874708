"""The poll step: one round of asking."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from local_server import Behaviour, answer, egress_to, raw, serving, silence

from engine.errors import EngineError
from engine.steps import poll
from engine.steps.http import Call
from engine.steps.oauth2 import Tokens
from engine.steps.outcome import Abandoned, Again, Failed, Outcome, Succeeded
from engine.text.redaction import Redactor

Until = Callable[[dict[str, Any]], bool]


def healthy(response: dict[str, Any]) -> bool:
    return bool(response["json"]["ok"])


def never(_response: dict[str, Any]) -> bool:
    return False


def ask(behave: Behaviour, until: Until, with_: dict[str, Any] | None = None, **more: Any) -> Outcome:
    redactor = Redactor()
    redactor.add("token", "cAn4ry-token")
    options: dict[str, Any] = {"timeout_ms": 3000, "abandoned": lambda: False, **more}
    with serving(behave) as server, egress_to(server) as egress:
        call = Call(
            idempotent=True,
            idempotency_key="rb-1-healthy-3",
            egress=egress,
            tokens=Tokens(Redactor()),
            redact=redactor.redact_json,
            **options,
        )
        wanted = {"url": server.url(), "interval": "5s", "until": "…", **(with_ or {})}
        return poll.run(wanted, until, call, interval_ms=5000)


def test_what_was_waited_for_is_there() -> None:
    """The outputs are those of an http step."""
    outcome = ask(answer(b'{"ok": true}'), healthy)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["json"] == {"ok": True}
    assert outcome.outputs["status"] == 200


def test_until_sees_the_whole_answer() -> None:
    """Status, headers, json and text are always there."""
    seen: list[dict[str, Any]] = []
    ask(answer(b"hi", "404 Not Found", "X-A: b"), lambda response: bool(seen.append(response)))
    read = {"json": None, "xml": None, "lines": None}
    assert seen == [{"status": 404, "headers": {"x-a": "b", "content-length": "2"}, "text": "hi", **read}]


def test_not_yet() -> None:
    """False asks again after the interval, with evidence of the round."""
    outcome = ask(answer(b'{"ok": false}'), healthy)
    assert isinstance(outcome, Again)
    assert outcome.after_ms == 5000
    assert "Not yet" in outcome.message
    assert outcome.evidence.response["status"] == 200


def test_any_status_can_be_waited_for() -> None:
    """An `until` on the status holds for an error status too."""
    for status in ("404 Gone", "503 Down", "401 Out"):
        code = int(status[:3])
        outcome = ask(answer(b"", status), lambda response, code=code: response["status"] == code)
        assert isinstance(outcome, Succeeded)


@pytest.mark.parametrize("status", [200, 301, 400, 404, 408, 409, 425, 429, 500, 502, 503])
def test_other_answers_are_asked_again(status: int) -> None:
    """Polling goes on until the step's own time is up."""
    assert isinstance(ask(answer(b"", f"{status} X"), never), Again)


@pytest.mark.parametrize("status", [401, 403])
def test_no_access_fails_at_once(status: int) -> None:
    """Asking again does not grant access."""
    outcome = ask(answer(b"who are you, cAn4ry-token", f"{status} X"), never)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("http_status", False)
    assert "cAn4ry" not in repr(outcome)


@pytest.mark.parametrize(("after", "expected"), [("2", 5000), ("60", 60_000), ("99999", 3_600_000)])
def test_the_server_may_ask_for_a_longer_pause(after: str, expected: int) -> None:
    """Retry-After lengthens the interval and never shortens it."""
    outcome = ask(answer(b"", "429 Slow", f"Retry-After: {after}"), never)
    assert isinstance(outcome, Again)
    assert outcome.after_ms == expected


@pytest.mark.parametrize("behave", [silence, raw(b""), raw(b"garbage\r\n\r\n")], ids=["silence", "closed", "garbage"])
def test_lost_answers_are_asked_again(behave: Behaviour) -> None:
    """A round without an answer is only a round."""
    outcome = ask(behave, never, timeout_ms=300)
    assert isinstance(outcome, Again)
    assert outcome.after_ms == 5000


def test_what_cannot_be_evaluated_is_not_yet() -> None:
    """An `until` that fails on an unexpected answer says so and asks again, without showing secrets."""

    def until(_response: dict[str, Any]) -> bool:
        raise EngineError("`response.json.ok`: nothing there but cAn4ry-token")

    outcome = ask(answer(b"<html>"), until)
    assert isinstance(outcome, Again)
    assert "response.json.ok" in outcome.message
    assert "cAn4ry" not in outcome.message


@pytest.mark.parametrize("with_", [{"url": "http://10.0.0.1/"}, {"method": "BREW"}])
def test_what_can_never_be_sent_fails(with_: dict[str, Any]) -> None:
    """A refused address or an impossible request is not asked again."""
    assert isinstance(ask(answer(), never, with_), Failed)


def test_a_cancel_abandons_the_round() -> None:
    """A dropped round is abandoned, not asked again."""
    arrived: list[bool] = []

    def hold(conn: socket.socket, request: bytes) -> None:
        arrived.append(True)
        silence(conn, request)

    assert isinstance(ask(hold, never, abandoned=lambda: bool(arrived)), Abandoned)
