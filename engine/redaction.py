"""Secrets masked by value, wherever text leaves the process: logs, evidence, outputs, messages.

A secret is found in any of its forms: as it is; percent-encoded, JSON-escaped or as HTML entities, also partly so;
in hexadecimal; in base64, standard or URL-safe, at any of the three positions it can have inside a longer text.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html.entities import codepoint2name
from typing import Any
from urllib.parse import quote, quote_plus

import re2

Json = Any

MIN_LENGTH = 4
"""A shorter value cannot be masked without masking ordinary words."""

MAX_SPELLED_CHARS = 512
"""A longer value, such as a key file, is sought in plain parts and whole in each encoding, not in mixed spellings."""

PIECE_CHARS = 96
MIN_PIECE_CHARS = 8
_GROUP_BYTES = 200_000  # RE2 refuses much larger patterns
_SHORT_ESCAPES = {"\b": b"b", "\f": b"f", "\n": b"n", "\r": b"r", "\t": b"t", '"': b'"', "\\": b"\\", "/": b"/"}


@dataclass(frozen=True, slots=True)
class _Form:
    """One way a secret may be written: a pattern, or for long ones a literal."""

    text: bytes
    mark: bytes
    length: int
    literal: bool = False


class _Matcher:
    """The compiled forms. Immutable, so that readers need no lock."""

    def __init__(self, forms: Iterable[_Form]) -> None:
        ordered = sorted(set(forms), key=lambda form: (-form.length, form.mark, form.text))
        self._literals = [form for form in ordered if form.literal]
        self._groups = [(_compile(b"|".join(f.text for f in group)), group) for group in _grouped(ordered)]

    def redact(self, text: bytes) -> bytes:
        masked, marks = text, set()
        for form in self._literals:
            if form.text in masked:
                masked = masked.replace(form.text, form.mark)
                marks.add(form.mark)
        for pattern, group in self._groups:
            if pattern.search(masked):
                masked = pattern.sub(lambda found, group=group: _mark_of(found.group(), group, marks), masked)
        for mark in marks:  # the pieces of one secret give one mark
            masked = re.sub(b"(%s)(?:\\s*%s)+" % (mark, mark), rb"\1", masked)
        return masked


def _mark_of(found: bytes, group: list[_Form], marks: set[bytes]) -> bytes:
    mark = next(form.mark for form in group if _compile(form.text).fullmatch(found))
    marks.add(mark)
    return mark


def _grouped(forms: list[_Form]) -> list[list[_Form]]:
    groups: list[list[_Form]] = []
    room = 0
    for form in forms:
        if form.literal:
            continue
        if not groups or len(form.text) > room:
            groups.append([])
            room = _GROUP_BYTES
        groups[-1].append(form)
        room -= len(form.text)
    return groups


class Redactor:
    """What must never be shown, and the one way to mask it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], list[_Form]] = {}
        self._matcher = _Matcher([])

    def add(self, name: str, value: str) -> None:
        self.add_all({name: value})

    def add_all(self, secrets: Mapping[str, str]) -> None:
        """Mask these values from now on, shown as ‹secret name›. Raises ValueError for one that is too short."""
        for name, value in secrets.items():
            if len(value) < MIN_LENGTH:
                raise ValueError(f"the secret {name} is shorter than {MIN_LENGTH} characters and could not be masked")
        if all(item in self._values for item in secrets.items()):
            return
        with self._lock:
            fresh = [item for item in secrets.items() if item not in self._values]
            self._know({**self._values, **{item: _forms(*item) for item in fresh}})

    def forget(self, name: str, value: str) -> None:
        """Mask this value no longer under this name, because it is worth nothing any more."""
        with self._lock:
            self._know({item: forms for item, forms in self._values.items() if item != (name, value)})

    def _know(self, values: dict[tuple[str, str], list[_Form]]) -> None:
        self._matcher = _Matcher(form for forms in values.values() for form in forms)
        self._values = values

    def redact(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        masked = self._matcher.redact(raw)
        return text if masked == raw else masked.decode("utf-8", "surrogatepass")

    def redact_json(self, value: Json) -> Json:
        """A copy with every text, key and number masked; a number that spells a secret becomes the mark."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self.redact(str(key)): self.redact_json(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.redact_json(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = str(value)
            masked = self.redact(shown)
            return value if masked == shown else masked
        return value


@lru_cache(maxsize=4096)
def _compile(pattern: bytes) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes in, bytes out: no offsets to translate
    options.max_mem = 64 * 1024 * 1024
    options.log_errors = False
    return re2.compile(pattern, options)


def _forms(name: str, value: str) -> list[_Form]:
    mark = f"‹secret {name}›".encode()
    raw = value.encode("utf-8", "surrogatepass")
    cores = [variant for core in _base64_cores(raw) for variant in (core, core.replace("+", "-").replace("/", "_"))]
    if len(value) > MAX_SPELLED_CHARS:
        plain = [piece.encode("utf-8", "surrogatepass") for piece in _pieces(value)]
        wholes = [raw.hex(), raw.hex().upper(), *cores, *_escaped(value)]
        return [_Form(text, mark, len(text), literal=True) for text in (*plain, *map(str.encode, wholes))]
    forms = [_Form(_spelled(piece), mark, len(piece)) for piece in {value, *_pieces(value)}]
    forms.append(_Form(b"(?i:%s)" % raw.hex().encode(), mark, 2 * len(raw)))
    return forms + [_Form(re2.escape(core).encode(), mark, len(core)) for core in cores]


def _escaped(value: str) -> list[str]:
    encoded = value.encode("utf-8", "surrogatepass")
    quoted = [quote(encoded, safe=""), quote(encoded), quote_plus(encoded)]
    lower = [re.sub("%..", lambda found: found.group().lower(), text) for text in quoted]
    return [*quoted, *lower, json.dumps(value)[1:-1]]


def _pieces(value: str) -> list[str]:
    """The parts that are masked each by itself: the lines of a key file may be shown one by one."""
    lines = [line.strip() for line in value.splitlines()]
    parts = [piece for line in lines if len(line) >= MIN_PIECE_CHARS for piece in _chunks(line)]
    return list(dict.fromkeys(parts))


def _chunks(text: str) -> list[str]:
    starts = range(0, len(text), PIECE_CHARS)
    chunks = [text[start : start + PIECE_CHARS] for start in starts]
    if len(chunks) > 1 and len(chunks[-1]) < MIN_PIECE_CHARS:
        chunks[-2:] = [chunks[-2] + chunks[-1]]
    return chunks


def _spelled(text: str) -> bytes:
    """A pattern for the text with each character in any of its usual spellings."""
    return b"".join(_character(character) for character in text)


def _character(character: str) -> bytes:
    raw = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass").hex()
    code = ord(character)
    spellings = [
        re2.escape(raw.decode("latin-1")).encode("latin-1"),
        b"".join(b"%%(?i:%02x)" % byte for byte in raw),
        b"".join(rb"\\u(?i:%s)" % units[at : at + 4].encode() for at in range(0, len(units), 4)),
        b"&#0*%d;" % code,
        b"&#[xX]0*(?i:%x);" % code,
    ]
    if character == " ":
        spellings.append(rb"\+")
    if character in _SHORT_ESCAPES:
        spellings.append(rb"\\" + re2.escape(_SHORT_ESCAPES[character].decode()).encode())
    if code in codepoint2name:
        spellings.append(b"&%s;" % codepoint2name[code].encode())
    return b"(?:" + b"|".join(spellings) + b")"


def _base64_cores(raw: bytes) -> set[str]:
    """The characters of base64 that depend on the secret alone, for each position inside a group of three bytes."""
    cores = set()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        first, last = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        cores.add(encoded[first:last])
    return cores
