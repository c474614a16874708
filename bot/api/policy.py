"""What does not belong to one runbook or run: asking the policy, and reading the folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query

from bot.api import models
from bot.api.caller import AuthenticatedCaller
from bot.api.models.base import moment
from bot.api.problems import documented
from bot.api.route import Operation, needs
from engine.access import people
from engine.access.policy import Action, teams_seen
from engine.catalog import renewals, sync
from engine.queries import can, visibility

router = APIRouter(tags=["policy"], route_class=Operation)


@router.get("/can", responses=documented(404, 409, 422))
def ask_policy(
    caller: AuthenticatedCaller,
    verb: Annotated[str, Query(max_length=40, description="As it is typed in Slack: `run`, `admin approve` …")],
    target: Annotated[
        str, Query(max_length=200, description="A runbook's id, ID@VERSION, a run's id, a scope, for report a team.")
    ] = "",
    person: Annotated[str, Query(pattern="^([UW][A-Z0-9]{2,20})?$", description="Yourself when left out.")] = "",
) -> models.Ruling:
    """Whether somebody may do something, and which rule says so."""
    if target.upper().startswith("R-"):
        visibility.execution(caller.rt, caller.actor, target)
    elif target and verb not in ("report", "freeze", "unfreeze"):
        visibility.runbook(caller.rt, caller.actor, target.partition("@")[0])
    about = caller.actor if person in ("", caller.actor.user_id) else people.as_known(caller.rt, person)
    found = can.can(caller.rt, about, verb, target)
    said = found.verdict
    return models.Ruling(
        person=found.person, verb=found.verb, thing=found.thing, allowed=said.allowed, why=said.why, rule=said.rule,
        role=said.role, ask=list(said.ask), but=found.but,
    )  # fmt: skip


@router.get("/renewals")
def list_renewals(caller: AuthenticatedCaller) -> list[models.Renewal]:
    """The approvals of runbooks that you may see which end soon or have ended, the first to end first."""
    teams = teams_seen(caller.rt, caller.actor)
    due = renewals.due(caller.rt)
    seen = [each for each in due if teams is None or (team := each.version.definition["team"]) is None or team in teams]
    return [
        models.Renewal(
            runbook=each.version.slug, number=each.version.number, digest=each.version.digest,
            expires_at=None if each.expires_at is None else moment(each.expires_at), expired=each.expired,
            changed=list(each.changed), approved_by=each.quorum.people,
            missing=list(each.quorum.missing),
        )
        for each in seen
    ]  # fmt: skip


@router.post("/sync", responses=documented(403, 409), **needs(Action.SYNC))
def sync_runbooks(caller: AuthenticatedCaller) -> models.Synced:
    """Read the runbooks folder and the access file now."""
    report = sync.sync(caller.rt, caller.actor, caller.context.find_author)
    last = report.last
    return models.Synced(
        changes=_changes(report.changes),
        problems=[str(each) for each in report.problems],
        unchanged=report.unchanged,
        last=models.LastChange(at=moment(last.at), by=last.by, changes=_changes(last.changes)) if last else None,
    )


def _changes(changes: Iterable[sync.SyncChange]) -> list[models.SyncChange]:
    return [models.SyncChange(runbook=each.slug, kind=each.kind, version=each.number) for each in changes]
