"""Reading YAML: what it means, where it stands, and that hostile files cost nothing."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.definition.yaml_source import MAX_BYTES, read

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("012", 12),
        ("0o17", 15),
        ("0xff", 255),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("0.1.2", "0.1.2"),
        ("=", "="),
        ("?x", "?x"),
        ("{b?: 1, c: what?, d: 2}", {"b?": 1, "c": "what?", "d": 2}),
        ("[1, {b: c}]", [1, {"b": "c"}]),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("9007199254740992", 2**53),
    ],
)
def test_plain_scalars_follow_yaml_1_2(written: str, value: object) -> None:
    """A value is what YAML 1.2's core schema says, so NO is text and 012 is twelve."""
    source = read(f"a: {written}".encode(), "f.yaml")
    assert source.problems == []
    assert source.data == {"a": value}
    assert type(source.data["a"]) is type(value)


COMPLEX = "complex keys (`? key`) are not allowed; write `key: value`, and a text that starts with `?` in quotes"


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        (b"", (1, 1), "the file is empty"),
        (b"# only a comment\n", (1, 1), "the file is empty"),
        (b"a: 1\na: 2\n", (2, 1), "the key `a` is here twice; the first is at line 1, column 1"),
        (b"a: {b: 1, b: 2}", (1, 11), "the key `b` is here twice; the first is at line 1, column 5"),
        (b"a: &x 1\n", (1, 4), "anchors (`&x`) are not allowed; write the value out where it is needed"),
        (b"a: *x\n", (1, 4), "aliases (`*name`) are not allowed; write the value out"),
        (b"<<: {a: 1}\n", (1, 1), "merge keys (`<<`) are not allowed; write the keys out"),
        (b"a: !x 1\n", (1, 4), "tags (`!x`) are not allowed; quotes make a text a text"),
        (b"a: 1\n---\nb: 1\n", (2, 1), "one file holds one runbook: a second `---` is not allowed"),
        (b"%YAML 1.1\n---\na: 1\n", (1, 1), "directives (`%YAML`, `%TAG`) are not allowed"),
        (b"a: .inf\n", (1, 4), "`.inf` is not a number that JSON has; put it in quotes if a text is meant"),
        (b"a: .nan\n", (1, 4), "`.nan` is not a number that JSON has; put it in quotes if a text is meant"),
        (b"a: 1e999\n", (1, 4), "the number 1e999 is too large; put it in quotes if a text is meant"),
        (
            b"a: 9007199254740993\n",
            (1, 4),
            "the number 9007199254740993 is beyond 2^53; put it in quotes if a text is meant",
        ),
        (b"1: a\n", (1, 1), "the key `1` is not a text; put it in quotes"),
        (b"{[a]: 1}\n", (1, 2), "a list or mapping cannot be a key; a key is a text"),
        (
            b"a: {{ params.x }}\n",
            (1, 5),
            "a list or mapping cannot be a key; a value that starts with {{ needs quotes",
        ),
        (b"? a\n: 1\n", (1, 3), COMPLEX),
        (b"? [a]\n: 1\n", (1, 3), COMPLEX),
        (b"? a: b\n", (1, 3), COMPLEX),
        (b"x: {? {a: b} : 1}\n", (1, 7), COMPLEX),
        (b"x: {?a: 1}\n", (1, 6), COMPLEX),
        (b"x: [?a]\n", (1, 6), COMPLEX),
        (b"x: {? : 1}\n", (1, 7), COMPLEX),
        (b"*x : 1\n", (1, 1), "aliases (`*name`) are not allowed; write the value out"),
        ("\ufeffa: 1".encode(), (1, 1), "the file starts with a byte order mark; save it as UTF-8 without one"),
        ("a: 1".encode("utf-16"), (1, 1), "the file is UTF-16; save it as UTF-8"),
        ("a: 1\nb: é".encode("latin-1"), (2, 4), "the file is not UTF-8 (byte 0xE9)"),
        (
            "a: x\u202ey".encode(),
            (1, 5),
            "the character U+202E cannot be seen or changes how the text reads; take it out",
        ),
        (b"a: 1\nb: \0", (2, 4), "the character U+0000 cannot be seen or changes how the text reads; take it out"),
        (
            b'a: "x\\u200b"',
            (1, 4),
            "the character U+200B cannot be seen or changes how the text reads; take it out",
        ),
        (
            b"a:\n\tb: 1\n",
            (2, 1),
            "this is not YAML: found character that cannot start any token; "
            "indent with spaces, not tabs, and put texts that start with a sign in quotes",
        ),
        (b"a: " + b"[" * 40, (1, 35), "the file is nested more than 32 deep"),
        (b"[" + b"1," * 21_000 + b"]", (1, 39_998), "the file has more than 20000 parts"),
        (b"#" * (MAX_BYTES + 1), (1, 1), "the file has more than 256 KiB"),
    ],
)
def test_what_is_refused_and_where(source: bytes, place: tuple[int, int], message: str) -> None:
    """Everything that YAML can do and a runbook may not is refused with its line and column."""
    found = read(source, "f.yaml").problems[0]
    assert (found.line, found.column, found.message) == (*place, message)


