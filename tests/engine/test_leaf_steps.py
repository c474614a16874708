"""The steps that call nobody, and what a step's own `outputs` make of what its kind gave."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from grpc_server import SERVICE, order_service
from hypothesis import given
from hypothesis import strategies as st
from local_server import answer, egress_to, serving

from engine.config.secrets import SecretStore
from engine.definition.model import Step
from engine.steps import delay, message, wait
from engine.steps.outcome import Failed, Later, Outcome, Posted, Succeeded, Waiting
from engine.steps.perform import Claim, Tools, mapped_outputs, perform
from engine.text.redaction import Redactor
from storage.states import Phase

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("given_", "after_ms"),
    [
        ("90s", 90_000),
        ("1h30m", 5_400_000),
        (2, 2000),
        (0.5, 500),
        ("45", 45_000),
        ("500ms", 500),
        (0, 0),
        ("30d", 30 * DAY_MS),
    ],
)
def test_a_delay_in_any_spelling(given_: Any, after_ms: int) -> None:
    """Durations, seconds, and seconds that a template gave as text."""
    outcome = delay.run({"for": given_})
    assert isinstance(outcome, Later)
    assert outcome.after_ms == after_ms


@pytest.mark.parametrize(
    "wrong", [-1, "31d", 31 * 86_400, "soon", "", None, True, [], float("nan"), float("inf"), 1e308, "9" * 50]
)
def test_a_delay_that_is_none(wrong: Any) -> None:
    """It fails with a sentence; another attempt would not help."""
    outcome = delay.run({"for": wrong})
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("bad_request", False)


@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.none(), st.booleans()))
def test_any_delay_is_bounded_or_refused(value: Any) -> None:
    """Nothing else is raised, and nothing waits longer than 30 days."""
    outcome = delay.run({"for": value})
    assert isinstance(outcome, Failed) or 0 <= outcome.after_ms <= 30 * DAY_MS


def test_a_message_is_masked_before_it_is_cut() -> None:
    """No half of a secret stays where the text ends."""
    redactor = Redactor()
    redactor.add("token", "cAn4ry-token")
    outcome = message.run({"text": "x" * 2990 + "cAn4ry-token" + "y" * 100}, redact=redactor.redact_json)
    assert isinstance(outcome, Posted)
    assert "cAn4" not in outcome.text
    assert len(outcome.text) == message.MAX_CHARS
    assert outcome.text.endswith("…")


def test_where_a_message_goes() -> None:
    """The run's own channel and thread when not said; only ids are channels."""
    assert message.run({"text": " hi "}, redact=lambda value: value) == Posted("hi", None, True)
    with_ = {"text": "hi", "channel": "C0123456", "thread": False}
    assert message.run(with_, redact=lambda value: value) == Posted("hi", "C0123456", False)
    for wrong in ({"text": "  "}, {"text": "hi", "channel": "#ops"}, {"text": "hi", "channel": 5}):
        assert isinstance(message.run(wrong, redact=lambda value: value), Failed)


def test_what_is_waited_for() -> None:
    """The key as it is, without blanks around it; one that is empty or too long is refused."""
    assert wait.run({"key": " deploy-7 "}, timeout_ms=5) == Waiting("deploy-7", 5)
    for wrong in ("", "  ", "k" * 201, None):
        assert isinstance(wait.run({"key": wrong}, timeout_ms=5), Failed)


def claim(step: Step, **visible: Any) -> Claim:
    execution: Any = SimpleNamespace(id="R-1", revision=0)
    step_run: Any = SimpleNamespace(path=step.id, attempts=1, fence=1, phase=Phase.MAIN)
    runbook: Any = None
    return Claim(execution, runbook, step, step_run, visible, 60_000)


def performed(step: Step, egress: Any, **visible: Any) -> Outcome:
    redactor = Redactor()
    tools = Tools(egress, SecretStore({"RUNBOOK_SECRET_TOKEN": "cAn4ry-token"}, None, redactor), redactor)
    try:
        return perform(claim(step, **visible), tools, lambda: False)
    finally:
        tools.channels.close()


def http_step(url: str, outputs: dict[str, Any], **with_: Any) -> Step:
    return Step(
        "call", "http", (), {"method": "GET", "url": url, **with_}, None, 3000, idempotent=True, outputs=outputs
    )


