"""New events of runs for whoever follows them: looked for once a process, however many listen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import health
from engine.queries import events
from engine.runtime import Runtime
from storage.records import EventRecord

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
LOOK_AGAIN_S = 1.0
"""After the database was away."""
HEARTBEAT_S = 15.0
ASK_EVERY_S = 1.0
"""For so long a busy stream goes on after its token was revoked, or its person may no longer see the run."""
BATCH = 200
KEPT = 500
"""The newest events of a followed run that are kept at hand, so that many followers read them once."""

InThread = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class _Topic:
    """A run that is followed. `seq` is its newest event, -1 before the first look."""

    listeners: int = 0
    seq: int = -1
    ended: bool = False
    recent: deque[EventRecord] = field(default_factory=lambda: deque(maxlen=KEPT))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class AccessTimer:
    """When to ask again whether a follower may go on: with each sign of life, and before a batch of events that comes
    `ASK_EVERY_S` after the last time it was asked.
    """

    def __init__(self) -> None:
        self._asked = time.monotonic()

    def due(self, batch: Sequence[EventRecord]) -> bool:
        """Whether to ask before this batch is told."""
        now = time.monotonic()
        if batch and now - self._asked < min(ASK_EVERY_S, HEARTBEAT_S):
            return False
        self._asked = now
        return True


class Feed:
    """Lives on one event loop. `in_thread` runs what waits for the database."""

    def __init__(self, rt: Runtime, in_thread: InThread) -> None:
        self._rt = rt
        self._in_thread = in_thread
        self._topics: dict[str, _Topic] = {}
        self._looking: asyncio.Task[None] | None = None
        self._look = asyncio.Event()
        self._closed = False

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for topic in self._topics.values():
            topic.wake()

    async def follow(self, execution_id: str, seq: int) -> AsyncIterator[Sequence[EventRecord]]:
        """The events behind number `seq` as they come, in order, each once.

        Nothing (an empty list) every `HEARTBEAT_S` in which nothing came. Ends when the run has ended and all is told.
        """
        topic = self._topics.setdefault(execution_id, _Topic())
        topic.listeners += 1
        self._read_new_events()
        try:
            while not self._closed:
                changed = topic.changed
                if topic.seq > seq:
                    batch = await self._behind(topic, execution_id, seq)
                    seq = batch[-1].seq
                    yield batch
                elif topic.ended:
                    return
                elif not await _within(changed, HEARTBEAT_S):
                    yield ()
        finally:
            topic.listeners -= 1
            if not topic.listeners:
                self._topics.pop(execution_id, None)

    async def _behind(self, topic: _Topic, execution_id: str, seq: int) -> Sequence[EventRecord]:
        if topic.recent and topic.recent[0].seq <= seq + 1:
            return [each for each in topic.recent if each.seq > seq]
        found: Sequence[EventRecord] = await self._in_thread(events.after, self._rt, execution_id, seq, BATCH)
        return found

    def _read_new_events(self) -> None:
        self._look.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())

    async def _look_on(self) -> None:
        """Look while anybody listens."""
        while self._topics and not self._closed:
            self._look.clear()
            try:
                await self._look_once()
                pause = LOOK_EVERY_S
            except Exception as trouble:  # whatever it is, listeners wait for the next look
                level = logging.WARNING if health.is_away(trouble) else logging.ERROR
                log.log(level, "Looking for events failed; trying again", exc_info=True)
                pause = LOOK_AGAIN_S
            await _within(self._look, pause)

    async def _look_once(self) -> None:
        heads = await self._in_thread(events.heads, self._rt, list(self._topics))
        for execution_id, (seq, ended) in heads.items():
            topic = self._topics.get(execution_id)
            if topic is None or (topic.seq, topic.ended) == (seq, ended):
                continue
            if 0 <= topic.seq < seq:
                topic.recent.extend(
                    await self._in_thread(events.after, self._rt, execution_id, topic.seq, seq - topic.seq)
                )
            topic.seq, topic.ended = seq, ended
            topic.wake()


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event comes in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
