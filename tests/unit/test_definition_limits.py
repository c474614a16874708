"""Every limit of the runbook format, tried at the limit and one past it."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.definition.load import examine
from engine.definition.parameters import check_schema, validate
from engine.definition.yaml_source import read
from engine.errors import InvalidParameters
from engine.expressions import ExpressionError, check, evaluate, render
from engine.text.regex import found_in, matches

Json = Any

CALL = {"url": "https://h.test/"}
APPROVERS = {"users": [f"U{n:03}" for n in range(25)]}


def step(kind: str, with_: Json, **more: Json) -> dict[str, Json]:
    return {"id": "a", "type": kind, "with": with_, **more}


def of(*steps: Json, **more: Json) -> dict[str, Json]:
    return {"apiVersion": "runbook/v1", "id": "x", "name": "X", "steps": list(steps), **more}


def http(**with_: Json) -> dict[str, Json]:
    return of(step("http", {**CALL, **with_}))


def delays(count: int, start: int = 0) -> list[Json]:
    return [{"id": f"s{n}", "type": "delay", "with": {"for": 1}} for n in range(start, start + count)]


def approval(**with_: Json) -> dict[str, Json]:
    return of(step("approval", {"approvers": APPROVERS, **with_}))


def loop(**with_: Json) -> dict[str, Json]:
    return of(step("loop", {"items": [1], "steps": delays(1), **with_}))


def nested(depth: int) -> dict[str, Json]:
    inner: Json = delays(1)
    for n in range(depth):
        inner = [{"id": f"b{n}", "type": "branch", "with": {"if": "true", "then": inner}}]
    return of(*inner)


def parameter(**rules: Json) -> dict[str, Json]:
    return of(*delays(1), parameters={"type": "object", "properties": {"p": rules}})


def parameters(count: int) -> dict[str, Json]:
    return of(*delays(1), parameters={"type": "object", "properties": {f"p{n}": {} for n in range(count)}})


def names(count: int) -> dict[str, str]:
    return {f"n{n}": "x" for n in range(count)}


WITHIN: dict[str, tuple[Callable[[int], dict[str, Json]], int]] = {
    "an id": (lambda n: of(*delays(1)) | {"id": "x" * n}, 63),
    "a step's id": (lambda n: of({**delays(1)[0], "id": "x" * n}), 63),
    "a name": (lambda n: of(*delays(1)) | {"name": "x" * n}, 120),
    "a description": (lambda n: of(*delays(1), description="x" * n), 4_000),
    "tags": (lambda n: of(*delays(1), tags=[f"t{i}" for i in range(n)]), 20),
    "max_concurrent_steps": (lambda n: of(*delays(1), max_concurrent_steps=n), 200),
    "a run's timeout": (lambda n: of(*delays(1), timeout=n), 7 * 86_400),
    "steps": (lambda n: of(*delays(n)), 200),
    "steps and cleanup": (lambda n: of(*delays(n - 60), **{"finally": delays(60, 500)}), 200),
    "steps inside": (lambda n: of(*delays(100), {"id": "b", "type": "branch", "with": {"if": "true", "then": delays(n - 101, 500)}}), 200),
    "containers around a step": (nested, 5),
    "gates": (lambda n: of(*({"id": f"g{i}", "type": "approval", "with": {"approvers": APPROVERS}} for i in range(n))), 200),
    "needs": (lambda n: of(*delays(n), {"id": "z", "type": "delay", "with": {"for": 1}, "needs": [f"s{i}" for i in range(n)]}), 199),
    "outputs of a run": (lambda n: of(*delays(1), outputs=names(n)), 50),
    "a group of concurrency": (lambda n: of(*delays(1), concurrency={"group": "x" * n}), 200),
    "concurrency": (lambda n: of(*delays(1), concurrency={"group": "x", "limit": n}), 1_000),
    "a step's timeout": (lambda n: of(step("http", CALL, timeout=n)), 86_400),
    "a container's timeout": (lambda n: of(step("loop", {"items": [1], "steps": delays(1)}, timeout=n)), 7 * 86_400),
    "attempts": (lambda n: of(step("http", CALL, retry={"max_attempts": n})), 20),
    "a back-off": (lambda n: of(step("http", CALL, retry={"backoff": n})), 10),
    "a retry's delay": (lambda n: of(step("http", CALL, retry={"delay": n})), 3_600),
    "a retry's longest delay": (lambda n: of(step("http", CALL, retry={"max_delay": n})), 3_600),
    "a url": (lambda n: of(step("http", {"url": "https://h.test/" + "x" * (n - 15)})), 4_096),
    "headers": (lambda n: http(headers=names(n)), 50),
    "a header": (lambda n: http(headers={"X": "x" * n}), 8_192),
    "query": (lambda n: http(query=names(n)), 50),
    "values of a query": (lambda n: http(query={"q": ["x"] * n}), 100),
    "redirects": (lambda n: http(redirects=n), 5),
    "an hmac's prefix": (lambda n: http(auth={"type": "hmac", "secret": "k", "prefix": "x" * n}), 40),
    "min_approvals": (lambda n: approval(min_approvals=n), 20),
    "approvers": (lambda n: approval(approvers={"users": [f"U{i:03}" for i in range(n)]}), 100),
    "groups": (lambda n: approval(approvers={"groups": [f"g{i}" for i in range(n)]}), 100),
    "minima": (lambda n: approval(approvers={"minima": [{"group": f"g{i}"} for i in range(n)]}), 10),
    "a minimum": (lambda n: approval(approvers={"minima": [{"group": "g", "count": n}]}), 20),
    "a gate's message": (lambda n: approval(message="x" * n), 2_000),
    "a poll's interval": (lambda n: of(step("poll", {**CALL, "until": "true", "interval": n})), 86_400),
    "a grpc service": (lambda n: of(step("grpc", {"target": "h:443", "service": "s" * n, "method": "C"})), 255),
    "a grpc method": (lambda n: of(step("grpc", {"target": "h:443", "service": "a.B", "method": "m" * n})), 255),
    "grpc metadata": (lambda n: of(step("grpc", {"target": "h:443", "service": "a.B", "method": "C", "metadata": names(n)})), 50),
    "a wait's key": (lambda n: of(step("wait", {"key": "x" * n})), 200),
    "items": (lambda n: loop(items=[1] * n), 1_000),
    "max_parallel": (lambda n: loop(max_parallel=n), 100),
    "max_failures": (lambda n: loop(max_failures=n), 1_000),
    "a child's parameters": (lambda n: of(step("runbook", {"id": "y", "params": names(n)})), 100),
    "a delay": (lambda n: of(step("delay", {"for": n})), 7 * 86_400),
    "a message": (lambda n: of(step("message", {"text": "x" * n})), 3_000),
    "parameters": (parameters, 100),
    "a parameter's name": (lambda n: of(*delays(1), parameters={"type": "object", "properties": {"p" * n: {}}}), 63),
    "a parameter's title": (lambda n: parameter(title="x" * n), 120),
    "a parameter's description": (lambda n: parameter(description="x" * n), 1_000),
    "examples": (lambda n: parameter(examples=[1] * n), 20),
    "choices": (lambda n: parameter(enum=list(range(n))), 200),
    "a pattern": (lambda n: parameter(type="string", pattern="x" * n), 256),
    "a length": (lambda n: parameter(type="string", maxLength=n), 65_536),
    "$defs": (lambda n: of(*delays(1), parameters={"type": "object", "$defs": {f"d{i}": {} for i in range(n)}}), 50),
}  # fmt: skip

AT_LEAST: dict[str, tuple[Callable[[Json], dict[str, Json]], Json, Json]] = {
    "a poll's interval": (lambda n: of(step("poll", {**CALL, "until": "true", "interval": n})), "1s", "999ms"),
    "a timeout": (lambda n: of(*delays(1), timeout=n), "1ms", "0s"),
    "min_approvals": (lambda n: approval(min_approvals=n), 1, 0),
    "attempts": (lambda n: of(step("http", CALL, retry={"max_attempts": n})), 1, 0),
    "a back-off": (lambda n: of(step("http", CALL, retry={"backoff": n})), 1, 0.99),
    "max_failures": (lambda n: loop(max_failures=n), 0, -1),
    "max_parallel": (lambda n: loop(max_parallel=n), 1, 0),
    "concurrency": (lambda n: of(*delays(1), concurrency={"group": "x", "limit": n}), 1, 0),
    "a multiple": (lambda n: parameter(type="number", multipleOf=n), 1e-9, 0),
}


def problems(data: dict[str, Json]) -> list[str]:
    return [each.message for each in examine(json.dumps(data).encode(), "x.yaml").problems]


@pytest.mark.parametrize("name", WITHIN)
def test_the_largest_that_is_allowed(name: str) -> None:
    """That many pass, and one more is refused with a sentence."""
    make, most = WITHIN[name]
    assert problems(make(most)) == []
    assert len(problems(make(most + 1))) == 1


@pytest.mark.parametrize("name", AT_LEAST)
def test_the_smallest_that_is_allowed(name: str) -> None:
    """That little passes, and less is refused."""
    make, least, less = AT_LEAST[name]
    assert problems(make(least)) == []
    assert len(problems(make(less))) == 1


READ: dict[str, tuple[Callable[[int], str], int]] = {
    "bytes": (lambda n: "a: 1 #" + "x" * (n - 6), 262_144),
    "nesting": (lambda n: "[" * n + "]" * n, 32),
    "parts": (lambda n: "[" + "1," * (n - 6) + "]", 20_001),
    "whole numbers": (lambda n: f"a: {n}", 2**53),
    "negative numbers": (lambda n: f"a: -{n}", 2**53),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_file_may_be(name: str) -> None:
    """Counted in bytes, in YAML's parts, and in nesting."""
    make, most = READ[name]
    assert read(make(most).encode(), "f").problems == []
    assert read(make(most + 1).encode(), "f").problems


