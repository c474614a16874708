"""A secret in any chain of encodings, in any text, is masked whole; hostile texts cost no more than others."""

from __future__ import annotations

import base64
import html
import json
import quopri
import random
import textwrap
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engine.text.encodings import MAX_LAYERS, MAX_WORK, views
from engine.text.redaction import MIN_STRETCH, UNSEEN, Redactor, outgoing, tells_nothing
from engine.text.secret_matching import MIN_PART

MARK = "‹secret \0›"
"""A mark without letters, so that the mark itself cannot spell a secret."""

Encode = Callable[[str, int], str]


def in_base64(text: str, before: int, *, wrap: int = 0, urlsafe: bool = False, padded: bool = True) -> str:
    raw = b"u:"[:before] + text.encode()
    told = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(raw).decode()
    told = told if padded else told.rstrip("=")
    return "\n".join(textwrap.wrap(told, wrap)) if wrap else told


ENCODINGS: dict[str, Encode] = {
    "percent": lambda text, _: quote(text, safe=""),
    "percent, all of it": lambda text, _: "".join(f"%{byte:02x}" for byte in text.encode()),
    "a query": lambda text, _: quote_plus(text),
    "json": lambda text, _: json.dumps(text),
    "json, not ASCII": lambda text, _: json.dumps({"a": [text]}, ensure_ascii=False),
    "json with slashes": lambda text, _: json.dumps(text).replace("/", "\\/"),
    "\\u for all of it": lambda text, _: "".join(f"\\u{unit}" for unit in units(text)),
    "html": lambda text, _: html.escape(text),
    "html, numeric": lambda text, _: "".join(f"&#{ord(each)};" for each in text),
    "html, hexadecimal": lambda text, _: "".join(f"&#x{ord(each):X};" for each in text),
    "quoted-printable": lambda text, _: quopri.encodestring(text.encode(), quotetabs=True).decode(),
    "hexadecimal": lambda text, before: (b"u:"[:before] + text.encode()).hex(),
    "HEXADECIMAL": lambda text, before: (b"u:"[:before] + text.encode()).hex().upper(),
    "base64": lambda text, before: in_base64(text, before),
    "base64, URL-safe": lambda text, before: in_base64(text, before, urlsafe=True),
    "base64 without padding": lambda text, before: in_base64(text, before, padded=False),
    "base64 in lines of 64": lambda text, before: in_base64(text, before, wrap=64),
    "base64 in lines of 76": lambda text, before: in_base64(text, before, wrap=76),
}


def units(text: str) -> list[str]:
    told = text.encode("utf-16-be").hex()
    return [told[at : at + 4] for at in range(0, len(told), 4)]


SECRETS = st.text(
    st.one_of(st.sampled_from(" \n\t\"'%\\&=+/;<>#-_{}ä€😀"), st.characters(exclude_categories=("Cs", "Cc"))),
    min_size=6,
    max_size=60,
)
CHAINS = st.lists(st.tuples(st.sampled_from(sorted(ENCODINGS)), st.integers(0, 2)), max_size=MAX_LAYERS)
AROUND = st.text(st.sampled_from("ab xyz,.\n\"'()[]{}:|é"), max_size=40)
"""What an escape cannot begin with: then it would be another text."""


def encoded(secret: str, chain: list[tuple[str, int]]) -> str:
    for name, before in chain:
        secret = ENCODINGS[name](secret, before)
    return secret


def pieces(secret: str) -> set[bytes]:
    return {
        secret[at : at + MIN_STRETCH].encode()
        for at in range(len(secret) - MIN_STRETCH + 1)
        if secret[at : at + MIN_STRETCH].strip()
    }


@given(secret=SECRETS, chain=CHAINS, left=AROUND, right=AROUND, limit=st.integers(1, 400), fold=st.booleans())
@settings(max_examples=400, deadline=None)
@example(secret='long "quotes" and\nline breaks ' * 30, chain=[("json", 0)], left="", right="", limit=4096, fold=True)
@example(secret="two  blanks  in it", chain=[], left="", right="", limit=400, fold=True)
@example(secret="%41%42%43 \\n &lt;", chain=[("json", 0), ("percent", 0)], left="", right="", limit=400, fold=False)
@example(secret="=3D=20==", chain=[("quoted-printable", 0)], left="", right="", limit=400, fold=False)
def test_no_piece_of_a_secret_survives_any_chain_of_encodings(
    secret: str, chain: list[tuple[str, int]], left: str, right: str, limit: int, fold: bool
) -> None:
    """Masked whole, in whatever it is wrapped; and what is folded and cut afterwards has no piece of it either."""
    assume(not any(piece in (left + right).encode() for piece in pieces(secret)))
    redactor = Redactor()
    redactor.add("\0", secret)
    told = encoded(secret, chain)
    masked = redactor.redact(f"{left} {told} {right}")
    assert MARK in masked
    left_out = outgoing(f"{left} {told} {right}", redactor.redact, limit, fold=fold).removesuffix("… (cut)")
    for shown in (masked, left_out):
        assert told not in shown or told in MARK
        for rest in shown.split(MARK):
            for view, _ in views(rest.encode()):
                assert not [piece for piece in pieces(secret) if piece in view.data], (view.data, shown)


