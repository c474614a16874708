"""Freezes: what may not begin for a while."""

from __future__ import annotations

from fastapi import APIRouter

from bot.api.caller import AuthenticatedCaller
from bot.api.models.freezes import Freeze, Lift, LiftedFreezes, NewFreeze
from bot.api.problems import documented
from bot.api.route import Operation, needs
from engine.access.policy import Action
from engine.runs import freezing

router = APIRouter(prefix="/freezes", tags=["freezes"], route_class=Operation)
_CHANGED = documented(400, 403, 404, 409, 413, 415, 422)


@router.get("", responses=documented(403))
def list_freezes(caller: AuthenticatedCaller) -> list[Freeze]:
    """The freezes in force, and those that ended and have left runs paused."""
    return [Freeze.of(each) for each in freezing.listing(caller.rt, caller.actor)]


@router.get("/upcoming", responses=documented(403))
def list_upcoming_freezes(caller: AuthenticatedCaller) -> list[Freeze]:
    """The windows of the calendar that open within 14 days, the soonest first."""
    return [Freeze.of(each) for each in freezing.upcoming(caller.rt, caller.actor)]


@router.post("", status_code=201, responses=_CHANGED, **needs(Action.FREEZE))
def set_freeze(caller: AuthenticatedCaller, wanted: NewFreeze) -> Freeze:
    """Let nothing of a scope be started, retried or replayed for a while."""
    return Freeze.of(
        freezing.freeze(
            caller.rt, caller.actor, wanted.scope, wanted.reason, until=wanted.until, lasting=wanted.duration,
            hold_running=wanted.hold_running,
        )
    )  # fmt: skip


@router.get("/{freeze}", responses=documented(404))
def get_freeze(caller: AuthenticatedCaller, freeze: str) -> Freeze:
    """One freeze, also one that has ended."""
    return Freeze.of(freezing.find(caller.rt, caller.actor, freeze))


@router.post("/{freeze}/lift", responses=_CHANGED, **needs(Action.UNFREEZE))
def lift_freeze(caller: AuthenticatedCaller, freeze: str, how: Lift) -> LiftedFreezes:
    """End it before its time. Instead of its id a scope lifts all that people have set on that."""
    return LiftedFreezes.of(freezing.unfreeze(caller.rt, caller.actor, freeze, how.reason, resume=how.resume))
