"""Bodies as forms send them: what arrives, what cannot be smuggled in, and that a call has one body."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_server import answer
from test_http_step import outcome_of, sent_by

from engine.definition.load import examine
from engine.steps import http_body
from engine.steps.http_body import Part
from engine.steps.outcome import Failed

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def parsed(body: bytes, kind: str) -> list[tuple[str, str | None, str, str]]:
    """Name, file name, content type and text of each part, as Python's own mail parser reads them."""
    message = BytesParser(policy=policy.HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return [
        (
            str(part.get_param("name", header="content-disposition")), part.get_filename(), part.get_content_type(),
            part.get_payload(decode=True).decode(),  # type: ignore[union-attr]
        )
        for part in message.iter_parts()  # type: ignore[attr-defined]
    ]  # fmt: skip


def test_a_form_is_sent_as_a_browser_does() -> None:
    _, headers, body = sent_by({"method": "POST", "form": {"a": "x y&z", "n": 7, "on": True, "tag": ["é", "b"]}})
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(body.decode()) == [("a", "x y&z"), ("n", "7"), ("on", "true"), ("tag", "é"), ("tag", "b")]


def test_parts_are_sent_with_names_and_types() -> None:
    parts = [
        {"name": "note", "text": "two\r\nlines"},
        {"name": "file", "text": "a,b\n", "filename": "hosts.csv", "content_type": "text/csv"},
    ]
    _, headers, body = sent_by({"method": "POST", "multipart": parts})
    assert parsed(body, headers["content-type"]) == [
        ("note", None, "text/plain", "two\r\nlines"),
        ("file", "hosts.csv", "text/csv", "a,b\n"),
    ]
    again = sent_by({"method": "POST", "multipart": parts})
    assert (again[1]["content-type"], again[2]) == (headers["content-type"], body)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_no_part_makes_another(named: list[tuple[str, str]]) -> None:
    """Whatever stands in names and texts, as many parts arrive as were written, each with its text."""
    body, kind = http_body.multipart([Part(name, text, filename=name) for name, text in named])
    boundary = kind.partition("boundary=")[2].encode()
    pieces = body.split(b"--" + boundary)
    assert len(pieces) == len(named) + 2
    for piece, (_, text) in zip(pieces[1:-1], named, strict=True):
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        assert head.count(b"\r\n") == 0
        assert content == text.encode() + b"\r\n"


def test_a_content_type_ends_no_line() -> None:
    parts = [{"name": "a", "text": "b", "content_type": "text/plain\r\nX-Evil: 1"}]
    outcome = outcome_of(answer(), {"method": "POST", "multipart": parts})
    assert isinstance(outcome, Failed)
    assert outcome.code == "bad_request"
    assert "line break" in outcome.message


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ("form: {a: 1}, json: {b: 2}", "cannot stand beside"),
        ("form: {a: 1}, multipart: [{name: a, text: b}]", "cannot stand beside"),
        ("text: a, form: {a: 1}", "cannot stand beside"),
        ("multipart: []", "must not be empty"),
        ("multipart: [{name: a}]", "text"),
        ("multipart: [{name: a, text: b, contenttype: x}]", "content_type"),
        ("response_format: yaml", "must be one of json, text, xml, lines"),
        ('form: {a: "{{ params.nope }}"}', "nope"),
        ("tls: {cert: a}", "key"),
        ("tls: {cert: a, key: b}", "must come from a secret"),
        ("tls: {verify: false}", "not known here"),
    ],
)
def test_what_is_wrong_is_said_of_the_file(with_: str, told: str) -> None:
    text = f"""\
apiVersion: runbook/v1
id: demo
name: Demo
steps:
  - {{id: call, type: http, with: {{method: POST, url: "https://a.example.com/", {with_}}}}}
"""
    problems = [problem.message for problem in examine(text.encode(), "demo.yaml").problems]
    assert any(told in each for each in problems), problems
