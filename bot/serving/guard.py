"""What stands before the application: whole requests, in bounds, no more at once than it can bear, Slack's always."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.serving.bodies import READ_PAST, Bodies, Body, Gone, Refusal
from bot.serving.connections import Connections
from bot.serving.server_limits import RESERVED

Refuse = Callable[[Scope, int, str], Response | None]
"""How an application words a refusal of a request; None where it has no words of its own."""

SENTENCES = {
    408: "The body did not come in time. Send the request again.",
    413: "A body may have at most 1 MiB.",
    503: "The server has too much to do just now. Send the request again.",
}
_CLOSE = {"connection": "close"}
_RETRY = {"retry-after": "2"}


class Guard:
    """An application that is given whole requests only. `refuse` words its refusals."""

    def __init__(self, app: ASGIApp, connections: Connections, refuse: Refuse) -> None:
        self._app = app
        self._connections = connections
        self._limits = connections.limits
        self._bodies = Bodies(connections.limits)
        self._refuse = refuse
        self._turns = asyncio.Semaphore(connections.limits.at_work)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _has_body(scope):
            await self._with_body(scope, receive, send)
        else:
            await self._work(scope, receive, send)

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body()
        try:
            if _too_large(scope, self._limits.body):
                raise Refusal(413)
            content = await self._bodies.read(body, receive, reserved=scope["path"] in RESERVED)
            await self._work(scope, _again(content, receive), send)
        except Refusal as refusal:
            await self._answer(refusal.status, scope, receive, send)
        except Gone:
            return
        finally:
            self._bodies.release(body)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in RESERVED:
            await self._app(scope, receive, send)
        elif not await self._has_turn():
            await self._answer(503, scope, receive, send)
        else:
            try:
                await self._app(scope, receive, send)
            finally:
                self._turns.release()

    async def _has_turn(self) -> bool:
        """Wait for a turn behind whoever came first. A client that does not read its answer has had its own."""
        if not self._turns.locked():
            return await self._turns.acquire()
        self._connections.unblock()
        try:
            async with asyncio.timeout(self._limits.turn_s):
                return await self._turns.acquire()
        except TimeoutError:
            return False

    async def _answer(self, status: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, and end the connection: the rest of the body may still be coming."""
        answer = self._refuse(scope, status, SENTENCES[status]) or PlainTextResponse(SENTENCES[status], status)
        answer.headers.update(_CLOSE | (_RETRY if status == 503 else {}))
        await answer(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False


def _too_large(scope: Scope, allowed: int) -> bool:
    """Whether the head says so; a client that has begun to send is heard out a while, so that it sees the answer."""
    headers = dict(scope["headers"])
    patience = 1 if b"expect" in headers else READ_PAST
    return int(headers.get(b"content-length", 0)) > allowed * patience


def _again(content: bytes, receive: Receive) -> Receive:
    """Gives the whole body, then what is received afterwards."""
    first: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def given() -> Message:
        return first.pop() if first else await receive()

    return given
