"""Which secrets stand where in some bytes, found in one pass however many there are.

An automaton looks for a short telling stretch of each, an anchor, and the whole is compared where one stands. A long
secret has anchors all over, so that a part of it is found as well: what a server has cut off or broken into lines.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick

from engine.text.encodings import MAX_LAYERS, escapes_undone

MIN_LINE = 8
"""A line of a secret, such as of a key file, is masked by itself from so many bytes on; a shorter one may be a word."""

MIN_PART = 63
"""So many bytes in a row of a long secret are masked wherever they stand without the rest."""

MIN_SPELLING = 4
"""What decoding leaves of a secret that is written like an escape may be too little to be masked."""

_MISREAD = (("utf-8", "latin-1"), ("utf-8", "cp1252"), ("latin-1", "utf-8"), ("cp1252", "utf-8"))
"""Charsets that are taken for one another: what is written in the first is read in the second."""

_ANCHOR = 12
_STRIDE = MIN_PART - _ANCHOR + 1
_SHARED = 8
"""More secrets than this do not share an anchor: it would tell nothing, and cost time at each place."""

_TRIED = 5
_STEP = 32


@dataclass(slots=True, eq=False)
class Found:
    """A secret, or a part of one, from `start` to `end`; `mark` is what to show instead."""

    start: int
    end: int
    mark: bytes


Secret = tuple[bytes, bytes]
"""The secret's bytes and the mark to show for it."""


class Matcher:
    """Finds some secrets. Immutable, so that threads need no lock."""

    def __init__(self, secrets: Iterable[tuple[str, bytes]], *, in_parts: bool = True) -> None:
        wholes: set[Secret] = set()
        long: set[Secret] = set()
        for value, mark in secrets:
            undone = _undone(_bytes(value))
            wholes |= {(text, mark) for text in (*_spellings(value, undone), *_lines(undone))}
            long |= {(text, mark) for text in undone if in_parts and len(text) >= MIN_PART}
        self._wholes = _Anchors([(each, _best_anchor(each[0])) for each in sorted(wholes)])
        self._parts = _Anchors([(each, at) for each in sorted(long) for at in _anchors(each[0])], most=_SHARED)

    def __bool__(self) -> bool:
        return bool(self._wholes)

    def find(self, data: bytes, *, readable: bool) -> list[Found]:
        """Where secrets stand in `data`; parts of them only if it is `readable`."""
        found = [
            Found(begin, begin + len(text), mark)
            for begin, (text, mark), _ in self._wholes.places(data)
            if begin >= 0 and data.startswith(text, begin)
        ]
        return [*found, *self._find_parts(data)] if readable else found

    def _find_parts(self, data: bytes) -> Iterator[Found]:
        done: dict[tuple[bytes, int], int] = {}
        for begin, (text, mark), at in self._parts.places(data):
            if begin + at < done.get((text, begin), 0):
                continue  # a further anchor of what was found already
            start, end = _grown(data, text, begin, at)
            done[text, begin] = end
            if end - start >= MIN_PART:
                yield Found(start, end, mark)


class _Anchors:
    """An automaton for short stretches of secrets, and whose they are."""

    def __init__(self, placed: Iterable[tuple[Secret, int]], most: int | None = None) -> None:
        owners: dict[bytes, list[tuple[Secret, int]]] = {}
        for secret, at in placed:
            owners.setdefault(secret[0][at : at + _ANCHOR], []).append((secret, at))
        if most is not None:
            owners = {anchor: secrets for anchor, secrets in owners.items() if len(secrets) <= most}
        self._owners = list(owners.values())
        self._automaton = BytesAhoCorasick(list(owners)) if owners else None

    def __bool__(self) -> bool:
        return self._automaton is not None

    def places(self, data: bytes) -> Iterator[tuple[int, Secret, int]]:
        """Where a secret would begin for the anchor that stands there, the secret, and the anchor's place in it."""
        if self._automaton is None:
            return
        for pattern, start, _ in self._automaton.find_matches_as_indexes(data, overlapping=True):
            for secret, at in self._owners[pattern]:
                yield start - at, secret, at


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _undone(raw: bytes) -> list[bytes]:
    """The secret as it is and as decoding leaves it: what looks like an escape in it is undone with the others."""
    found = [raw]
    while len(found) <= MAX_LAYERS and (less := escapes_undone(found[-1])) != found[-1]:
        found.append(less)
    return found


def _spellings(value: str, undone: list[bytes]) -> set[bytes]:
    """The secret in each of these, and in encodings of which the text around may hide where they begin."""
    raw = undone[0]
    found = {*undone, *(each.replace(b" ", b"+") for each in undone)}
    found |= {quote(raw, safe="").encode(), quote(raw).encode(), quote_plus(raw).encode()}
    found |= {_bytes(html.escape(value)), json.dumps(value)[1:-1].encode()}
    found |= {_bytes(json.dumps(value, ensure_ascii=False)[1:-1]), *_misread(value)}
    return {raw, *(each for each in found if len(each) >= MIN_SPELLING)}


def _misread(value: str) -> Iterator[bytes]:
    """What becomes of letters beyond ASCII that were sent in one charset and read in another, as headers always are."""
    for written, read in _MISREAD if not value.isascii() else ():
        with suppress(UnicodeEncodeError):  # nobody writes it in that charset
            text = value.encode(written).decode(read, "replace")
            if len(text.replace("\ufffd", "")) >= MIN_SPELLING:
                yield _bytes(text)


def _lines(undone: list[bytes]) -> Iterator[bytes]:
    return (line for text in undone for each in text.splitlines() if len(line := each.strip()) >= MIN_LINE)


def _best_anchor(text: bytes) -> int:
    """Where the stretch with the most different bytes begins, of a few: keys begin and end alike."""
    last = max(0, len(text) - _ANCHOR)
    places = (last * part // _TRIED for part in range(_TRIED + 1))
    return max(places, key=lambda at: len(set(text[at : at + _ANCHOR])))


def _anchors(text: bytes) -> Iterator[int]:
    return (at for at in range(0, len(text) - _ANCHOR + 1, _STRIDE) if len(set(text[at : at + _ANCHOR])) > _ANCHOR // 3)


def _grown(data: bytes, text: bytes, begin: int, at: int) -> tuple[int, int]:
    """How far `data` and the secret that would begin at `begin` agree around the anchor at `at`."""
    first, last = max(0, -begin), min(len(text), len(data) - begin)
    return begin + _agree_down(data, text, begin, at, first), begin + _agree_up(data, text, begin, at, last)


def _agree_down(data: bytes, text: bytes, begin: int, at: int, first: int) -> int:
    while at - _STEP >= first and data[begin + at - _STEP : begin + at] == text[at - _STEP : at]:
        at -= _STEP
    while at > first and data[begin + at - 1] == text[at - 1]:
        at -= 1
    return at


def _agree_up(data: bytes, text: bytes, begin: int, at: int, last: int) -> int:
    while at + _STEP <= last and data[begin + at : begin + at + _STEP] == text[at : at + _STEP]:
        at += _STEP
    while at < last and data[begin + at] == text[at]:
        at += 1
    return at
