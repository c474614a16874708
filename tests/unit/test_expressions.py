"""Expressions: what they mean, what they may not do, and that nothing they do takes long."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import itertools
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expressions import (
    ExpressionError,
    MissingValue,
    check,
    evaluate,
    holds,
    reads_secrets,
    references,
    render,
    render_text,
    shown,
)

CONTEXT: dict[str, Any] = {
    "params": {"service": "api", "n": 3, "on": True, "hosts": ["a", "b"], "none": None, "text": 'say "hi"'},
    "steps": {"sign-off": {"outputs": {"status": 200}}, "check-in": {"outputs": {"json": [{"id": 7}]}}},
    "execution": {"id": "e1"},
    "odd": {"items": 1, "keys": 2, "get": 3, "_id": 4, "format": "x"},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("{{ params.n }}", 3),
        ("{{ params.hosts }}", ["a", "b"]),
        ("{{ params.on }}", True),
        ("{{ params.none }}", None),
        (" {{ params.n }}", " 3"),
        ("n={{ params.n }} on={{ params.on }} none={{ params.none }}", "n=3 on=true none=null"),
        ("{{ params.hosts }}!", '["a","b"]!'),
        ("{{ odd.items }}{{ odd.get }}{{ odd._id }}", "134"),
        ("{{ odd.keys }}", 2),
        ("{{ steps.sign-off.outputs.status }}", 200),
        ("{{ steps['sign-off'].outputs.status - 1 }}", 199),
        ("{{ steps.check-in.outputs.json[0].id }}", 7),
        ("steps.sign-off is {{ 'steps.sign-off' }}", "steps.sign-off is steps.sign-off"),
        ("{{ params.a.b.c | default('x') }}", "x"),
        ("{{ params.none | default('x') }}", None),
        ("{{ params.none | default('x', true) }}", "x"),
        ("{{ params.hosts | join(', ') }}", "a, b"),
        ("{{ params.text | tojson }}", '"say \\"hi\\""'),
        ("{{ params.service | upper | lower | replace('a', 'b') | trim }}", "bpi"),
        ("{{ params.hosts | length + (params.hosts | first | length) }}", 3),
        ("{{ params.hosts | last }}", "b"),
        ("{{ '12' | int + 1 }}", 13),
        ("{{ 'x' | int(5) }}", 5),
        ("{{ params.service ~ '-' ~ params.n ~ params.on }}", "api-3true"),
        ("{{ 'a' if params.n > 2 else 'b' }}", "a"),
        ("{{ [params.n, {'a': params.hosts}] }}", [3, {"a": ["a", "b"]}]),
        ("{{ params.service[0] }}{{ params.service[1:] }}", "api"),
        ("{% for h in params.hosts %}{{ loop.index }}{{ h }}{% if not loop.last %},{% endif %}{% endfor %}", "1a,2b"),
        ("{% if params.on and params.n == 3 %}yes{% else %}no{% endif %}", "yes"),
        ("{# a comment #}{{ params.n }}", 3),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("a\n", "a\n"),
        ("{{ params.n }}\n", "3\n"),
        (
            {"a": ["{{ params.n }}", 5, None], "{{ k }}": "{{ params.service }}x"},
            {"a": [3, 5, None], "{{ k }}": "apix"},
        ),
    ],
)
def test_rendering(template: Any, value: Any) -> None:
    """A lone expression keeps its type, everything else is text, and attributes are keys of the data."""
    assert render(template, CONTEXT) == value
    assert type(render(template, CONTEXT)) is type(value)


def test_what_comes_out_is_never_rendered_again() -> None:
    """A value that looks like a template stays the text that it is."""
    context = {"params": {"x": "{{ secrets.token }}"}, "secrets": {"token": "hunter2"}}
    assert render(["{{ params.x }}", "<{{ params.x }}>"], context) == ["{{ secrets.token }}", "<{{ secrets.token }}>"]


def test_text_is_text_whatever_the_value() -> None:
    """render_text gives JSON for what is not text."""
    assert [render_text(t, CONTEXT) for t in ("{{ params.hosts }}", "{{ params.on }}", "x")] == [
        '["a","b"]',
        "true",
        "x",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("params.servce", "`params.servce`: `servce` is not there; did you mean `service`?"),
        ("parms.service", "`parms.service`: `parms` is not defined"),
        ("steps.gone.outputs.status == 200", "`steps.gone.outputs.status == 200`: `gone` is not there"),
        ("params.n.deep", "`params.n.deep`: `deep` cannot be read from a number"),
        ("params.none == missing", "`params.none == missing`: `missing` is not defined"),
        ("[params.zz]", "`[params.zz]`: `zz` is not there"),
        ("params.zz ~ 'x'", "`params.zz ~ 'x'`: `zz` is not there"),
        ("params.gone is none", "`params.gone is none`: `gone` is not there; did you mean `none`?"),
    ],
)
def test_what_is_missing_is_named(source: str, message: str) -> None:
    """Using what is not there is an error that names the expression and the word."""
    with pytest.raises(MissingValue) as caught:
        evaluate(source, CONTEXT)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("params.n + 'a'", "`+` does not go between a number and text; `~` joins texts"),
        ("'secret-value' | int", "text cannot be read as a whole number"),
        ("params.n / 0", "division by zero"),
        ("params.n | lower", "the filter needs text, not a number"),
        ("params.n < 'a'", "`<` does not compare a number with text"),
        ("params.none >= params", "`>=` does not compare null with a mapping"),
        ("params.none | length", "`length` needs text, a list or a mapping, not null"),
        ("1 in params.n", "`in` looks into text, a list or a mapping, not a number"),
        ("params.on in 'abc'", "in text, `in` looks for text, not true or false"),
        ("params.hosts in params", "a key is text, not a list"),
        ("{params.hosts: 1}", "a key is text, not a list"),
        ("-params.service", "`-` needs a number, not text"),
        ("params.n[1:]", "a part can be cut out of text or a list, not a number"),
        ("params[1:]", "a part can be cut out of text or a list, not a mapping"),
        ("params.hosts['a':]", "a part is cut out by whole numbers"),
        ("params[params.none]", "`null` is not there"),
        ("params[params.hosts]", "`a list` is not there"),
        ("params.hosts[params.on]", "`true` cannot be read from a list"),
        ("params.none | join", "`join` needs a list, not null"),
        ("[] | first", "`first` needs a list or text with something in it"),
    ],
)
def test_errors_say_what_and_never_show_values(source: str, words: str) -> None:
    """An expression that fails says which and why, in kinds of values and not in values."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(source, CONTEXT)
    assert words in str(caught.value)
    assert "secret-value" not in str(caught.value).removeprefix(f"`{source}`")