def test_places_are_known_for_keys_and_values() -> None:
    """Every path of the data has the line and column of its key and of its value."""
    source = read(b"a: 1\nb:\n  - x\n  - {c: 2}\n", "f.yaml")
    assert source.location(("a",)) == (1, 4)
    assert source.location(("b", 1, "c"), at_key=True) == (4, 6)
    assert source.location(("b", 1, "c")) == (4, 9)
    assert source.location(("b", 1, "missing")) == (4, 5)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef<~1", min_size=1), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(deadline=None)
@given(JSON)
def test_json_is_read_as_it_is(value: object) -> None:
    """JSON is YAML, and comes back as the same value."""
    source = read(json.dumps({"value": value}).encode(), "f.yaml")
    assert source.problems == []
    assert source.data == {"value": value}


@settings(deadline=None)
@given(
    st.binary(max_size=400) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,?\n\t <~01.\u202e", max_size=400).map(str.encode)
)
def test_anything_is_read_or_refused(source: bytes) -> None:
    """No bytes make the reader raise; it returns data or at least one problem."""
    result = read(source, "f.yaml")
    assert result.problems or json.dumps(result.data) is not None


HOSTILE = {
    "deep list": b"[" * 200_000,
    "deep flow mapping": b"{a: " * 60_000,
    "deep block list": b"- " * 100_000,
    "lol bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%b]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 110)),
    "merge bomb": b"a: &a {x: 1}\n" + b"".join(b"%c: &%c {<<: [*%c,*%c,*%c]}\n" % (c + 1, c + 1, c, c, c) for c in range(97, 115)),
    "integer of 5000 digits": b"a: " + b"9" * 5_000,
    "hexadecimal of 5000 digits": b"a: 0x" + b"f" * 5_000,
    "open quote": b'"' + b"a" * 260_000,
    "signs": b"!" * 200_000,
    "colons": b"a" * 100 + b":" * 200_000,
    "question marks": b"? " * 100_000,
    "9000 unknown keys": b"".join(b"k%d: 1\n" % i for i in range(9_000)),
    "python object": b"!!python/object/apply:os.system [id]\n",
    "many steps": b"apiVersion: runbook/v1\nid: a\nname: a\nsteps:\n" + b"- {id: a, type: http}\n" * 2_400,
    "many expressions": b"apiVersion: runbook/v1\nid: a\nname: a\nwebhook: {url: 'https://x', payload: ["
    + b"".join(b"'{{ x%d }}'," % i for i in range(9_000)) + b"]}",
    "deep expression": b"apiVersion: runbook/v1\nid: a\nname: a\nwebhook: {url: 'https://x', payload: '{{ "
    + b"(" * 8_000 + b" }}'}",
    "alike mappings": b"apiVersion: runbook/v1\nid: a\nname: a\ntags: [" + b"{a: 1}," * 3_000 + b"]\n",
}  # fmt: skip

CHILD = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from engine.definition.load import examine
examine(b"a: 1", "warm")
for name, source in json.load(sys.stdin).items():
    start = time.process_time()
    problems = examine(source.encode(), name).problems
    print(json.dumps([name, len(problems), time.process_time() - start]), flush=True)
"""


@pytest.fixture(scope="module")
def verdicts() -> dict[str, tuple[int, float]]:
    """What a process of its own, with 1 GiB, made of every hostile file."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps({name: source.decode() for name, source in HOSTILE.items()}),
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-2000:]
    return {name: (count, seconds) for name, count, seconds in map(json.loads, child.stdout.splitlines())}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_no_time(verdicts: dict[str, tuple[int, float]], name: str) -> None:
    """A file made to hurt costs a fraction of a second of processor time and is refused."""
    count, seconds = verdicts[name]
    assert 1 <= count <= 51
    assert seconds < 0.4
