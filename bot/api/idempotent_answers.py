"""A request that was done before and is made again: its answer is told only to who may still do it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from bot.api import kept_replays, models
from bot.api.caller import Caller
from bot.api.models.kept_requests import Released
from bot.api.people_names import named
from engine.access.auditing import kind_and_name
from engine.access.policy import Action
from engine.catalog import authoring, catalog, renewals
from engine.orchestration import incidents
from engine.queries import visibility
from engine.runs import executions, gate_notifications
from storage.records import ExecutionRecord


@dataclass(frozen=True, slots=True)
class Shape:
    """What an operation answers when all went well."""

    model: Any
    status: int


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request: what it needs, the shape of its answer, what its address names, and its body."""

    action: Action
    shape: Shape
    path: Mapping[str, str]
    body: bytes


def as_told_now(caller: Caller, asked: KeyedRequest, answer: str) -> str:
    """The answer as the caller may see it today: without a run's incident where that is of a channel not theirs.

    Raises as the operation would: `NotFound` for what may not be seen, `NotAllowed` for what may not be done. What it
    was done to stands in the address, or else in the body or in the `answer`.
    """
    wanted, told = _object(asked.body), _object(answer)
    run, action = asked.path.get("execution", ""), asked.action
    slug = asked.path.get("runbook") or wanted.get("runbook") or (told.get("id") if action is Action.EDIT else None)
    if slug is None and action is Action.START:  # a request that was kept
        slug = told.get("runbook") or (told.get("execution") or {}).get("runbook")
    begun = told.get("execution", told)
    begun_id = str(begun.get("id", "")) if isinstance(begun, dict) else str(told.get("id", ""))
    scope = str(told.get("scope") or "") if action in (Action.FREEZE, Action.UNFREEZE) else ""
    visibility.still(
        caller.rt,
        caller.actor,
        action,
        slug=str(slug or ""),
        run=run,
        step=asked.path.get("step", ""),
        scope=scope,
        asked_for=begun_id,
        secret=asked.path.get("secret", ""),
    )
    if asked.shape.model is models.Incident:
        incidents.seen(caller.rt, caller.actor, int(told["id"]))
    if not isinstance(begun, dict) or not begun_id.startswith("R-"):
        return answer
    shown = visibility.execution(caller.rt, caller.actor, begun["id"])
    if not begun.get("incident") or shown.incident is not None:
        return answer
    people = begun.pop("people", {})
    begun["incident"] = None
    rest = json.dumps(begun)
    begun["people"] = {each: name for each, name in people.items() if each in rest}
    return json.dumps(told, ensure_ascii=False)


def again(body: str, status: int, headers: Mapping[str, str]) -> Response:
    """An answer that says of itself that nothing was done for it."""
    return Response(body, status, {**headers, "Idempotency-Replayed": "true"}, media_type="application/json")


def of_done(caller: Caller, asked: KeyedRequest, thing: str) -> Response | None:
    """The answer to what was done and never answered: `thing`, as it is now. Raises as the operation.

    None for what is just done again, which changes nothing: reading the folder.
    """
    kind, name = kind_and_name(thing)
    shown, headers = _shown(caller, asked, kind, name)
    if shown is None:
        return None
    body = as_told_now(caller, asked, named(caller.rt, shown).model_dump_json(by_alias=True))
    return again(body, asked.shape.status, headers)


def _shown(caller: Caller, asked: KeyedRequest, kind: str, name: str) -> tuple[BaseModel | None, dict[str, str]]:
    rt, model = caller.rt, asked.shape.model
    if kind == "execution":
        run = visibility.execution(rt, caller.actor, name)
        begun = asked.shape.status == 202
        return _of_run(caller, asked, run), {"Location": f"{caller.context.base}/executions/{run.id}"} if begun else {}
    if kind == "incident" and model is models.Incident:
        return models.Incident.of(incidents.seen(rt, caller.actor, int(name))), {}
    slug, _, number = name.partition("@")
    if kind == "runbook" and model is models.ApprovedVersion:
        found = renewals.approval(rt, catalog.version(rt, visibility.runbook(rt, caller.actor, slug).slug, int(number)))
        return models.ApprovedVersion.of_approval(found), {}
    if kind == "runbook" and model is models.Version:
        whole = asked.action is Action.DEPRECATE and not _object(asked.body).get("version")
        seen = visibility.runbook(rt, caller.actor, slug)
        return models.Version.of(catalog.version(rt, seen.slug, None if whole else int(number))), {}
    if kind == "runbook" and model is models.Runbook:
        made = visibility.runbook(rt, caller.actor, slug)
        where = f"{caller.context.base}/runbooks/{made.slug}"
        return models.Runbook.of(made), {"Location": where, "ETag": f'"{authoring.tag(made)}"'}
    return kept_replays.shown(caller, model, kind, name), {}


def _of_run(caller: Caller, asked: KeyedRequest, run: ExecutionRecord) -> BaseModel | None:
    if asked.shape.model is models.Started:
        warnings = gate_notifications.foreseen(caller.rt, run)
        return models.Started(how="started", execution=models.Execution.of(run), warnings=warnings)
    if asked.shape.model is models.Gate:
        gates = executions.view(caller.rt, run.id).gates
        return models.Gate.of([each for each in gates if each.approval.path == asked.path["step"]][-1], run.team)
    if asked.shape.model is models.ManualTask:
        return models.ManualTask.of(visibility.task(run, asked.path["step"]).task, run.team)
    if asked.shape.model is Released:
        return Released(execution=models.Execution.of(run))
    return models.Execution.of(run) if asked.shape.model is models.Execution else None


def _object(text: bytes | str) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}
