"""HTTP/1.1 on one connection, as uvicorn speaks it, with its phases told and what a client may send bounded."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bot.serving.connections import Connections, Phase

MAX_HEAD = 32 * 1024
MAX_FIELDS = 100
MAX_PIECES = 10_000
"""Chunks, or separate arrivals, of one body: each costs time, however small it is."""
MAX_AHEAD = 64 * 1024
"""Bytes of further requests that may come before the one at work is answered."""
_WORDS = {408: "The request did not come in time.", 431: "The head of the request is too large."}


class _Bounded(h11.Connection):
    """Refuses a head with too much in it and a body in too many pieces; `status` is then what to answer."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD)
        self.status = 400
        self._pieces = 0

    def next_event(self) -> Any:
        try:
            event = super().next_event()
            kind = type(event)
            if kind is h11.Data:
                self._pieces += 1
                if self._pieces > MAX_PIECES:
                    raise h11.RemoteProtocolError("too many pieces", error_status_hint=413)
            elif kind is h11.Request:
                self._pieces = 0
                _check_head(event)
        except h11.RemoteProtocolError as error:
            self.status = error.error_status_hint
            raise
        return event


def _check_head(request: Any) -> None:
    """A head that came in one go was never incomplete, so that nobody has looked at its size."""
    size = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
    if len(request.headers) > MAX_FIELDS or size > MAX_HEAD:
        raise h11.RemoteProtocolError("too large a head", error_status_hint=431)


class Guarded(H11Protocol):
    """One connection; `connections` hears in which phase it is."""

    def __init__(self, config: Config, state: ServerState, connections: Connections, source: str | None) -> None:
        super().__init__(config, state, {})
        self.conn = self._bounded = _Bounded()
        self.phase = Phase.INCOMPLETE
        self.since = connections.clock()
        self.source = source
        self._all = connections
        self._heard = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._all.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        if self.phase is Phase.IDLE:
            self._all.moved(self, Phase.INCOMPLETE)
        super().data_received(data)
        if self.phase is Phase.INCOMPLETE and self._whole():
            self._all.moved(self, Phase.AT_WORK)
        if self.flow.read_paused and len(self.conn.trailing_data[0]) > MAX_AHEAD:
            self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            phase = Phase.IDLE  # nothing is left to do but that the client takes its answer
        elif self._whole():
            phase = Phase.AT_WORK  # the next request was there already
        elif self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]:
            phase = Phase.INCOMPLETE
        else:
            phase = Phase.IDLE
        self._all.moved(self, phase)

    def _whole(self) -> bool:
        return self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._all.blocked(self, blocked=True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._all.blocked(self, blocked=False)

    def unread(self) -> int:
        """Bytes of answers that the client has not taken."""
        return self.transport.get_write_buffer_size()

    def overdue(self) -> None:
        """End it where not even a head has come; a body's time is kept by whoever reads it."""
        if self.conn.their_state is h11.SEND_BODY or self.transport.is_closing():
            return
        if self._heard:
            self.transport.write(_answer(408))
        self.transport.close()

    def end_after_answer(self) -> None:
        """Take no further request on it."""
        self.cycle.keep_alive = False

    def drop(self) -> None:
        """End it at once."""
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too much of it."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_answer(self._bounded.status, msg))
        self.transport.close()


def _answer(status: int, words: str = "") -> bytes:
    text = _WORDS.get(status, words).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + text
