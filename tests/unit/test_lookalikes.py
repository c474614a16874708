"""Hosts that may pass for others are shown with their punycode, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli import show
from bot.slack.views import text as slack_text
from engine.text.lookalikes import with_punycode
from engine.text.visible_characters import visible, visible_line

TOLD = {
    "https://p\u0430ypal.com/x": "https://p\u0430ypal.com (xn--pypal-4ve.com)/x",
    "see http://me:pw@b\xfccher.de:80/ now": "see http://me:pw@b\xfccher.de (xn--bcher-kva.de):80/ now",
    "host p\u0430ypal.com is down": "host p\u0430ypal.com (xn--pypal-4ve.com) is down",
    '{"x": "\u0430\u0440\u0440\u04cf\u0435.com"}': '{"x": "\u0430\u0440\u0440\u04cf\u0435.com (xn--80ak6aa92e.com)"}',
    "https://\uff45xample.com": "https://\uff45xample.com (example.com)",
    "https://a\u3002com": "https://a\u3002com (a.com)",
}
ALONE = [
    "https://paypal.com",
    "Das ist sch\xf6n.Und gut",
    "Привет.Мир",
    "Kaffee für 3.50 €",
    "日本語です。はい",
    "a.b",
    "…",
]


@pytest.mark.parametrize("text", TOLD)
def test_a_host_that_is_not_what_it_seems_is_told(text: str) -> None:
    """At every door, and once however often it goes through."""
    assert with_punycode(text) == TOLD[text]
    assert visible(visible(text)) == visible_line(text) == TOLD[text]
    assert slack_text.inline(text) == TOLD[text]
    assert show.safe([text]) == TOLD[text]


@pytest.mark.parametrize("text", ALONE)
def test_sentences_stay_sentences(text: str) -> None:
    """In whichever script."""
    assert visible(text) == text


@given(st.text(st.sampled_from("a.://@() \u0430\xfc\u3002\uff45-x1\u200b\n")))
def test_any_text_is_told_once(text: str) -> None:
    """And what is ASCII is left alone."""
    told = visible(text)
    assert visible(told) == told
    assert not text.isascii() or with_punycode(text) == text


@given(st.text())
def test_any_text_bears_it(text: str) -> None:
    """Whatever it is."""
    assert with_punycode(with_punycode(text)) == with_punycode(text)


def test_a_long_text_costs_no_more_than_its_size() -> None:
    """No look at it goes over it again and again."""
    for text in ("\u0430" * 200_000, "\u0430." * 100_000, "://" * 70_000 + "\u0430", "-" * 200_000 + "\u0430"):
        with_punycode(text)


@pytest.mark.parametrize("space", ["\u1680", "\u2003", "\u200a", "\u205f"])
def test_spaces_that_are_not_what_they_seem_are_told(space: str) -> None:
    """They part words that look like one, or join what looks like two."""
    assert visible(f"a{space}b") == visible_line(f"a{space}b") == f"a\\u{ord(space):04x}b"
