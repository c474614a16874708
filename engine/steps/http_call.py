"""One call as a step means it: credentials on it, redirects followed, and one deadline over all of that."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx

from engine.egress import CallFailed, Egress, Response
from engine.egress.allowed_addresses import Allowed
from engine.egress.client import DEFAULT_MAX_BYTES
from engine.egress.tls import Tls
from engine.steps import http_auth, oauth2
from engine.steps.http_auth import Auth
from engine.steps.http_request import Request
from engine.steps.secret_destinations import Carried

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE = frozenset({"GET", "HEAD"})
_HOSTLESS = re.compile(r"https?:(?!//[^/?#])|//(?![^/?#])", re.IGNORECASE)
"""What readers of URLs do not agree on: some take the next part for the host, some stay where they are."""
_GOES_ANYWHERE = frozenset({"user-agent", "accept", "accept-language", "content-type", "idempotency-key"})


class Line:
    """The way out for one step's call: whatever is sent on it shares one deadline."""

    def __init__(
        self, egress: Egress, deadline_ms: int, *, fresh: bool, abandoned: Callable[[], bool], carried: Carried,
        max_bytes: int = DEFAULT_MAX_BYTES, allowed: tuple[Allowed, ...] = (),
    ) -> None:  # fmt: skip
        self.carried = carried
        self._allowed = allowed
        self._max_bytes = max_bytes
        self._egress = egress
        self._fresh = fresh
        self._abandoned = abandoned
        self._started = time.monotonic()
        self._deadline_ms = deadline_ms

    def elapsed_ms(self) -> int:
        """Milliseconds since the line was opened; its deadline is counted from then."""
        return round((time.monotonic() - self._started) * 1000)

    def send(self, request: Request, tls: Tls | None = None) -> Response:
        """Raises `CallFailed`."""
        return self._egress.send(
            request.method,
            request.url,
            headers=request.headers,
            content=request.body,
            deadline_ms=max(0, self._deadline_ms - self.elapsed_ms()),
            max_bytes=self._max_bytes,
            fresh=self._fresh,
            abandoned=self._abandoned,
            tls=tls,
            allowed=self._allowed,
        )


class Credential:
    """What `auth` puts on each request of a call. An OAuth 2 token is fetched on first use, over the same line."""

    def __init__(self, auth: Auth, tokens: oauth2.Tokens, line: Line) -> None:
        self._auth = auth
        self._tokens = tokens
        self._line = line
        self._client = oauth2.client_of(auth) if auth.get("type") == "oauth2" else None
        self._bearer = ""
        self._may_be_stale = False
        self.first: Request | None = None
        """The first request that was signed: the one to show."""

    def check(self) -> None:
        """Raise `CallFailed` where the client's secrets may not go to its token server, or be used at all."""
        if self._client is not None:
            self._line.carried.to_token_server(self._client.token_url)

    def sign(self, request: Request) -> Request:
        """Raises `BadRequest`, `NoToken`, and `CallFailed` with `sent` False."""
        if self._client is not None and not self._bearer:
            cached = self._tokens.cached(self._client)
            self._may_be_stale = cached is not None
            self._bearer = cached or self._tokens.fetch(self._client, self._line.send)
        signed = http_auth.sign(request, self._auth, self._bearer)
        self.first = self.first or signed
        return signed

    def renewed(self) -> bool:
        """Replace a token that came from the cache, once; False when there is nothing newer to try."""
        if self._client is None or not self._may_be_stale:
            return False
        self._may_be_stale = False
        self._bearer = self._tokens.fetch(self._client, self._line.send)
        return True


@dataclass(frozen=True, slots=True)
class Hop:
    """One redirect that was followed."""

    status: int
    to: str


def send(
    request: Request, credential: Credential, line: Line, redirects: int, tls: Tls | None = None
) -> tuple[Response, tuple[Hop, ...]]:
    """Send a request without its credentials yet, following at most `redirects` redirects.

    Each hop passes the guard again. Only GET and HEAD are followed, and a 303 with GET; another origin gets neither
    credentials, a client certificate included, nor any header that may hold one. Raises `BadRequest`, `NoToken` and
    `CallFailed`: after a redirect always with `sent` True, since the first request was sent and answered.
    """
    line.carried.to_address(request.url)
    credential.check()
    hops: tuple[Hop, ...] = ()
    trusted = True
    while True:
        try:
            response = _send_once(request, credential if trusted else None, line, tls)
        except CallFailed as error:
            if not hops:
                raise
            raise CallFailed(error.code, f"After a redirect to {hops[-1].to}: {error.message}", sent=True) from error
        onward = redirected(request, response) if len(hops) < min(redirects, MAX_REDIRECTS) else None
        if onward is None:
            return response, hops
        trusted = trusted and same_origin(request.url, onward.url)
        request = onward
        hops = (*hops, Hop(response.status, onward.url))


def _send_once(request: Request, credential: Credential | None, line: Line, tls: Tls | None) -> Response:
    if credential is None:
        line.carried.to_other_origin(request.url, request.headers.values())
        return line.send(request)
    response = line.send(credential.sign(request), tls)
    if response.status == 401 and credential.renewed():
        return line.send(credential.sign(request), tls)
    return response


def redirected(request: Request, response: Response) -> Request | None:
    """The request that a redirect asks for, or None when the answer is none or may not be followed.

    Raises `CallFailed` when where it leads to is no address.
    """
    location = next((value for name, value in response.headers if name == "location"), "")
    if response.status not in _REDIRECTS or not location:
        return None
    if request.method not in _SAFE and response.status != 303:
        return None
    try:
        if _HOSTLESS.match(location):
            raise httpx.InvalidURL("it names no host")
        url = str(httpx.URL(request.url).join(location).copy_with(fragment=None))
    except (httpx.InvalidURL, ValueError) as error:
        message = f"After a redirect to {location}: Nothing was sent: that is not a valid URL ({error})."
        raise CallFailed("bad_request", message, sent=True) from error
    onward = replace(request, url=url)
    if response.status == 303:
        kept = {name: value for name, value in request.headers.items() if name.lower() != "content-type"}
        onward = replace(onward, method="HEAD" if request.method == "HEAD" else "GET", body=b"", headers=kept)
    if not same_origin(request.url, url):
        kept = {name: value for name, value in onward.headers.items() if name.lower() in _GOES_ANYWHERE}
        onward = replace(onward, headers=kept, body=b"")
    return onward


def same_origin(one: str, other: str) -> bool:
    """Same scheme, host and port: only there may credentials go on."""
    first, second = httpx.URL(one), httpx.URL(other)
    return (first.scheme, first.raw_host, first.port) == (second.scheme, second.raw_host, second.port)
