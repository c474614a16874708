"""Plans of runs."""

from __future__ import annotations

from fastapi import APIRouter

from bot.api.caller import AuthenticatedCaller
from bot.api.executions import STEERED
from bot.api.models.plans import Plan, PlanWanted
from bot.api.route import Operation, needs
from engine.access.policy import Action
from engine.orchestration.admission import Wanted
from engine.queries import visibility
from engine.runs import live_plans, plans

router = APIRouter(prefix="/runbooks", tags=["runbooks"], route_class=Operation)


@router.post("/{runbook}/plan", responses=STEERED, **needs(Action.VIEW))
def plan_runbook(caller: AuthenticatedCaller, runbook: str, asked: PlanWanted) -> Plan:
    """Everything that a run would do, rendered, with nothing done; and whether you may start it now.

    With `live` the targets of steps that have a `dry_run` are asked in their own check mode, by who may start it only.
    """
    slug = visibility.runbook(caller.rt, caller.actor, runbook).slug
    wanted = Wanted(
        slug, asked.parameters, caller.actor.door, number=asked.version, reason=asked.reason,
        incident=asked.incident.facts(),
    )  # fmt: skip
    make = live_plans.make if asked.live else plans.make
    return Plan.of(make(caller.rt, caller.actor, wanted))
