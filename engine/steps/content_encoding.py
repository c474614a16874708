"""A body as it was before its Content-Encoding: gzip, deflate, br and zstd, as far as it can be read. Pure.

What is broken or grows too much is read up to there and told of: the call was answered, whatever its body is worth.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

MAX_CODINGS = 3
MAX_RATIO = 200
"""How many times its size a body may grow to, once it is larger than `FREE_BYTES`."""
FREE_BYTES = 256 * 1024
_PIECE = 64 * 1024
_FIRST_PIECE = 512
"""So little of a member of gzip at first: what is behind a small one is copied, and there may be very many of them."""
_ZSTD_PIECE = 64
"""So little of a Zstandard stream at once becomes 2 MiB at most: a block of 128 KiB may be 4 bytes long."""
_ZSTD_WINDOW = 8 * 1024 * 1024


class _Broken(Exception):
    """The stream ends early or is none of its kind."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What could be read. `whole` is False where there is more, and `warning` says why, or is ""."""

    body: bytes
    whole: bool = True
    warning: str = ""


def decoded(body: bytes, header: str, most: int) -> Decoded:
    """The body without the codings that `header` names, at most `most` bytes of it."""
    names = [name for name in (part.strip().lower() for part in header.split(",")) if name not in ("", "identity")]
    unknown = [name for name in names if name not in _CODINGS]
    if not body or not names:
        return Decoded(body)
    if unknown or len(names) > MAX_CODINGS:
        return Decoded(b"", False, "The answer's Content-Encoding is not read here: nothing of its body is kept.")
    found = Decoded(body)
    for name in reversed(names):
        step = _read(name, found.body, most, len(body))
        found = Decoded(step.body, found.whole and step.whole, found.warning or step.warning)
    return found


def _read(name: str, data: bytes, most: int, wire: int) -> Decoded:
    out = bytearray()
    broken: tuple[type[Exception], ...] = (_Broken, zlib.error, *_errors(name))
    try:
        for piece in _CODINGS[name](data):
            out += piece
            if len(out) > most or len(out) > max(FREE_BYTES, wire * MAX_RATIO):
                larger = f"is larger than {most} bytes" if len(out) > most else f"grows to over {MAX_RATIO} times that"
                told = f"The answer, {wire} bytes encoded as {name}, {larger}: only its beginning is kept."
                return Decoded(bytes(out[:most]), False, told)
    except broken:
        return Decoded(bytes(out), False, f"The answer is no whole {name} stream: what could be read of it is kept.")
    return Decoded(bytes(out))


def _errors(name: str) -> tuple[type[Exception], ...]:
    """What the library for a coding raises; it is loaded for nothing else."""
    if name == "br":
        import brotli

        return (brotli.error,)
    if name == "zstd":
        import zstandard

        return (zstandard.ZstdError,)
    return ()


def _inflated(data: bytes, window: int) -> Iterator[bytes]:
    """One stream after the other, as gzip has members."""
    at, end = 0, len(data.rstrip(b"\0"))  # files of gzip may be padded
    while at < end or (data and not at):
        stream, most = zlib.decompressobj(window), _FIRST_PIECE
        while not stream.eof:
            piece = data[at : at + most]
            out = stream.decompress(piece, _PIECE)
            at += len(piece) - len(stream.unconsumed_tail) - len(stream.unused_data)
            if not piece and not out:
                raise _Broken
            yield out
            most = min(2 * most, _PIECE)


def _gzip(data: bytes) -> Iterator[bytes]:
    return _inflated(data, 16 + zlib.MAX_WBITS)


def _deflate(data: bytes) -> Iterator[bytes]:
    """In the envelope that RFC 9110 asks for, or bare, as some servers send it."""
    enveloped = len(data) > 1 and data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
    return _inflated(data, zlib.MAX_WBITS if enveloped else -zlib.MAX_WBITS)


def _br(data: bytes) -> Iterator[bytes]:
    import brotli

    stream = brotli.Decompressor()
    for at in range(0, len(data), _PIECE):
        if stream.is_finished():
            raise _Broken
        yield stream.process(data[at : at + _PIECE], output_buffer_limit=_PIECE)
        while not stream.can_accept_more_data():
            yield stream.process(b"", output_buffer_limit=_PIECE)
    if not stream.is_finished():
        raise _Broken


def _zstd(data: bytes) -> Iterator[bytes]:
    import zstandard

    at, frames = 0, zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    while at < len(data):
        frame = frames.decompressobj()
        while not frame.eof:
            piece = data[at : at + _ZSTD_PIECE]
            if not piece:
                raise _Broken
            yield frame.decompress(piece)
            at += len(piece) - len(frame.unused_data)


_CODINGS: Mapping[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _br,
    "zstd": _zstd,
}
