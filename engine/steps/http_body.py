"""Bodies as forms are sent: urlencoded, and in several parts. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

FORM_TYPE = "application/x-www-form-urlencoded"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""What browsers make of these in the name of a part or file, so that a name ends nothing but itself."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of text; without a `content_type` its reader takes it for plain text."""

    name: str
    text: str
    filename: str = ""
    content_type: str = ""


def form(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The pairs as an HTML form sends them."""
    return urlencode(list(pairs)).encode("ascii")


def multipart(parts: Iterable[Part]) -> tuple[bytes, str]:
    """The body and its content type (RFC 7578). Raises ValueError for a content type that would end its line."""
    lines = [_head(part).encode() + part.text.encode() for part in parts]
    # Made of what is sent: the same for every attempt, and nobody can write a part that holds it.
    boundary = f"runbook-{hashlib.sha256(b'-'.join(lines)).hexdigest()[:40]}"
    start = f"--{boundary}\r\n".encode()
    body = b"".join(start + line + b"\r\n" for line in lines) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _head(part: Part) -> str:
    if _CONTROL.search(part.content_type):
        raise ValueError(f"the content type of part {part.name!r} holds a line break or another control character")
    file = f'; filename="{part.filename.translate(_ESCAPED)}"' if part.filename else ""
    kind = f"Content-Type: {part.content_type}\r\n" if part.content_type else ""
    return f'Content-Disposition: form-data; name="{part.name.translate(_ESCAPED)}"{file}\r\n{kind}\r\n'
