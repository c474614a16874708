"""What an external policy is told of a deed: who, what, to which thing, with which parameters, in which incident."""

from __future__ import annotations

from dataclasses import dataclass

from engine.access import kept_version
from engine.access.actions import Action, Actor, Draft, FreezeScope, Gate, SecretName, Task, Team, Thing
from engine.access.roles import roles_of
from engine.runtime import Runtime
from storage import database, runbooks
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ExecutionRecord, Json


@dataclass(frozen=True, slots=True)
class About:
    """What a run is to be started with, which no record holds yet; `version` None is the one that would run now."""

    parameters: Json
    incident: Json
    version: VersionRecord | None = None


def facts_of(rt: Runtime, actor: Actor, action: Action, thing: Thing, about: About | None) -> dict[str, Json]:
    """Everything but the time, as JSON: the same for the same deed."""
    run = thing.execution if isinstance(thing, Gate | Task) else thing
    if about is None and isinstance(run, ExecutionRecord):
        about = About(run.parameters, run.incident)
    return {
        "actor": _actor(rt, actor), "action": action.name.lower(), "thing": _thing(rt, action, thing, about),
        "parameters": about.parameters if about else None, "incident": (about.incident or None) if about else None,
    }  # fmt: skip


def _actor(rt: Runtime, actor: Actor) -> dict[str, Json]:
    roles = roles_of(rt, actor.user_id)
    return {
        "id": actor.user_id, "email": actor.email, "door": actor.door,
        "scopes": sorted(actor.scopes) if actor.scopes is not None else None,
        "platform_admin": roles.platform_admin, "responder": roles.responder,
        "admin_of": sorted(roles.admin_of), "member_of": sorted(roles.member_of),
    }  # fmt: skip


def _thing(rt: Runtime, action: Action, thing: Thing, about: About | None) -> dict[str, Json] | None:
    if isinstance(thing, Gate):
        return {"kind": "gate", "gate": thing.approval.path, **_run(thing.execution)}
    if isinstance(thing, Task):
        return {"kind": "task", "step": thing.task.path, **_run(thing.execution)}
    if isinstance(thing, ExecutionRecord):
        return {"kind": "run", **_run(thing)}
    if isinstance(thing, RunbookRecord):
        runs = ((about and about.version) or kept_version.of(rt, thing)) if action is Action.START else None
        return {"kind": "runbook", "runbook": thing.slug, **(_said(runs) if runs else _newest(thing))}
    if isinstance(thing, VersionRecord):
        return {"kind": "version", **_version(thing)}
    if isinstance(thing, Draft):
        return {"kind": "draft", "runbook": thing.slug, "team": thing.team}
    if isinstance(thing, FreezeScope):
        return {"kind": "scope", "scope": thing.slug, "team": thing.team}
    if isinstance(thing, SecretName):
        return {"kind": "secret", "secret": thing.name}
    return {"kind": "team", "team": thing.name} if isinstance(thing, Team) else None


def _run(run: ExecutionRecord) -> dict[str, Json]:
    with database.reading():
        version = runbooks.version_by_id(run.version_id)
    said = _version(version) if version is not None else {}
    return {**said, "run": run.id, "requester": run.requester}


def _version(version: VersionRecord) -> dict[str, Json]:
    return {"runbook": version.slug, "digest": version.digest, **_said(version)}


def _said(version: VersionRecord) -> dict[str, Json]:
    return {"version": version.number, **{name: version.definition.get(name) for name in ("team", "tags", "risk")}}


def _newest(runbook: RunbookRecord) -> dict[str, Json]:
    said = {"team": runbook.team, "tags": list(runbook.tags), "risk": runbook.risk}
    return {"version": runbook.current_number, **said}
