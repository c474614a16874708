"""Values from outside, made fit for either database and for showing."""

from __future__ import annotations

import json
import math

from storage.records import Json

MAX_DEPTH = 32
MAX_BYTES = 256 * 1024
"""What one step's outputs may take up, as UTF-8 JSON."""

TOO_DEEP = "… (nested too deeply)"
_REPLACE = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}


class TooLarge(ValueError):
    """The value does not fit. `size` is what it would take, in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes are more than the {limit} that are kept")
        self.size = size


def to_storable(value: Json, max_bytes: int = MAX_BYTES) -> Json:
    """A copy of a JSON value that PostgreSQL and SQLite both take, and that reads back equal.

    NUL characters and lone surrogates become U+FFFD, NaN and infinities become None, and what lies deeper than
    `MAX_DEPTH` becomes a sentence. Raises `TooLarge` when the copy takes more than `max_bytes`.
    """
    copy = clean(value)
    size = json_size(copy)
    if size > max_bytes:
        raise TooLarge(size, max_bytes)
    return copy


def clean(value: Json) -> Json:
    """`to_storable` without the limit on size."""
    return _clean(value, MAX_DEPTH)


def shallow(value: Json, depth: int = MAX_DEPTH) -> Json:
    """A copy in which what lies deeper than `MAX_DEPTH` is a sentence; every text is as it was."""
    if isinstance(value, dict | list) and depth == 0:
        return TOO_DEEP
    if isinstance(value, dict):
        return {key: shallow(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [shallow(inner, depth - 1) for inner in value]
    return value


def json_size(value: Json) -> int:
    """Bytes of the value as compact UTF-8 JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


def clean_text(text: str) -> str:
    """The text without NUL and lone surrogates, which become U+FFFD."""
    return text.translate(_REPLACE) if "\0" in text or not _encodable(text) else text


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _clean(value: Json, depth: int) -> Json:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list) and depth == 0:
        return TOO_DEEP
    if isinstance(value, dict):
        return {clean_text(str(key)): _clean(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner, depth - 1) for inner in value]
    return value
