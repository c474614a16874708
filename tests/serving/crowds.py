"""The web server in this process, with limits so small that a test reaches them at once."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.serving.connections import Connections
from bot.serving.guard import Guard
from bot.serving.server import Server
from bot.serving.server_limits import Limits

LARGE = 4 << 20


class Serving:
    """A server and what it was asked."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections = Connections(limits)
        self.bodies: list[bytes] = []
        self.let_go = threading.Event()
        paths = [
            Route("/echo", self._echo, methods=["POST"]),
            Route("/slack/events", self._echo, methods=["POST"]),
            Route("/large", lambda _: PlainTextResponse("x" * LARGE)),
            Route("/long", lambda _: StreamingResponse(self._ticks())),
            Route("/held", self._held),
            Route("/livez", lambda _: PlainTextResponse("alive")),
        ]
        guard = Middleware(Guard, connections=self.connections, refuse=lambda *_: None)
        self._server = Server(Starlette(routes=paths, middleware=[guard]), self.connections, lambda: None)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._listening])), daemon=True)

    def start(self) -> None:
        self._thread.start()
        wait_for(lambda: self._server.started)

    def stop(self, seconds: float = 5.0) -> None:
        """Stop, which may take no longer."""
        self.let_go.set()
        self._server.should_exit = True
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the server waits for somebody"

    def connect(self, sent: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
        one = socket.socket()
        if receive_buffer is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.settimeout(10)
        one.connect(("127.0.0.1", self.port))
        one.sendall(sent)
        return one

    def ask(self, sent: bytes) -> tuple[int, bytes]:
        """The status and body of one whole request."""
        with self.connect(sent) as one:
            return answered(one)

    async def _echo(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        return PlainTextResponse(str(len(self.bodies[-1])))

    async def _held(self, _request: Request) -> Response:
        await asyncio.to_thread(self.let_go.wait, 10)
        return PlainTextResponse("held")

    async def _ticks(self) -> Any:
        while not self.let_go.is_set():
            yield b"x" * 4096
            await asyncio.sleep(0)


def answered(one: socket.socket) -> tuple[int, bytes]:
    """What comes until there is a whole answer, or the end: its status (0 for none) and body."""
    got = b""
    while True:
        head, found, body = got.partition(b"\r\n\r\n")
        if found and head.startswith(b"HTTP/1.1 100"):
            got = body
            continue
        length = [
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        if found and length and len(body) >= length[0]:
            return int(head.split()[1]), body
        try:
            part = one.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return (int(head.split()[1]) if head else 0), body
        got += part


def ended(one: socket.socket) -> bool:
    """Whether the server has ended this connection, waiting for it."""
    try:
        while one.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def wait_for(look: Callable[[], Any], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, "this did not come true"
        time.sleep(0.005)


@contextmanager
def many(serving: Serving, count: int, sent: bytes, receive_buffer: int | None = None) -> Iterator[list[socket.socket]]:
    """So many clients that send this and then stay."""
    clients = [serving.connect(sent, receive_buffer) for _ in range(count)]
    try:
        yield clients
    finally:
        for each in clients:
            each.close()
