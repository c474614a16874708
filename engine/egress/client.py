"""The client: builds a request that cannot smuggle, sends it under guard, reads a bounded answer.

httpcore is used directly, without `httpx.Client`: a shared client keeps one cookie jar, and the cookies of one
runbook's server must not travel with another's calls. httpx lends its URL parser.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpcore
import httpx

from engine.egress.allowed_addresses import Address, Allowed, Policy
from engine.egress.call import Call
from engine.egress.connection_pools import WIDTH, Lanes
from engine.egress.failure import CallFailed
from engine.egress.large_answers import FREE_BYTES, LargeAnswers
from engine.egress.resolver import Resolver
from engine.egress.sockets import GuardedBackend
from engine.egress.tls import BadTls, Tls, context_for

DEFAULT_MAX_BYTES = 1024 * 1024
KEEPALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which common servers (uvicorn, Node.js) close an idle connection."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "keep-alive", "proxy-connection"}
    | {"te", "trailer", "upgrade", "expect"}
)
"""Headers that decide where a message goes or where it ends: the client alone sets them."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WORDS = re.compile(r"[A-Za-z][A-Za-z -]*[A-Za-z](?= ?[:.(]|$)")
_FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer. Header names are in lower case, in the order received, repeated ones kept apart.

    `body` is as it came, never decompressed. `truncated` says that the server had more than `max_bytes`.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    elapsed_ms: int
    truncated: bool = False


class Egress:
    """The process's one way out. Thread-safe. Calls with `fresh` never share a connection; others are kept alive.

    Redirects are not followed, the proxy environment is not read and unix sockets are not used.
    """

    def __init__(
        self, policy: Policy, *, resolver: Resolver | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._resolver = resolver or Resolver()
        self._backend = GuardedBackend(policy, self._resolver)
        self._ssl_context = ssl_context or _default_tls()
        self._lanes = Lanes(lambda: self._new_pool(keep=WIDTH))
        self.large_answers = LargeAnswers()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        deadline_ms: int,
        max_bytes: int = DEFAULT_MAX_BYTES,
        fresh: bool,
        abandoned: Callable[[], bool] = lambda: False,
        tls: Tls | None = None,
        allowed: tuple[Allowed, ...] = (),
    ) -> Response:
        """Send one request and read its answer, all within `deadline_ms`. Raises `CallFailed`.

        `allowed` opens these hosts and ports to this call, as EGRESS_ALLOW does to all. What is more than 1 MiB of an
        answer takes one of `large_answers`; where none comes free in time it is cut off there.
        """
        started = time.monotonic()
        call = Call(deadline_ms, abandoned, allowed)
        # A connection that another call might not make, or not with this certificate, is shared with none.
        apart = fresh or bool(allowed) or tls is not None
        request = _request(method, url, headers or {}, content, apart)
        try:
            status, received, body, truncated = self.exchange(request, call, max_bytes, apart=apart, tls=tls)
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise _failure(error, call) from error
        return Response(status, received, body, round((time.monotonic() - started) * 1000), truncated)

    def exchange(
        self, request: httpcore.Request, call: Call, max_bytes: int, *, apart: bool, tls: Tls | None
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes, bool]:
        """Put one request on the wire: the status, headers and body of its answer, and whether that was cut off.

        Whatever answers calls without a network, as in a rehearsal, does so here.
        """
        with self._pool(tls, apart=apart) as pool, self._backend.serving(call):
            return self._exchange(pool, request, call, max_bytes)

    def addresses(
        self, host: str, port: int, *, deadline_ms: int, abandoned: Callable[[], bool] = lambda: False
    ) -> tuple[Address, ...]:
        """The host's addresses, resolved once and all allowed, for a client that connects by itself.

        Raises `CallFailed` (egress_refused, dns, timeout, abandoned).
        """
        with self._backend.serving(Call(deadline_ms, abandoned)):
            return self._backend.checked_addresses(host, port)

    def trusted_authorities(self) -> bytes:
        """The certificate authorities that calls trust, as PEM, for a client that connects by itself."""
        return "".join(map(ssl.DER_cert_to_PEM_cert, self._ssl_context.get_ca_certs(binary_form=True))).encode()

    def close(self) -> None:
        """Close all connections, so that calls under way fail, and let the look-up threads end."""
        self._lanes.close()
        self._resolver.close()

    def __enter__(self) -> Egress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange(
        self, pool: httpcore.ConnectionPool, request: httpcore.Request, call: Call, max_bytes: int
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes, bool]:
        call.patience()  # an abandoned call does not even start
        response = pool.handle_request(request)
        try:
            call.head_complete()
            headers = tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers
            )
            body = bytearray()
            for chunk in response.iter_stream():
                call.patience()
                body += chunk
                most = (
                    max_bytes
                    if len(body) <= FREE_BYTES or max_bytes <= FREE_BYTES or self.large_answers.take(call)
                    else FREE_BYTES
                )
                if len(body) > most:
                    return response.status, headers, bytes(body[:most]), True
            return response.status, headers, bytes(body), False
        finally:
            response.close()

    def _pool(self, tls: Tls | None, *, apart: bool) -> AbstractContextManager[httpcore.ConnectionPool]:
        return closing(self._new_pool(keep=0, tls=tls)) if apart else self._lanes.one()

    def _new_pool(self, *, keep: int, tls: Tls | None = None) -> httpcore.ConnectionPool:
        try:
            context = self._ssl_context if tls is None else context_for(tls, self._ssl_context)
        except BadTls as error:
            raise _unsendable(f"{error}.") from None
        return httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,  # the number of calls under way bounds it
            max_keepalive_connections=keep,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=self._backend,
        )


