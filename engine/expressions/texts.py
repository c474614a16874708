"""Filters on text: taken apart, read as JSON, encoded, searched. No message holds any of the text."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NoReturn
from urllib.parse import quote

from engine.expressions.values import MAX_TEXT, as_text, describe, known
from engine.text.regex import LONGEST_SUBJECT, compile_pattern

MAX_PIECES = 65_536
"""Pieces that a text is split into."""


def _text(value: Any, name: str) -> str:
    if not isinstance(known(value), str):
        raise TypeError(f"`{name}` needs text, not {describe(value)}")
    return str(value)


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"the text grows beyond {MAX_TEXT} characters")
    return text


def _sendable(text: str, name: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"`{name}`: the text holds a character that cannot be sent") from None


def split(value: Any, separator: str | None = None) -> list[str]:
    """The pieces between the separators; without one the words between blanks."""
    text = _text(value, "split")
    if separator is not None and not _text(separator, "split"):
        raise ValueError("`split` needs a separator with something in it")
    if separator is not None and text.count(separator) >= MAX_PIECES:
        raise ValueError(f"`split` comes to more than {MAX_PIECES} pieces")
    pieces = text.split(separator)
    if len(pieces) > MAX_PIECES:
        raise ValueError(f"`split` comes to more than {MAX_PIECES} pieces")
    return pieces


def fromjson(value: Any) -> Any:
    """The value that a text of JSON stands for."""
    text = _text(value, "fromjson")
    try:
        found = json.loads(text, parse_constant=_no_number)
        written = json.dumps(found, ensure_ascii=False)
    except json.JSONDecodeError as error:
        raise ValueError(f"`fromjson`: this is not JSON (line {error.lineno}, column {error.colno})") from None
    except (ValueError, RecursionError):
        raise ValueError("`fromjson`: this is not JSON that can be read: too deep, or with too long a number") from None
    if b"\\u0000" in _sendable(written, "fromjson"):
        raise ValueError("`fromjson`: the text holds a character that cannot be sent")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError


def b64encode(value: Any) -> str:
    """Base64 (RFC 4648) of the text in UTF-8."""
    return _bounded(base64.b64encode(_sendable(_text(value, "b64encode"), "b64encode")).decode("ascii"))


def b64decode(value: Any) -> str:
    """The text that base64 stands for, standard or URL-safe, padded or not. Raises ValueError where that is no text."""
    text = _text(value, "b64decode").strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise ValueError("`b64decode`: this is not base64 of a text in UTF-8") from None
    if "\0" in found:
        raise ValueError("`b64decode`: the text holds a character that cannot be sent")
    return found


def urlencode(value: Any) -> str:
    """A text percent-encoded whole; of a mapping, its keys and values as a query."""
    if isinstance(known(value), dict):
        return _bounded("&".join(f"{_quoted(key)}={_quoted(as_text(item))}" for key, item in value.items()))
    if isinstance(value, list) or value is None:
        raise TypeError(f"`urlencode` needs text or a mapping, not {describe(value)}")
    return _bounded(_quoted(as_text(value)))


def _quoted(text: str) -> str:
    return quote(_sendable(text, "urlencode"), safe="")


def regex_search(value: Any, pattern: str, group: int = 0) -> str | None:
    """What the pattern, or a group of it, holds where it is first found; null where it is not."""
    match = _pattern(pattern).search(_searchable(value, "regex_search"))
    if match is None:
        return None
    try:
        found: str | None = match.group(group)
    except (IndexError, TypeError, KeyError):
        raise ValueError("`regex_search`: the pattern has no such group") from None
    return found


def regex_replace(value: Any, pattern: str, replacement: str = "") -> str:
    r"""The text with whatever fits the pattern replaced; `\1` to `\9` in the replacement are its groups."""
    text, parts = _searchable(value, "regex_replace"), _replacement(_text(replacement, "regex_replace"))
    pieces: list[str] = []
    size = end = 0
    for match in _pattern(pattern).finditer(text):
        made = [text[end : match.start()], *(each if isinstance(each, str) else _group(match, each) for each in parts)]
        size += sum(map(len, made))
        if size > MAX_TEXT:
            raise ValueError(f"the text grows beyond {MAX_TEXT} characters")
        pieces += made
        end = match.end()
    return _bounded("".join([*pieces, text[end:]]))


def _pattern(pattern: str) -> Any:
    return compile_pattern(_text(pattern, "regex"))


def _searchable(value: Any, name: str) -> str:
    text = _text(value, name)
    if len(text) > LONGEST_SUBJECT:
        raise ValueError(f"the text is longer than {LONGEST_SUBJECT} characters")
    _sendable(text, name)
    return text


def _replacement(text: str) -> list[str | int]:
    """The replacement as text and numbers of groups; a doubled backslash is one."""
    parts: list[str | int] = [""]
    at = 0
    while at < len(text):
        mark = text[at : at + 2]
        if len(mark) == 2 and mark[0] == "\\" and (mark[1] in "0123456789\\"):
            parts += ["\\"] if mark[1] == "\\" else [int(mark[1])]
            at += 2
        else:
            parts.append(text[at])
            at += 1
    return parts


def _group(match: Any, number: int) -> str:
    try:
        return match.group(number) or ""
    except IndexError:
        raise ValueError(f"`regex_replace`: the pattern has no group {number}") from None
