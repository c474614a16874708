"""A request with an idempotency key: done once, and answered the same as often as it is made."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import Request, Response

from bot.api import idempotent_answers
from bot.api.caller import ApiContext, Caller
from bot.api.idempotent_answers import KeyedRequest
from engine.access.policy import Action
from engine.errors import Conflict
from engine.failpoints import failpoint
from engine.runs import idempotency
from storage.people_records import AnswerRecord, Turn

PATIENCE_S = 20.0
"""How long who repeats a request waits for whoever is doing it."""
_LOOK_AGAIN_S = 0.1
_KEPT_HEADERS = ("location", "etag")

Act = Callable[[Request], Awaitable[Response]]


async def once(
    caller: Caller, request: Request, body: bytes, action: Action, shape: idempotent_answers.Shape, act: Act
) -> Response:
    """Do what was asked, unless this person's request with this key was done before: then answer the same.

    While somebody else does it, this waits for what they answer, and takes their place once they are dead. What was
    answered before is told only to who may still do it, by this token too, and of it what they may see now. Raises
    `Conflict` when the wait is too long.
    """
    assert caller.key is not None
    asked = KeyedRequest(action, shape, request.path_params, body)
    turn = idempotency.turn_of(caller.rt, caller.actor, caller.key)
    line = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    digest, until = hashlib.sha256(line + body).hexdigest(), time.monotonic() + PATIENCE_S
    while True:
        found = await caller.context.in_writer_thread(idempotency.begin, turn, digest)
        if found is not None and found.status is not None:
            told = await caller.context.in_reader_thread(idempotent_answers.as_told_now, caller, asked, found.body)
            return idempotent_answers.again(told, found.status, found.headers)
        if found is not None and found.holder == turn.holder:
            try:
                return await _do(caller, turn, found, asked, request, act)
            except idempotency.TakenOver:
                continue
        if time.monotonic() > until:
            raise Conflict(f"The request with the idempotency key {caller.key!r} is being done. Ask again in a moment.")
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _do(
    caller: Caller, turn: Turn, found: AnswerRecord, asked: KeyedRequest, request: Request, act: Act
) -> Response:
    """Do it, or where somebody did it and died, answer in their place; what is answered is kept."""
    context = caller.context
    try:
        async with _held(context, turn):
            answer = (
                await context.in_reader_thread(idempotent_answers.of_done, caller, asked, found.thing)
                if found.thing
                else None
            )
            if answer is None:
                with idempotency.in_turn(turn):
                    answer = await act(request)
            failpoint("answer.before")
            kept = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
            await context.in_writer_thread(
                idempotency.answered, turn, answer.status_code, kept, bytes(answer.body).decode()
            )
    except BaseException as error:
        mine = await context.in_writer_thread(idempotency.given_up, turn)
        if mine or not isinstance(error, Exception):
            raise
        raise idempotency.TakenOver from error  # it was refused for what another turn had done
    return answer


@asynccontextmanager
async def _held(context: ApiContext, turn: Turn) -> AsyncIterator[None]:
    """Within this nobody else takes the turn for abandoned."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(idempotency.RENEW_S)
            await context.in_reader_thread(idempotency.renew, turn)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