def _default_tls() -> ssl.SSLContext:
    """The bundled public authorities and those that the operating system trusts, for services inside."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    bundle = Path(ssl.get_default_verify_paths().openssl_capath, "ca-certificates.crt")
    if bundle.is_file():
        # OpenSSL reads a folder only while it checks a certificate, which would hide it from `trusted_authorities`.
        context.load_verify_locations(bundle)
    return context


def _request(method: str, url: str, headers: Mapping[str, str], content: bytes, apart: bool) -> httpcore.Request:
    if method not in METHODS:
        raise _unsendable(f"{method!r} is not a method that steps use.")
    target = _parse_url(url)
    lines = [(b"Host", target.netloc), (b"Accept-Encoding", b"identity"), *_header_lines(headers)]
    if content or method in ("POST", "PUT", "PATCH"):
        lines.append((b"Content-Length", str(len(content)).encode()))
    if apart:
        lines.append((b"Connection", b"close"))
    address = httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
    return httpcore.Request(method.encode(), address, headers=lines, content=content)


def _parse_url(url: str) -> httpx.URL:
    try:
        target = httpx.URL(url)
        host = target.host  # reading it is what finds a name in Punycode that stands for nothing
    except (httpx.InvalidURL, ValueError) as error:
        raise _unsendable(f"the address is not a valid URL ({error}).") from error
    if target.scheme not in ("http", "https") or not host:
        raise _unsendable("the address must begin with https:// or http:// and a host.")
    if target.port is not None and not 1 <= target.port <= 65535:
        raise _unsendable("the port must be a number from 1 to 65535.")
    if target.userinfo:
        raise _unsendable("put user and password in `auth`, not in the address.")
    return target


def _header_lines(headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise _unsendable(f"{name!r} is not a header name.")
        if name.lower() in OWN_HEADERS:
            raise _unsendable(f"the header {name} is set by the bot; leave it out.")
        if _FORBIDDEN_IN_VALUE.search(value):
            raise _unsendable(f"the header {name} holds a line break or another control character.")
        try:
            yield name.encode("ascii"), value.strip().encode("utf-8")
        except UnicodeEncodeError as error:
            raise _unsendable(f"the header {name} holds an invalid character.") from error


def _unsendable(why: str) -> CallFailed:
    return CallFailed("bad_request", f"Nothing was sent: {why}")


def _failure(error: Exception, call: Call) -> CallFailed:
    if isinstance(error, httpcore.LocalProtocolError):
        return CallFailed("bad_request", f"The request cannot be sent as it is ({error}).", sent=call.wrote)
    network = isinstance(error, httpcore.NetworkError)
    said = str(error) if network else _own_words(error)
    told = f" ({said})" if said else ""
    # httpcore tells an early end from garbage only in words.
    if network or re.search("disconnected|closed connection", said):
        lost = f"The connection was lost before the answer was complete{told}."
        return CallFailed("connection_lost", lost, sent=call.wrote)
    return CallFailed("protocol", f"The server's answer is not valid HTTP{told}.", sent=call.wrote)


def _own_words(error: Exception) -> str:
    """What the library says is wrong, without the answer that it quotes, in which a secret may be."""
    said = _WORDS.match(str(error))
    return said[0] if said else ""
