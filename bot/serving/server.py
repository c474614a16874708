"""Serving an application on a listening socket until told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from bot.serving.connections import Connections
from bot.serving.listener import Listener
from bot.serving.protocol import Guarded

GRACE_S = 10
_TICK_S = 0.5


class Server(uvicorn.Server):
    """Takes in connections by itself. `before_stop` ends streams, before requests under way are waited for."""

    def __init__(self, app: ASGIApp, connections: Connections, before_stop: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app, http=Guarded, ws="none", log_config=None, access_log=False, lifespan="off",
                timeout_graceful_shutdown=GRACE_S, server_header=False,
                timeout_keep_alive=connections.limits.idle_s,
            )
        )  # fmt: skip
        self._connections = connections
        self._before_stop = before_stop
        self._listeners: list[Listener] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._listeners = [Listener(each, self._connections, self._protocol) for each in sockets or []]
        self._watch = asyncio.create_task(self._enforce())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self._listeners:
            listener.close()
        self._before_stop()
        self._connections.hurry()
        await super().shutdown(sockets)
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch

    def _protocol(self, source: str | None) -> Guarded:
        return Guarded(self.config, self.server_state, self._connections, source)

    async def _enforce(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._connections.enforce()
