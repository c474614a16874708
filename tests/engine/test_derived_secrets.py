"""What a template makes of a secret is a secret of that attempt, and no way out shows it."""

from __future__ import annotations

import io
import json
import logging
import socket
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_plus

import pytest
from grpc_server import SERVICE, order_service
from local_server import answer, egress_to, serving, silence

from engine.config.secrets import SecretStore
from engine.definition.model import Step
from engine.definition.rendering import render_known
from engine.expressions import ExpressionError, made_of_secrets, reads_secrets, render, render_shown
from engine.steps.outcome import Failed, Outcome, Succeeded
from engine.steps.perform import Claim, Tools, perform
from engine.text import logs
from engine.text.redaction import Redactor, worth_masking
from storage.states import Phase

CANARY = "cAn4ry  Sècret/Value+1"
ENVIRON = {"RUNBOOK_SECRET_TOKEN": CANARY, "RUNBOOK_SECRET_PIN": "4938175", "RUNBOOK_SECRET_WORD": "sesame-77"}

MADE = {
    "upper": "{{ secrets.token | upper }}",
    "lower": "{{ secrets.token | lower }}",
    "slice": "{{ secrets.token[2:14] }}",
    "backwards": "{{ secrets.token[::-1] }}",
    "replace": "{{ secrets.token | replace(' ', '_') }}",
    "trim": "{{ (secrets.token ~ ' ') | trim | upper }}",
    "join": "{{ [secrets.token, secrets.word] | join('-') }}",
    "default": "{{ secrets.token | upper | default('none') }}",
    "choice": "{{ secrets.token | lower if secrets.word else 'nothing' }}",
    "loop": "{% for part in [secrets.token, secrets.word] %}{{ part | upper }};{% endfor %}",
    "sum": "{{ 'x' + secrets.token | upper + 'y' }}",
    "json": "{{ {'a': secrets.token | upper} | tojson }}",
    "base64": "{{ secrets.token | upper | b64encode }}",
    "split": "{{ secrets.token | upper | split('/') | tojson }}",
    "search": "{{ secrets.token | upper | regex_search('S.*T') }}",
    "changed": "{{ secrets.token | regex_replace('[ +]+', '_') }}",
    "encoded": "{{ secrets.token | upper | urlencode }}",
    "mapped": "{{ [secrets.token, secrets.word] | map('upper') | join(' ') }}",
    "queried": "{{ {'a': secrets.token | lower} | query('[a, reverse(a)]') | tojson }}",
    "number": "{{ secrets.pin | int + 1 }}",
    "first": "{{ secrets.token | first }}",
    "last": "{{ secrets.token | last }}",
    "length": "{{ secrets.token | length }}",
}
SHORT = ("first", "last", "length")
"""What they make is no secret to be found again, and stands nowhere in the evidence."""


def performed(step: Step, egress: Any, redactor: Redactor | None = None, **visible: Any) -> Outcome:
    redactor = redactor or Redactor()
    tools = Tools(egress, SecretStore(ENVIRON, None, redactor), redactor)
    execution: Any = SimpleNamespace(id="R-1", revision=0)
    step_run: Any = SimpleNamespace(path=step.id, attempts=1, fence=1, phase=Phase.MAIN)
    runbook: Any = None
    try:
        return perform(Claim(execution, runbook, step, step_run, visible, 60_000), tools, lambda: False)
    finally:
        tools.channels.close()


def calling(url: str, kind: str = "http", **with_: Any) -> Step:
    return Step("call", kind, (), {"method": "POST", "url": url, **with_}, None, 3000, idempotent=True)


