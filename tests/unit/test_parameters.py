"""Parameters: which schemas a runbook may have, and what people give checked and converted by them."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.definition.parameters import check_schema, coerce, validate
from engine.errors import InvalidParameters

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["service"],
    "properties": {
        "service": {"type": "string", "enum": ["api", "web"]},
        "grace": {"type": "integer", "minimum": 0, "maximum": 300, "default": 30},
        "ratio": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "force": {"type": "boolean", "default": False},
        "hosts": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "minItems": 1, "uniqueItems": True},
        "ports": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
        "extra": {"type": "object", "additionalProperties": {"type": "integer"}},
        "target": {"$ref": "#/$defs/target"},
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "mail": {"type": "string", "format": "email"},
        "link": {"type": "string", "format": "uri"},
        "note": {"type": "string", "minLength": 3, "maxLength": 5},
        "maybe": {"type": ["integer", "null"]},
        "step": {"type": "integer", "multipleOf": 5},
        "level": {"enum": [1, "two", None]},
    },
    "$defs": {
        "target": {
            "type": "object",
            "required": ["host"],
            "properties": {"host": {"type": "string"}, "port": {"type": "integer", "default": 443}},
            "additionalProperties": False,
        }
    },
}  # fmt: skip


def refusal(schema: dict[str, Any], values: dict[str, Any]) -> dict[str, str]:
    """What validation says of the values; empty when they are right."""
    try:
        validate(schema, values)
    except InvalidParameters as error:
        return error.fields
    return {}


def test_the_schema_used_here_is_one_that_runbooks_may_have() -> None:
    """The schema of these tests passes."""
    assert check_schema(SCHEMA) == []


def lists_in_lists(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, {"service": "is required"}),
        ({"service": "wep"}, {"service": "must be one of api, web; did you mean `web`?"}),
        ({"service": 5}, {"service": "must be text, not a whole number"}),
        ({"grace": -1}, {"grace": "must be at least 0"}),
        ({"grace": 301}, {"grace": "must be at most 300"}),
        ({"grace": "soon"}, {"grace": "must be a whole number, not text"}),
        ({"grace": True}, {"grace": "must be a whole number, not true or false"}),
        ({"grace": None}, {"grace": "must be a whole number, not null"}),
        ({"ratio": 0}, {"ratio": "must be more than 0"}),
        ({"ratio": 1}, {"ratio": "must be less than 1"}),
        ({"force": "yes"}, {"force": "must be true or false, not text"}),
        ({"hosts": []}, {"hosts": "must not be empty"}),
        ({"hosts": ["a", "B"]}, {"hosts": "item 2 (“B”) must fit the pattern ^[a-z]+$"}),
        ({"hosts": ["a\n"]}, {"hosts": "item 1 (“a”) must fit the pattern ^[a-z]+$"}),
        ({"hosts": ["a", "a"]}, {"hosts": "must not hold the same thing twice"}),
        ({"ports": [1, 2, 3]}, {"ports": "must have at most 2 items"}),
        ({"extra": {"a": "b"}}, {"extra": "`a` must be a whole number, not text"}),
        ({"target": {}}, {"target": "`host` is required"}),
        ({"target": {"host": "h", "prot": 1}}, {"target": "`prot` is not known here; did you mean `port`?"}),
        ({"day": "2026-02-30"}, {"day": "must be a date such as 2026-01-31"}),
        ({"day": "tomorrow"}, {"day": "must be a date such as 2026-01-31"}),
        ({"at": "2026-01-31 14:30"}, {"at": "must be a time with its zone, such as 2026-01-31T14:30:00Z"}),
        ({"mail": "a@b"}, {"mail": "must be an e-mail address"}),
        ({"link": "example.com"}, {"link": "must be a full address such as https://example.com/x"}),
        ({"note": "ab"}, {"note": "must have at least 3 characters"}),
        ({"note": "abcdef"}, {"note": "must have at most 5 characters"}),
        ({"step": 7}, {"step": "must be a multiple of 5"}),
        ({"level": 2}, {"level": 'must be one of 1, two, null'}),
        ({"servce": "api"}, {"servce": "is not a parameter of this runbook; did you mean `service`?"}),
        ({"grace": -1, "force": 1}, {"grace": "must be at least 0", "force": "must be true or false, not a whole number"}),
        ({"ratio": float("nan")}, {"": "numbers must be finite"}),
        ({"note": "x" * 70_000}, {"": "the values are too large, too many or nested too deeply"}),
        ({"ports": list(range(2_000))}, {"": "the values are too large, too many or nested too deeply"}),
    ],
)  # fmt: skip
def test_every_wrong_parameter_is_named(given: dict[str, Any], fields: dict[str, str]) -> None:
    """What does not fit is said in people's words, for each parameter."""
    values = given if given == {} or "service" in given else {"service": "api", **given}
    with pytest.raises(InvalidParameters) as caught:
        validate(SCHEMA, values)
    assert caught.value.fields == fields


