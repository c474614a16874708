"""Incidents: channels bound to a case, and the story of a channel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from bot.api import models
from bot.api.caller import AuthenticatedCaller
from bot.api.problems import documented, leading_to
from bot.api.route import Operation, needs
from engine.access.policy import Action, verdict
from engine.errors import Conflict
from engine.orchestration import incidents
from engine.queries import incident_story
from storage.records import ExecutionRecord

router = APIRouter(prefix="/incidents", tags=["incidents"], route_class=Operation)
Number = Annotated[int, Path(ge=1, le=2**53)]
_CHANGED = documented(400, 403, 404, 409, 413, 415, 422, 503)

_OPENED = {
    **_CHANGED,
    **leading_to(201, "incident", "id", "get_incident", "edit_incident", "close_incident", "tell_incident"),
}


@router.get("", responses=documented(422))
def list_incidents(
    caller: AuthenticatedCaller,
    open: bool = False,  # noqa: A002 - the filter's name
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[models.Incident]:
    """The newest incidents first, those of private channels only where they are yours; `open` leaves those that are."""
    found = incidents.recent(caller.rt, caller.actor, open_only=open, limit=limit)
    return [models.Incident.of(each) for each in found]


@router.get("/{incident}", responses=documented(404, 422))
def get_incident(caller: AuthenticatedCaller, incident: Number) -> models.Incident:
    """One incident, if its channel is public or yours."""
    return models.Incident.of(incidents.seen(caller.rt, caller.actor, incident))


@router.post("", status_code=201, responses=_OPENED, **needs(Action.INCIDENT))
def open_incident(caller: AuthenticatedCaller, wanted: models.NewIncident) -> models.Incident:
    """Make a channel that you are in an incident."""
    made = incidents.open_incident(
        caller.rt, caller.actor, wanted.channel, wanted.channel_name, wanted.title, wanted.severity, wanted.facts
    )
    return models.Incident.of(made)


@router.patch("/{incident}", responses=_CHANGED, **needs(Action.INCIDENT))
def edit_incident(caller: AuthenticatedCaller, incident: Number, wanted: models.EditedIncident) -> models.Incident:
    """Change what is known of an open incident; an empty field is dropped."""
    channel = _open_channel(caller, incident)
    changed = incidents.edit(
        caller.rt, caller.actor, channel, title=wanted.title, severity=wanted.severity, fields=wanted.facts
    )
    return models.Incident.of(changed)


@router.post("/{incident}/close", responses=_CHANGED, **needs(Action.INCIDENT))
def close_incident(caller: AuthenticatedCaller, incident: Number, how: models.Cancel) -> models.Incident:
    """End an incident. 409 while runs are open in its channel, unless `force` says that this is meant."""
    done = incidents.close(caller.rt, caller.actor, _open_channel(caller, incident), how.reason, force=how.force)
    if not done.closed:
        names = ", ".join(run.id for run in done.open_runs if _may_see(caller, run)) or "of other teams"
        raise Conflict(f"Runs are open in its channel: {names}. Close it all the same with `force`.")
    return models.Incident.of(done.incident)


@router.get("/{incident}/story", responses=documented(403, 404, 422))
def tell_incident(caller: AuthenticatedCaller, incident: Number) -> models.Story:
    """What happened in the incident's channel, for whoever comes late."""
    channel = incidents.seen(caller.rt, caller.actor, incident).channel
    told = incident_story.catch_up(caller.rt, caller.actor, channel)
    every = [*told.runs, *(each.execution for each in (*told.open, *told.failures))]
    hidden = {run.id for run in every if not _may_see(caller, run)}
    return models.Story.of(told, hidden)


def _may_see(caller: AuthenticatedCaller, run: ExecutionRecord) -> bool:
    return verdict(caller.rt, caller.actor, Action.VIEW, run).allowed


def _open_channel(caller: AuthenticatedCaller, incident: int) -> str:
    found = incidents.seen(caller.rt, caller.actor, incident)
    if found.closed_at is not None:
        raise Conflict(f"Incident {incident} is closed.")
    return found.channel
