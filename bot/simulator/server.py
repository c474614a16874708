"""Serving a practice workspace on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.simulator import target
from bot.simulator.config import Config
from bot.simulator.control import Control
from bot.simulator.delivery.events import Events
from bot.simulator.delivery.http import HttpDelivery
from bot.simulator.delivery.socket import SocketDelivery
from bot.simulator.other_routes import Doors
from bot.simulator.web_api.endpoint import WebApi
from bot.simulator.workspace import Workspace

HOST = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 10.0
_POLICY = "default-src 'self'; img-src 'self' https: data:; frame-ancestors 'none'; base-uri 'none'"


class PortTaken(Exception):
    """Another program listens on the port already; the text says which port and what to do."""


class AbortableProtocol(H11Protocol):
    """HTTP as usual, with the connection within a request's reach: `request.state.transport`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class PagePolicy:
    """Tells browsers that the page loads nothing from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY.encode())]
            await send(message)

        await self._app(scope, receive, send_with_policy if scope["type"] == "http" else send)


class Simulator:
    """A practice workspace, served from a thread of its own between `start` and `stop`.

    `url` and `api_url` (which ends in /api/) are known after `start`; so is `target_url`, None without a target.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.workspace = Workspace(self.config)
        self.delivery = SocketDelivery(self.config) if self.config.socket_mode else HttpDelivery(self.config)
        self.events = Events(self.workspace, self.delivery)
        self._web_api = WebApi(self.workspace)
        self.url = ""
        self.target_url: str | None = None
        self._servers: list[uvicorn.Server] = []
        self._thread: threading.Thread | None = None

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    def start(self) -> None:
        """Listens and serves. Raises PortTaken."""
        listeners = [_listen(self.config.port)]
        self.url = self.workspace.url = _url(listeners[0])
        apps: list[ASGIApp] = [self._app()]
        if self.config.target_port is not None:
            listeners.append(_listen(self.config.target_port, also=listeners))
            self.target_url = _url(listeners[1])
            apps.append(target.Target(self.config.target_token).app())
        self._servers = [_server(app) for app in apps]
        self._thread = threading.Thread(target=self._run, args=(listeners,), name="practice-workspace", daemon=True)
        self._thread.start()
        self._await_start()

    def stop(self) -> None:
        """Stops serving; whoever is still connected is cut off within about a second."""
        for server in self._servers:
            server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _await_start(self) -> None:
        waited = threading.Event()
        for _ in range(int(START_SECONDS / 0.01)):
            if all(server.started for server in self._servers):
                return
            waited.wait(0.01)
        raise RuntimeError("The practice workspace did not start.")

    def _run(self, listeners: list[socket.socket]) -> None:
        asyncio.run(self._serve(listeners))

    async def _serve(self, listeners: list[socket.socket]) -> None:
        closing = asyncio.create_task(self._close_when_asked())
        serving = zip(self._servers, listeners, strict=True)
        await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in serving))
        await closing

    async def _close_when_asked(self) -> None:
        while not self._servers[0].should_exit:
            await asyncio.sleep(0.05)
        self.workspace.feed.close()
        await self.events.close()
        await self.delivery.close()

    def _app(self) -> ASGIApp:
        ws = self.workspace
        control = Control(ws, self.delivery, self.events, self._web_api.faults)
        api = Route("/api/{method}", self._answer, methods=["GET", "POST"])
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
        routes = [api, *control.routes(), *Doors(ws, self.delivery).routes()]
        return Starlette(routes=routes, middleware=[hosts, Middleware(PagePolicy)])

    async def _answer(self, request: Request) -> Response:
        return await self._web_api.answer(request)


def _listen(port: int, also: list[socket.socket] | None = None) -> socket.socket:
    """A listening socket on loopback; `also` are closed when there is none to have."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as refusal:
        for each in [listener, *(also or [])]:
            each.close()
        reason = refusal.strerror or "it cannot be used"
        raise PortTaken(f"Port {port} on {HOST} cannot be used ({reason.lower()}); choose another one.") from refusal
    return listener


def _url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def _server(app: ASGIApp) -> uvicorn.Server:
    options: dict[str, Any] = {"log_level": "warning", "access_log": False, "lifespan": "off"}
    return uvicorn.Server(
        uvicorn.Config(app, http=AbortableProtocol, ws="websockets-sansio", timeout_graceful_shutdown=1, **options)
    )


@contextmanager
def running_simulator(config: Config | None = None) -> Iterator[Simulator]:
    """A workspace that runs as long as the block does."""
    simulator = Simulator(config)
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()
