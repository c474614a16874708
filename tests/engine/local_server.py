"""A loopback server that does to its clients whatever a test says, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from engine.egress import Egress, Policy, Resolver, parse_allow

Behaviour = Callable[[socket.socket, bytes], None]


class LocalServer:
    """Accepts connections in threads. `requests` holds each request's bytes, `connections` counts connections.

    `behave(conn, request)` answers one request; the connection then waits for the next one.
    """

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._behave = behave
        self._tls = tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for conn in self._open:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
            conn.close()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._tls is not None:
                conn = self._tls.wrap_socket(conn, server_side=True)
                self._open.append(conn)
            while request := _read_request(conn):
                self.requests.append(request)
                self._behave(conn, request)


def _read_request(conn: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = conn.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += conn.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> Behaviour:
    """A well-behaved answer."""
    lines = "".join(f"{header}\r\n" for header in headers)
    head = f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
    return lambda conn, _request: conn.sendall(head + body)


def raw(data: bytes, *, close: bool = True) -> Behaviour:
    """Exactly these bytes, then the end of the connection."""

    def behave(conn: socket.socket, _request: bytes) -> None:
        conn.sendall(data)
        if close:
            conn.shutdown(socket.SHUT_RDWR)

    return behave


def silence(conn: socket.socket, _request: bytes) -> None:
    """Says nothing until the client goes away."""
    conn.recv(1)


@contextlib.contextmanager
def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[LocalServer]:
    server = LocalServer(behave, tls)
    try:
        yield server
    finally:
        server.close()


_TLS = ssl.create_default_context()  # building one takes longer than most tests


@contextlib.contextmanager
def egress_to(
    *servers: LocalServer, allow: str = "", resolver: Resolver | None = None, tls: ssl.SSLContext = _TLS
) -> Iterator[Egress]:
    """An Egress that may call these servers and what `allow` says."""
    entries = ",".join([*(f"127.0.0.1:{server.port}" for server in servers), allow])
    with Egress(Policy(parse_allow(entries)), resolver=resolver or Resolver(threads=2), ssl_context=tls) as egress:
        yield egress
