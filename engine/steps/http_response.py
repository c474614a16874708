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

from engine.egress import Response
from engine.text.redaction import Redact, cut
from engine.text.storable import clean, clean_text, shallow, to_storable
from storage.records import Json

MAX_HEADERS = 64
MAX_HEADER_CHARS = 2048
MAX_RETRY_AFTER_MS = 3_600_000
"""So much of what a server asks for is obeyed: its word is not to put a step off for days."""
MAX_TELLING_CHARS = 300
_NO_JSON = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read, masked and made storable in all but size.

    `json` is None and `has_json` False when the body is not JSON; `text` is the body in either case, `size` its bytes.
    `encoding` is what the body is encoded as although that was not asked for, or "". `warning` says what of the body
    could not be read as it was meant, or "".
    """

    status: int
    headers: dict[str, str]
    json: Json
    has_json: bool
    text: str
    size: int
    encoding: str
    warning: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status is one of success, 200 to 299."""
        return 200 <= self.status < 300

    def outputs(self, max_text: int | None = None) -> dict[str, Json]:
        """What later steps see: status, headers, bytes, json or text, and any warning. Raises `storable.TooLarge`."""
        body: dict[str, Json] = {"json": self.json} if self.has_json else {"text": self.text[:max_text]}
        body |= {"warning": self.warning} if self.warning else {}
        stored: dict[str, Json] = to_storable(
            {"status": self.status, "headers": self.headers, "bytes": self.size, **body}
        )
        return stored

    def view(self) -> dict[str, Json]:
        """The `response` of a poll's `until`: every name is always there."""
        return {"status": self.status, "headers": self.headers, "json": self.json, "text": self.text}


def read(response: Response, redact: Redact) -> Answer:
    """The response as later steps and people may see it: decoded, masked by `redact`, its headers bounded."""
    headers = _joined(response.headers)
    plain = headers.get("content-encoding", "").strip().lower() in ("", "identity")
    # Where a body was cut off, half a secret may stand; no more than its first half could ever be kept.
    body = response.body[: len(response.body) // 2] if response.truncated else response.body
    text, warning = _decode(body, headers, whole=not response.truncated) if plain else ("", "")
    value = _parse_json(text, headers) if not response.truncated else _NO_JSON
    has_json = value is not _NO_JSON
    # A list: names of ours among what is masked could be masked with it.
    masked, text, value, warning = redact([headers, text, value if has_json else None, warning])
    shown = bounded(masked)
    return Answer(
        response.status,
        shown,
        clean(value),
        has_json,
        clean_text(text),
        len(response.body),
        "" if plain else shown.get("content-encoding", "something else"),
        clean_text(warning),
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


def _decode(body: bytes, headers: dict[str, str], *, whole: bool) -> tuple[str, str]:
    """The text of a body by the charset that it declares, UTF-8 without one, and what to warn of, or ""."""
    header = Message()
    header["content-type"] = headers.get("content-type", "")
    charset = header.get_content_charset() or "utf-8"
    codec = _codec(charset)
    try:
        text, lossy = body.decode(codec or "utf-8-sig"), False
    except UnicodeError:
        text, lossy = body.decode(codec or "utf-8-sig", "replace"), True
    if codec is None:
        return text, f"The charset “{cut(charset, 40)}” is not known here; the answer was read as UTF-8."
    if lossy and whole:
        return text, f"Not all of the answer is {cut(charset, 40)}; what is not became U+FFFD."
    return text, ""


_NO_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"})
"""Codecs of Python that make text of bytes and are no charset."""


def _codec(charset: str) -> str | None:
    """Python's codec for a charset, None where it has none."""
    try:
        known = codecs.lookup(charset).name
        b" ".decode(known, "replace")  # refuses what makes no text, such as compressors
    except (LookupError, ValueError):
        return None
    return "utf-8-sig" if known == "utf-8" else None if known.replace("_", "-") in _NO_CHARSETS else known


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
