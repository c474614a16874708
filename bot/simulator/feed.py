"""What happens in the workspace, told live to every page and terminal that listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bot.simulator.json_value import Json


class Feed:
    """Hands each event to all listeners. An event with a `user` is for that person's eyes only."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[dict[str, Json] | None]] = set()
        self._closed = False

    def publish(self, kind: str, **data: Json) -> None:
        for queue in self._listeners:
            queue.put_nowait({"type": kind, **data})

    async def listen(self, user: str | None) -> AsyncIterator[dict[str, Json]]:
        """Yields events from now on until the feed closes; with `user`, other people's private ones are left out."""
        queue: asyncio.Queue[dict[str, Json] | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while not self._closed and (event := await queue.get()) is not None:
                if user is None or event.get("user") in (None, user):
                    yield event
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        self._closed = True
        for queue in self._listeners:
            queue.put_nowait(None)
