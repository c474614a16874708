"""One Web API call from request to answer: arguments, token, trouble on demand, limits, the method, the log."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from bot.simulator.json_value import Json
from bot.simulator.web_api import arguments
from bot.simulator.web_api.errors import SlackError
from bot.simulator.web_api.faults import Fault, Faults
from bot.simulator.web_api.methods import METHODS, Method
from bot.simulator.web_api.rates import Rates
from bot.simulator.web_api.views import REFUSALS
from bot.simulator.workspace import Workspace

Entry = dict[str, Json]

HANG_SECONDS = 600.0
_WRITING = ("chat.postMessage", "chat.update", "chat.postEphemeral")


class WebApi:
    """Answers /api/<method>."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self.faults = Faults()
        self.rates = Rates()

    async def answer(self, request: Request) -> Response:
        name = request.path_params["method"]
        method = METHODS.get(name)
        if method is None:
            self._ws.journal.problem("unknown_method", f"The Web API has no method {name}", method=name)
            return JSONResponse({"ok": False, "error": "unknown_method"})
        try:
            call = arguments.read(
                request.url.query,
                request.headers.get("content-type", ""),
                await request.body(),
                request.headers.get("authorization"),
                takes_json=method.json,
            )
        except SlackError as refusal:
            return self._refused(self._ws.journal.call(name, {}), refusal)
        entry = self._ws.journal.call(name, call.args)
        return await self._answer(request, name, method, call, entry)

    async def _answer(
        self, request: Request, name: str, method: Method, call: arguments.Request, entry: Entry
    ) -> Response:
        fault = self.faults.take(name)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.retry_after)
            fault = None
        if fault is not None and fault.kind != "reset_after_commit":
            return await self._trouble(request, fault, entry)
        try:
            self._check_token(name, call.token)
            arguments.check(call.args, method.required, method.optional, strict=self._ws.config.strict)
            wait = self._wait(name, call.args)
            if wait:
                return self._limited(entry, wait)
            result = self._run(method, arguments.parsed(call.args))
        except SlackError as refusal:
            return self._refused(entry, refusal)
        self._warn_of_missing_text(name, call.args)
        entry |= {"status": 200, "ok": True, "result": {key: result[key] for key in ("ts", "channel") if key in result}}
        if fault is not None:
            entry |= {"status": None, "error": fault.kind}
            return await _drop(request)
        return JSONResponse({"ok": True, **result}, headers={"x-oauth-scopes": self._ws.config.scopes})

    def _run(self, method: Method, args: arguments.Arguments) -> dict[str, Json]:
        try:
            return method.handler(self._ws, args)
        except REFUSALS as refusal:
            raise SlackError(str(refusal)) from refusal

    def _check_token(self, name: str, token: str | None) -> None:
        config = self._ws.config
        if not token:
            raise SlackError("not_authed")
        if token not in (config.bot_token, config.app_token):
            raise SlackError("invalid_auth")
        wants_app_token = name == "apps.connections.open"
        if name != "api.test" and (token == config.app_token) != wants_app_token:
            raise SlackError("not_allowed_token_type")

    def _wait(self, name: str, args: arguments.Arguments) -> int:
        return self.rates.wait(name, str(args.get("channel", ""))) if self._ws.config.rate_limits else 0

    def _refused(self, entry: Entry, refusal: SlackError) -> Response:
        entry |= {"status": 200, "ok": False, "error": refusal.code, "messages": list(refusal.messages)}
        self._ws.journal.problem("refused", str(refusal), method=entry["method"], error=refusal.code)
        body: dict[str, Json] = {"ok": False, "error": refusal.code}
        if refusal.messages:
            body |= {"errors": list(refusal.messages), "response_metadata": {"messages": list(refusal.messages)}}
        return JSONResponse(body)

    def _limited(self, entry: Entry, seconds: int) -> Response:
        entry |= {"status": 429, "ok": False, "error": "ratelimited"}
        headers = {"Retry-After": str(seconds)}
        return JSONResponse({"ok": False, "error": "ratelimited"}, status_code=429, headers=headers)

    async def _trouble(self, request: Request, fault: Fault, entry: Entry) -> Response:
        entry |= {"ok": False, "error": fault.kind, "fault": True}
        if fault.kind == "429":
            return self._limited(entry, fault.retry_after)
        if fault.kind == "500":
            entry["status"] = 500
            return PlainTextResponse("Internal Server Error", status_code=500)
        if fault.kind.startswith("error:"):
            code = fault.kind.removeprefix("error:")
            entry |= {"status": 200, "error": code}
            return JSONResponse({"ok": False, "error": code})
        if fault.kind == "hang":
            await asyncio.sleep(HANG_SECONDS)
        return await _drop(request)

    def _warn_of_missing_text(self, name: str, args: arguments.Arguments) -> None:
        """Slack takes blocks without text, but then notifications and screen readers have nothing to say."""
        if name in _WRITING and args.get("blocks") and not args.get("text"):
            self._ws.journal.problem("missing_text", f"{name} was sent blocks without text", method=name)


async def _drop(request: Request) -> Response:
    """Cuts the connection as a network would: no answer, not even a status line."""
    request.state.transport.abort()
    await asyncio.sleep(0)
    return Response()
