"""Answers that go on for hours: how many at once, of all and of one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Mapping

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from bot.serving.server_limits import Limits

RETRY_S = 15


class Streams:
    """The streams that are open. Lives on one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()

    def take(self, person: str) -> bool:
        """Whether this person may follow one more; to be given back afterwards."""
        if self._open.total() >= self._limits.streams or self._open[person] >= self._limits.streams_each:
            return False
        self._open[person] += 1
        return True

    def give(self, person: str) -> None:
        self._open[person] -= 1
        if not self._open[person]:
            del self._open[person]


class EventStream(StreamingResponse):
    """Server-sent events for one person, or `refusal` where too many are followed."""

    media_type = "text/event-stream"

    def __init__(
        self, told: AsyncIterable[str], headers: Mapping[str, str], streams: Streams, person: str, refusal: Response
    ) -> None:
        super().__init__(told, headers=headers)
        self._streams = streams
        self._person = person
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._streams.take(self._person):
            await self._refusal(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.give(self._person)
