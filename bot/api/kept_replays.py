"""What freezes, held requests and break-glass answer to a request that was done before, as they are now."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from bot.api import models
from bot.api.caller import Caller
from bot.api.models.freezes import Freeze, LiftedFreezes
from bot.api.models.kept_requests import BreakGlass, HeldRequest, Released
from engine.queries import visibility
from engine.runs import break_glass, freezing, held_requests
from engine.runs.freezing import Lifted


def shown(caller: Caller, model: Any, kind: str, name: str) -> BaseModel | None:
    """The thing as the answer of this shape; None where it is no such thing. Raises `NotFound`."""
    rt, actor = caller.rt, caller.actor
    if kind == "freeze":
        found = freezing.find(rt, actor, name)
        return Freeze.of(found) if model is Freeze else LiftedFreezes.of(Lifted((found.freeze,), found.paused))
    if kind == "held_request":
        view = held_requests.find(rt, actor, name)
        return HeldRequest.of(view) if model is HeldRequest else released(caller, view.held.execution_id)
    if kind == "break_glass":
        asked = break_glass.find(rt, actor, name)
        return BreakGlass.of(asked) if model is BreakGlass else released(caller, asked.execution_id)
    return None


def released(caller: Caller, execution_id: str | None) -> Released | None:
    """The run that a kept request became."""
    if execution_id is None:
        return None
    run = visibility.execution(caller.rt, caller.actor, execution_id)
    return Released(execution=models.Execution.of(run))
