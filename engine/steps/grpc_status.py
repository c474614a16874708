"""What a gRPC status means by promise G3, and when the server wants to be asked again. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from engine.steps.http_response import MAX_RETRY_AFTER_MS

NOBODY_KNOWS = frozenset(
    {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED, StatusCode.UNKNOWN}
)
"""Also what a lost connection looks like: the call may have had its effect."""

WORTH_A_RETRY = frozenset(
    {StatusCode.INTERNAL, StatusCode.ABORTED, StatusCode.RESOURCE_EXHAUSTED, StatusCode.DATA_LOSS}
)
"""The server says that it failed, and another attempt may do better."""

_ASKS_BACK = frozenset({StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE})
_DETAILS = "grpc-status-details-bin"
_PUSHBACK = "grpc-retry-pushback-ms"

Metadata = Iterable[Any]
"""Pairs of a key and text or bytes."""


def retry_after_ms(code: StatusCode, trailing: Metadata) -> int | None:
    """When a server that turned the call away wants it again, at most an hour; None when it does not say.

    Read from google.rpc.RetryInfo in the status details, else from grpc-retry-pushback-ms (gRFC A6; negative: never).
    """
    if code not in _ASKS_BACK:
        return None
    found = {str(key): value for key, value in trailing}
    seconds = _retry_info(found[_DETAILS]) if _DETAILS in found else None
    if seconds is not None:
        return _bounded(seconds * 1000)
    pushback = _text(found.get(_PUSHBACK, ""))
    return _bounded(int(pushback[:12])) if pushback.isascii() and pushback.isdigit() else None


def may_retry(code: StatusCode, retry_after: int | None, idempotent: bool) -> bool:
    """Promise G3 for a call that was answered, or lost, with this status."""
    return retry_after is not None or (idempotent and code in NOBODY_KNOWS | WORTH_A_RETRY)


def is_answer(code: str) -> bool:
    """Whether a status by this name is the server's own word, and not what a lost connection looks like too."""
    return StatusCode[code] not in NOBODY_KNOWS


def metadata_json(pairs: Metadata) -> dict[str, str]:
    """Metadata as plain values, whole: repeated keys joined, binary ones in base64."""
    merged: dict[str, list[str]] = {}
    for key, value in pairs:
        text = base64.b64encode(value).decode() if key.endswith("-bin") and isinstance(value, bytes) else _text(value)
        merged.setdefault(key, []).append(text)
    return {key: ", ".join(texts) for key, texts in merged.items()}


def _retry_info(details: str | bytes) -> float | None:
    try:
        status = status_pb2.Status.FromString(details if isinstance(details, bytes) else details.encode("latin-1"))
        for detail in status.details:
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    except (DecodeError, UnicodeEncodeError):
        return None  # details that cannot be read say nothing
    return None


def _bounded(milliseconds: float) -> int:
    return round(max(0, min(milliseconds, MAX_RETRY_AFTER_MS)))


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