@pytest.mark.parametrize(
    ("step", "right", "wrong"),
    [
        (0.1, [0.3, 0.7, 1, -0.1, 0, 1e300], [0.35, 0.05, 1e-300]),
        (0.01, [4.02, 1.1, 100, 0.29], [0.001, 4.021]),
        (1e-8, [12391239123, 0.00000003], [1e-9]),
        (2.5, [5, 7.5, 0.0], [4, 7.4]),
        (3, [9, 9.0, 2**53 - 1 - (2**53 - 1) % 3], [10, 9.5]),
        (0.123456789, [0.246913578], [1e308]),
    ],
)
def test_multiples_are_told_in_decimals(step: float, right: list[float], wrong: list[float]) -> None:
    """As people write them: their nearest binary fractions would not fit. The same holds for defaults and choices."""
    for value in right:
        assert refusal(of(type="number", multipleOf=step), {"a": value}) == {}
        assert check_schema(of(type="number", multipleOf=step, default=value, enum=[value])) == []
    for value in wrong:
        assert refusal(of(type="number", multipleOf=step), {"a": value}) == {"a": f"must be a multiple of {step}"}
        assert check_schema(of(type="number", multipleOf=step, default=value))


@settings(deadline=None)
@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6), st.integers(0, 12))
def test_what_is_so_many_steps_is_a_multiple(count: int, digits: int, places: int) -> None:
    """Whatever the step, written in decimals."""
    step, value = float(f"{digits}e-{places}"), float(f"{count * digits}e-{places}")
    if len(str(abs(count * digits))) <= 15:  # what a float keeps to the digit
        assert refusal(of(type="number", multipleOf=step), {"a": value}) == {}


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, 1.0], False),
        ([[1], [1.0]], False),
        ([{"a": 1, "b": 0}, {"b": -0.0, "a": 1.0}], False),
        ([1, True], True),
        ([0, False, None, ""], True),
        ([[1], [True]], True),
        ([1e300, 1e300], False),
        (["1", 1], True),
    ],
)
def test_one_number_is_the_same_however_it_is_written(items: list[Any], unique: bool) -> None:
    """1 and 1.0 are one number in JSON; 1 and true are two things."""
    assert bool(refusal(of(type="array", uniqueItems=True), {"a": items})) != unique


@pytest.mark.parametrize(
    ("fits", "too_much"),
    [
        ("x" * 65_535, "x" * 65_536),  # the name counts, too: one character
        ({"k" * 65_534: "x"}, {"k" * 65_535: "x"}),
        (lists_in_lists(19), lists_in_lists(20)),
        ([0] * 1_000, [0] * 1_001),
        ([[0] * 998] * 5, [[0] * 999] * 5),
    ],
    ids=["text", "keys", "depth", "one list", "parts"],
)
def test_values_fit_up_to_the_limit(fits: Any, too_much: Any) -> None:
    """65,536 characters with names, 20 lists or mappings in each other, 1,000 items in a list, 5,000 in all."""
    schema = {"type": "object", "properties": {"v": {}}}
    assert validate(schema, {"v": fits}) == {"v": fits}
    with pytest.raises(InvalidParameters, match="too large, too many or nested too deeply"):
        validate(schema, {"v": too_much})


def test_a_runbook_without_parameters_takes_none() -> None:
    """The empty schema refuses any name."""
    assert validate({"type": "object", "properties": {}}, {}) == {}
    with pytest.raises(InvalidParameters):
        validate({"type": "object"}, {"a": 1})


def test_defaults_are_filled_in() -> None:
    """What is left out gets its default, inside mappings too, and what was given is not changed."""
    values = {"service": "api", "target": {"host": "h"}}
    filled = validate(SCHEMA, values)
    assert filled == {"service": "api", "grace": 30, "force": False, "target": {"host": "h", "port": 443}}
    assert values == {"service": "api", "target": {"host": "h"}}


def test_other_names_only_where_the_schema_says_so() -> None:
    """additionalProperties opens a runbook to names that it does not list."""
    schema = {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}
    assert validate(schema, {"x": 1}) == {"x": 1}
    with pytest.raises(InvalidParameters) as caught:
        validate(schema, {"x": "y"})
    assert caught.value.fields == {"x": "must be a whole number, not text"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ({"grace": "12"}, 12),
        ({"grace": " -12 "}, -12),
        ({"grace": "1e3"}, "1e3"),
        ({"grace": "9" * 5_000}, "9" * 5_000),
        ({"grace": "soon"}, "soon"),
        ({"ratio": "0.5"}, 0.5),
        ({"ratio": "1"}, 1),
        ({"ratio": "1e999"}, "1e999"),
        ({"ratio": "nan"}, "nan"),
        ({"force": "yes"}, True),
        ({"force": "ON"}, True),
        ({"force": "False"}, False),
        ({"force": "maybe"}, "maybe"),
        ({"hosts": "a, b"}, ["a", "b"]),
        ({"hosts": '["a,b"]'}, ["a,b"]),
        ({"hosts": ""}, []),
        ({"hosts": "[" * 5_000}, "[" * 5_000),
        ({"ports": "1,x"}, [1, "x"]),
        ({"extra": '{"a": 1}'}, {"a": 1}),
        ({"extra": '{"a": NaN}'}, '{"a": NaN}'),
        ({"extra": "[1]"}, "[1]"),
        ({"target": '{"host": "h"}'}, {"host": "h"}),
        ({"service": "12"}, "12"),
        ({"note": "true"}, "true"),
        ({"maybe": "null"}, None),
        ({"maybe": "5"}, 5),
        ({"level": "1"}, 1),
        ({"level": "two"}, "two"),
        ({"level": "null"}, None),
        ({"unknown": "5"}, "5"),
    ],
)
def test_text_becomes_what_the_schema_asks_for(text: dict[str, str], value: Any) -> None:
    """Words from a command line are converted by the schema; what does not convert stays text."""
    converted = coerce(SCHEMA, text)
    assert list(converted.values()) == [value]
    assert type(next(iter(converted.values()))) is type(value)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "other"]), st.text(max_size=40), max_size=5))
