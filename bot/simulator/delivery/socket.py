"""Delivery by Socket Mode: the bot holds up to ten WebSockets open, and each payload goes down one of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from typing import Literal

from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.simulator.config import Config
from bot.simulator.delivery.ack import Ack, Kind
from bot.simulator.directory import APP_ID
from bot.simulator.json_value import Json

Goodbye = Literal["warning", "refresh_requested", "link_disabled"]

MOST_CONNECTIONS = 10
APPROXIMATE_CONNECTION_SECONDS = 18_060


class SocketDelivery:
    """The open connections, and the envelopes that wait for their ack."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._connections: list[WebSocket] = []
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._turn = itertools.count()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def serve(self, socket: WebSocket) -> None:
        """Holds one connection until either side ends it."""
        if len(self._connections) >= MOST_CONNECTIONS:
            await socket.close(code=4000, reason="too_many_websockets")
            return
        await socket.accept()
        await socket.send_json(self._hello())
        self._connections.append(socket)
        try:
            while True:
                self._receive(await socket.receive_text())
        except WebSocketDisconnect:
            return
        finally:
            self._forget(socket)

    async def send(self, kind: Kind, payload: dict[str, Json], attempt: int = 0, reason: str = "") -> Ack:
        if not self._connections:
            return Ack(0, "dispatch_failed", "connection_failed")
        envelope_id = str(uuid.uuid4())
        envelope: dict[str, Json] = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        started = time.monotonic()
        acked: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = acked
        try:
            async with asyncio.timeout(self._config.ack_timeout):
                await self._next_connection().send_text(json.dumps(envelope))
                body = await acked
        except TimeoutError:
            return Ack(_since(started), "operation_timeout", "timeout")
        except (WebSocketDisconnect, RuntimeError):
            return Ack(_since(started), "dispatch_failed", "connection_failed")
        finally:
            del self._waiting[envelope_id]
        return Ack(_since(started), body=body or None)

    async def disconnect(self, reason: Goodbye) -> int:
        """Tells every connection goodbye, and closes it unless this is only a warning. Returns how many there were."""
        connections = list(self._connections)
        for socket in connections:
            if reason != "warning":
                self._forget(socket)
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "practice"}})
            if reason != "warning":
                await socket.close()
        return len(connections)

    async def close(self) -> None:
        await self.disconnect("refresh_requested")

    def _receive(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            return  # The SDK's own ping texts are no JSON and want no answer here.
        waiting = self._waiting.get(message.get("envelope_id", "")) if isinstance(message, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message.get("payload"))

    def _next_connection(self) -> WebSocket:
        return self._connections[next(self._turn) % len(self._connections)]

    def _forget(self, socket: WebSocket) -> None:
        if socket in self._connections:
            self._connections.remove(socket)

    def _hello(self) -> dict[str, Json]:
        return {
            "type": "hello",
            "num_connections": len(self._connections) + 1,
            "debug_info": {"host": "practice", "approximate_connection_time": APPROXIMATE_CONNECTION_SECONDS},
            "connection_info": {"app_id": APP_ID},
        }


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
