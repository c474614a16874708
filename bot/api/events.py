"""The events of a run as they happen: a server-sent stream that goes on where it was broken off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from bot.api import models, problems
from bot.api.caller import AuthenticatedCaller, Caller
from bot.api.event_feed import AccessTimer
from bot.api.people_names import named
from bot.api.problems import documented
from bot.api.route import Operation
from bot.serving.streams import RETRY_S, EventStream
from engine.errors import EngineError
from engine.queries import visibility

router = APIRouter(prefix="/executions", tags=["executions"], route_class=Operation)

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One message an event: `id` is its number, `event` its kind, `data` the event as JSON.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The run has ended and every event was told: do not come back."},
}
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@router.get("/{execution}/events", responses={**_STREAM, **documented(404, 422)}, response_class=StreamingResponse)
async def follow_execution(
    request: Request,
    caller: AuthenticatedCaller,
    execution: str,
    last_event_id: Annotated[int, Header(ge=0, le=2**53, description="The number of the last event you have.")] = 0,
    after: Annotated[int, Query(ge=0, le=2**53, description="The same for who cannot send a header.")] = 0,
) -> Response:
    """Follow a run: what has happened since the last event you have, then what happens, until it has ended.

    A message `end` is the last one of a run that has ended. Every 15 s without an event a comment says that the stream
    is alive.
    """
    seen = max(last_event_id, after)
    found = await caller.context.in_reader_thread(visibility.execution, caller.rt, caller.actor, execution)
    if found.status.ended and seen >= found.event_seq:
        return Response(status_code=204)
    refusal = problems.response(
        request, 429, "too_many_requests", "Too many runs are followed at once: end other streams first.",
        {"Retry-After": str(RETRY_S)},
    )  # fmt: skip
    told = _messages(caller, found.id, seen)
    return EventStream(told, _HEADERS, caller.context.streams, caller.actor.user_id, refusal)


async def _messages(caller: Caller, execution_id: str, seen: int) -> AsyncIterator[str]:
    watch = AccessTimer()
    async for batch in caller.context.feed.follow(execution_id, seen):
        if watch.due(batch) and not await caller.context.in_reader_thread(_may_go_on, caller, execution_id):
            return
        told = (
            await caller.context.in_reader_thread(named, caller.rt, [models.Event.of(each) for each in batch])
            if batch
            else []
        )
        yield "".join(_message(each) for each in told) or ": still here\n\n"
    yield "event: end\ndata: {}\n\n"


def _message(event: models.Event) -> str:
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"


def _may_go_on(caller: Caller, execution_id: str) -> bool:
    """Whether the token still counts, and its person may still see the run."""
    try:
        visibility.execution(caller.rt, caller.context.actor_now(caller.token.id), execution_id)
    except EngineError:
        return False
    return True
