"""Taking in connections: as many as there is room for, and without spinning where the system has none left."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from bot.serving.connections import Connections, source_of

log = logging.getLogger(__name__)

AT_ONCE = 32
"""Taken in before what has come so far is looked at: the system must have so many descriptors to spare."""
PAUSE_S = 0.05
"""Before looking again whether there is room. Whoever comes meanwhile waits in the system's queue."""
_OUT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Make = Callable[[str | None], asyncio.Protocol]


class Listener:
    """Takes in from one listening socket; `make` makes the protocol for a source. Lives on the running event loop."""

    def __init__(self, listening: socket.socket, connections: Connections, make: Make) -> None:
        self._socket = listening
        self._connections = connections
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Take in no more. The socket stays open."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if not self._connections.has_room():
                self._wait()
                return
            try:
                one, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._failed(error)
                return
            self._take(one, peer)

    def _take(self, one: socket.socket, peer: object) -> None:
        source = source_of(peer)
        if not self._connections.admit(source):
            one.close()
            return
        one.setblocking(False)
        task = self._loop.create_task(self._open(one, source))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, one: socket.socket, source: str | None) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: self._make(source), one)
        except OSError:  # it was gone before it was there
            one.close()
            self._connections.failed(source)

    def _failed(self, error: OSError) -> None:
        """Mostly the system has no descriptor or memory for one more: give one back, and try again soon."""
        if error.errno not in _OUT or not self._connections.make_room():
            log.warning("a connection could not be taken in: %s", error)
        self._wait()

    def _wait(self) -> None:
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(PAUSE_S, self._resume)