@pytest.mark.parametrize("size", [62, 63, 512, 4096])
def test_a_long_secret_with_quotes_is_masked_to_its_last_character(size: int) -> None:
    """Escaped as JSON, once and twice, with line breaks and quotes all through it."""
    secret = "".join(f'k{number:03d}"\n\\' for number in range(size))[:size]
    redactor = Redactor()
    redactor.add("key", secret)
    for told in (secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1]):
        assert redactor.redact(f"a{told}z") == "a‹secret key›z"


def test_a_long_secret_is_masked_in_parts() -> None:
    """What a server cut off, broke into lines or indented; a part too short to tell anything stays."""
    key = base64.b64encode(random.Random(1).randbytes(3000)).decode()
    redactor = Redactor()
    redactor.add("key", key)
    assert redactor.redact(f"<{key[100 : 100 + MIN_PART]}>") == "<‹secret key›>"
    assert redactor.redact(f"<{key[7:1900]}…") == "<‹secret key›…"
    assert redactor.redact(textwrap.indent("\n".join(textwrap.wrap(key, 64)), "    ")).strip() == "‹secret key›"
    assert redactor.redact(key[:20]) == key[:20]


def test_a_key_file_in_json_is_masked_line_by_line() -> None:
    """Its lines are escaped in the secret, and real ones in what a server makes of it."""
    pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nlastline0=\n-----END KEY-----\n"
    redactor = Redactor()
    redactor.add("account", json.dumps({"user": "bot", "private_key": pem}))
    for line in pem.splitlines()[1:]:
        assert redactor.redact(f"  {line}") == "  ‹secret account›"


@pytest.mark.parametrize(
    ("written", "read"),
    [("utf-8", "latin-1"), ("utf-8", "cp1252"), ("latin-1", "utf-8"), ("cp1252", "utf-8")],
)
def test_a_secret_read_in_another_charset_is_masked(written: str, read: str) -> None:
    """Headers are sent in UTF-8 and read in Latin-1; bodies are read as they say, or as UTF-8."""
    redactor = Redactor()
    redactor.add_all(
        {
            "key": "p\u00e4ssw\u00f6rt-gehe\u00dfm",
            "short": "\u00e4\u00f6\u00fc\u00df",
            "word": "\u5bc6\u7801\u5bc6\u7801",
        }
    )
    echo = "p\u00e4ssw\u00f6rt-gehe\u00dfm".encode(written).decode(read, "replace")
    assert redactor.redact(f"<{echo}>") == "<‹secret key›>"
    assert redactor.redact(f"<{json.dumps(echo)}>") == '<"‹secret key›">'
    assert redactor.redact("???? \ufffd\ufffd\ufffd\ufffd") == "???? \ufffd\ufffd\ufffd\ufffd"


def test_a_character_is_never_torn() -> None:
    """Where a part of a secret ends within a character of several bytes, all of that is masked."""
    secret = "".join(map(chr, range(0xC0, 0x180)))
    redactor = Redactor()
    redactor.add("key", secret)
    shown = redactor.redact(f"{secret[:90]}Ĭ{secret[91:]}")  # of what was there only the first byte is the same
    assert shown.replace("‹secret key›", "") == ""


def test_values_nested_deep_are_masked() -> None:
    """In lists and mappings thirty deep, keys as well."""
    redactor = Redactor()
    redactor.add("word", "sesame")
    value: object = "open sesame"
    for _ in range(15):
        value = [{"sesame": value, "n": 1}]
    shown = json.dumps(redactor.redact_json(value), ensure_ascii=False)
    assert "sesame" not in shown
    assert shown.count("‹secret word›") == 16


def test_texts_of_a_value_are_masked_each_by_itself() -> None:
    """No secret is found across two of them, and what is found in one leaves the next alone."""
    redactor = Redactor()
    redactor.add("word", "sesame")
    assert redactor.redact_json(["ses", "ame", "sesame", "", "x sesame", "sesame y", None, True]) == [
        "ses", "ame", "‹secret word›", "", "x ‹secret word›", "‹secret word› y", None, True,
    ]  # fmt: skip


