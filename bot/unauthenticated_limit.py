"""A limit for whoever is nobody: requests without a proof of who asks, or with a wrong one, counted by address.

A wrong guess costs a look at the database, and nobody guesses for good reasons twice a second. Who is known is
never held up by it, whoever else asks from the same address; nor are Slack's requests and the health pages.
"""

from __future__ import annotations

import ipaddress

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.api import PREFIX, problems
from bot.api.rate_limit import RateLimit

A_MINUTE = 120
_FREE = ("/slack/events",)
"""Slack signs its requests, and what a forger sends there is told from them without a look at the database."""
_FOR_ALL = (f"{PREFIX}/openapi.json", f"{PREFIX}/docs")
"""What is answered without asking who it is for."""
_SENTENCE = f"Too many requests from this address that say not, or wrongly, who asks: at most {A_MINUTE} a minute."


class UnauthenticatedLimit:
    """An application in which a 401 becomes a 429 for an address that has had too many of them."""

    def __init__(self, app: ASGIApp, rates: RateLimit | None = None) -> None:
        self._app = app
        self._rates = rates or RateLimit(A_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _FREE:
            await self._app(scope, receive, send)
            return
        wait = self._rates.take(address(scope)) if _is_unauthenticated(scope) else 0
        if wait:
            await _refusal(scope, wait)(scope, receive, send)
            return
        refused = False

        async def limited(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] == 401:
                seconds = self._rates.take(address(scope))
                refused = seconds > 0
                if refused:
                    await _refusal(scope, seconds)(scope, receive, send)
            if not refused:
                await send(message)

        await self._app(scope, receive, limited)


def address(scope: Scope) -> str:
    """Whose bucket a request is counted in: an IPv4 address, or the network of an IPv6 one, which one host owns."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv4Address):
        return host
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def _is_unauthenticated(scope: Scope) -> bool:
    return scope["path"] in _FOR_ALL and not any(name == b"authorization" for name, _ in scope["headers"])


def _refusal(scope: Scope, seconds: int) -> Response:
    headers = {"Retry-After": str(seconds)}
    if scope["path"].startswith(f"{PREFIX}/"):
        return problems.response(Request(scope), 429, "too_many_requests", _SENTENCE, headers)
    return PlainTextResponse(_SENTENCE, status_code=429, headers=headers)
