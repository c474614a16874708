"""The bodies of requests, read whole before anybody looks at them: bounded in size, in time and together."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from bot.serving.server_limits import Limits

READ_PAST = 4
"""So many times the allowed size is read and thrown away: a client that is cut off while it sends sees no answer."""


class Refusal(Exception):
    """The body is not taken. `status` is 408, 413 or 503."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


class Gone(Exception):
    """The client went away before its body was whole."""


class Body:
    """One that is being read, or held while its request is carried out."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.deadline: asyncio.Timeout | None = None
        self.shed = False


class Bodies:
    """All of one process; `held` bytes of them are in memory. Lives on one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reading: dict[Body, None] = {}
        self.held = 0

    def release(self, body: Body) -> None:
        """Its request is done, or refused."""
        self._reading.pop(body, None)
        self.held -= body.size
        body.size = 0

    async def read(self, body: Body, receive: Receive, *, reserved: bool) -> bytes:
        """All of it; to be `release`d afterwards, also where this raises.

        A `reserved` one is taken also when others are not. Raises `Refusal` and `Gone`.
        """
        self._reading[body] = None
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(now + min(self._limits.stall_s, self._limits.body_s)) as body.deadline:
                size = await self._gather(body, receive, reserved, now + self._limits.body_s)
        except TimeoutError as error:
            raise Refusal(503 if body.shed else 408) from error
        self._reading.pop(body, None)
        if size > self._limits.body:
            raise Refusal(413)
        whole = b"".join(body.parts)
        body.parts.clear()
        return whole

    async def _gather(self, body: Body, receive: Receive, reserved: bool, until: float) -> int:
        """How much came, of which no more is kept than is allowed."""
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            size += len(part)
            if size <= self._limits.body:
                self._keep(body, part, reserved)
            if not message.get("more_body") or size > self._limits.body * READ_PAST:
                return size
            if body.deadline is not None and not body.shed:
                now = asyncio.get_running_loop().time()
                body.deadline.reschedule(min(until, now + self._limits.stall_s))

    def _keep(self, body: Body, part: bytes, reserved: bool) -> None:
        """Where all is full, the body that has been coming for longest makes room."""
        if body.shed:
            raise Refusal(503)
        body.parts.append(part)
        body.size += len(part)
        self.held += len(part)
        while self.held > self._limits.bodies:
            slowest = next((each for each in self._reading if each is not body), None)
            if slowest is None:
                break
            self._shed(slowest)
        if self.held > self._limits.bodies + (self._limits.spare_bodies if reserved else 0):
            raise Refusal(503)

    def _shed(self, body: Body) -> None:
        self.release(body)
        body.parts.clear()
        body.shed = True
        if body.deadline is not None:
            body.deadline.reschedule(asyncio.get_running_loop().time())