def deep(depth: int) -> Json:
    """A schema of so many levels."""
    schema: Json = {"type": "string"}
    for _ in range(depth - 1):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def wide(parts: int) -> Json:
    """A schema of so many parts."""
    properties: dict[str, Json] = {f"a{n}": {"items": {}} for n in range((parts - 1) // 2)}
    return {"type": "object", "properties": {**properties, **({"last": {}} if parts % 2 == 0 else {})}}


def test_how_large_a_schema_may_be() -> None:
    """Ten levels and two hundred parts."""
    assert check_schema(deep(10)) == []
    assert check_schema(deep(11))
    assert check_schema(wide(199)) == []
    assert check_schema(wide(200)) == []
    assert check_schema(wide(201))


ANYTHING: dict[str, Json] = {"type": "object", "properties": {"a": {}}}


def levels(depth: int) -> Json:
    value: Json = 1
    for _ in range(depth):
        value = [value]
    return value


VALUES: dict[str, tuple[Callable[[int], Json], int]] = {
    "text": (lambda n: "x" * (n - 1), 65_536),
    "texts together": (lambda n: ["x" * 65_000, "x" * (n - 65_001)], 65_536),
    "parts": (lambda n: [[1] * 999, [1] * 999, [1] * 999, [1] * 999, [1] * (n - 4_004)], 5_000),
    "items": (lambda n: [1] * n, 1_000),
    "depth": (lambda n: levels(n - 1), 20),
}


@pytest.mark.parametrize("name", VALUES)
def test_how_large_values_may_be(name: str) -> None:
    """All values of a run together; names count as text and as parts."""
    make, most = VALUES[name]
    assert validate(ANYTHING, {"a": make(most)})
    with pytest.raises(InvalidParameters):
        validate(ANYTHING, {"a": make(most + 1)})


def test_how_large_an_expression_may_be() -> None:
    """In characters, parts and depth, and in loops inside each other."""
    assert check("{{ x }}" + " " * (16_384 - 7)) == []
    assert check("{{ x }}" + " " * (16_384 - 6))
    assert check("{{ " + "-" * 30 + "1 }}") == []
    assert check("{{ " + "-" * 60 + "1 }}")
    for depth, fits in ((2, True), (3, False)):
        source = "{% for a in x %}" * depth + "{% endfor %}" * depth
        assert (check(source) == []) == fits


def test_how_large_what_comes_out_may_be() -> None:
    """Text of 65,536 characters, values of 262,144 characters and items."""
    half = "x" * 32_768
    context = {"x": half, "y": half + "x", "list": ["x" * 65_535] * 3, "rest": "x" * 65_534}
    assert len(render("{{ x }}{{ x }}", context)) == 65_536
    assert len(evaluate("x + x", context)) == 65_536
    assert len(evaluate("x ~ x", context)) == 65_536
    assert len(evaluate("[x, x] | join", context)) == 65_536
    assert len(evaluate("x | replace('x', 'xx')", context)) == 65_536
    assert len(evaluate("list + [rest]", context)) == 4
    for source in ("x + y", "x ~ y", "[x, y] | join", "y | replace('x', 'xx')", "list + [rest + 'x'] + ['']"):
        with pytest.raises(ExpressionError):
            evaluate(source, context)
    with pytest.raises(ExpressionError):
        render("{{ x }}{{ y }}", context)


def test_how_many_rounds_loops_may_take() -> None:
    """Ten thousand, all loops together."""
    source = "{% for a in x %}{% endfor %}{% for a in y %}{% endfor %}"
    assert render(source, {"x": [1] * 9_000, "y": [1] * 1_000}) == ""
    with pytest.raises(ExpressionError):
        render(source, {"x": [1] * 9_000, "y": [1] * 1_001})


def test_how_long_a_text_a_pattern_looks_at() -> None:
    """At most 65,536 characters: longer ones are refused, or not looked at to the end."""
    assert matches("x$", "x" * 65_536)
    with pytest.raises(ValueError, match="longer than 65536"):
        matches("x$", "x" * 65_537)
    assert found_in("(?P<end>y)", "x" * 65_535 + "y") == {"end": "y"}
    assert found_in("(?P<end>y)", "x" * 65_536 + "y") is None


def test_fifty_problems_are_shown_and_no_more() -> None:
    """One more line says that there are others."""
    for wrong, lines in ((50, 50), (51, 51), (60, 51)):
        data = of(*({"id": f"s{n}", "type": "delay", "with": {"for": 1}, "bad": 1} for n in range(wrong)))
        found = problems(data)
        assert len(found) == lines
        assert any("and more" in each for each in found) == (lines > 50)
