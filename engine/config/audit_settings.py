"""What the settings of the audit may hold: keys by id, so that one can be rotated (the first signs), and a syslog."""

from __future__ import annotations

import re

from engine.config.setting_values import secret_key

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)


def key_ring(text: str) -> tuple[tuple[str, bytes], ...]:
    """The ids and keys in order. Raises `ValueError` with what is wrong, which never shows a key."""
    found: dict[str, bytes] = {}
    for place, part in enumerate(text.split(","), 1):
        name, colon, key = part.strip().partition(":")
        if not colon or not _ID.fullmatch(name):
            raise ValueError(f"entry {place} is no id:key; an id is letters, digits, dots and dashes, 32 at most")
        if name in found:
            raise ValueError(f"entry {place} has the id of another one; each key needs an id of its own")
        try:
            found[name] = secret_key(key)
        except ValueError as error:
            raise ValueError(f"entry {place}: {error}") from error
    return tuple(found.items())


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