VALUES = ("none", "on", "n", "half", "service", "hosts", "map")
SHAPES = (
    *("{} + {}", "{} - {}", "{} / {}", "{} < {}", "{} in {}", "-{}", "{}[{}]", "{}[{}:]", "{}.x", "{} ~ {}", "{}[1]"),
    *("{} | int", "{} | length", "{} | join({})", "{} | replace({}, {})", "{} | first", "{} | lower", "{{{}: 1}}"),
    *("{} is lt {}", "{} is in {}", "{} | default(1, 2, 3)", "{} | trim(1)"),
)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_error_speaks_of_pythons_types(shape: str) -> None:
    """Whatever is mixed with whatever, the sentence is in JSON's words."""
    context = {"params": {**CONTEXT["params"], "half": 0.5, "map": {"a": 1}}}
    for values in itertools.product(VALUES, repeat=shape.count("{}")):
        source = shape.format(*(f"params.{value}" for value in values))
        try:
            evaluate(source, context)
        except ExpressionError as error:
            told = str(error).removeprefix(f"`{source}`: ")
            assert not re.search(
                r"NoneType|\b(dict|str|bool|float|None|True|False|list object|unhashable)\b|'", told
            ), told


def test_null_is_jsons_word() -> None:
    """As in JSON, beside Jinja's own."""
    assert evaluate("params.none == null and null is none", CONTEXT) is True
    assert render("{{ null }}", CONTEXT) is None
    assert render("{{ [null, {'a': null}] }}: null", CONTEXT) == '[null,{"a":null}]: null'
    assert render("{{ {'null': 1}.null }}", CONTEXT) == 1
    assert references("{{ null }}{{ params.null }}") == {("params", "null")}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ params.x | lowr }}", "unknown filter `lowr`; did you mean `lower`?"),
        ("{{ params.x is defind }}", "unknown test `defind`; did you mean `defined`?"),
        ("{{ range(3) }}", "calling something, as in `f()`, is not allowed"),
        ("{{ 2 ** 3 }}", "`**` is not allowed"),
        ("{% set x = 1 %}", "`{% set %}` is not allowed"),
        ("{{ x", "unexpected end of template, expected 'end of print statement'"),
        ("{% for a in b %}{% endfor", "unexpected end of template, expected 'end of statement block'"),
        ("{{ x.__class__ }}", "the name `__class__` is not allowed"),
        ("{{ _x }}", "the name `_x` is not allowed"),
        ("{{ loop }}", "the name `loop` is not allowed"),
        ("{% for a in b %}{{ loop.cycle }}{% endfor %}", "`loop.cycle` is not allowed; there is loop.index, loop.index0, loop.first, loop.last"),
        ("{% for a, b in c %}{% endfor %}", "a loop takes one name, as in `{% for host in params.hosts %}`"),
        ("{{ " + "9" * 5000 + " }}", "a number in it is too long"),
        ("{{ 9007199254740993 }}", "the whole number is beyond 2^53, which JSON does not carry exactly"),
        ("{{ 1e999 }}", "the number is too large"),
        ("{{ '\\ud800' }}", "the text holds a character that cannot be sent"),
        ("x" * 16_385, "it is longer than 16384 characters"),
    ],
)  # fmt: skip
def test_check_names_what_is_wrong(source: str, problem: str) -> None:
    """A template that may not run is refused before anything runs, with the nearest right word."""
    assert problem in check(source)


