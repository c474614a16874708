"""What nobody would see is shown as an escape, on every way out."""

from __future__ import annotations

import io
import logging
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli import show
from bot.page.routes import _PAGES
from bot.record_text import _message
from bot.slack.views import text as slack_text
from engine.text import logs
from engine.text.redaction import Redactor
from engine.text.visible_characters import visible, visible_line

SEEN_AS = {
    "web\u202e1": "web\\u202e1",
    "a\u200bb\u2060c\ufeffd": "a\\u200bb\\u2060c\\ufeffd",
    "\x1b[31mred\x07": "\\x1b[31mred\\x07",
    "soft\xadhyphen": "soft\\xadhyphen",
    "next\x85line\u2028and\u2029more": "next\\x85line\\u2028and\\u2029more",
    "tag\U000e0041": "tag\\U000e0041",
    "blank\u3164\u2800": "blank\\u3164\\u2800",
    "a\u200db": "a\\u200db",
    "digit 1\ufe0f": "digit 1\\ufe0f",
}
EMOJI = ["👩\u200d💻", "❤\ufe0f\u200d🔥", "1\ufe0f\u20e3", "☀\ufe0f", "👨🏽\u200d🚒"]


@pytest.mark.parametrize("text", SEEN_AS)
def test_what_is_not_seen_is_shown(text: str) -> None:
    """In running text and on a line, in Slack and in a terminal alike."""
    assert visible(text) == visible_line(text) == SEEN_AS[text]
    assert slack_text.clean(text) == SEEN_AS[text]
    assert show.safe([text]) == SEEN_AS[text]
    assert slack_text.plain(text, 100) == SEEN_AS[text]
    assert slack_text.inline(text) == SEEN_AS[text]


@pytest.mark.parametrize("text", [*EMOJI, "grün ¿你好? שלום مرحبا", "tab\there"])
def test_what_people_write_stays(text: str) -> None:
    """Emoji made of several, other scripts, and a tab in running text."""
    assert visible(text) == text


def test_line_breaks() -> None:
    """They stay in running text, of whatever kind, and never begin another line of a log or of a terminal's output."""
    assert visible("a\r\nb\nc\rd") == "a\nb\nc\\rd"
    assert visible_line("a\r\nb\tc") == "a\\r\\nb\\tc"
    assert show.safe(["one\nSUCCESS R-1", "two\tx"]) == "one\\nSUCCESS R-1\ntwo  x"
    assert show.said("first\nand more", "second") == "runbook: first\n  and more\nrunbook: second"


@given(st.text(st.characters()))
def test_nothing_unseen_is_left(text: str) -> None:
    """No control, format or separator character, whatever the text; a second time changes nothing."""
    for shown in (visible(text).replace("\n", "").replace("\t", ""), visible_line(text)):
        left = [each for each in shown if unicodedata.category(each) in ("Cc", "Zl", "Zp", "Cs")]
        assert left == []
        assert not set(shown) & set(
            "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\xad"
        )
    assert visible(visible(text)) == visible(text)


def page(**values: Any) -> str:
    return _PAGES.from_string('<b title="{{ x }}">{{ x }}{{ n }}{{ x | upper }}</b>').render(**values)


def test_pages_show_escapes() -> None:
    """In text and in attributes, escaped for HTML as ever."""
    shown = page(x="a\u202e<b>\x1b", n=5)
    assert shown == '<b title="a\\u202e&lt;b&gt;\\x1b">a\\u202e&lt;b&gt;\\x1b5A\\u202E&lt;B&gt;\\x1B</b>'.replace(
        "\\u202E", "\\u202e"
    ).replace("\\x1B", "\\x1b")


def test_a_runs_log_has_a_line_for_each_line() -> None:
    """What a server sent begins no line of its own."""
    lines = list(_message({"status": 200, "headers": {"x": "1"}, "body": "one\ntwo"}))
    assert lines == ["200", "x: 1", "one", "two"]


def logged(message: str, *args: object, **more: Any) -> str:
    handler = logs.RedactingHandler(Redactor())
    handler.setStream(stream := io.StringIO())
    log = logging.getLogger("log-of-a-test")
    log.propagate = False
    log.addHandler(handler)
    try:
        log.error(message, *args, **more)
    finally:
        log.removeHandler(handler)
    return stream.getvalue()


FORGED = "x\n2026-01-01 00:00:00,000 ERROR engine: all is lost\r\x1b[2Ky\u2028z"


def test_a_log_record_is_one_line() -> None:
    """Line breaks and escapes in a message, its arguments or a logger's name stay in it."""
    for shown in (logged("%s", FORGED), logged(FORGED)):
        assert shown.count("\n") == 1
        assert "\\n2026-01-01 00:00:00,000 ERROR engine: all is lost\\r\\x1b[2Ky\\u2028z" in shown


def test_no_line_of_a_traceback_passes_for_a_record() -> None:
    """An exception's text may have line breaks: all that stands below a record is indented."""
    try:
        raise ValueError(FORGED)
    except ValueError:
        shown = logged("it failed", exc_info=True, stack_info=True)
    head, *below = shown.splitlines()
    assert head.endswith("it failed")
    assert len(below) > 4
    assert all(line.startswith("  ") for line in below)
    assert "\x1b" not in shown
    assert any("all is lost" in line for line in below)
