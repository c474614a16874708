"""Events to the bot: sent in the background, and tried again as Slack does."""

from __future__ import annotations

import asyncio

from bot.simulator.delivery.ack import Ack, Delivery
from bot.simulator.delivery.payloads import event
from bot.simulator.json_value import Json
from bot.simulator.workspace import Workspace


class Events:
    """Sends events the bot has subscribed to. The first try is awaited; the retries go on by themselves."""

    def __init__(self, ws: Workspace, delivery: Delivery) -> None:
        self._ws = ws
        self._delivery = delivery
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, subscription: str, inner: dict[str, Json]) -> Ack | None:
        """Sends one event, None when the bot is not subscribed to it; returns the first try's ack."""
        if subscription not in self._ws.config.events:
            return None
        payload = event(inner)
        ack = await self._attempt(payload, 0, "")
        if not ack.ok and not ack.no_retry:
            task = asyncio.create_task(self._retry(payload, ack))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return ack

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _retry(self, payload: dict[str, Json], ack: Ack) -> None:
        for attempt, delay in enumerate(self._ws.config.event_retry_delays, start=1):
            await asyncio.sleep(delay)
            ack = await self._attempt(payload, attempt, ack.reason)
            if ack.ok or ack.no_retry:
                return

    async def _attempt(self, payload: dict[str, Json], attempt: int, reason: str) -> Ack:
        ack = await self._delivery.send("events_api", payload, attempt, reason)
        if not ack.ok:
            kind = payload["event"]["type"]
            message = f"The event {kind} was not acknowledged: {ack.reason or ack.error} (try {attempt + 1})"
            self._ws.journal.problem("ack", message, event=kind, status=ack.status, ms=ack.ms)
        return ack
