"""A secret in any chain of encodings, in any text, is masked whole; hostile texts cost no more than others."""

from __future__ import annotations

import base64
import html
import json
import quopri
import textwrap
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engine.redaction import MIN_STRETCH, Redactor, outgoing
from engine.unwrapping import MAX_LAYERS, views

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
