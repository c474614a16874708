"""From a response to plain values: what later steps see, what people read, when to come back. Pure.

Secrets are masked as it is read, before anything is folded, cut or made fit to store.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from engine.egress import Response
from engine.redaction import Redact, cut
from engine.storable import clean, clean_text, shallow, to_storable

Json = Any

MAX_HEADERS = 64
MAX_HEADER_CHARS = 2048
MAX_RETRY_AFTER_MS = 3_600_000
MAX_TELLING_CHARS = 300
_NO_JSON = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read, masked and made storable in all but size.

    `json` is None and `has_json` False when the body is not JSON; `text` is the body in either case, `size` its bytes.
    `encoding` is what the body is encoded as although that was not asked for, or "".
    """

    status: int
    headers: dict[str, str]
    json: Json
    has_json: bool
    text: str
    size: int
    encoding: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def outputs(self, max_text: int | None = None) -> dict[str, Json]:
        """What later steps see: status, headers, bytes, and json or text. Raises `storable.TooLarge`."""
        body = {"json": self.json} if self.has_json else {"text": self.text[:max_text]}
        stored: dict[str, Json] = to_storable(
            {"status": self.status, "headers": self.headers, "bytes": self.size, **body}
        )
        return stored

    def view(self) -> dict[str, Json]:
        """The `response` of a poll's `until`: every name is always there."""
        return {"status": self.status, "headers": self.headers, "json": self.json, "text": self.text}


def read(response: Response, redact: Redact) -> Answer:
    headers = _joined(response.headers)
    plain = headers.get("content-encoding", "").strip().lower() in ("", "identity")
    # Where a body was cut off, half a secret may stand; no more than its first half could ever be kept.
    body = response.body[: len(response.body) // 2] if response.truncated else response.body
    text = _decode(body, headers) if plain else ""
    value = _parse_json(text, headers) if not response.truncated else _NO_JSON
    has_json = value is not _NO_JSON
    found = redact({"headers": headers, "text": text, "json": value if has_json else None})
    shown = bounded(found["headers"])
    return Answer(
        response.status,
        shown,
        clean(found["json"]),
        has_json,
        clean_text(found["text"]),
        len(response.body),
        "" if plain else shown.get("content-encoding", "something else"),
    )


def telling_part(answer: Answer) -> str:
    """The words in a body that say what went wrong, on one line, cut; "" when there are none."""
    found = _message_in(answer.json) if answer.has_json else ""
    return cut(" ".join((found or answer.text).split()), MAX_TELLING_CHARS)


def status_name(status: int) -> str:
    """For example "404 Not Found"."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def retry_after_ms(value: str | None, now: datetime) -> int | None:
    """A Retry-After header in milliseconds, at most an hour; None when absent or unreadable (RFC 9110, 10.2.3)."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, MAX_RETRY_AFTER_MS)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0, min(round((moment - now).total_seconds() * 1000), MAX_RETRY_AFTER_MS))


def _joined(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    merged: dict[str, list[str]] = {}
    for name, value in pairs:
        merged.setdefault(name, []).append(value)
    return {name: ", ".join(values) for name, values in merged.items()}


def bounded(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers or metadata, masked already: so many of them, and so much of each, as a step keeps."""
    return {name: clean_text(value[:MAX_HEADER_CHARS]) for name, value in list(headers.items())[:MAX_HEADERS]}


def _decode(body: bytes, headers: dict[str, str]) -> str:
    header = Message()
    header["content-type"] = headers.get("content-type", "")
    charset = header.get_content_charset() or "utf-8"
    try:
        known = codecs.lookup(charset).name
    except (LookupError, ValueError):
        known = "utf-8"
    if known == "utf-8":
        return body.decode("utf-8-sig", "replace")
    # Only text codecs: Python also registers compressors and the like under this name space.
    safe = known if known.startswith(("iso8859", "cp12", "utf-", "ascii", "latin")) else "utf-8"
    return body.decode(safe, "replace")


def _parse_json(text: str, headers: dict[str, str]) -> Json:
    looks_like_it = "json" in headers.get("content-type", "").lower() or text.lstrip()[:1] in ("{", "[")
    if not looks_like_it:
        return _NO_JSON
    try:
        return shallow(json.loads(text))
    except (ValueError, RecursionError):
        return _NO_JSON


def _message_in(value: Json) -> str:
    """The first of the usual places of an error's words, also one level down."""
    if isinstance(value, list) and value:
        return _message_in(value[0])
    if not isinstance(value, dict):
        return value if isinstance(value, str) else ""
    for key in ("error", "message", "detail", "title", "error_description", "errors", "reason"):
        if found := _message_in(value.get(key)):
            return found
    return ""
