"""Which host a URL leads to, in one spelling, and patterns of hosts.

The client's own reading of a URL decides, so that what is compared is what is called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from engine.egress.allowed_addresses import plain_host

_PORTS = {"http": 80, "https": 443}
_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\x00-\x20\x7f/?#@\\:*%\[\]]+)"
_PATTERN = re.compile(rf"(?P<any>\*\.)?{_HOST}(:(?P<port>[0-9]{{1,5}}))?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HOW = "write a host or host:port, such as lb.example.com, *.example.com:8443 or [2001:db8::1]"


@dataclass(frozen=True, slots=True)
class Destination:
    """A host, in lower case, Punycode and without a dot behind it, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host, or with `below` every name below it at any depth, never itself; `port` is None for every port."""

    host: str
    port: int | None = None
    below: bool = False

    def matches(self, destination: Destination) -> bool:
        """Whether this destination is meant."""
        if self.port not in (None, destination.port):
            return False
        if not self.below:
            return destination.host == self.host
        return destination.host.endswith(f".{self.host}") and not is_address(destination.host)

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{'*.' * self.below}{_bracketed(self.host)}{port}"


def destination(url: str) -> Destination:
    """Where a call of this URL goes. Raises ValueError for one that no call can be made to."""
    import httpx  # the command line asks for this only where a file of secrets stands beside the runbook

    try:
        target = httpx.URL(url)
        host = plain_host(target.host and target.raw_host.decode("ascii"))
    except httpx.InvalidURL as error:
        raise ValueError(f"this is not a valid URL ({error})") from error
    if not host or target.scheme not in _PORTS:
        raise ValueError("a URL begins with https:// or http:// and a host")
    return Destination(host, target.port or _PORTS[target.scheme])


@lru_cache(maxsize=1024)
def parse_pattern(text: str) -> HostPattern:
    """Read `host`, `host:port` or the same with one `*.` in front. Raises ValueError with what to write instead."""
    found = _PATTERN.fullmatch(text)
    if found is None or (found["port"] and not 1 <= int(found["port"]) <= 65535):
        raise ValueError(_HOW)
    try:
        host = destination(f"https://{found['host']}/").host
    except ValueError:
        raise ValueError(_HOW) from None
    if found["any"] and is_address(host):
        raise ValueError("`*.` stands before a name, never before an address")
    return HostPattern(host, int(found["port"]) if found["port"] else None, bool(found["any"]))


def is_address(host: str) -> bool:
    """Whether a host is an IP address, in any of the ways in which systems read one: `127.1` and `0x7f.1` are too."""
    try:
        ip_address(host)
    except ValueError:
        return bool(_NUMBER.fullmatch(host.rsplit(".", 1)[-1]))
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
