"""A text with its encodings taken off, one after the other, and where each byte of what is inside stood in the text.

Taken off are percent-encoding, backslash escapes as JSON has them, HTML entities, quoted-printable, base64 (standard
or URL-safe, wrapped or not, beginning anywhere), and hexadecimal; each inside any other, `MAX_LAYERS` deep. No encoding
has to be recognised: everything is decoded in every way, and only what becomes readable is looked into further.
"""

from __future__ import annotations

import binascii
import re
import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from html.entities import html5

MAX_LAYERS = 5
"""How many encodings may lie one in the other."""

MAX_WORK = 64
"""How many times its own size a text may come to, all that it is decoded to counted."""

MIN_READABLE = 6
"""So many printable characters in a row are worth a look into; fewer come by chance when bytes are decoded wrongly."""

_MIN_WRAPPED = 24
"""A line of at least so many unbroken characters may go on in the next."""

Back = Callable[[int, int], tuple[int, int]]


@dataclass(slots=True, eq=False)
class View:
    """Some bytes, and how a stretch of them is found in those that they were decoded from.

    `readable` is false for what came of decoding blindly: it may be rubbish with something readable in it.
    """

    data: bytes
    layers: int = 0
    readable: bool = True
    parent: View | None = None
    back: Back | None = None

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the outermost text that `start` to `end` was decoded from."""
        view: View = self
        while view.parent is not None and view.back is not None:
            start, end = view.back(start, end)
            view = view.parent
        return start, end


def views(data: bytes) -> Iterator[tuple[View, bool]]:
    """The text itself and everything that it can be decoded to, the least decoded first.

    False beside a view says that this was too much work: it is not looked into, and neither is what would follow.
    """
    left = MAX_WORK * (len(data) + 1_024)
    waiting, seen = deque([View(data)]), {(data, True)}
    while waiting:
        view = waiting.popleft()
        left -= len(view.data)
        yield view, left >= 0
        for each in _inside(view) if left >= 0 else ():
            if (each.data, each.readable) not in seen:
                seen.add((each.data, each.readable))
                waiting.append(each)


def escapes_undone(data: bytes) -> bytes:
    """One layer of percent-encoding, backslash escapes and HTML entities taken off, whichever there are."""
    view = _without_escapes(View(data))
    return view.data if view is not None else data


def _inside(view: View) -> Iterator[View]:
    if not view.readable:
        yield from filter(None, [_readable_parts(view)])
        return
    joined = _joined(view)
    if joined is not None:
        yield joined
    if view.layers < MAX_LAYERS:
        yield from filter(None, [_without_escapes(view), _without_quoting(view)])
        if joined is None:  # else its turn comes
            yield from _from_base64(view)
            yield from _from_hex(view)


class _Parts:
    """Bytes put together of parts of other bytes, and the way back."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._out: list[bytes] = []
        self._size = 0
        self._starts: list[int] = []
        self._from: list[tuple[int, int, int]] = []

    def copy(self, start: int, end: int) -> None:
        self.add(self._view.data[start:end], start, end, 1)

    def add(self, new: bytes, start: int, end: int, each: int = 0) -> None:
        """`new` stands for `start` to `end`: `each` bytes there for one here, or with 0 all of them for all."""
        if new:
            self._starts.append(self._size)
            self._from.append((start, end, each))
            self._out.append(new)
            self._size += len(new)

    def view(self, layers: int) -> View:
        return View(b"".join(self._out), layers, True, self._view, self.back)

    def back(self, start: int, end: int) -> tuple[int, int]:
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, at: int) -> tuple[int, int]:
        part = bisect_right(self._starts, at) - 1
        start, end, each = self._from[part]
        if not each:
            return start, end
        begun = start + (at - self._starts[part]) * each
        return begun, min(begun + each, end)


Decode = Callable[[bytes], tuple[bytes, int]]
"""What an escape stands for, and how many of its bytes stand for each byte of that; 0 for all of them at once."""


def _replaced(view: View, pattern: re.Pattern[bytes], decode: Decode) -> View | None:
    """The view with whatever fits `pattern` decoded; None where that changes nothing. The way back is made if asked."""
    data = pattern.sub(lambda found: decode(found[0])[0], view.data)
    if data == view.data:
        return None
    made: list[_Parts] = []

    def back(start: int, end: int) -> tuple[int, int]:
        if not made:
            made.append(_parts_of(view, pattern, decode))
        return made[0].back(start, end)

    return View(data, view.layers + 1, True, view, back)


def _parts_of(view: View, pattern: re.Pattern[bytes], decode: Decode) -> _Parts:
    parts, at = _Parts(view), 0
    for found in pattern.finditer(view.data):
        parts.copy(at, found.start())
        at = found.end()
        new, each = decode(found[0])
        parts.add(new, found.start(), at, each)
    parts.copy(at, len(view.data))
    return parts


