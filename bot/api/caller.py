"""Who asks: a bearer token made the person that it acts as."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from bot.api.event_feed import Feed
from bot.api.problems import Refused
from bot.api.rate_limit import RateLimit
from bot.serving.server_limits import Limits
from bot.serving.streams import Streams
from engine.access import account_status, tokens
from engine.access.policy import Actor
from engine.errors import InvalidParameters, NotAuthenticated
from engine.runtime import Runtime
from storage.people_records import TokenRecord

T = TypeVar("T")

READERS, WRITERS = 8, 8
"""What the API does at once; the rest waits. Who looks does not wait for those who wait for the database's lock, and
Slack's requests have threads of their own."""
KEY_HEADER, MAX_KEY = "Idempotency-Key", 200
_ASK_SLACK_EVERY_S, _ASK_SLACK_SOON_S = 300.0, 10.0
"""How often Slack is asked anew about a token's person; sooner where it has said nothing of them."""

scheme = HTTPBearer(auto_error=False, description="A token made by `/runbook token create` or `runbook token create`.")


@dataclass(frozen=True, slots=True)
class Caller:
    """The person who asks, and the token that says so; `key` is their name for this request, to be done once."""

    context: ApiContext
    actor: Actor
    token: TokenRecord
    key: str | None = None

    @property
    def rt(self) -> Runtime:
        return self.context.rt


class ApiContext:
    """What every request needs: the engine, threads, and how often who may ask.

    `base` is the address of the API as its users write it. `refresh` asks Slack anew who somebody is; it may take
    seconds and never raises; `find_author` says whose an e-mail address is. Both are None without Slack. `door` is what
    the record says that people came through.
    """

    door = "api"

    def __init__(
        self,
        rt: Runtime,
        base: str,
        refresh: Callable[[str], object] | None = None,
        find_author: Callable[[str], str | None] | None = None,
    ) -> None:
        self.rt = rt
        self.base = base
        self.find_author = find_author
        self.feed = Feed(rt, self.in_reader_thread)
        self.streams = Streams(Limits())
        self.rates = RateLimit(rt.settings.api_rate_limit)
        self._refresh = refresh
        self._ask_again: dict[str, float] = {}
        self._asking: dict[str, threading.Lock] = {}
        self._reading, self._writing = CapacityLimiter(READERS), CapacityLimiter(WRITERS)

    async def in_reader_thread(self, act: Callable[..., T], *args: Any, **keys: Any) -> T:
        """Look at something, off the event loop."""
        return await run_sync(partial(act, *args, **keys), limiter=self._reading)

    async def in_writer_thread(self, act: Callable[..., T], *args: Any, **keys: Any) -> T:
        """Change something, off the event loop."""
        return await run_sync(partial(act, *args, **keys), limiter=self._writing)

    async def caller(self, request: Request) -> Caller:
        """Who asks, of a request that is here as a whole. Raises as `token`."""
        token = await self.token(request)
        return await self.in_reader_thread(self.authenticated, request, token.id)

    async def token(self, request: Request) -> TokenRecord:
        """The token that a request came with, which counts so far and has asked once more.

        Raises `NotAuthenticated`, and `Refused` for a token that asks too often.
        """
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            raise NotAuthenticated("Send a token along: `Authorization: Bearer rbk_…`. `token create` makes one.")
        token = await self.in_reader_thread(tokens.authenticate, self.rt, secret.strip())
        wait = self.rates.take(token.id)
        if wait:
            sentence = f"This token asks too often: at most {self.rt.settings.api_rate_limit} times a minute."
            raise Refused(429, "too_many_requests", sentence, {"Retry-After": str(wait)})
        return token

    def authenticated(self, request: Request, token_id: str) -> Caller:
        """The caller as they are now: a body may take as long as its sender likes, and meanwhile a token is revoked
        or its person leaves. Raises `NotAuthenticated`.
        """
        token, actor = self._now(token_id)
        return Caller(self, actor, token, _key(request))

    def actor_now(self, token_id: str) -> Actor:
        """The person of a token that was good a moment ago, as they are now. Raises `NotAuthenticated`."""
        return self._now(token_id)[1]

    def _now(self, token_id: str) -> tuple[TokenRecord, Actor]:
        token = account_status.token_now(self.rt, token_id)
        self._refresh_standing(token.user_id)
        return token, tokens.actor_of(self.rt, token, self.door)

    def _refresh_standing(self, user_id: str) -> None:
        """Ask Slack who this is and who is in the groups, now and then: nobody who left may go on by a token."""
        if self._refresh is None:
            return
        with self._asking.setdefault(user_id, threading.Lock()):  # who comes meanwhile waits for the same answer
            now = time.monotonic()
            if now < self._ask_again.get(user_id, now):
                return
            self._refresh(user_id)
            known = account_status.standing_of(self.rt, user_id) != account_status.UNKNOWN
            self._ask_again[user_id] = now + (_ASK_SLACK_EVERY_S if known else _ASK_SLACK_SOON_S)


def _key(request: Request) -> str | None:
    """The request's idempotency key. Raises `InvalidParameters` for one that cannot be kept."""
    key = request.headers.get(KEY_HEADER)
    if key is None or request.method != "POST":
        return None
    if not key or len(key) > MAX_KEY or not key.isascii() or not key.isprintable():
        raise InvalidParameters({KEY_HEADER: f"use 1 to {MAX_KEY} printable ASCII characters"})
    return key


async def _caller(request: Request, _bearer: Annotated[Any, Security(scheme)]) -> Caller:
    found: Caller = request.state.caller
    return found


AuthenticatedCaller = Annotated[Caller, Depends(_caller)]
"""A parameter of every operation: who asks."""
