"""A small checkout estate for runbooks to act on: a load balancer, hosts, and a record of every effect."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.simulator.json_value import Json

HEALTHY_AFTER = 2.0
DELAY = (0.2, 0.8)
"""Seconds a restarted service needs, and seconds an answer takes, so that progress can be watched."""
SERVICES = ("checkout", "basket", "api", "web", "payments")


@dataclass(slots=True)
class Effect:
    """Something that was done. The same Idempotency-Key again is one effect, asked for `count` times."""

    action: str
    service: str
    key: str | None
    count: int = 1
    at: float = field(default_factory=time.time)

    def json(self) -> dict[str, Json]:
        return {"action": self.action, "service": self.service, "key": self.key, "count": self.count, "at": self.at}


@dataclass(slots=True)
class Trouble:
    """What the next `times` calls of a path meet: a delay, and with `status` an answer of that status instead."""

    path: str
    status: int | None
    times: int
    delay_ms: int


class Target:
    """The estate's state. `clock` is in seconds and monotonic."""

    def __init__(self, token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = token
        self._clock = clock
        self._effects: list[Effect] = []
        self._troubles: list[Trouble] = []
        self._drained: set[str] = set()
        self._restarted: dict[str, float] = {}

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/lb/{action}/{service}", self._balance, methods=["POST"]),
                Route("/hosts/restart/{service}", self._restart, methods=["POST"]),
                Route("/hosts/health/{service}", self._health, methods=["GET"]),
                Route("/effects", self._list, methods=["GET"]),
                Route("/faults", self._add_trouble, methods=["POST"]),
                Route("/faults", self._clear_troubles, methods=["DELETE"]),
            ]
        )

    async def _balance(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return _problem(401, "The load balancer wants a bearer token it knows.")
        action, service = request.path_params["action"], request.path_params["service"]
        if action not in ("drain", "restore") or service not in SERVICES:
            return _problem(404, f"There is no {action} for {service}.")
        trouble = await self._meet(request)
        if trouble is not None:
            return trouble
        (self._drained.add if action == "drain" else self._drained.discard)(service)
        effect = self._record(action, service, request)
        weight = 0 if action == "drain" else 100
        connections = random.randint(3, 40) if action == "drain" else 0  # noqa: S311 - a figure to look at
        answer = {"ok": True, "service": service, "pool": f"{service}-eu-1", "weight": weight}
        return JSONResponse(answer | {"closing_connections": connections, "repeated": effect.count > 1})

    async def _restart(self, request: Request) -> Response:
        service = request.path_params["service"]
        if service not in SERVICES:
            return _problem(404, f"There is no service {service}.")
        trouble = await self._meet(request)
        if trouble is not None:
            return trouble
        effect = self._record("restart", service, request)
        if effect.count == 1:
            self._restarted[service] = self._clock()
        hosts = [f"{service}-{number}.eu-1" for number in (1, 2, 3)]
        return JSONResponse({"ok": True, "service": service, "hosts": hosts, "repeated": effect.count > 1})

    async def _health(self, request: Request) -> Response:
        service = request.path_params["service"]
        if service not in SERVICES:
            return _problem(404, f"There is no service {service}.")
        trouble = await self._meet(request)
        if trouble is not None:
            return trouble
        since = self._clock() - self._restarted.get(service, float("-inf"))
        ok = since >= HEALTHY_AFTER
        state = "serving" if ok else "starting"
        return JSONResponse({"ok": ok, "service": service, "state": state, "in_rotation": service not in self._drained})

    async def _list(self, _request: Request) -> Response:
        return JSONResponse({"effects": [effect.json() for effect in self._effects]})

    async def _add_trouble(self, request: Request) -> Response:
        body = await request.json()
        status = body.get("status")
        trouble = Trouble(body["path"], status, int(body.get("times", 1)), int(body.get("delay_ms", 0)))
        self._troubles.append(trouble)
        return JSONResponse({"ok": True})

    async def _clear_troubles(self, _request: Request) -> Response:
        self._troubles = []
        return JSONResponse({"ok": True})

    async def _meet(self, request: Request) -> Response | None:
        """Takes the usual while, and the trouble that waits for this path."""
        await asyncio.sleep(random.uniform(*DELAY))  # noqa: S311 - only so that it looks alive
        trouble = next((each for each in self._troubles if each.path == request.url.path), None)
        if trouble is None:
            return None
        trouble.times -= 1
        self._troubles = [each for each in self._troubles if each.times > 0]
        await asyncio.sleep(trouble.delay_ms / 1000)
        return _problem(trouble.status, "This was asked for.") if trouble.status else None

    def _record(self, action: str, service: str, request: Request) -> Effect:
        key = request.headers.get("idempotency-key")
        same = [each for each in self._effects if key and (each.key, each.action) == (key, action)]
        if same:
            same[0].count += 1
            return same[0]
        self._effects.append(Effect(action, service, key))
        return self._effects[-1]


def _problem(status: int, detail: str) -> Response:
    return JSONResponse({"ok": False, "status": status, "detail": detail}, status_code=status)
