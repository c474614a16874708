"""A JSON Schema as a form, and what was filled in as parameters again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_records import runbook

from bot.grammar import parse, quote
from bot.simulator.blocks import check_view
from bot.simulator.form import initial_values
from bot.slack.forms import modals
from bot.slack.payload_values import RunForm, decode
from bot.slack.verbs.form_values import read_parameters, read_reason, survives
from bot.slack.views.fields import Choice, properties, suggestions
from bot.slack.views.form import run_form
from engine.definition import parameters
from engine.errors import InvalidParameters

REF = RunForm("restart", 3, "C0INC0001", "inc-1")
EVERYTHING = {
    "type": "object",
    "required": ["service", "count"],
    "$defs": {"zone": {"type": "string", "enum": ["eu", "us"]}},
    "properties": {
        "service": {"type": "string", "enum": ["api", "web"], "title": "Which service", "description": "The one."},
        "count": {"type": "integer", "minimum": 0, "maximum": 300},
        "ratio": {"type": "number", "default": 0.5},
        "force": {"type": "boolean", "default": False},
        "zones": {"type": "array", "items": {"$ref": "#/$defs/zone"}, "maxItems": 2},
        "hosts": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "note": {"type": "string", "maxLength": 20},
        "text": {"type": "string", "maxLength": 2000},
        "day": {"type": "string", "format": "date"},
        "hour": {"type": "string", "format": "time"},
        "at": {"type": "string", "format": "date-time"},
        "mail": {"type": "string", "format": "email"},
        "page": {"type": "string", "format": "uri"},
        "many": {"type": "string", "enum": [f"v{n}" for n in range(150)]},
        "level": {"type": "integer", "enum": [1, 2, 3]},
        "whom": {"type": "string", "format": "user"},
        "where": {"type": "string", "format": "channel"},
        "watchers": {"type": "array", "items": {"type": "string", "format": "user"}, "maxItems": 3},
    },
}
BOOK = runbook(EVERYTHING, risk="high", name="A very long runbook name that no title holds")


def drawn(values: dict[str, Any] | None = None, problems: dict[str, str] | None = None) -> dict[str, Any]:
    view = run_form(BOOK, REF, values or {}, "", problems or {})
    assert check_view(view) == []
    return view


def inputs(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {block["block_id"].removeprefix("param:"): block for block in view["blocks"] if block["type"] == "input"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("service", "static_select"),
        ("count", "number_input"),
        ("ratio", "number_input"),
        ("force", "static_select"),
        ("zones", "multi_static_select"),
        ("hosts", "plain_text_input"),
        ("labels", "plain_text_input"),
        ("note", "plain_text_input"),
        ("text", "plain_text_input"),
        ("day", "datepicker"),
        ("hour", "timepicker"),
        ("at", "datetimepicker"),
        ("mail", "email_text_input"),
        ("page", "url_text_input"),
        ("many", "external_select"),
        ("whom", "users_select"),
        ("where", "conversations_select"),
        ("watchers", "multi_users_select"),
        ("level", "static_select"),
        ("reason", "plain_text_input"),
    ],
)
def test_each_kind_of_parameter_has_its_input(name: str, kind: str) -> None:
    """The schema decides what a person gets to fill in."""
    assert inputs(drawn())[name]["element"]["type"] == kind


def test_labels_hints_and_what_is_required_come_from_the_schema() -> None:
    """Titles, descriptions, bounds and `required` are all shown."""
    found = inputs(drawn())
    assert found["service"]["label"]["text"] == "Which service"
    assert found["service"]["hint"]["text"] == "The one."
    assert not found["service"].get("optional")
    assert found["note"]["optional"]
    assert found["note"]["element"]["max_length"] == 20
    assert not found["note"]["element"].get("multiline")
    assert found["text"]["element"]["multiline"]
    assert found["count"]["element"]["min_value"] == "0"
    assert found["count"]["hint"]["text"] == "From 0 to 300."
    assert not found["count"]["element"]["is_decimal_allowed"]
    assert found["ratio"]["element"]["initial_value"] == "0.5"
    assert found["force"]["element"]["initial_option"]["text"]["text"] == "No"
    assert "150 values" in found["many"]["hint"]["text"]
    assert found["where"]["element"]["filter"] == {"include": ["public", "private"]}


def test_what_is_known_is_filled_in() -> None:
    """Values from the command, which are text, stand in the form; those that do not fit an input are left out."""
    given_values = {
        "service": "web",
        "count": "7",
        "force": "true",
        "day": "2026-01-02",
        "hour": "08:30",
        "mail": "a@b.io",
    }
    found = inputs(
        drawn({**given_values, "zones": ["us"], "at": "2026-01-02T03:04:05Z", "ratio": "x", "note": "n" * 90})
    )
    assert found["service"]["element"]["initial_option"]["text"]["text"] == "web"
    assert found["count"]["element"]["initial_value"] == "7"
    assert found["force"]["element"]["initial_option"]["text"]["text"] == "Yes"
    assert found["day"]["element"]["initial_date"] == "2026-01-02"
    assert found["hour"]["element"]["initial_time"] == "08:30"
    assert found["mail"]["element"]["initial_value"] == "a@b.io"
    assert found["zones"]["element"]["initial_options"][0]["text"]["text"] == "us"
    assert found["at"]["element"]["initial_date_time"] == 1767323045
    assert "initial_value" not in found["ratio"]["element"]
    assert found["note"]["element"]["initial_value"] == "n" * 20
    for number in ("900", "-1", "inf", "1e400", ""):
        assert "initial_value" not in inputs(drawn({"count": number}))["count"]["element"]


def test_what_does_not_fit_stays_in_sight() -> None:
    """An input that cannot hold what was given says so in its hint, and names the default; one that can, holds it."""
    given_values = {"count": "900", "service": "wep", "zones": "us,mars", "day": "soon", "ratio": "x", "mail": "a@b"}
    found = inputs(drawn({**given_values, "note": "n" * 90, "hosts": "a,b"}))
    hints = {name: block.get("hint", {}).get("text", "") for name, block in found.items()}
    assert hints["count"] == "“900” was given. From 0 to 300."
    assert hints["service"] == "“wep” was given. The one."
    assert hints["zones"] == "“us,mars” was given."
    assert hints["day"] == "“soon” was given."
    assert hints["ratio"] == "“x” was given. Default: 0.5."
    assert hints["note"].startswith("“nnn")
    assert hints["force"] == "Default: No."
    assert hints["hosts"] == "Written with commas between them, or as a JSON list."
    assert found["zones"]["element"]["initial_options"][0]["text"]["text"] == "us"
    assert found["mail"]["element"]["initial_value"] == "a@b"
    assert not any("given" in hint for hint in (hints["mail"], hints["hosts"], hints["level"]))


def test_the_form_carries_ids_only() -> None:
    """What comes back with the form says which version and where, and nothing of what was typed."""
    view = drawn({"note": "secret"})
    assert decode(RunForm, view["private_metadata"]) == REF
    assert len(view["title"]["text"]) <= 24


def option(label: str, view: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in inputs(view)[name]["element"]["options"] if one["text"]["text"] == label)


def test_what_was_filled_in_becomes_parameters() -> None:
    """Every kind of input is read back as the value its schema asks for, and passes its check."""
    view = drawn()
    filled = {
        "service": {"type": "static_select", "selected_option": option("api", view, "service")},
        "count": {"type": "number_input", "value": "12"},
        "ratio": {"type": "number_input", "value": "0.25"},
        "force": {"type": "static_select", "selected_option": option("Yes", view, "force")},
        "zones": {"type": "multi_static_select", "selected_options": [option("us", view, "zones")]},
        "hosts": {"type": "plain_text_input", "value": '["a", "b"]'},
        "labels": {"type": "plain_text_input", "value": '{"a": "b"}'},
        "note": {"type": "plain_text_input", "value": None},
        "text": {"type": "plain_text_input", "value": "42"},
        "day": {"type": "datepicker", "selected_date": "2026-01-02"},
        "hour": {"type": "timepicker", "selected_time": "08:30"},
        "at": {"type": "datetimepicker", "selected_date_time": 1767323045},
        "mail": {"type": "email_text_input", "value": "a@b.io"},
        "page": {"type": "url_text_input", "value": "https://a.example/x"},
        "many": {"type": "external_select", "selected_option": {"text": {}, "value": "149"}},
        "whom": {"type": "users_select", "selected_user": "U0CAROL01"},
        "where": {"type": "conversations_select", "selected_conversation": "C0INC0001"},
        "watchers": {"type": "multi_users_select", "selected_users": ["U0CAROL01", "U0BOB0001"]},
        "level": {"type": "static_select", "selected_option": option("2", view, "level")},
    }
    state = {f"param:{name}": {"value": entry} for name, entry in filled.items()}
    values = parameters.validate(EVERYTHING, read_parameters(BOOK, state))
    assert values == {
        "service": "api", "count": 12, "ratio": 0.25, "force": True, "zones": ["us"], "hosts": ["a", "b"],
        "labels": {"a": "b"}, "text": "42", "day": "2026-01-02", "hour": "08:30", "at": "2026-01-02T03:04:05Z",
        "mail": "a@b.io", "page": "https://a.example/x", "many": "v149", "level": 2,
        "whom": "U0CAROL01", "where": "C0INC0001", "watchers": ["U0CAROL01", "U0BOB0001"],
    }  # fmt: skip


def test_the_reason_is_read() -> None:
    """White space is no reason."""
    assert read_reason({"reason": {"value": {"value": "  it hangs "}}}) == "it hangs"
    assert read_reason({"reason": {"value": {"value": " "}}}) == ""
    assert read_reason({"reason": {"value": {"value": None}}}) == ""
    assert read_reason({}) == ""


def test_complaints_stand_under_inputs_that_exist() -> None:
    """Slack takes errors only under inputs of the form: what belongs nowhere goes under the first one."""
    state: dict[str, Any] = {"param:service": {}, "param:count": {}}
    wrong = InvalidParameters({"count": "must be a whole number", "": "too much", "gone": "is unknown"})
    assert modals._by_block(wrong, state) == {
        "param:count": "Must be a whole number",
        "param:service": "Too much gone: is unknown",
    }


def test_more_choices_than_a_menu_holds_are_searched() -> None:
    """A hundred choices still make a plain menu, one more is searched; what was given stays chosen."""
    for count, kind in ((100, "static_select"), (101, "external_select")):
        several = {"type": "array", "items": {"enum": [f"v{n}" for n in range(count)]}}
        schema = {"type": "object", "properties": {"a": several["items"], "b": several}}
        view = run_form(runbook(schema), REF, {"a": "v7", "b": "v7,v9"}, "", {})
        assert check_view(view) == []
        assert inputs(view)["a"]["element"]["type"] == kind
        assert inputs(view)["b"]["element"]["type"] == f"multi_{kind}"
        assert inputs(view)["a"]["element"]["initial_option"]["text"]["text"] == "v7"
        assert len(inputs(view)["b"]["element"]["initial_options"]) == 2


def test_suggestions_fit_what_was_typed() -> None:
    """Every word has to be there, what begins so comes first, and there are never more than Slack shows."""
    found = [Choice(name, name) for name in ("eu west api", "api eu", "us api", *(f"host {n}" for n in range(150)))]
    assert [each["text"]["text"] for each in suggestions(found, "API")] == ["api eu", "eu west api", "us api"]
    assert [each["value"] for each in suggestions(found, "eu api")] == ["0", "1"]
    assert len(suggestions(found, "")) == 100
    assert suggestions(found, "nothing") == []


def test_a_long_form_comes_in_parts() -> None:
    """No parameter is left out, no part is larger than Slack takes, and only the last one asks for the reason."""
    names = [f"p{n}" for n in range(100)]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    book = runbook(schema, risk="high")
    views = [run_form(book, replace(REF, page=page), {"p99": "x"}, "", {"p1": "no"}) for page in (0, 1)]
    assert all(check_view(view) == [] for view in views)
    assert [name for view in views for name in inputs(view)] == [*names, "reason"]
    assert [view["submit"]["text"] for view in views] == ["Next", "Run"]
    assert "Part 2 of 2" in str(views[1]["blocks"][0])
    assert inputs(views[1])["p99"]["element"]["initial_value"] == "x"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("labels", '{"a": }', "is not JSON: Expecting value in line 1, column 7"),
        ("labels", "a=b", "is not JSON: Expecting value in line 1, column 1"),
        ("hosts", '["a",', "is not JSON: Expecting value in line 1, column 6"),
    ],
)
def test_broken_json_says_where(name: str, text: str, why: str) -> None:
    """A mapping or list that is mistyped is answered with the place of the mistake."""
    with pytest.raises(InvalidParameters) as found:
        read_parameters(BOOK, {f"param:{name}": {"value": {"type": "plain_text_input", "value": text}}})
    assert found.value.fields == {name: why}


ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(EVERYTHING["properties"])), st.text() | ANY, max_size=6))
def test_whatever_was_typed_the_form_opens(values: dict[str, Any]) -> None:
    """No value from a command makes a form that Slack refuses."""
    drawn(values, {name: str(value) for name, value in values.items()})


def form_of(schema: dict[str, Any], values: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A runbook with one parameter `it`, its form, and what Slack sends where nobody touches that."""
    book = runbook({"type": "object", "properties": {"it": schema}})
    view = run_form(book, REF, values or {}, "", {})
    assert check_view(view) == []
    return book, view, initial_values(view["blocks"])