_HEX2 = rb"[0-9A-Fa-f]{2}"
_HIGH, _LOW = rb"\\u[dD][89abAB]" + _HEX2, rb"\\u[dD][c-fC-F]" + _HEX2
_ESCAPE = re.compile(
    rb"(?:%" + _HEX2 + rb"){1,64}|" + _HIGH + _LOW + rb"|\\u" + _HEX2 * 2 + rb"|\\x" + _HEX2
    + rb"""|\\["'\\/bfnrt]"""
    + rb"|&(?:#0*[0-9]{1,7}|#[xX]0*[0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
)  # fmt: skip
_SHORT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_QUOTED = re.compile(rb"(?:=" + _HEX2 + rb"){1,64}|=[ \t]*(?:\r\n|\n|\r)")


def _without_escapes(view: View) -> View | None:
    if b"%" not in view.data and b"\\" not in view.data and b"&" not in view.data:
        return None
    return _replaced(view, _ESCAPE, _unescaped)


@lru_cache(maxsize=4096)
def _unescaped(old: bytes) -> tuple[bytes, int]:
    if old[:1] == b"%":
        return binascii.unhexlify(old.replace(b"%", b"")), 3
    if old[:1] == b"&":
        return _entity(old[1:-1].decode("ascii")).encode("utf-8", "surrogatepass"), 0
    if old[1:2] == b"u":
        units = binascii.unhexlify(old.replace(b"\\u", b""))
        return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass"), 0
    if old[1:2] == b"x":
        return binascii.unhexlify(old[2:]), 0
    return _SHORT.get(old[1:], old[1:]), 0


def _entity(name: str) -> str:
    """The character itself, also where a browser would take another for it; an unknown name as it is."""
    if not name.startswith("#"):
        return html5.get(f"{name};", f"&{name};")
    code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    return chr(code) if code <= sys.maxunicode else f"&{name};"


def _without_quoting(view: View) -> View | None:
    """Quoted-printable undone, its soft line breaks too (RFC 2045, 6.7)."""
    return _replaced(view, _QUOTED, _unquoted) if b"=" in view.data else None


@lru_cache(maxsize=4096)
def _unquoted(old: bytes) -> tuple[bytes, int]:
    return (b"", 0) if old[-1:] in b"\r\n" else (binascii.unhexlify(old.replace(b"=", b"")), 3)


_ENCODED = bytes.maketrans(b"-_", b"+/")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_AS_BASE64 = bytes(code if code in _ALPHABET else ord("A") for code in _ENCODED)
_AS_HEX = bytes(code if code in b"0123456789abcdefABCDEF" else ord("0") for code in range(256))
_BREAK = re.compile(rb"(?:\r\n|\n|\r)[ \t]*(?=[A-Za-z0-9+/_-])")
_LINE = re.compile(rb"[A-Za-z0-9+/_-]{%d}" % _MIN_WRAPPED)


def _joined(view: View) -> View | None:
    """Long unbroken lines as one: base64, hexadecimal and keys come wrapped. No layer of its own."""
    if b"\n" not in view.data and b"\r" not in view.data:
        return None
    parts, at = _Parts(view), 0
    for found in _BREAK.finditer(view.data):
        if found.start() - _MIN_WRAPPED >= at and _LINE.match(view.data, found.start() - _MIN_WRAPPED, found.start()):
            parts.copy(at, found.start())
            at = found.end()
    if not at:
        return None
    parts.copy(at, len(view.data))
    return parts.view(view.layers)


def _from_base64(view: View) -> Iterator[View]:
    """The whole of it decoded from each of the four places where a group may begin; what is no base64 counts as zero.

    So a run of base64 is decoded rightly once, wherever it begins, without being looked for.
    """
    encoded = view.data.translate(_AS_BASE64)
    for first in range(min(4, len(encoded))):
        group = encoded[first:] if first else encoded
        decoded = binascii.a2b_base64(group + b"A" * (-len(group) % 4))
        yield View(decoded, view.layers + 1, False, view, _back_of_base64(first, len(encoded)))


def _back_of_base64(first: int, size: int) -> Back:
    return lambda start, end: (first + start * 4 // 3, min(size, first - (-end * 4 // 3)))


def _from_hex(view: View) -> Iterator[View]:
    encoded = view.data.translate(_AS_HEX)
    for first in range(min(2, len(encoded))):
        whole = (len(encoded) - first) // 2 * 2
        decoded = binascii.unhexlify(encoded[first : first + whole])
        yield View(decoded, view.layers + 1, False, view, _back_of_hex(first))


def _back_of_hex(first: int) -> Back:
    return lambda start, end: (first + 2 * start, first + 2 * end)


_SORTS = bytes(
    ord("x") if 0x20 <= code < 0x7F or code in b"\t\n\r" else ord("y") if code >= 0x80 else 0 for code in range(256)
)


def _readable_parts(view: View) -> View | None:
    """What lies around printable characters in a row, up to the next control character."""
    sorts, seed = view.data.translate(_SORTS), b"x" * MIN_READABLE
    parts, end = _Parts(view), 0
    while (found := sorts.find(seed, end)) >= 0:
        start, end = max(sorts.rfind(b"\0", end, found) + 1, end), sorts.find(b"\0", found)
        end = end if end >= 0 else len(sorts)
        parts.copy(start, end)
        parts.add(b"\0", end - 1, end)
    return parts.view(view.layers) if end else None