def echo(status: str) -> Any:
    """A server that sends back all that it got, in its headers too."""

    def behave(conn: socket.socket, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        sent = next((line[7:] for line in head.split(b"\r\n") if line.lower().startswith(b"x-made:")), b"")
        answer(request.split(b"\r\n")[0] + b"\n" + body, status, f"X-Echo: {sent.decode('latin-1')}")(conn, request)

    return behave


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
@pytest.mark.parametrize("made", MADE)
def test_what_is_made_of_a_secret_stands_nowhere(made: str, status: str) -> None:
    """Sent as meant, and masked in the evidence and in whatever the server sends back."""
    template = MADE[made]
    secrets = {name.removeprefix("RUNBOOK_SECRET_").lower(): value for name, value in ENVIRON.items()}
    value = render(template, {"secrets": secrets})
    text = value if isinstance(value, str) else json.dumps(value)
    with serving(echo(status)) as server, egress_to(server) as egress:
        with_ = {"query": {"q": template}, "json": {"made": template, "deep": [{"in": f"<{template}>"}]}}
        outcome = performed(calling(server.url(), **with_), egress)
        sent = server.requests[0].decode("utf-8", "replace")
    assert text in unquote_plus(sent.split(" ")[1])
    assert isinstance(outcome, Succeeded | Failed)
    kept = outcome.evidence.request
    assert kept["body"] == json.dumps(
        {"made": render_shown(template, {}), "deep": [{"in": f"<{render_shown(template, {})}>"}]}, ensure_ascii=False
    )
    assert f"q={render_shown(template, {})}" in kept["url"]
    assert "‹secret" in kept["body"]
    if made not in SHORT:
        assert text not in repr(outcome)
        assert json.dumps(text)[1:-1] not in repr(outcome)


def test_only_what_reads_a_secret_is_hidden() -> None:
    """The rest of a template is shown as it was sent, and so is a value that only looks alike."""
    template = "Bearer {{ secrets.token | upper }} for {{ params.who }}{% if params.late %}, late{% endif %}"
    assert render_shown(template, {"params": {"who": "carol", "late": True}}) == "Bearer ‹secret token› for carol, late"
    assert render_shown({"a": ["{{ params.n }}", "{{ secrets.a ~ secrets.b }}"]}, {"params": {"n": 5}}) == {
        "a": [5, "‹secret a, b›"]
    }
    assert not reads_secrets({"a": ["{{ params.secrets }}", 5, "secrets.token"]})
    made = list(
        made_of_secrets("{{ [secrets.a, {'k': secrets.a | upper}, 5, true, none] }}", {"secrets": {"a": "abc"}})
    )
    assert [text for _, text in made] == ["abc", "k", "ABC", "5"]


@pytest.mark.parametrize(
    ("made", "worth"),
    [
        ("cAn4ry  Sècret/Value+1", False),  # known as it is
        ("CAN4RY  SÈCRET/VALUE+1", True),
        ("xx4ry  Sxx", True),
        ("4ry  ", False),  # five characters of it
        ("false", False),
        ("production", False),
        ("22", False),
        ("tk-93ab77c1", True),
    ],
)
def test_what_is_worth_masking(made: str, worth: bool) -> None:
    """Six characters in a row of the secret, or what nobody would write; an ordinary word stays a word."""
    assert worth_masking(made, [CANARY]) is worth
    assert worth_masking("ABCD", ["abcd"])


def test_a_word_that_depends_on_a_secret_is_hidden_but_stays_a_word() -> None:
    """A choice by a secret is hidden in the evidence; the word itself goes on standing in the answer."""
    behave = answer(b'{"env": "production"}', "200 OK", "Content-Type: application/json")
    with serving(behave) as server, egress_to(server) as egress:
        with_ = {"json": {"env": "{{ 'production' if secrets.word == 'sesame-77' else 'test' }}"}}
        outcome = performed(calling(server.url(), **with_), egress)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["json"] == {"env": "production"}
    assert outcome.evidence.request["body"] == '{"env": "‹secret word›"}'


def test_it_is_masked_only_while_the_attempt_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an exception and in the log of it too; afterwards it is forgotten."""
    redactor = Redactor()
    stream = io.StringIO()
    handler = logs.RedactingHandler(redactor)
    handler.setStream(stream)
    log = logging.getLogger("engine.steps.perform")
    monkeypatch.setattr(log, "handlers", [handler])
    made = CANARY.replace("/", "_")

    def broken(*_args: Any, **_more: Any) -> Any:
        raise RuntimeError(f"could not handle {made!r}\nERROR engine: all is well")

    monkeypatch.setattr("engine.steps.http.run", broken)
    with egress_to() as egress:
        outcome = performed(
            calling("http://127.0.0.1:1/", text="{{ secrets.token | replace('/', '_') }}"), egress, redactor
        )
    assert isinstance(outcome, Failed)
    for shown in (repr(outcome), stream.getvalue()):
        assert made not in shown
        assert CANARY[:6] not in shown
        assert "‹secret token›" in shown
    assert all(line.startswith("  ") for line in stream.getvalue().splitlines()[1:])
    assert redactor.redact(made) == made


def test_no_message_tells_a_key_that_a_secret_made() -> None:
    """What is missing is named, unless its name was worked out with a secret."""
    seen = {"params": {"map": {}}, "secrets": {"token": CANARY}}
    for template in (
        "{{ params.map[secrets.token | upper] }}",
        "{% for key in [secrets.token | upper] %}{{ params.map[key] }}{% endfor %}",
    ):
        with pytest.raises(ExpressionError, match="what a secret was to pick is not there") as error:
            render(template, seen)
        assert "CAN4RY" not in str(error.value)
    with pytest.raises(ExpressionError, match="`other` is not there"):
        render("{{ params.map[params.key] }}", {"params": {"map": {}, "key": "other"}})
    assert (
        render("{{ params.map[secrets.token] }}", {"params": {"map": {CANARY: 7}}, "secrets": {"token": CANARY}}) == 7
    )


def test_a_call_that_gets_no_answer_shows_nothing_either() -> None:
    """Nor does a poll's round."""
    with serving(silence) as server, egress_to(server) as egress:
        with_ = {"headers": {"X-Made": "{{ secrets.word | upper }}"}, "text": "{{ secrets.pin | int }}"}
        polled = {**with_, "until": "true", "interval_ms": 1000}
        outcome = performed(replace(calling(server.url(), **with_), timeout_ms=300), egress)
    assert isinstance(outcome, Failed)
    assert outcome.evidence.request["headers"]["X-Made"] == "‹secret word›"
    assert outcome.evidence.request["body"] == "‹secret pin›"
    with serving(echo("503 Later")) as server, egress_to(server) as egress:
        outcome = performed(calling(server.url(), "poll", **polled), egress)
    assert isinstance(outcome, Succeeded)
    assert "SESAME" not in repr(outcome)
    assert outcome.evidence.request["headers"]["X-Made"] == "‹secret word›"


def test_a_gate_shows_marks_for_what_will_be_made_of_secrets() -> None:
    """Whatever is done to a secret, and with the rest of the value beside it."""
    step = calling(
        "http://x.test/", json={"a": "{{ secrets.token | upper }} of {{ params.who }}", "b": "{{ params.n }}"}
    )
    shown = render_known(step, {"params": {"who": "carol", "n": 5}})
    assert shown["json"] == {"a": "‹secret token› of carol", "b": 5}


def test_grpc_evidence_shows_marks() -> None:
    """In the message and in the metadata, also where the server sends them back."""
    with order_service() as service, egress_to(allow=f"127.0.0.1:{service.port}") as egress:
        with_ = {
            "target": service.target, "tls": False, "service": SERVICE, "method": "Cancel",
            "message": {"order_id": "echo-metadata", "tags": ["{{ secrets.word | upper }}"]},
            "metadata": {"x-made": "{{ secrets.word | upper }}-{{ params.who }}"},
        }  # fmt: skip
        outcome = performed(Step("call", "grpc", (), with_, None, 3000), egress, params={"who": "carol"})
        assert service.seen[-1]["x-made"] == "SESAME-77-carol"
    assert isinstance(outcome, Succeeded)
    assert "SESAME-77" not in repr(outcome)
    assert outcome.evidence.request["metadata"]["x-made"] == "‹secret word›-carol"
    assert '"tags": ["‹secret word›"]' in outcome.evidence.request["message"]
