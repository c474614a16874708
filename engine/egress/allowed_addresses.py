"""Which addresses steps may call. Pure: it is given resolved addresses and decides.

Public addresses are open. Private space is closed unless `EGRESS_ALLOW` names the place; loopback opens only by
exact `host:port`; link-local, cloud metadata, multicast and the bot's own database and Redis never open.

The table is our own because `ipaddress.is_global` passes several ranges that reach inside (Python 3.11.7: for one
168.63.129.16, 64:ff9b::/96, 2002::/16, fec0::/10). Ranges: IANA special-purpose address registries for IPv4 and IPv6,
and the metadata addresses that AWS, Azure, Google Cloud, Oracle Cloud and Alibaba Cloud document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from engine.egress.failure import CallFailed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


class Tier(IntEnum):
    """How closed a range is."""

    PRIVATE = 1  # EGRESS_ALLOW opens it, by host:port or by CIDR
    LOOPBACK = 2  # EGRESS_ALLOW opens it by exact host:port only
    NEVER = 3


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses that are closed, how closed they are, and what a refusal calls them."""

    network: Network
    tier: Tier
    name: str


def _ranges(tier: Tier, table: str) -> list[Range]:
    lines = (line.split(None, 1) for line in table.strip().splitlines())
    return [Range(ip_network(cidr), tier, name.strip()) for cidr, name in lines]


