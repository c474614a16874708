"""The settings of the audit beside its keys: where its head is noted. They are read with all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.config import setting_values as values

LOCAL = "local"


def syslog(text: str) -> str | tuple[str, int]:
    """`local`, or the host and UDP port of a syslog. Raises `ValueError`."""
    if text == LOCAL:
        return LOCAL
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or any(each.isspace() for each in host) or not (port.isascii() and port.isdigit()):
        raise ValueError("use local, or host:port, such as syslog.example.com:514")
    if not 0 < int(port) < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return host, int(port)


ROWS: tuple[tuple[str, str, Callable[[str], Any] | None, str], ...] = (
    (
        "AUDIT_KEYED_FROM",
        "The number of the first audit row that was sealed with a key: 1, but where rows are older than the keys.",
        values.whole_number(1, 999_999_999),
        "1",
    ),
    (
        "AUDIT_CHANNEL",
        "The id of the channel that is told each break-glass, the audit's head hourly and its report monthly.",
        values.channel,
        "",
    ),
    ("AUDIT_ANCHOR_FILE", "A file that the head of the audit is appended to hourly, one JSON object a line.", None, ""),
    ("AUDIT_SYSLOG", "A syslog that is told the head of the audit hourly: local, or host:port.", syslog, ""),
)
"""What `settings.Setting` is made of: name, description, parser, default."""