def emptied(state: dict[str, Any]) -> dict[str, Any]:
    """What Slack sends where everything was cleared."""
    return {
        block: {action: {k: v if k == "type" else [] if isinstance(v, list) else None for k, v in entry.items()}
                for action, entry in inner.items()}
        for block, inner in state.items()
    }  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "empty"),
    [
        ({"type": "string", "default": "x"}, ""),
        ({"type": ["string", "null"], "default": "x"}, None),
        ({"type": ["integer", "null"], "default": 7}, None),
        ({"type": "array", "default": ["eu", "us"], "items": {"enum": ["eu", "us", "ap"]}}, []),
        ({"type": "array", "default": ["a"], "items": {"type": "string"}}, []),
        ({"type": "array", "default": ["U0CAROL01"], "items": {"type": "string", "format": "user"}}, []),
        ({"type": "object", "default": {"a": 1}}, {}),
    ],
)
def test_what_was_cleared_is_empty(schema: dict[str, Any], empty: Any) -> None:
    """Never the default, which is what leaving it out would mean."""
    book, _, state = form_of(schema)
    assert parameters.validate(book.parameters, read_parameters(book, emptied(state))) == {"it": empty}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "default": 7},
        {"type": "number", "default": 0.5},
        {"type": "boolean", "default": True},
        {"type": "string", "enum": ["a", "b"], "default": "a"},
        {"type": "string", "format": "date", "default": "2026-01-02"},
        {"type": "string", "format": "date-time", "default": "1970-01-01T00:00:00Z"},
        {"type": "string", "format": "user", "default": "U0CAROL01"},
        {"type": "string", "minLength": 1, "default": "x"},
        {"type": "array", "minItems": 1, "default": ["eu"], "items": {"enum": ["eu", "us"]}},
    ],
)
def test_what_cannot_be_empty_is_refused_beside_its_field(schema: dict[str, Any]) -> None:
    """A number, a choice or a date that was cleared does not become its default unseen."""
    book, _, state = form_of(schema)
    with pytest.raises(InvalidParameters) as found:
        parameters.validate(book.parameters, read_parameters(book, emptied(state)))
    assert list(found.value.fields) == ["it"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "format": "date-time"}, "1970-01-01T00:00:00Z"),
        ({"type": "string", "format": "date-time"}, "2026-01-02T03:04:05.678+02:00"),
        ({"type": "string", "format": "date-time"}, "0001-01-01T00:00:00+23:00"),
        ({"type": "string", "format": "date-time"}, "2026-01-02t03:04:05z"),
        ({"type": "string", "format": "time"}, "09:15:30+02:00"),
        ({"type": "string", "format": "time"}, "09:15"),
        ({"type": "string", "format": "date"}, "2026-02-28"),
        ({"type": "string", "format": "uri"}, "urn:isbn:0451450523"),
        ({"type": "string", "format": "channel"}, "D0CAROL01"),
        ({"type": "array", "items": {"type": "string", "format": "user"}}, ["U12", "U0CAROL01"]),
        ({"type": "string", "enum": ["M", "m"]}, "m"),
        ({"enum": ["1", 1, 1.5, True, None, "true"]}, 1),
        ({"enum": ["1", 1]}, "1"),
        ({"type": "array", "items": {"enum": ["a", "b", "A"]}}, ["b", "A", "a"]),
        ({"type": "number"}, 4),
        ({"type": "number"}, 1e-7),
        ({"type": "number"}, 0.1),
        ({"type": "integer"}, 9007199254740993),
        ({"type": ["integer", "string"]}, "5"),
        ({"type": ["integer", "string"]}, "v5"),
        ({"type": ["integer", "string"]}, 5),
        ({"type": "string"}, "two\nlines"),
        ({"type": "string"}, "  spaces "),
        ({"type": "string"}, "x" * 5000),
        ({"type": "array", "items": {"type": "string"}}, ["a,b", "", " c", "7"]),
        ({"type": "array"}, [1, "1", None, 1.5]),
        ({"type": "object"}, {"a": [1.0, "x" * 4000]}),
        ({}, "[1]"),
    ],
)
@pytest.mark.parametrize("how", ["default", "given"])
def test_what_was_not_touched_comes_back_as_it_was(schema: dict[str, Any], value: Any, how: str) -> None:
    """Of the same type and letter by letter, be it a default or what was typed before the form opened."""
    comes_back(schema, value, how)


