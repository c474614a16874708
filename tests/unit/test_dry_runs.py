"""`dry_run`: what is laid over a step's `with`, and what of it is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definition import codec, targets
from engine.definition.dry_runs import laid_over
from engine.definition.load import examine, load

FILE = """apiVersion: runbook/v1
id: demo
name: Demo
steps:
  - id: go
    type: {kind}
    with: {with_}
    dry_run: {dry_run}
"""
CALL = {"method": "POST", "url": "https://a.example/x", "json": {"n": 1}}
KEYS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3))


def file(dry_run: object, with_: object = None, kind: str = "http") -> bytes:
    return FILE.format(kind=kind, with_=json.dumps(with_ or CALL), dry_run=json.dumps(dry_run)).encode()


@given(KEYS, KEYS)
def test_a_mapping_is_merged_and_the_check_has_the_last_word(old: dict[str, int], new: dict[str, int]) -> None:
    assert laid_over({"query": old}, {"query": new})["query"] == {**old, **new}
    assert laid_over({"expect": old}, {"expect": new})["expect"] == new


def test_a_body_and_an_address_take_the_place_of_another() -> None:
    assert laid_over({"json": {}, "target": "a", "path": "/"}, {"text": "x", "url": "u"}) == {"text": "x", "url": "u"}
    assert laid_over({"url": "u"}, {"target": "a"}) == {"target": "a"}
    assert laid_over({"headers": {"X-a": "1", "B": "2"}}, {"headers": {"x-A": "3"}})["headers"] == {
        "B": "2",
        "x-A": "3",
    }


def test_it_is_kept_with_the_version_and_called_by_its_target() -> None:
    found = load(file({"path": "/check", "before_gates": True}, {"target": "a", "path": "/x"}), "f")
    data = json.loads(json.dumps(codec.canonical(found)))
    assert codec.from_canonical(data) == found
    check = targets.resolved(found, {"a": {"url": "https://a.example"}}).steps[0].dry_run
    assert check is not None
    assert (check.step.with_["url"], check.before_gates) == ("https://a.example/check", True)
    plain = load(file({"path": "/other"}, {"target": "a", "path": "/x"}), "f")
    assert codec.digest(codec.canonical(plain)) != codec.digest(data)


PLAIN = "http://a.example/check"


@pytest.mark.parametrize(
    ("with_", "dry_run", "kind", "lines"),
    [
        (CALL, {"url": PLAIN}, "http", [("plain-http", 8)]),
        (CALL, {"text": '{"n": "{{ execution.reason }}"}'}, "http", [("unquoted-json", 8)]),
        ({**CALL, "url": PLAIN}, {"query": {"check": "1"}}, "http", [("plain-http", 7)]),
        ({**CALL, "url": PLAIN}, {"url": f"{PLAIN}/2"}, "http", [("plain-http", 7), ("plain-http", 8)]),
        ({**CALL, "url": PLAIN}, {"url": "https://a.example/check"}, "http", [("plain-http", 7)]),
        (CALL, {"url": "http://localhost:80/check"}, "http", []),
        (
            {"target": "localhost:50051", "service": "a.B", "method": "C", "tls": False},
            {"target": "a.example:50051"}, "grpc", [("plain-http", 8)],
        ),
    ],
)  # fmt: skip
def test_its_own_call_is_asked_what_any_call_is(
    with_: object, dry_run: object, kind: str, lines: list[tuple[str, int]]
) -> None:
    """What it takes from the step is told once, at the step."""
    examined = examine(file(dry_run, with_, kind), "f")
    assert examined.problems == ()
    asked = {"plain-http", "unquoted-json"}
    assert [(each.rule, each.line) for each in examined.warnings if each.rule in asked] == lines


@pytest.mark.parametrize(
    ("dry_run", "kind", "says"),
    [
        ({"expect": "response.status == 412"}, "http", "changes nothing that is sent"),
        ({"json": {"n": 1}}, "http", "changes nothing that is sent"),
        ({"quary": {"a": 1}}, "http", "did you mean `query`"),
        ({"query": {"a": "{{ params.b }}"}}, "http", "there is no parameter `b`"),
        ({"headers": {"Host": "x"}}, "http", "set by the bot itself"),
        ({"json": {}, "text": "x"}, "http", "a call has one body"),
        ({"query": {"a": 1}}, "poll", "is for http and grpc steps only"),
    ],
)
def test_what_is_wrong_is_told_in_its_line(dry_run: object, kind: str, says: str) -> None:
    with_ = CALL if kind == "http" else {"url": "https://a.example/", "until": "true"}
    (problem,) = [each for each in examine(file(dry_run, with_, kind), "f").problems if says in each.message]
    assert problem.line == 8
