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
from engine.egress.client import DEFAULT_MAX_BYTES
from engine.steps import content_encoding, xml_answer
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

    `form` is what its body was read as, json, xml, lines or text, and `value` what it came to; None for text, which is
    the body in any case. `size` is its bytes as they came. `warning` says what of the body could not be read as it was
    meant, or "", and `whole` whether all of it could be unpacked.
    """

    status: int
    headers: dict[str, str]
    form: str
    value: Json
    text: str
    size: int
    warning: str = ""
    whole: bool = True

    @property
    def has_json(self) -> bool:
        """Whether the body was read as JSON."""
        return self.form == "json"

    @property
    def json(self) -> Json:
        """The body as JSON, None where it was not read as such."""
        return self.value if self.has_json else None

    @property
    def ok(self) -> bool:
        """Whether the status is one of success, 200 to 299."""
        return 200 <= self.status < 300

    def everything(self) -> dict[str, Json]:
        """What a step's own `outputs` read: status, headers, bytes, what the body came to, and any warning."""
        body: dict[str, Json] = {"text": self.text} if self.form == "text" else {self.form: self.value}
        body |= {"warning": self.warning} if self.warning else {}
        return {"status": self.status, "headers": self.headers, "bytes": self.size, **body}

    def outputs(self, max_text: int | None = None) -> dict[str, Json]:
        """`everything` as later steps see it, at most so many characters of text. Raises `storable.TooLarge`."""
        whole = self.everything()
        stored: dict[str, Json] = to_storable({**whole, "text": whole["text"][:max_text]} if "text" in whole else whole)
        return stored

    def view(self) -> dict[str, Json]:
        """The `response` of a poll's `until`: every name is always there."""
        read: dict[str, Json] = {name: self.value if self.form == name else None for name in ("json", "xml", "lines")}
        return {"status": self.status, "headers": self.headers, "text": self.text, **read}


def read(response: Response, redact: Redact, form: str = "", most: int = DEFAULT_MAX_BYTES) -> Answer:
    """The response as later steps and people may see it: unpacked, decoded, masked by `redact`, its headers bounded.

    `form` is what its body is read as, or "" for JSON where it looks like that and text where not; at most `most`
    bytes of it are unpacked.
    """
    headers = _joined(response.headers)
    unpacked = content_encoding.decoded(response.body, headers.get("content-encoding", ""), most)
    whole = unpacked.whole and not response.truncated
    # Where a body was cut off, half a secret may stand; no more than its first half could ever be kept.
    body = unpacked.body if whole else unpacked.body[: len(unpacked.body) // 2]
    text, charset_warning = _decode(body, headers, form, whole=whole)
    found, value, fault = _parsed(text, headers, form) if whole else ("text", None, "")
    told = " ".join(filter(None, (unpacked.warning, charset_warning, fault)))
    # A list: names of ours among what is masked could be masked with it.
    masked, text, value, told = redact([headers, text, value, told])
    return Answer(
        response.status,
        bounded(masked),
        found,
        clean(value),
        clean_text(text),
        len(response.body),
        clean_text(told),
        unpacked.whole,
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
    except (ValueError, OverflowError):  # of a year or zone beyond all numbers
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


def _decode(body: bytes, headers: dict[str, str], form: str, *, whole: bool) -> tuple[str, str]:
    """The text of a body by the charset that it declares, UTF-8 without one, and what to warn of, or ""."""
    header = Message()
    header["content-type"] = headers.get("content-type", "")
    declared = xml_answer.declared_charset(body) if form == "xml" else ""
    charset = header.get_content_charset() or declared or "utf-8"
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


def _parsed(text: str, headers: dict[str, str], form: str) -> tuple[str, Json, str]:
    """What a body was read as, what it came to, and what to warn of: what cannot be read as asked for is text."""
    if form == "lines":
        return "lines", text.splitlines(), ""
    if form == "xml":
        try:
            return "xml", xml_answer.parse(text), ""
        except xml_answer.NotRead as error:
            return "text", None, f"The answer is not read as XML: {error}."
    value = _NO_JSON if form == "text" else _parse_json(text, headers, sure=form == "json")
    if value is not _NO_JSON:
        return "json", value, ""
    return "text", None, "The answer is no JSON." if form == "json" else ""


def _parse_json(text: str, headers: dict[str, str], *, sure: bool) -> Json:
    looks_like_it = "json" in headers.get("content-type", "").lower() or text.lstrip()[:1] in ("{", "[")
    if not (looks_like_it or sure):
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