# The first match counts, so exceptions stand above the range they lie in.
RANGES: tuple[Range, ...] = (
    *_ranges(
        Tier.NEVER,
        """
        169.254.0.0/16      link-local and cloud metadata
        168.63.129.16/32    cloud metadata (Azure)
        100.100.100.200/32  cloud metadata (Alibaba Cloud)
        192.0.0.192/32      cloud metadata (Oracle Cloud)
        fd00:ec2::/32       cloud metadata (AWS)
        fd20:ce::254/128    cloud metadata (Google Cloud)
        fe80::/10           link-local
        0.0.0.0/8           "this network"
        ::/128              the unspecified address
        255.255.255.255/32  broadcast
        224.0.0.0/4         multicast
        ff00::/8            multicast
        """,
    ),
    *_ranges(
        Tier.LOOPBACK,
        """
        127.0.0.0/8         loopback
        ::1/128             loopback
        """,
    ),
    *_ranges(
        Tier.PRIVATE,
        """
        10.0.0.0/8          private network
        172.16.0.0/12       private network
        192.168.0.0/16      private network
        100.64.0.0/10       carrier-grade NAT
        192.0.0.0/24        protocol assignments
        192.0.2.0/24        documentation
        192.88.99.0/24      6to4 relays
        198.18.0.0/15       benchmarking
        198.51.100.0/24     documentation
        203.0.113.0/24      documentation
        240.0.0.0/4         reserved
        ::/96               IPv4-compatible addresses
        ::ffff:0:0:0/96     translated IPv4
        64:ff9b::/96        NAT64
        64:ff9b:1::/48      NAT64
        100::/64            discard
        2001::/23           protocol assignments and Teredo
        2001:db8::/32       documentation
        2002::/16           6to4
        3fff::/20           documentation
        5f00::/16           segment routing
        fc00::/7            private network
        fec0::/10           site-local
        """,
    ),
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_UNASSIGNED = Range(IPv6Network("::/0"), Tier.PRIVATE, "unassigned space")
_IPV4_IN_LAST_BITS = tuple(IPv6Network(cidr) for cidr in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of EGRESS_ALLOW: either an exact `host` and `port`, or a `network` with every port."""

    host: str = ""
    port: int = 0
    network: Network | None = None

    def names(self, host: str, port: int) -> bool:
        """Whether the entry opens exactly this host and port."""
        return self.network is None and (self.host, self.port) == (plain_host(host), port)

    def contains(self, address: Address) -> bool:
        """Whether the address is in the network of the entry; no, where the entry names a host."""
        return self.network is not None and address in self.network


@dataclass(frozen=True, slots=True)
class Policy:
    """`own` are host and port of the bot's database and Redis, which no entry opens."""

    allowed: tuple[Allowed, ...] = ()
    own: tuple[tuple[str, int], ...] = ()

    def own_hosts(self, port: int) -> tuple[str, ...]:
        """The bot's own services on this port: the caller resolves them for `check`."""
        return tuple(host for host, own_port in self.own if own_port == port)

    def also_open(self, allowed: tuple[Allowed, ...]) -> Policy:
        """The policy that opens these too; what never opens stays closed."""
        return replace(self, allowed=(*self.allowed, *allowed)) if allowed else self

    def check(self, host: str, port: int, addresses: Iterable[Address], own: Iterable[Address] = ()) -> None:
        """Raise `CallFailed("egress_refused")` if any of the addresses may not be called.

        `own` are the resolved addresses of `own_hosts(port)`.
        """
        exact = any(entry.names(host, port) for entry in self.allowed)
        own_addresses = frozenset(inner for address in own for inner in meanings(address))
        for address in addresses:
            for meaning in meanings(address):
                if _is_own(meaning, own_addresses):
                    raise _refused(host, port, address, "it is the bot's own database or Redis", "")
                found = range_of(meaning)
                if found is not None and not self._opens(found, meaning, exact):
                    why = f"it is in {found.network} ({found.name})"
                    raise _refused(host, port, address, why, _advice(found, host, port))

    def _opens(self, found: Range, address: Address, exact: bool) -> bool:
        if found.tier is Tier.NEVER:
            return False
        if exact:
            return True
        return found.tier is Tier.PRIVATE and any(entry.contains(address) for entry in self.allowed)


def range_of(address: Address) -> Range | None:
    """The closed range that the address lies in, or None for a public address."""
    for candidate in RANGES:
        if address in candidate.network:
            return candidate
    return _UNASSIGNED if address.version == 6 and address not in _GLOBAL_UNICAST else None


def meanings(address: Address) -> tuple[Address, ...]:
    """The address and every IPv4 address packed inside it; each must be allowed by itself."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:  # the kernel itself sends these as IPv4
        return (address.ipv4_mapped,)
    packed: list[IPv4Address] = []
    if address.sixtofour is not None:
        packed.append(address.sixtofour)
    if address.teredo is not None:
        packed.extend(address.teredo)
    if int(address) > 1 and any(address in network for network in _IPV4_IN_LAST_BITS):
        packed.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return (address, *packed)


def plain_host(host: str) -> str:
    """One spelling a host: lower case, no brackets, no trailing dot, addresses in their standard form."""
    bare = host.strip("[]").lower().removesuffix(".")
    try:
        address = ip_address(bare)
    except ValueError:
        return bare
    return str(meanings(address)[0])


def parse_allow(text: str) -> tuple[Allowed, ...]:
    """Read EGRESS_ALLOW. Raises ValueError with one sentence a wrong entry, all of them."""
    allowed, wrong = [], []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        try:
            allowed.append(_parse_network(entry) if "/" in entry else _parse_host_port(entry))
        except ValueError as error:
            wrong.append(f"{entry!r}: {error}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(allowed)


def _parse_network(entry: str) -> Allowed:
    try:
        network = ip_network(entry)
    except ValueError:
        try:
            rounded = ip_network(entry, strict=False)
        except ValueError:
            raise ValueError("not a CIDR such as 10.20.0.0/16 or fd12:3456::/32, and not host:port") from None
        raise ValueError(f"the address has bits outside its mask; did you mean {rounded}?") from None
    for closed in RANGES:
        if (
            closed.tier is not Tier.PRIVATE
            and closed.network.version == network.version
            and (network.network_address in closed.network and network.broadcast_address in closed.network)
        ):
            if closed.tier is Tier.LOOPBACK:
                raise ValueError("loopback opens only by exact host:port, such as 127.0.0.1:8080")
            raise ValueError(f"{closed.network} ({closed.name}) never opens")
    return Allowed(network=network)


def _parse_host_port(entry: str) -> Allowed:
    host, colon, port = entry.rpartition(":")
    if not colon or not host:
        raise ValueError("write host:port (10.1.2.3:443) or a CIDR (10.1.2.3/32)")
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError("the port must be a number from 1 to 65535")
    name = _parse_host(host)
    return Allowed(host=name, port=int(port))


def _parse_host(host: str) -> str:
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise ValueError("put an IPv6 address in brackets, as in [fd12::1]:443")
    name = plain_host(host)
    try:
        found = range_of(ip_address(name))
    except ValueError:
        if not name.isascii():
            name = name.encode("idna").decode("ascii")
        if bracketed or not _HOST.fullmatch(name):
            raise ValueError("the host must be a name or an address, without wildcard, scheme or path") from None
        return name
    if found is not None and found.tier is Tier.NEVER:
        raise ValueError(f"{found.network} ({found.name}) never opens")
    return name


def _is_own(address: Address, own: frozenset[Address]) -> bool:
    # A service that listens on one loopback address usually answers on all of them.
    return address in own or (address.is_loopback and any(other.is_loopback for other in own))


def _refused(host: str, port: int, address: Address, why: str, advice: str) -> CallFailed:
    shown = f"{host} ({address})" if plain_host(host) != str(address) else str(address)
    ending = advice or "That is never allowed, whatever EGRESS_ALLOW says."
    return CallFailed("egress_refused", f"Nothing was sent: {shown}, port {port}, may not be called; {why}. {ending}")


def _advice(found: Range, host: str, port: int) -> str:
    if found.tier is Tier.NEVER:
        return ""
    target = f"[{plain_host(host)}]" if ":" in host else plain_host(host)
    return f"If that is meant, an operator can add {target}:{port} to EGRESS_ALLOW."
