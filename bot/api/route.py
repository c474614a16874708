"""How every operation of the API is carried out: known caller, own threads, once for an idempotency key."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from bot.api import problems
from bot.api.caller import House
from bot.api.problems import Refused
from engine.errors import EngineError

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
MAX_BODY = 1024 * 1024
_TOO_LARGE = "A body may have at most 1 MiB."
_JSON = ("application/json", "application/merge-patch+json")


class Operation(APIRoute):
    """An operation whose function may block: it is run in the API's own threads."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **keys: Any) -> None:
        super().__init__(path, endpoint if inspect.iscoroutinefunction(endpoint) else _threaded(endpoint), **keys)

    def get_route_handler(self) -> Handler:
        act = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                house: House = request.app.state.house
                request.state.caller = await house.caller(request)
                _must_be_json(request)
                return await act(await _whole(request))
            except (EngineError, HTTPException, RequestValidationError):
                raise
            except Exception as error:  # noqa: BLE001 - told as a problem and logged with an id
                return problems.accident(request, error)

        return handle


def _threaded(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def in_thread(*args: Any, **keys: Any) -> Any:
        caller = keys["caller"]
        return await caller.house.in_thread(endpoint, *args, **keys)

    return in_thread


def _must_be_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind not in _JSON:
        raise Refused(415, "unsupported_media_type", "Send the body as application/json.")


async def _whole(request: Request) -> Request:
    """The request with its body read, once and no further than is allowed."""
    if int(request.headers.get("content-length", "0")) > MAX_BODY:
        raise Refused(413, "too_large", _TOO_LARGE)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Refused(413, "too_large", _TOO_LARGE)

    async def receive() -> Message:
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return Request(request.scope, receive)