def comes_back(schema: dict[str, Any], value: Any, how: str) -> None:
    if how == "default":
        book, _, state = form_of({**schema, "default": value})
        known = {}
    else:
        book, _, state = form_of(schema, {"it": value})
        known = {} if survives(properties(book)["it"], value) else {"it": value}
    found = parameters.validate(book.parameters, read_parameters(book, state, known))
    assert repr(found) == repr({"it": value})


SCALARS = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    "integer": st.integers(-(10**17), 10**17),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15),
    "boolean": st.booleans(),
}
FORMATTED = {
    "date": st.dates().map(str),
    "time": st.times().map(str),
    "date-time": st.builds(
        lambda at, zone: at.isoformat() + zone, st.datetimes(), st.sampled_from(["Z", "z", "+02:00"])
    ),
    "user": st.from_regex(r"\A[UW][A-Z0-9]{2,20}\Z"),
    "channel": st.from_regex(r"\A[CDG][A-Z0-9]{2,20}\Z"),
}


@st.composite
def parameter(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """A parameter's schema, and a value that it takes."""
    match draw(st.sampled_from(["scalar", "format", "enum", "list", "formatted list", "enum list", "either"])):
        case "scalar":
            kind = draw(st.sampled_from(sorted(SCALARS)))
            return {"type": kind}, draw(SCALARS[kind])
        case "format":
            name = draw(st.sampled_from(sorted(FORMATTED)))
            return {"type": "string", "format": name}, draw(FORMATTED[name])
        case "enum":
            found = draw(st.lists(st.text(min_size=1) | st.integers(), min_size=1, unique_by=repr, max_size=5))
            return {"enum": found}, draw(st.sampled_from(found))
        case "list":
            kind = draw(st.sampled_from(sorted(SCALARS)))
            return {"type": "array", "items": {"type": kind}}, draw(st.lists(SCALARS[kind], min_size=1, max_size=5))
        case "formatted list":
            name = draw(st.sampled_from(sorted(FORMATTED)))
            values = draw(st.lists(FORMATTED[name], min_size=1, max_size=4))
            return {"type": "array", "items": {"type": "string", "format": name}}, values
        case "enum list":
            found = draw(st.lists(st.text(min_size=1), min_size=1, unique=True, max_size=5))
            values = draw(st.lists(st.sampled_from(found), min_size=1, max_size=4))
            return {"type": "array", "items": {"type": "string", "enum": found}}, values
    kinds = draw(st.lists(st.sampled_from(sorted(SCALARS)), min_size=2, max_size=3, unique=True))
    return {"type": kinds}, draw(SCALARS[draw(st.sampled_from(kinds))])


@settings(max_examples=150, deadline=None)
@given(parameter(), st.sampled_from(["default", "given"]))
def test_any_value_comes_back_from_a_form(made: tuple[dict[str, Any], Any], how: str) -> None:
    """Whatever a parameter is, opening a form for another one changes nothing of it."""
    comes_back(*made, how)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_through_a_command(text: str) -> None:
    """Quoted by the one rule, a text arrives letter by letter."""
    line = f"run x it={quote(text)}".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert parse(line).options["it"] == text


def labels(view: dict[str, Any]) -> list[tuple[str, str]]:
    options = inputs(view)["it"]["element"]["options"]
    return [(one["text"]["text"], one.get("description", {}).get("text", "")) for one in options]


@pytest.mark.parametrize(
    "values",
    [
        [f"arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/checkout/{n}" for n in ("a1", "b2")],
        [f"{'x' * 60}{n}{'y' * 200}" for n in ("a", "b")],
        ["x" * 120 + n + "y" * 120 for n in ("a", "b")],
        ["a  b", "a b"],
        ["1", 1, 1.0],
        ["a\u200b", "a"],
        ["x" * 300 + n + "x" * 300 for n in "abc"],
    ],
)
def test_options_are_told_apart(values: list[Any]) -> None:
    """No two options of a menu look alike, however long they are and wherever they differ."""
    _, view, _ = form_of({"enum": values})
    assert len(set(labels(view))) == len(values)
    assert all(len(text) <= 75 and len(rest) <= 75 for text, rest in labels(view))
