"""Text for Slack, made safe: what people and machines wrote shows as text and never becomes a mention or a link.

Slack reads `&`, `<` and `>` in mrkdwn; so text is cut by code point, then escaped. Plain text and rich text elements
are not read by Slack at all, so nothing is escaped there, but angle brackets become typographic ones: no client, old
or third-party, can take them for a mention.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from engine.text.visible_characters import visible

_COST = {"&": 5, "<": 4, ">": 4}
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_TYPOGRAPHIC = str.maketrans({"<": "‹", ">": "›"})
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")
_USER = re.compile(r"[UW][A-Z0-9]{5,20}")
_GROUP = re.compile(r"S[A-Z0-9]{5,20}")
_PERMALINK = re.compile(r"https?://[\w.:-]+/archives/[A-Z0-9]+/p[0-9]{10,20}(\?[\w=&.-]*)?", re.ASCII)
_CHANNEL = re.compile(r"[CG][A-Z0-9]{5,20}")


def clean(text: str) -> str:
    """With escapes for what nobody would see; a lone surrogate becomes U+FFFD."""
    return visible(_SURROGATE.sub("\ufffd", text))


def cut(text: str, limit: int) -> str:
    """At most `limit` code points; an ellipsis says that something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def first_sentence(text: str, limit: int) -> str:
    """The first sentence of a text on one line; one that is longer than `limit` is cut between two words."""
    text = one_line(text)
    end = _SENTENCE_END.search(text)
    sentence = text[: end.end()] if end else text
    if len(sentence) <= limit:
        return sentence
    return f"{sentence[: limit - 1].rpartition(' ')[0] or sentence[: limit - 1]}…"


def one_line(text: str) -> str:
    """All white space as single spaces."""
    return " ".join(clean(text).split())


def escape(text: str, limit: int = 3000) -> str:
    """Text for mrkdwn, at most `limit` characters after escaping."""
    text = clean(text)
    length = sum(_COST.get(char, 1) for char in text)
    if length <= limit:
        return text.translate(_ESCAPES)
    room, kept = limit - 1, 0
    for char in text:
        room -= _COST.get(char, 1)
        if room < 0:
            break
        kept += 1
    return text[:kept].translate(_ESCAPES) + "…"


def inline(text: str, limit: int = 300) -> str:
    """Text for one line of mrkdwn."""
    return escape(one_line(text), limit)


def plain(text: str, limit: int) -> str:
    """Text for a plain_text object or a rich text element; never empty, since Slack refuses that."""
    return cut(one_line(text).translate(_TYPOGRAPHIC), limit) or "–"


def code(text: str, limit: int = 300) -> str:
    """Text as inline code."""
    return f"`{inline(text.replace('`', 'ˋ'), limit - 2) or ' '}`"


def code_block(text: str, limit: int = 2900) -> str:
    """Text as a block of code, at most `limit` characters all told."""
    return f"```\n{escape(text.replace('`', 'ˋ'), limit - 8)}\n```"


def pieces(text: str, limit: int) -> Iterator[str]:
    """A text in pieces that stay within `limit` once they are escaped, torn between lines where that is possible."""
    piece, size = "", 0
    for line in clean(text).splitlines(keepends=True):
        for part in _parts(line, limit):
            cost = sum(_COST.get(char, 1) for char in part)
            if piece and size + cost > limit:
                yield piece
                piece, size = "", 0
            piece, size = piece + part, size + cost
    if piece:
        yield piece


def _parts(line: str, limit: int) -> Iterator[str]:
    """One line, or parts of it that fit whatever is in them."""
    longest = limit // max(_COST.values())
    yield from (line[start : start + longest] for start in range(0, len(line), longest))


def as_json(value: Any, limit: int) -> str:
    """A JSON value on one line, cut; not escaped yet."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return cut(one_line(text), limit)


def when(at: int | None) -> str:
    """A time in epoch milliseconds, shown in each reader's own time zone."""
    if at is None:
        return "–"
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return f"<!date^{at // 1000}^{{date_short_pretty}} {{time}}|{moment:%Y-%m-%d %H:%M} UTC>"


def ago(at: int) -> str:
    """How long ago a time in epoch milliseconds was, counted by each reader's client."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return f"<!date^{at // 1000}^since {{time}}, {{ago}}|since {moment:%Y-%m-%d %H:%M} UTC>"


def duration(ms: int) -> str:
    """How long, in the two largest units: `2 h 5 min`, `3 min 20 s`, `4 s`, `0.3 s`."""
    if ms < 1000:
        return f"{ms / 1000:.1f} s" if ms >= 50 else "less than 0.1 s"
    seconds = ms // 1000
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next(index for index, (amount, _) in enumerate(parts) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount)


def is_person(user: str) -> bool:
    """Whether this looks like a Slack user's id."""
    return _USER.fullmatch(user) is not None


def person(user: str | None) -> str:
    """A person as a mention where this is a Slack user id, else as text."""
    if user is None:
        return "nobody known"
    return f"<@{user}>" if is_person(user) else inline(user, 80)


def group(name: str) -> str:
    """A user group as a mention where this is its id, else as text."""
    return f"<!subteam^{name}>" if _GROUP.fullmatch(name) else inline(f"@{name.removeprefix('@')}", 80)


def link(url: str, label: str) -> str:
    """A link to an address that Slack or this bot made; what people write is never one."""
    return f"<{escape(url).replace('|', '%7C')}|{inline(label, 150)}>"


def is_permalink(url: str) -> bool:
    """Whether this is the address of a message in Slack; any other address is only text."""
    return _PERMALINK.fullmatch(url) is not None


def channel(channel_id: str) -> str:
    """A channel as a link where this is its id, else as text."""
    return f"<#{channel_id}>" if _CHANNEL.fullmatch(channel_id) else inline(channel_id, 80)
