"""Access tokens of the OAuth 2 client credentials grant (RFC 6749, 4.4), kept in memory until shortly before they end.

oauthlib writes the request and reads the answer; the call itself goes through the guarded client like any other.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

from engine.egress import CallFailed, Response
from engine.egress.tls import Tls
from engine.steps import http_auth
from engine.steps.http_auth import Auth
from engine.steps.http_request import Request, tls_of
from engine.text.redaction import Redactor, tells_nothing

Send = Callable[[Request, Tls | None], Response]

EARLY_SECONDS = 30.0
"""A token is not used in its last moments: it must still be good when it arrives."""

UNSAID_SECONDS = 300.0
"""How long a token is kept whose server does not say how long it lasts."""

GRACE_SECONDS = 3_600.0
"""How long a token stays masked after its end: an answer or a log line may still hold it."""

MAX_MASKED = 1024
"""How many tokens that are not kept any more stay masked at most, whatever their servers say of how long they last."""

MAX_KEPT = 256
SECRET_NAME = "oauth2_token"  # noqa: S105 - the name it is masked under


class NoToken(Exception):
    """The token endpoint gave no token; nothing was sent to the step's own address. The message is not yet redacted."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks for a token, where and for what. Two with different secrets never share a token.

    `tls` protects the connection to the token server, and no other.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    audience: str = ""
    tls: Tls | None = None


def client_of(auth: Auth) -> Client:
    """Raises `BadRequest` when something is missing."""
    said = {name: http_auth.field(auth, name) for name in ("token_url", "client_id", "client_secret")}
    said |= {name: http_auth.field(auth, name) for name in ("scope", "audience") if auth.get(name)}
    return Client(**said, tls=tls_of(auth, "token_url"))


class Tokens:
    """The process's tokens, masked by `redactor` until some time after their end. Thread-safe."""

    def __init__(self, redactor: Redactor, clock: Callable[[], float] = time.monotonic) -> None:
        self._redactor = redactor
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Client, tuple[str, float]] = {}
        self._masked: dict[str, float] = {}

    def cached(self, client: Client) -> str | None:
        """A token that is still good for a while, or None."""
        with self._lock:
            token, until = self._kept.get(client, ("", 0.0))
        return token if token and self._clock() < until else None

    def fetch(self, client: Client, send: Send) -> str:
        """A new token. Raises `NoToken`, and `CallFailed` with `sent` False: the step's own call has not begun."""
        token, seconds = _request_token(client, send)
        if not tells_nothing(token):
            raise NoToken(f"{client.token_url} gave a token too plain to be masked.", retryable=False)
        with self._lock:
            if token not in self._masked:
                self._redactor.lend([(SECRET_NAME, token)])
            self._kept.pop(client, None)
            if len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[client] = token, self._clock() + seconds - EARLY_SECONDS
            self._masked[token] = max(self._masked.pop(token, 0.0), self._clock() + seconds + GRACE_SECONDS)
            over = self._no_longer_masked()
            self._redactor.take_back((SECRET_NAME, each) for each in over)
        return token

    def _no_longer_masked(self) -> list[str]:
        """Tokens whose time is long up, and the oldest of too many; none that is still kept."""
        kept = {token for token, _until in self._kept.values()}
        idle = [token for token in self._masked if token not in kept]
        too_many = max(0, len(idle) - MAX_MASKED)
        over = [token for n, token in enumerate(idle) if n < too_many or self._masked[token] < self._clock()]
        for token in over:
            del self._masked[token]
        return over


def _request_token(client: Client, send: Send) -> tuple[str, float]:
    """Ask with the client's name in a header, as RFC 6749 wants it; servers that do not know it there get a body."""
    problem = ""
    for in_body in (False, True):
        response = _sent(client, in_body, send)
        text = response.body.decode("utf-8", "replace")
        if response.status == 200:
            return _read(client, text)
        told = _error_in(text, response.status)
        problem = f"{client.token_url} answered {response.status} when asked for a token: {told}"
        if response.status not in (400, 401) or "invalid_client" not in text:
            raise NoToken(problem, retryable=response.status >= 500 or response.status == 429)
    raise NoToken(problem, retryable=False)


def _sent(client: Client, in_body: bool, send: Send) -> Response:
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    extra = {name: value for name in ("scope", "audience") if (value := getattr(client, name))}
    if in_body:
        extra["client_secret"] = client.client_secret
    else:
        headers["Authorization"] = http_auth.basic(quote_plus(client.client_id), quote_plus(client.client_secret))
    body = BackendApplicationClient(client.client_id).prepare_request_body(include_client_id=in_body, **extra)
    try:
        return send(Request("POST", client.token_url, headers, body.encode()), client.tls)
    except CallFailed as error:
        raise CallFailed(error.code, f"No token came from {client.token_url}: {error.message}") from error


def _read(client: Client, text: str) -> tuple[str, float]:
    try:
        answer = BackendApplicationClient(client.client_id).parse_request_body_response(text)
        token, kind = answer["access_token"], str(answer.get("token_type") or "bearer")
        seconds = float(answer.get("expires_in") or UNSAID_SECONDS)
    except OAuth2Error as error:
        raise NoToken(f"What {client.token_url} answered is no token ({error}).", retryable=False) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # its words may quote the answer, and so a token
        raise NoToken(f"What {client.token_url} answered is no token that can be read.", retryable=False) from error
    if not isinstance(token, str) or not token or kind.lower() != "bearer":
        raise NoToken(f"{client.token_url} gave no bearer token.", retryable=False)
    return token, seconds


def _error_in(text: str, status: int) -> str:
    """The telling words of an answer, whole and as they are: they are masked before they are folded and cut.

    The rest of an answer that may hold a token, which nobody masks yet, is not told.
    """
    try:
        value = json.loads(text)
        told = ": ".join(str(value[key]) for key in ("error", "error_description") if value.get(key))
    except (ValueError, AttributeError, RecursionError):
        told = ""
    if not told and text.strip() and (status < 400 or "access_token" in text):
        return "what else it said is not told, since a token may be in it."
    return f"{told or text.strip() or 'nothing more'}."
