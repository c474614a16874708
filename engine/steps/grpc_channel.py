"""gRPC channels under the same guard as every other call: resolved once, checked, and pinned to the checked address."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import grpc

from engine.egress import CallFailed, Egress
from engine.egress.allowed_addresses import Address
from engine.egress.tls import Tls, must_be_usable
from engine.steps.grpc_schema import Schema
from storage.records import Json

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
POLL_SECONDS = 0.25
"""How often a call looks whether anyone still wants it, as over HTTP: a cancel drops it within this time."""

MAX_AGE_SECONDS = 300.0
"""A kept channel is made anew after this time, so that it follows changes of the address and of the server's types."""

MAX_KEPT = 32
_TARGET = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9_.-]{1,253})):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a service is, and how its connection is protected.

    With `tls` the certificate must be for `server_name`, or the host when that is "". `given` is the certificate of our
    own and whom we trust; where it names no authority, those that the bot trusts.
    """

    host: str
    port: int
    tls: bool = True
    server_name: str = ""
    given: Tls = field(default_factory=Tls, repr=False)

    @property
    def is_apart(self) -> bool:
        """Whether a connection there is shared with no other call, since that might not make it as ours."""
        return bool(self.given.cert)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(text: str, tls: Json = True) -> Target:
    """`host:port` and nothing else: no scheme, no list, no unix socket.

    `tls` is a boolean, or what is given of cert, key and ca. Raises ValueError with a sentence.
    """
    match = _TARGET.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise ValueError("the target must be host:port, such as payments.internal:443")
    if match["v6"]:
        ip_address(match["v6"])
    host, port = match["v6"] or match["host"], int(match["port"])
    if isinstance(tls, dict):
        given = Tls(**{key: str(tls.get(key) or "") for key in ("cert", "key", "ca")})
        must_be_usable(given)
        return Target(host, port, True, str(tls.get("server_name") or ""), given)
    return Target(host, port, tls is not False)


class Call:
    """What one call may still do: its deadline, and whether anyone still wants it."""

    def __init__(self, deadline_ms: int, abandoned: Callable[[], bool]) -> None:
        self._started = time.monotonic()
        self._deadline = self._started + deadline_ms / 1000
        self.abandoned = abandoned
        self._next_look = 0.0

    def check(self) -> None:
        """For work of our own before the call. Raises `Abandoned`, and `CallFailed` when the time is up."""
        now = time.monotonic()
        if now >= self._deadline:
            raise CallFailed("timeout", "Nothing was sent: the time was up while the server's types were looked at.")
        if now >= self._next_look:
            self._next_look = now + POLL_SECONDS
            if self.abandoned():
                raise Abandoned

    def elapsed_ms(self) -> int:
        """Milliseconds since the call began, its look at the server's types included."""
        return round((time.monotonic() - self._started) * 1000)

    def remaining(self) -> float:
        """Seconds until the deadline, at least a millisecond."""
        return max(0.001, self._deadline - time.monotonic())


class Abandoned(Exception):
    """Nobody wants the answer any more; the call was cancelled."""


Metadata = Sequence[tuple[str, str | bytes]]


@dataclass
class Connection:
    """A channel, and what its server said its messages look like. `users` are the calls under way on it."""

    channel: grpc.Channel
    made: float = field(default_factory=time.monotonic)
    schemas: dict[str, Schema] = field(default_factory=dict)
    users: int = 0
    retired: bool = False

    def unary(self, path: str, message: bytes, metadata: Metadata, call: Call) -> tuple[bytes, grpc.Call]:
        """Call one method and wait. Raises `grpc.RpcError` (also a `grpc.Call`) and `Abandoned`."""
        if call.abandoned():
            raise Abandoned
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(path)
        future = method.future(message, timeout=call.remaining(), metadata=tuple(metadata))
        while True:
            try:
                return future.result(timeout=POLL_SECONDS), future
            except grpc.FutureTimeoutError:
                if call.abandoned():
                    future.cancel()
                    raise Abandoned from None


class Channels:
    """The process's gRPC connections. Thread-safe; each was checked by the policy when it was made."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._lock = threading.Lock()
        self._kept: dict[Target, Connection] = {}

    @contextmanager
    def connection(self, target: Target, call: Call, *, fresh: bool) -> Iterator[Connection]:
        """A connection for one call; a `fresh` one is shared with nobody. Raises `CallFailed`, nothing sent."""
        apart = fresh or target.is_apart
        connection = self._new(target, call) if apart else self._borrow(target, call)
        try:
            yield connection
        finally:
            self._give_back(connection, done=apart)

    def retire(self, target: Target) -> None:
        """The next call makes a new connection; calls under way on the old one go on."""
        with self._lock:
            old = self._kept.pop(target, None)
            if old is not None:
                self._retire(old)

    def close(self) -> None:
        """Retire every kept connection; calls under way go on."""
        for target in list(self._kept):
            self.retire(target)

    def _borrow(self, target: Target, call: Call) -> Connection:
        with self._lock:
            kept = self._kept.get(target)
            if kept is not None and time.monotonic() - kept.made < MAX_AGE_SECONDS:
                kept.users += 1
                return kept
        made = self._new(target, call)
        with self._lock:
            replaced = [self._kept.pop(target)] if target in self._kept else []
            while len(self._kept) >= MAX_KEPT:
                replaced.append(self._kept.pop(next(iter(self._kept))))
            for old in replaced:
                self._retire(old)
            self._kept[target] = made
        return made

    def _new(self, target: Target, call: Call) -> Connection:
        addresses = self._egress.addresses(
            target.host, target.port, deadline_ms=round(call.remaining() * 1000), abandoned=call.abandoned
        )
        trusted = target.given.ca.encode() or (self._egress.trusted_authorities() if target.tls else b"")
        return Connection(_open(target, addresses, trusted), users=1)

    def _give_back(self, connection: Connection, *, done: bool) -> None:
        with self._lock:
            connection.users -= 1
            if done or connection.retired:
                self._retire(connection)

    @staticmethod
    def _retire(connection: Connection) -> None:
        connection.retired = True
        if connection.users == 0:
            connection.channel.close()


def _open(target: Target, addresses: Sequence[Address], trusted: bytes) -> grpc.Channel:
    options: list[tuple[str, str | int]] = [
        ("grpc.default_authority", f"{target.server_name}:{target.port}" if target.server_name else str(target)),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", 64 * 1024),
    ]
    if not target.tls:
        return grpc.insecure_channel(pinned(addresses, target.port), options)
    options.append(("grpc.ssl_target_name_override", target.server_name or target.host))
    key, cert = target.given.key.encode() or None, target.given.cert.encode() or None
    credentials = grpc.ssl_channel_credentials(trusted, key, cert)
    return grpc.secure_channel(pinned(addresses, target.port), credentials, options)


def pinned(addresses: Sequence[Address], port: int) -> str:
    """The checked addresses as a gRPC target, so that nothing is resolved again; those of the first one's family."""
    if not addresses:
        raise CallFailed("dns", "Nothing was sent: the name has no address.")
    version = addresses[0].version
    same = [address for address in addresses if address.version == version]
    if version == 4:
        return "ipv4:" + ",".join(f"{address}:{port}" for address in same)
    return "ipv6:" + ",".join(f"[{address}]:{port}" for address in same)