def test_what_leaves_is_masked_then_folded_then_cut() -> None:
    """Each of the other orders would leave a piece."""
    redactor = Redactor()
    redactor.add("word", "two  blanks\nand a line")
    text = "said: two  blanks\nand a line   twice"
    assert outgoing(text, redactor.redact, 100, fold=True) == "said: ‹secret word› twice"
    assert outgoing(text, redactor.redact, 100) == "said: ‹secret word›   twice"
    assert outgoing("x" * 95 + text, redactor.redact, 100) == "x" * 95 + "said:… (cut)"
    assert outgoing("x" * 100, redactor.redact, 100) == "x" * 100


@pytest.mark.parametrize(
    "plain", ["the", "ok", "abc1", "production", "access-denied", "password", "aaaaaaaa1", "x" * 40]
)
def test_an_ordinary_word_tells_something(plain: str) -> None:
    """It would be masked wherever it stands."""
    assert not tells_nothing(plain)


@pytest.mark.parametrize("token", ["t0ken-one", "ya29.a0AfH6SMB", "abcdefghijklmnop", "a1b2c3d4"])
def test_a_token_tells_nothing(token: str) -> None:
    """Nobody writes it by chance."""
    assert tells_nothing(token)


def hostile(size: int) -> dict[str, str]:
    """Texts made to be decoded often."""
    nested = "x" * 1000
    while len(nested) < size // 2:
        nested = base64.b64encode(nested.encode()).decode()
    return {
        "percent": "%" + "25" * size,
        "backslashes": "\\" * size,
        "entities": "&amp;" * size,
        "half entities": "&#0" * size,
        "base64": nested,
        "hexadecimal": ("61" * size).encode().hex(),
        "lines": ("A" * 30 + "\n") * size,
        "soft breaks": "=\n" * size,
        "one character": "a" * size,
        "anchors": "k001 sesame key " * size,
    }


@pytest.mark.parametrize("name", hostile(10))
def test_a_hostile_text_costs_no_more_than_its_size(name: str) -> None:
    """The work is bounded by a multiple of the text, however it is nested: never by its square."""
    for size in (4_096, 65_536):
        text = hostile(size)[name][:size].encode()
        done = [len(view.data) for view, searched in views(text) if searched]
        assert sum(done) <= MAX_WORK * (len(text) + 1024)
    redactor = Redactor()
    redactor.add_all({"a": "k001 sesame key " * 60, "b": "a" * 300, "c": "sesame"})
    began = time.thread_time()
    redactor.redact(text.decode())
    assert time.thread_time() - began < 5


def test_what_was_too_much_work_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than unsearched."""
    monkeypatch.setattr("engine.text.encodings.MAX_WORK", 0)
    redactor = Redactor()
    redactor.add("word", "sesame")
    shown = redactor.redact("a b c " * 1000)
    assert shown == UNSEEN.decode()
    assert redactor.redact_json({"k": "a b c " * 1000})


def test_many_long_secrets_cost_little() -> None:
    """A thousand of them, over 64 KiB of an ordinary answer: a small multiple of what one costs."""
    dice = random.Random(7)
    redactor, alone = Redactor(), Redactor()
    secrets = {f"s{n}": base64.b64encode(dice.randbytes(dice.randint(768, 3072))).decode() for n in range(1000)}
    redactor.add_all(secrets)
    alone.add("s0", secrets["s0"])
    text = json.dumps([{"id": dice.random(), "href": f"https://x.test/{dice.randbytes(16).hex()}"} for _ in range(700)])

    def cost(one: Redactor) -> float:
        times = []
        for _ in range(5):
            began = time.thread_time()
            one.redact(text[:65_536])
            times.append(time.thread_time() - began)
        return min(times)

    assert cost(redactor) < 0.1
    assert cost(redactor) < 8 * cost(alone)
    assert redactor.redact(f"x {secrets['s500']} y") == "x ‹secret s500› y"


def test_in_capitals_and_in_small_letters() -> None:
    """As a server may echo it, inside any encoding; of what may be an ordinary word only what it is."""
    redactor = Redactor()
    redactor.add_all({"key": 'C4nary"of/Mine', "word": "Changeme"})
    for echoed in ('C4NARY"OF/MINE', 'c4nary"of/mine'):
        for encode in ENCODINGS.values():
            shown = redactor.redact(f"x {encode(echoed, 1)} y")
            assert "‹secret key›" in shown
            assert not [piece for piece in ("4NARY", "4nary", "MINE", "mine") if piece in shown]
    assert redactor.redact("CHANGEME changeme Changeme") == "CHANGEME changeme ‹secret word›"
