"""Plans: what a run would do, rendered as the worker renders it, and a start that is exactly what was planned.

A plan makes no call of a step and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine.access import channels, reasons, secret_use
from engine.access.policy import Action, Actor, as_of_now, authorise, authorise_by_rules, verdict
from engine.catalog import approved_targets, catalog
from engine.definition.model import Runbook, Step
from engine.definition.reaches import reaches
from engine.errors import EngineError, NotApproved
from engine.expressions import render_text
from engine.orchestration import admission, incidents
from engine.orchestration.admission import Checked, Wanted
from engine.runs import executions, gate_notifications
from engine.runs.executions import Accepted
from engine.runs.plan_records import Obstacle, Plan, PlanChanged, differences, digest_of, inside
from engine.runs.planned_steps import MAX_DEPTH, Planner, Seen
from engine.runtime import Runtime
from engine.steps import context
from storage import database
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ExecutionRecord, Json
from storage.states import VersionStatus

_NEXT = {"queue": "queued", "reject": "rejected"}
"""What becomes of a run for which its concurrency group has no place, by its `on_conflict`."""


def make(rt: Runtime, actor: Actor, wanted: Wanted) -> Plan:
    """What a run that is asked for like this would do, for whoever may look at the runbook.

    What keeps this person from starting it now is told in the plan. Raises `NotFound`, `NotAllowed`,
    `InvalidParameters`, `ChannelNotAllowed` and `ChannelUnknown`.
    """
    actor = as_of_now(rt, actor)
    runbook = catalog.get(rt, wanted.slug)
    authorise(rt, actor, Action.VIEW, runbook)
    version, obstacles = _version(rt, runbook, wanted.number)
    definition = catalog.definition(version)
    about = where_asked(rt, actor, wanted.incident)
    values = admission.complete(definition, wanted.parameters, about if wanted.prefill else None)
    wanted = replace(wanted, parameters=values, incident=about, reason=wanted.reason.strip())
    checked = Checked(wanted, version, definition)
    found = of(rt, actor, checked)
    return replace(found, obstacles=(*obstacles, *_obstacles(rt, actor, runbook, checked)))


def request(rt: Runtime, actor: Actor, wanted: Wanted, digest: str | None, **how: Any) -> Accepted:
    """`executions.request`, with a `digest` only where that is exactly what was planned under it.

    Raises `PlanChanged`, and as that.
    """

    def agreed(checked: Checked) -> None:
        if digest is None:
            return
        now = of(rt, actor, checked)
        if changes := tuple(differences(digest, now.digest)):
            raise PlanChanged(changes, now)

    return executions.request(rt, actor, wanted, agreed=agreed, **how)


def of(rt: Runtime, actor: Actor, checked: Checked) -> Plan:
    """The plan of a run that would be accepted as it is `checked`; whether it may be started is not asked."""
    return looked_at(rt, actor, checked).plan


@dataclass(frozen=True, slots=True)
class Looked:
    """A plan with what it was made of: the run as it is foreseen, and its `runbook` with each call as it is made.

    `visited` are the steps that the run would or might do, each with what the plan shows of it and what is seen there.
    """

    plan: Plan
    execution: ExecutionRecord
    runbook: Runbook
    visited: tuple[tuple[Step, Json, Seen], ...]


def looked_at(rt: Runtime, actor: Actor, checked: Checked) -> Looked:
    """`of`, with what a plan does not show."""
    version, wanted = checked.version, checked.wanted
    execution = admission.foreseen(rt, actor, checked)
    with database.reading():
        runbook = _as_called(rt, version, checked.runbook)
        planner = Planner(runbook, lambda slug, given, depth: _child(rt, actor, planner, execution, slug, given, depth))
        seen = _seen(execution, runbook)
        parts = [planner.steps(each, seen) for each in (runbook.steps, runbook.on_failure, runbook.finally_)]
        group = _group(runbook, seen)
    shown = [tuple(rt.redactor().redact_json(each)) for each in parts]
    plan = Plan(
        slug=version.slug, number=version.number, digest=digest_of(version, wanted.parameters, [*parts, group]),
        parameters=rt.redactor().redact_json(wanted.parameters), timeout_ms=runbook.timeout_ms, steps=shown[0],
        on_failure=shown[1], finally_=shown[2], concurrency=rt.redactor().redact(group),
        destinations=tuple(_destinations(runbook)), warnings=tuple(gate_notifications.foreseen(rt, execution)),
        reason=wanted.reason, values=wanted.parameters,
    )  # fmt: skip
    beside = dict(zip(map(id, _all(parts)), _all(shown), strict=True))
    visited = tuple((step, beside[id(found)], seen) for step, found, seen in planner.visited)
    return Looked(plan, execution, runbook, visited)


def _all(lists: Iterable[Iterable[Json]]) -> Iterator[Json]:
    return (each for steps in lists for step in steps for each in inside(step))


def _version(rt: Runtime, runbook: RunbookRecord, number: int | None) -> tuple[VersionRecord, list[Obstacle]]:
    """The version that would run, or the one that is asked for with why it does not."""
    try:
        with database.reading():
            return catalog.runnable(rt, runbook, number), []
    except NotApproved as refusal:
        found = catalog.version(rt, runbook.slug, number)
        return approved_targets.as_shown(rt, found), [Obstacle(str(refusal))]


def where_asked(rt: Runtime, actor: Actor, incident: dict[str, Any]) -> dict[str, Any]:
    """What is known where it is asked for, of a channel that this person is in; no incident is opened by it."""
    channel, said = (str(incident.get(key) or "") for key in ("channel", "channel_name"))
    if not channel:
        return dict(incident)
    channels.must_be_in(rt, actor, channel)
    name = channels.name_of(rt, channel) or said
    return incidents.bound(rt, {**incident, **({"channel_name": name} if name else {})})


def _obstacles(rt: Runtime, actor: Actor, runbook: RunbookRecord, checked: Checked) -> Iterator[Obstacle]:
    decided = verdict(rt, actor, Action.START, runbook, checked.about)
    if not decided.allowed:
        yield Obstacle(decided.why, decided.ask)
    with database.reading():
        wrong = approved_targets.faults(rt, checked.runbook)
        refused = secret_use.refusal(rt, approved_targets.as_now(rt, checked.runbook))
    if wrong:
        yield Obstacle(f"It cannot call what it names: {'; '.join(wrong)}.")
    if refused:
        yield Obstacle(f"It may not use secrets as it does: {refused}.")
    reason = checked.wanted.reason
    if not reason and (checked.runbook.risk == "high" or reasons.wanted(rt)):
        yield Obstacle('A run of it has to say why: reason="…".')
    elif reason and (wrong_reason := reasons.wrong(rt, reason)):
        yield Obstacle(wrong_reason)


def _as_called(rt: Runtime, version: VersionRecord, runbook: Runbook) -> Runbook:
    """The runbook with each call as its target makes it: as it was approved, or would be. Needs an open connection."""
    if version.status is VersionStatus.APPROVED:
        return approved_targets.to_run(version.id, runbook)
    return approved_targets.as_now(rt, runbook)


def _seen(execution: ExecutionRecord, runbook: Runbook) -> Seen:
    """What is known before the run has begun. Needs an open connection."""
    seen = Seen(context.of(execution, runbook, {("execution", "team")}))
    return seen if execution.reason else replace(seen, facts=seen.facts - {"reason"})


def _group(runbook: Runbook, seen: Seen) -> str:
    """The concurrency group, as it is written where it is open, "" for none."""
    wanted = runbook.concurrency
    if wanted is None:
        return ""
    try:
        group = wanted.group if seen.is_open(wanted.group) else render_text(wanted.group, seen.context)
    except EngineError as error:
        group = f"{wanted.group} ({error})"
    return f"{group}: at most {wanted.limit} at once, the next one is {_NEXT[wanted.on_conflict]}"


def _destinations(runbook: Runbook) -> Iterator[Json]:
    for each in reaches(runbook):
        if each.secrets or each.received:
            yield {"step": each.step, "host": each.host, "secrets": [*each.secrets, *each.received]}


def _child(
    rt: Runtime, actor: Actor, parent: Planner, execution: ExecutionRecord, slug: str, given: dict[str, Json] | None,
    depth: int,
) -> Json:  # fmt: skip
    """What the run that a step starts would do. Raises `EngineError` where it could not be started."""
    if depth > MAX_DEPTH or parent.left[0] <= 0:
        return {"runbook": slug, "left_out": "the plan is too long to show it"}
    record = catalog.get(rt, slug)
    authorise_by_rules(rt, actor, Action.START, record, heed_freezes=False)
    version = catalog.approved(rt, record)
    definition = catalog.definition(version)
    values = {} if given is None else admission.complete(definition, given, execution.incident or {})
    runbook = approved_targets.to_run(version.id, definition)
    begun = replace(execution, parameters=values, team=definition.team, number=version.number)
    seen = _seen(begun, runbook)
    if given is None:
        seen = replace(seen, names=seen.names - {"params"})
    planner = Planner(runbook, lambda *asked: _child(rt, actor, planner, begun, *asked), parent.left, depth)
    lists = (runbook.steps, runbook.on_failure, runbook.finally_)
    return {
        "runbook": slug, "version": version.number, "digest": approved_targets.as_shown(rt, version).digest,
        "steps": [each for steps in lists for each in planner.steps(steps, seen)],
    }  # fmt: skip