def test_any_text_is_converted_or_refused_by_name(texts: dict[str, str]) -> None:
    """Whatever is typed, validation names parameters that were typed or are required, and nothing else happens."""
    assert set(refusal(SCHEMA, coerce(SCHEMA, texts))) <= {*texts, "service"}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def of(**rules: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": rules}}


@pytest.mark.parametrize(
    ("schema", "path", "message"),
    [
        ([], (), "`parameters` must be a mapping, not a list"),
        ({}, ("type",), "`parameters.type` is required"),
        ({"type": "string"}, ("type",), "`parameters.type` must be object"),
        (of(typ="string"), ("properties", "a", "typ"), "`parameters.properties.a.typ` is not known here; did you mean `type`?"),
        (of(type="strnig"), ("properties", "a", "type"), "did you mean `string`?"),
        (of(anyOf=[{}]), ("properties", "a", "anyOf"), "`parameters.properties.a.anyOf` is not known here"),
        (of(patternProperties={}), ("properties", "a", "patternProperties"), "is not known here"),
        (of(required=True), ("properties", "a", "required"), "must be a list of names, and stands beside `properties`"),
        ({"type": "object", "properties": {"a-b": {}}}, ("properties", "a-b"), "must be letters, digits and underscores"),
        (of(**{"$ref": "https://example.com/x"}), ("properties", "a", "$ref"), "must point to #/$defs/…"),
        (of(**{"$ref": "#"}), ("properties", "a", "$ref"), "must point to #/$defs/…"),
        (of(**{"$ref": "#/$defs/b"}), ("properties", "a", "$ref"), "there is no `#/$defs/b`"),
        (
            {"type": "object", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}},
            ("$defs",),
            "`$ref`s go round in a ring: ",
        ),
        (of(**{"$defs": {}}), ("properties", "a", "$defs"), "`$defs` stands at the top of `parameters` only"),
        (of(type="string", pattern="(?=a)"), ("properties", "a", "pattern"), "it has no look-around"),
        (of(type="string", pattern="("), ("properties", "a", "pattern"), "not one that RE2 takes"),
        (of(type="string", pattern="a" * 257), ("properties", "a", "pattern"), "at most 256 characters"),
        (of(type="string", format="ipv4"), ("properties", "a", "format"), "must be one of date, time, date-time"),
        (of(type="integer", default="x"), ("properties", "a", "default"), "must be a whole number, not text"),
        (of(type="string", enum=["a"], default="b"), ("properties", "a", "default"), "must be one of a"),
        (of(type="string", enum=["a", 1]), ("properties", "a", "enum"), "`parameters.properties.a.enum[1]` must be text"),
        ({"type": "object", "required": ["b"], "properties": {"bb": {}}}, ("required", 0), "`b` is required but not in"),
        (nested(11), (), "nested more than 10 deep"),
        ({"type": "object", "properties": {f"a{i}": {"items": {}} for i in range(100)}}, (), "more than 200 parts"),
    ],
)  # fmt: skip
def test_schemas_that_runbooks_may_not_have(schema: Any, path: tuple[str | int, ...], message: str) -> None:
    """A schema that could fetch, loop, take long or never be fulfilled is refused at its place."""
    found = [each for each in check_schema(schema) if each.path == path]
    assert found, check_schema(schema)
    assert message in found[0].message


def test_validation_takes_bounded_time() -> None:
    """Patterns and unique lists that take others minutes are done at once."""
    slow = of(type="string", pattern="(a+)+$")
    slow["properties"]["b"] = {"type": "array", "uniqueItems": True}
    assert check_schema(slow) == []
    start = time.thread_time()
    with pytest.raises(InvalidParameters):
        validate(slow, {"a": "a" * 60_000 + "!"})
    validate(slow, {"b": [{"k": i} for i in range(900)]})
    assert time.thread_time() - start < 0.5


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["type", "properties", "items", "$ref", "enum", "required", "default", "pattern", "$defs", "a"])
        | st.text(max_size=5), inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(ANY_JSON, st.dictionaries(st.text(max_size=3), ANY_JSON, max_size=3))
def test_any_schema_is_refused_or_can_be_used(schema: Any, values: dict[str, Any]) -> None:
    """No schema makes the check raise, and one that passes can be used with any values."""
    if not check_schema(schema):
        assert all(refusal(schema, values).values())
