"""What the settings of the audit may hold beside its keys: a syslog."""

from __future__ import annotations

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
