"""How every operation of the API is carried out: known caller, own threads, once for an idempotency key."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Coroutine
from difflib import get_close_matches
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from bot.api import problems
from bot.api.caller import KEY_HEADER, MAX_KEY, ApiContext
from bot.api.idempotency_keys import once
from bot.api.idempotent_answers import Shape
from bot.api.people_names import named
from bot.api.problems import Refused
from engine.access.policy import SCOPE_OF, Action, admit
from engine.errors import EngineError
from storage.states import Scope

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
MAX_BODY = 1024 * 1024
_TOO_LARGE = "A body may have at most 1 MiB."
_KEY = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "Your name for this request. Sent again within 24 hours it is answered the same.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[ -~]+$"},
}


def needs(action: Action) -> dict[str, Any]:
    """What an operation says of itself: what its caller has to be allowed, and the scope that this takes."""
    return {"openapi_extra": {"x-action": action, "x-scope": SCOPE_OF.get(action, Scope.RUN)}}


class Operation(APIRoute):
    """An operation whose function may block: it is run in the API's own threads.

    One that says nothing else (`needs`) is for looking; one that changes something has to say what it needs. Standing
    and scope are asked for all of them here, before the function knows of the request.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **keys: Any) -> None:
        looks = set(keys.get("methods") or ()) <= {"GET"}
        said = keys.get("openapi_extra") or (needs(Action.VIEW)["openapi_extra"] if looks else {})
        if "x-action" not in said:
            raise TypeError(f"{path}: say what this operation needs")
        self.action = Action(said["x-action"])
        keys["openapi_extra"] = {**said, "x-action": self.action.name.lower()}
        keys["responses"] = {**problems.documented(403), **(keys.get("responses") or {})}
        if "POST" in (keys.get("methods") or ()):
            keys["openapi_extra"]["parameters"] = [_KEY]
            keys["responses"] = {**problems.documented(409), **(keys.get("responses") or {})}
        keys["responses"] = {**problems.documented(422), **(keys.get("responses") or {})}
        threaded = endpoint if inspect.iscoroutinefunction(endpoint) else _threaded(endpoint, looks)
        super().__init__(path, threaded, **keys)

    def get_route_handler(self) -> Handler:
        act = super().get_route_handler()
        known = {each.alias for each in self.dependant.query_params}

        async def handle(request: Request) -> Response:
            try:
                context: ApiContext = request.app.state.context
                token = await context.token(request)
                _must_be_known(request, known)
                _must_be_json(request)
                body = await _body(request)
                caller = request.state.caller = await context.in_reader_thread(context.authenticated, request, token.id)
                admit(caller.actor, self.action)
                whole = _with_body(request, body)
                if caller.key is None:
                    return await act(whole)
                return await once(
                    caller, whole, body, self.action, Shape(self.response_model, self.status_code or 200), act
                )
            except (EngineError, HTTPException, RequestValidationError):
                raise
            except Exception as error:  # noqa: BLE001 - told as a problem and logged with an id
                return problems.accident(request, error)

        return handle


def _threaded(endpoint: Callable[..., Any], looks: bool) -> Callable[..., Any]:
    def act(*args: Any, **keys: Any) -> Any:
        return named(keys["caller"].rt, endpoint(*args, **keys))

    @functools.wraps(endpoint)
    async def in_thread(*args: Any, **keys: Any) -> Any:
        context: ApiContext = keys["caller"].context
        return await (context.in_reader_thread if looks else context.in_writer_thread)(act, *args, **keys)

    return in_thread


def _must_be_known(request: Request, known: Collection[str]) -> None:
    """A misspelt filter would answer with everything, and nobody would notice."""
    for name in request.query_params:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            words = f"There is no such parameter{f'; did you mean {near[0]}' if near else ''}."
            raise RequestValidationError([{"type": "extra_forbidden", "loc": ("query", name[:40]), "msg": words}])


def _must_be_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind != "application/json":
        raise Refused(415, "unsupported_media_type", "Send the body as application/json.")


async def _body(request: Request) -> bytes:
    """The body, read no further than is allowed."""
    if int(request.headers.get("content-length", "0")) > MAX_BODY:
        raise Refused(413, "too_large", _TOO_LARGE)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Refused(413, "too_large", _TOO_LARGE)
    return bytes(body)


def _with_body(request: Request, body: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)