def test_a_bare_expression_is_one_expression() -> None:
    """What follows an expression is refused, and so is the template syntax."""
    assert check("a b", "expression") == ["`b` is not expected there"]
    assert check("a }} {{ b", "expression")
    assert check("{{ a }}", "expression")
    assert check("params.a == 1 and not steps.b-c.outputs.ok", "expression") == []


PAYLOADS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ x.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ self._TemplateReference__context }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ config.items() }}",
    "{{ ''|attr('__class__') }}",
    "{{ params|map(attribute='__class__') }}",
    "{{ 'a' * 100000000 }}",
    "{{ 7 ** 100000000 }}",
    "{{ '%100000000d' % 1 }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ 'x'|center(100000000) }}",
    "{{ 'x'|indent(100000000) }}",
    "{{ range(99999999) }}",
    "{% for a in [1] %}{% for b in [1] %}{% for c in [1] %}{% endfor %}{% endfor %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% set x = [] %}{{ x.append(1) }}",
    "{% for a in b recursive %}{{ loop(a) }}{% endfor %}",
    "{% block b %}{% endblock %}",
    "{% with a = 1 %}{% endwith %}",
    "{% filter upper %}x{% endfilter %}",
    "{% call(x) y() %}{% endcall %}",
    "{{ " + "(" * 5_000 + " }}",
    "{{ " + "not " * 4_000 + "x }}",
    "{{ " + "[" * 60 + "]" * 60 + " }}",
    "{{ x" + "|lower" * 2_000 + " }}",
    "{{ " + "a~" * 5_000 + "a }}",
    "{" * 16_000,
    "{%" * 8_000,
    "{#" * 8_000,
    "{{ '" + "\\" * 15_000,
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_hostile_templates_are_refused(payload: str) -> None:
    """Escapes and bombs are refused by the grammar, quickly, and running them says the same."""
    start = time.thread_time()
    assert check(payload)
    assert time.thread_time() - start < 1
    with pytest.raises(ExpressionError):
        render(payload, CONTEXT)