def test_a_steps_own_outputs() -> None:
    """They see the kind's outputs, the response and all else, and replace what the kind gave."""
    outputs = {
        "version": "{{ response.json.version }}",
        "same": "{{ outputs.json.version }}",
        "line": "{{ params.service }} {{ response.status }} {{ response.text }}",
        "kind": "{{ response.headers['content-type'] }}",
        "fixed": [1, None],
    }
    behave = answer(b'{"version": 7}', "200 OK", "Content-Type: application/json")
    with serving(behave) as server, egress_to(server) as egress:
        outcome = performed(http_step(server.url(), outputs), egress, params={"service": "api"})
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs == {
        "version": 7,
        "same": 7,
        "line": 'api 200 {"version": 7}',
        "kind": "application/json",
        "fixed": [1, None],
    }
    assert outcome.evidence.response["status"] == 200


def test_outputs_that_cannot_be_worked_out() -> None:
    """The call was made, so the step fails for good and keeps its evidence; a failed call keeps its own outputs."""
    with serving(answer(b"plain")) as server, egress_to(server) as egress:
        for template in ("{{ response.json.version }}", "{{ outputs.nothing.there }}"):
            outcome = performed(http_step(server.url(), {"version": template}), egress)
            assert isinstance(outcome, Failed)
            assert (outcome.code, outcome.retryable) == ("outputs", False)
            assert "The step was done" in outcome.message
            assert outcome.evidence.response["status"] == 200
    with serving(answer(b"no", "404 Not Found")) as server, egress_to(server) as egress:
        outcome = performed(http_step(server.url(), {"version": "x"}), egress)
        assert isinstance(outcome, Failed)
        assert outcome.outputs is not None
        assert outcome.outputs["status"] == 404


def test_outputs_are_bounded_and_masked() -> None:
    """Many copies of a large answer are refused, and a secret that came back stays masked."""
    with serving(answer(b"x" * 60_000)) as server, egress_to(server) as egress:
        outcome = performed(http_step(server.url(), {str(n): "{{ outputs.text }}" for n in range(9)}), egress)
        assert isinstance(outcome, Failed)
        assert outcome.code == "outputs"
    with serving(lambda conn, request: answer(request)(conn, request)) as server, egress_to(server) as egress:
        step = http_step(server.url(), {"said": "{{ outputs.text }}"}, headers={"X-Key": "{{ secrets.token }}"})
        outcome = performed(step, egress)
        assert b"cAn4ry-token" in server.requests[0]
        assert isinstance(outcome, Succeeded)
        assert "‹secret token›" in outcome.outputs["said"]
        assert "cAn4ry" not in repr(outcome)


def test_a_grpc_steps_own_outputs() -> None:
    """Its status is the code's name, its headers the metadata."""
    outputs = {"id": "{{ response.json.orderId }}", "code": "{{ response.status }}", "all": "{{ response.headers }}"}
    with order_service() as service, egress_to(allow=service.target) as egress:
        with_ = {"target": service.target, "service": SERVICE, "method": "Cancel", "tls": False}
        with_ |= {"message": {"order_id": "{{ params.order }}"}, "metadata": {"authorization": "{{ secrets.token }}"}}
        outcome = performed(
            Step("call", "grpc", (), with_, None, 3000, outputs=outputs), egress, params={"order": "a7"}
        )
        assert service.seen[0]["authorization"] == "cAn4ry-token"
        assert service.seen[0]["idempotency-key"] == "rb-R-1-call"
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs == {"id": "a7", "code": "OK", "all": {}}


def test_the_kinds_that_call_nobody_are_performed() -> None:
    """Their templates see what is visible, and a delay's own outputs are worked out at once."""
    with egress_to() as egress:
        step = Step("pause", "delay", (), {"for": "{{ params.seconds }}"}, outputs={"who": "{{ params.name }}"})
        assert performed(step, egress, params={"seconds": 2, "name": "x"}) == Later(2000, {"who": "x"})
        step = Step("say", "message", (), {"text": "Hi {{ params.name }}", "thread": True})
        assert performed(step, egress, params={"name": "Ada"}) == Posted("Hi Ada", None, True)
        step = Step("await", "wait", (), {"key": "deploy-{{ params.n }}"}, timeout_ms=60_000)
        assert performed(step, egress, params={"n": 7}) == Waiting("deploy-7", 60_000)


def test_without_outputs_of_its_own_a_step_keeps_its_kinds() -> None:
    """The mapping changes nothing then."""
    assert mapped_outputs(Step("w", "wait", (), {}), {}, {"a": 1}) == {"a": 1}
