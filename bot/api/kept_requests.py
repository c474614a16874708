"""Held requests, and break-glass."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bot.api.caller import AuthenticatedCaller, Caller
from bot.api.executions import answer_of
from bot.api.models.kept_requests import BreakGlass, HeldRequest, Kept, Released, Review
from bot.api.problems import documented
from bot.api.route import Operation, needs
from engine.access.policy import Action
from engine.orchestration.admission import Wanted
from engine.queries import visibility
from engine.runs import break_glass, held_requests
from engine.runs.executions import Accepted

router = APIRouter(tags=["kept requests"], route_class=Operation)
_CHANGED = documented(400, 403, 404, 409, 413, 415, 422, 503)


def _wanted(caller: Caller, asked: Kept) -> Wanted:
    slug = visibility.runbook(caller.rt, caller.actor, asked.runbook).slug
    incident = {"channel": asked.channel} if asked.channel else {}
    return Wanted(
        slug,
        asked.parameters,
        caller.actor.door,
        number=asked.version,
        reason=asked.reason,
        incident=incident,
    )


def _released(caller: Caller, accepted: Accepted, answer: Response) -> Released:
    answer.headers["Location"] = f"{caller.context.base}/executions/{accepted.execution.id}"
    return Released(execution=answer_of(caller, accepted.execution))


@router.get("/held-requests", responses=documented(403))
def list_held_requests(caller: AuthenticatedCaller) -> list[HeldRequest]:
    """The requests that wait for the end of a freeze, the oldest first."""
    return [HeldRequest.of(each) for each in held_requests.listing(caller.rt, caller.actor)]


@router.post("/held-requests", status_code=201, responses=_CHANGED, **needs(Action.START))
def hold_request(caller: AuthenticatedCaller, wanted: Kept) -> HeldRequest:
    """Keep a request that a freeze refuses now until the freeze ends."""
    return HeldRequest.of(held_requests.hold(caller.rt, caller.actor, _wanted(caller, wanted)))


@router.post("/held-requests/{held}/release", status_code=202, responses=_CHANGED, **needs(Action.START))
def release_request(caller: AuthenticatedCaller, held: str, answer: Response) -> Released:
    """Start it as its requester's; everything is checked anew."""
    return _released(caller, held_requests.release(caller.rt, caller.actor, held), answer)


@router.delete("/held-requests/{held}", responses=documented(403, 404, 409), **needs(Action.START))
def drop_request(caller: AuthenticatedCaller, held: str) -> HeldRequest:
    """Let it wait no more."""
    view = held_requests.find(caller.rt, caller.actor, held)
    held_requests.drop(caller.rt, caller.actor, held)
    return HeldRequest.of(view)


@router.get("/break-glass", responses=documented(403))
def list_break_glass(caller: AuthenticatedCaller) -> list[BreakGlass]:
    """What may be agreed to, and what is to be reviewed."""
    return [BreakGlass.of(each) for each in break_glass.waiting(caller.rt, caller.actor)]


@router.post("/break-glass", status_code=201, responses=_CHANGED, **needs(Action.START))
def ask_for_break_glass(caller: AuthenticatedCaller, wanted: Kept) -> BreakGlass:
    """Ask for a run in spite of a freeze, a missing approval or a quorum; a second person has to agree."""
    return BreakGlass.of(break_glass.ask(caller.rt, caller.actor, _wanted(caller, wanted)))


@router.get("/break-glass/{asked}", responses=documented(404))
def get_break_glass(caller: AuthenticatedCaller, asked: str) -> BreakGlass:
    """One break-glass, whatever became of it."""
    return BreakGlass.of(break_glass.find(caller.rt, caller.actor, asked))


@router.post("/break-glass/{asked}/agree", status_code=202, responses=_CHANGED, **needs(Action.START))
def agree_to_break_glass(caller: AuthenticatedCaller, asked: str, answer: Response) -> Released:
    """Agree as the second person: it runs at once, and a review stays open."""
    return _released(caller, break_glass.agree(caller.rt, caller.actor, asked), answer)


@router.post("/break-glass/{asked}/review", responses=_CHANGED, **needs(Action.REVIEW))
def review_break_glass(caller: AuthenticatedCaller, asked: str, found: Review) -> BreakGlass:
    """Close its review, as a platform admin who had no part in it."""
    return BreakGlass.of(break_glass.review(caller.rt, caller.actor, asked, found.note))