BOMBS = [
    "{{ 'a'" + "|replace('a','aaaaaaaaaa')" * 8 + " }}",
    "{{ 'aaaa' | replace('', 'aaaa') }}",
    "{% for a in big %}{% for b in big %}x{% endfor %}{% endfor %}",
    "{% for a in big %}{{ huge }}{% endfor %}",
    "{{ " + "huge ~ " * 100 + "huge }}",
    "{{ " + "huge + " * 30 + "huge }}",
    "{{ [" + "huge," * 300 + "huge] | join }}",
    "{{ [" + "huge," * 300 + "huge] | tojson }}",
    "{{ [" + "huge," * 300 + "huge] }}",
    "{% for a in big %}{% if 'x' in huge %}{% endif %}{% for b in big %}{% if 'x' in huge %}{% endif %}{% endfor %}{% endfor %}",
]  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
def test_growth_is_bounded(bomb: str) -> None:
    """What the grammar allows cannot grow without bound: it is stopped, in bounded time."""
    assert check(bomb) == []
    start = time.thread_time()
    with pytest.raises(ExpressionError):
        render(bomb, {"big": list(range(3_000)), "huge": "y" * 60_000})
    assert time.thread_time() - start < 1


WORDS = st.sampled_from(
    ["{{", "}}", "{%", "%}", "for", "x", "in", "if", "endif", "endfor", "params", ".", "n", "hosts", "service", "|",
     "join", "replace", "('a','aa')", "default", "+", "~", "-", "[", "]", "0", "'a'", "==", "not", "is", "defined", " ",
     "steps.sign-off", "text", "(", ")", ",", ":", "{", "}", "#}", "{#", "\n", "else", "loop.index", "and"]
)  # fmt: skip


def test_texts_and_values_fit_up_to_the_limit() -> None:
    """65,536 characters of a text; 262,144 characters, keys and items of a value, whatever of it is keys."""
    half = "x" * 32_768
    for template in (
        "{{ a ~ a }}",
        "{{ a + a }}",
        "{{ a }}{{ a }}",
        "{{ [a, a] | join }}",
        "{{ a | replace('x', 'yy') }}",
    ):
        assert len(render(template, {"a": half})) == 65_536
        with pytest.raises(ExpressionError, match="grows beyond 65536"):
            render(template, {"a": half + "x"})
    assert render("{{ v }}", {"v": {"k" * 262_141: ""}})
    for value in ({"k" * 262_143: ""}, {f"{n:0100}": 0 for n in range(2_600)}, ["x" * 262_143], [[{"k" * 262_144: 0}]]):
        with pytest.raises(ExpressionError, match="larger than 262144"):
            render("{{ v }}", {"v": value})


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=60).map("{{{{ {} }}}}".format))
def test_any_template_is_refused_or_renders_soon(source: str) -> None:
    """Whatever is written either is refused, fails with an ExpressionError, or gives plain JSON in no time."""
    problems = check(source)
    start = time.thread_time()
    try:
        value = render(source, CONTEXT)
    except ExpressionError:
        value = None
    else:
        assert not problems or "{" not in source
    assert time.thread_time() - start < 0.05
    assert json.dumps(value, allow_nan=False)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_text_without_braces_is_untouched(text: str) -> None:
    """Text with nothing to render stays exactly as it is."""
    if "{" not in text:
        assert render(text, {}) == text


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_a_lone_expression_hands_the_value_on(value: Any) -> None:
    """`{{ params.x }}` is the value, whatever it is."""
    assert render("{{ params.x }}", {"params": {"x": value}}) == value


def test_references_are_chains_of_names() -> None:
    """What a source reads is listed to the last literal name, without loop variables."""
    source = (
        "{% for h in params.hosts %}{{ h.a }}{{ secrets['x'] }}{{ params[params.q].z }}{{ loop.index }}{% endfor %}"
    )
    assert references(source) == {("params", "hosts"), ("secrets", "x"), ("params",), ("params", "q")}
    assert references("steps.sign-off.outputs.json[0].id > 1", "expression") == {
        ("steps", "sign-off", "outputs", "json")
    }
    assert references({"a": ["{{ params.a }}", 3], "b": "params.c"}) == {("params", "a")}


