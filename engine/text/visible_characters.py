r"""Characters that nobody sees made visible: control characters, and those that hide or reorder their neighbours.

They are written as escapes (`\x1b`, `\u202e`), and hosts that may pass for others with their punycode, in logs, pages,
Slack and terminals alike, so that no text can pass for another, begin a line that is not its own, or tell a terminal
what to do.
"""

from __future__ import annotations

import re

from engine.text.lookalikes import with_punycode

_UNSEEN = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f"
    "\\u2028-\\u202e\\u205f-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\ud800-\\udfff"
    "\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]"
)
_BREAKS = re.compile(r"\r\n?|\n")
_JOINER, _AS_EMOJI, _KEYCAP = "\u200d", "\ufe0f", "\u20e3"


def visible(text: str) -> str:
    """The text with whatever is not seen as escapes; line breaks and tabs stay what they are."""
    return with_punycode(_UNSEEN.sub(_escaped_in_lines, text.replace("\r\n", "\n")))


def visible_line(text: str) -> str:
    """The same on one line: line breaks and tabs are escapes too."""
    return with_punycode(_UNSEEN.sub(_escaped, text))


def _escaped_in_lines(found: re.Match[str]) -> str:
    return found[0] if found[0] in "\n\t" else _escaped(found)


def _escaped(found: re.Match[str]) -> str:
    return found[0] if _in_emoji(found.string, found.start()) else found[0].encode("unicode_escape").decode("ascii")


def _in_emoji(text: str, at: int) -> bool:
    """Whether the character only makes an emoji of its neighbours."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if text[at] == _AS_EMOJI:
        return _pictures(before) or after == _KEYCAP
    return text[at] == _JOINER and (_pictures(before) or before == _AS_EMOJI) and _pictures(after)


def _pictures(char: str) -> bool:
    return "\u203c" <= char <= "\u3299" or char >= "\U0001f000"
