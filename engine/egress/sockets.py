"""Sockets under guard: the address is checked before connecting, and every wait obeys the call's deadline.

httpcore's own time-outs are per read, so a server that drips bytes could hold a call for ever; here each wait is a
short slice of what the whole call has left.
"""

# ruff: noqa: ARG002 - what is left of the whole call replaces the time-outs in httpcore's signatures
from __future__ import annotations

import errno
import math
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpcore

from engine.egress import tls_trouble
from engine.egress.allowed_addresses import Address, Policy
from engine.egress.call import Call
from engine.egress.failure import CallFailed
from engine.egress.resolver import Resolver

T = TypeVar("T")


class GuardedBackend(httpcore.NetworkBackend):
    """Connects only where the policy lets it. Thread-safe: each thread serves one call at a time."""

    def __init__(self, policy: Policy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver
        self._local = threading.local()

    @contextmanager
    def serving(self, call: Call) -> Iterator[None]:
        """Make `call` the one whose deadline counts for whatever this thread does on the network."""
        self._local.call = call
        try:
            yield
        finally:
            del self._local.call

    def current(self) -> Call:
        """The call that this thread serves; only to be asked inside `serving`."""
        call: Call = self._local.call
        return call

    def checked_addresses(self, host: str, port: int) -> tuple[Address, ...]:
        """Resolve once and check all; only these addresses may be connected to. Raises `CallFailed`."""
        call = self.current()
        addresses = self._resolver.resolve(host, port, call)
        own = [found for name in self._policy.own_hosts(port) for found in self._resolver.resolve(name, port, call)]
        self._policy.also_open(call.allowed).check(host, port, addresses, own)
        return addresses

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first allowed address that answers. Raises `CallFailed`, with nothing sent."""
        call = self.current()
        addresses = self.checked_addresses(host, port)
        reason = ""
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                # A share each, so that one black hole does not use up the time of an address that works.
                share = call.remaining() / left if left > 1 else math.inf
                return GuardedStream(_connect(address, port, call, share), self.current)
            except OSError as error:
                reason = error.strerror or str(error)
        raise CallFailed("connect", f"Nothing was sent: could not connect to {host}, port {port} ({reason}).")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.NetworkStream:
        """Raise `CallFailed`: what listens on a socket of this host is never a target."""
        raise CallFailed("egress_refused", "Nothing was sent: steps do not call unix sockets.")


class GuardedStream(httpcore.NetworkStream):
    """A connected socket. Reads and writes count against whatever call the thread serves now."""

    def __init__(self, sock: socket.socket, current: Callable[[], Call]) -> None:
        self._sock = sock
        self._current = current

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, up to `max_bytes`, b"" at the end. Raises `CallFailed`, `httpcore.ReadError`."""
        call = self._current()
        try:
            data = self._patiently(call, lambda: self._sock.recv(max_bytes))
        except OSError as error:
            raise httpcore.ReadError(error.strerror or str(error)) from error
        call.received(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of `buffer`; from here on the call counts as sent. Raises `CallFailed`, `httpcore.WriteError`."""
        call = self._current()
        rest = memoryview(buffer)
        while rest:
            call.patience()
            call.wrote = True
            try:
                rest = rest[self._patiently(call, lambda data=rest: self._sock.send(data)) :]  # type: ignore[misc]
            except OSError as error:
                raise httpcore.WriteError(error.strerror or str(error)) from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Make this connection a TLS one, within the call's deadline. Raises `CallFailed`, `httpcore.ConnectError`."""
        call = self._current()
        try:
            self._sock = ssl_context.wrap_socket(
                self._sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._patiently(call, self._sock.do_handshake)
        except (OSError, ValueError) as error:
            self.close()
            told = tls_trouble.advice(str(error))
            message = f"Nothing was sent: no secure connection to {server_hostname} ({error}){told and f'; {told}'}."
            raise CallFailed("tls", message) from error
        except CallFailed:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close the socket; what has arrived and was not read is lost."""
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a connection: `is_readable` (also when closed), `ssl_object` or `socket`."""
        if info == "is_readable":
            return self._sock.fileno() < 0 or _ready(self._sock, select.POLLIN, 0)
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        return self._sock if info == "socket" else None

    def _patiently(self, call: Call, action: Callable[[], T]) -> T:
        while True:
            self._sock.settimeout(call.patience())
            try:
                return action()
            except TimeoutError as error:
                if error.errno is not None:  # the kernel gave the connection up; our own slices carry no number
                    raise


def _connect(address: Address, port: int, call: Call, seconds: float) -> socket.socket:
    give_up = time.monotonic() + seconds
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        started = sock.connect_ex((str(address), port))
        if started not in (0, errno.EINPROGRESS):
            raise OSError(started, os.strerror(started))
        while not _ready(sock, select.POLLOUT, call.patience()):
            if time.monotonic() >= give_up:
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        result = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if result:
            raise OSError(result, os.strerror(result))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _ready(sock: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), event)
    return bool(poll.poll(seconds * 1000))