def test_references_of_conditions() -> None:
    """A condition written as data is looked through as well."""
    condition = {
        "all": ["params.a", {"not": {"field": "steps.b.outputs", "operator": "eq", "value": "{{ params.c }}"}}]
    }
    assert references(condition, "expression") == {("params", "a"), ("steps", "b", "outputs"), ("params", "c")}


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        (True, True),
        ("params.n == 3", True),
        ({"field": "params.n", "operator": "eq", "value": "{{ params.n }}"}, True),
        ({"field": "params.n", "operator": "ne", "value": 3}, False),
        ({"field": "params.n", "operator": "gt", "value": 2}, True),
        ({"field": "params.n", "operator": "gte", "value": 3}, True),
        ({"field": "params.n", "operator": "lt", "value": 3}, False),
        ({"field": "params.n", "operator": "lte", "value": 3}, True),
        ({"field": "params.service", "operator": "in", "value": ["api", "web"]}, True),
        ({"field": "params.hosts", "operator": "contains", "value": "b"}, True),
        ({"field": "params.service", "operator": "contains", "value": "pi"}, True),
        ({"field": "params.gone.deep", "operator": "exists"}, False),
        ({"field": "params.none", "operator": "exists"}, False),
        ({"field": "params.n", "operator": "exists"}, True),
        ({"field": "params.gone", "operator": "exists", "value": False}, True),
        ({"field": "params.service", "operator": "matches", "value": "^a.i$"}, True),
        ({"field": "params.service", "operator": "matches", "value": "^b"}, False),
        ({"all": ["params.on", {"not": "params.n == 4"}]}, True),
        ({"any": ["params.n == 4", {"field": "params.n", "operator": "eq", "value": 5}]}, False),
        ({"not": {"any": [False, "params.none is not none"]}}, True),
        ("params.on if params.n == 3 else not params.on", True),
        ("params.gone | default(false) or params.on", True),
    ],
)
def test_conditions(condition: Any, value: bool) -> None:
    """Expressions, booleans and conditions as data all come to true or false."""
    assert holds(condition, CONTEXT) is value


@pytest.mark.parametrize("value", ["false", "true", "", 0, 1, 0.5, None, [], [1], {}, {"a": 1}])
@pytest.mark.parametrize(
    "condition",
    [
        "x", "not x", "x and true", "true and x", "x or true", "false or x", "true if x else false", "x if true else true",
        "not (true and x)", {"not": "x"}, {"all": ["x"]}, {"any": [False, "x"]}, {"not": {"all": [True, "not x"]}},
    ],
)  # fmt: skip
def test_only_true_and_false_are_conditions(condition: Any, value: Any) -> None:
    """The text "false" never means yes, nor does any other value pass for a boolean: it is an error in JSON's words."""
    with pytest.raises(ExpressionError, match=r"must be true or false, not (text|a number|null|a list|a mapping)"):
        holds(condition, {"x": value})


def test_a_poll_takes_missing_for_not_yet() -> None:
    """What has not come yet is false for a poll and an error elsewhere."""
    assert holds("response.json.ok", {"response": {"json": None}}, missing_is_false=True) is False
    with pytest.raises(MissingValue):
        holds("response.json.ok", {"response": {"json": None}})


def test_patterns_cannot_be_made_slow() -> None:
    """The patterns that stop Python's own engine take no time here."""
    start = time.thread_time()
    for pattern in ("(a+)+$", "a*a*a*a*b"):
        condition = {"field": "x", "operator": "matches", "value": pattern}
        holds(condition, {"x": "a" * 60_000 + "!"})
    assert time.thread_time() - start < 0.5


def test_evaluation_is_fast() -> None:
    """A condition in the hot path takes microseconds once compiled."""
    evaluate("steps.sign-off.outputs.status == 200", CONTEXT)
    start = time.thread_time()
    for _ in range(1_000):
        evaluate("steps.sign-off.outputs.status == 200", CONTEXT)
    assert time.thread_time() - start < 0.1


def test_what_names_no_secret_is_not_compiled_to_look_for_one() -> None:
    """A text of many parts is looked at in no time; one that reads a secret in a single part is found all the same."""
    many = "".join(f"{{{{ params.a{number} }}}}" for number in range(600))
    before = shown._pieces.cache_info().misses
    assert not reads_secrets(many)
    assert shown._pieces.cache_info().misses == before
    assert reads_secrets({"a": ["x", f"{many[:150]}{{{{ secrets['lb'] }}}}"]})
    assert reads_secrets("{{ steps.s.outputs.t }}", frozenset({("s", "t")}))
