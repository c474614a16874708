"""What somebody may see: runbooks and runs by their id, with those one may not look at as if they were not there."""

from __future__ import annotations

import difflib

from engine.access import channels
from engine.access.actions import SecretName
from engine.access.freezes import parsed
from engine.access.policy import Action, Actor, Gate, Task, Thing, admit, authorise, ruled, teams_seen, verdict
from engine.catalog import catalog
from engine.errors import NotFound
from engine.queries.asked_for import about as asked_with
from engine.runs import executions, skipping
from engine.runtime import Runtime
from storage import approvals, database, manual_tasks
from storage.catalog_records import RunbookRecord
from storage.records import ExecutionRecord


def runbook(rt: Runtime, actor: Actor, slug: str) -> RunbookRecord:
    """The runbook of this id. Raises `NotFound`, naming the nearest that this person may see, and as `admit`."""
    admit(actor, Action.VIEW)
    found = catalog.find(rt, slug)
    if found is not None and verdict(rt, actor, Action.VIEW, found).allowed:
        return found
    seen = teams_seen(rt, actor)
    near = difflib.get_close_matches(slug, [each.slug for each in catalog.listing(rt, seen=seen)], n=1)
    raise catalog.no_such(slug, near[0] if near else None)


def execution(rt: Runtime, actor: Actor, execution_id: str) -> ExecutionRecord:
    """The run of this id, without what belongs to a channel that is not theirs. Raises `NotFound`, and as `admit`."""
    admit(actor, Action.VIEW)
    found = executions.find(rt, execution_id)
    if not verdict(rt, actor, Action.VIEW, found).allowed:
        raise executions.no_such(execution_id)
    return channels.shown(rt, actor, found)


def still(
    rt: Runtime,
    actor: Actor,
    action: Action,
    *,
    slug: str = "",
    run: str = "",
    step: str = "",
    scope: str = "",
    asked_for: str = "",
    secret: str = "",
) -> None:
    """Raise as doing this again would, where the person may no longer see or do it; each of the names may be "".

    A freeze that came later takes nothing back. `scope` is what was frozen or unfrozen, `secret` what was deleted.
    `step` names the gate where `action` is a vote, or what such gates have released, and a step that is done by hand.
    `asked_for` is the run or kept request that a start came to, with whose parameters it is asked about.
    """
    if run:
        found = execution(rt, actor, run)
        thing: Thing = found
        if action is Action.VOTE:
            thing = _gate(rt, actor, found, step)
        elif action is Action.DO:
            thing = task(found, step)
        authorise(rt, actor, action, thing, heed_freezes=False)
    elif slug:
        known = runbook(rt, actor, slug)
        on_version = action in (Action.APPROVE, Action.DEPRECATE, Action.ROLLBACK)
        subject = catalog.version(rt, known.slug) if on_version else known
        about = asked_with(rt, actor, asked_for) if action is Action.START else None
        authorise(rt, actor, action, subject, about, heed_freezes=False)
    elif scope:
        authorise(rt, actor, action, parsed(rt, scope))
    else:
        authorise(rt, actor, action, SecretName(secret) if secret else None)


def _gate(rt: Runtime, actor: Actor, run: ExecutionRecord, path: str) -> Gate:
    """The gate at a path, or one that has released the step there: one that this person may decide if there is one."""
    with database.reading():
        own = [Gate(each, run) for each in approvals.of_execution(run.id) if each.path == path]
    found = own[-1:] or skipping.released_by(rt, run.id, path)
    if not found:
        raise NotFound(f"{run.id} has no gate {path}.")
    return next((each for each in found if ruled(rt, actor, Action.VOTE, each).allowed), found[0])


def task(run: ExecutionRecord, path: str) -> Task:
    """The manual step at a path as it was asked last. Raises `NotFound`."""
    with database.reading():
        own = [Task(each, run) for each in manual_tasks.of_execution(run.id) if each.path == path]
    if not own:
        raise NotFound(f"{run.id} has no manual step {path}.")
    return own[-1]
