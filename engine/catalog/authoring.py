"""Runbooks that live in the database: written, changed and deleted there. Each change is a new version in DRAFT.

A runbook that comes from a file is changed in that file only, or the next sync would undo it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.access import auditing, reasons
from engine.access.policy import Action, Actor, Draft, acting, authorise
from engine.catalog import catalog, notices, version_approval
from engine.definition import codec
from engine.definition.load import load
from engine.definition.model import Runbook
from engine.definition.yaml_source import read
from engine.errors import Conflict, InvalidParameters, Stale
from engine.runtime import Runtime
from storage import database, executions, runbooks
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import Json
from storage.states import VersionStatus

_SHOWN_RUNS = 5


def tag(runbook: RunbookRecord) -> str:
    """What this runbook is now, for telling whether it was changed since: "3-approved"."""
    return f"{runbook.current_number}-{runbook.status.lower()}"


def create(rt: Runtime, actor: Actor, source: str, note: str = "") -> VersionRecord:
    """The first version of a new runbook. Raises `InvalidDefinition`, `NotAllowed`, and `Conflict` for an id in use."""
    definition = _read(source)
    with acting(rt, actor, Action.EDIT, Draft(definition.id, definition.team)):
        database.one_at_a_time("sync")
        if runbooks.find(rt.workspace_id, definition.id) is not None:
            raise Conflict(f"There is a runbook {definition.id} already.")
        return _add(rt, actor, definition, source, note)


def update(rt: Runtime, actor: Actor, slug: str, source: str, note: str = "", was: str | None = None) -> VersionRecord:
    """A new version of a runbook. `was` is its `tag` as the author saw it.

    Raises `InvalidDefinition`, `NotAllowed`, `Conflict` for one that comes from a file, and `Stale`.
    """
    shown = catalog.get(rt, slug)
    authorise(rt, actor, Action.EDIT, shown)
    must_be_ours(shown)
    definition = _read(source)
    if definition.id != shown.slug:
        raise InvalidParameters({"id": f"a runbook keeps its id: {shown.slug}, not {definition.id}"})
    with acting(rt, actor, Action.EDIT, Draft(definition.id, definition.team)):
        database.one_at_a_time("sync")
        _unchanged(rt, actor, shown, was)
        current = runbooks.version(shown.id, shown.current_number)
        if current is not None and current.digest == codec.digest(codec.canonical(definition)):
            raise Conflict(f"This changes nothing of {shown.slug}@{shown.current_number}.")
        return _add(rt, actor, definition, source, note)


def patch(
    rt: Runtime, actor: Actor, slug: str, changes: Mapping[str, Any], note: str = "", was: str | None = None
) -> VersionRecord:
    """`update` by changes that are merged into the current version's definition (RFC 7396): null takes a key away."""
    shown = catalog.get(rt, slug)
    authorise(rt, actor, Action.EDIT, shown)
    must_be_ours(shown)
    current = catalog.version(rt, shown.slug)
    data = read(current.source.encode(), f"{shown.slug}.yaml").data
    source = json.dumps(_merged(data, changes), indent=2, ensure_ascii=False) + "\n"
    return update(rt, actor, shown.slug, source, note, was or tag(shown))


def delete(rt: Runtime, actor: Actor, slug: str, was: str | None = None, reason: str = "") -> None:
    """Withdraw every version and let nobody find the runbook any more; what it ran stays on record.

    Raises `NotAllowed`, `ReasonRequired`, `Stale`, and `Conflict` while a run of it is open and for one that comes from
    a file.
    """
    shown = catalog.get(rt, slug)
    authorise(rt, actor, Action.EDIT, shown)
    must_be_ours(shown)
    reasons.must_be_stated(rt, actor, reason)
    with acting(rt, actor, Action.EDIT, shown):
        database.one_at_a_time("sync")
        _unchanged(rt, actor, shown, was)
        running = executions.open_of(shown.id, _SHOWN_RUNS)
        if running:
            raise Conflict(f"Runs of {shown.slug} are open: {', '.join(running)}. Let them end or cancel them first.")
        version_approval.withdraw(rt, actor, None, shown.id, f"The runbook was deleted. {reason}".strip())
        runbooks.delete(shown.id)
        detail = {"version": shown.current_number, "reason": reason}
        auditing.by_actor(rt, actor, "runbook.delete", auditing.of_runbook(shown.slug), detail)


def must_be_ours(runbook: RunbookRecord) -> None:
    """Raise `Conflict`, naming the file, for a runbook that comes from one."""
    if runbook.source_path is not None:
        raise Conflict(f"{runbook.slug} comes from the file {runbook.source_path}: change it there and sync.")


def _read(source: str) -> Runbook:
    return load(source.encode("utf-8", "surrogatepass"), "definition")


def _unchanged(rt: Runtime, actor: Actor, shown: RunbookRecord, was: str | None) -> None:
    """Lock the runbook and ask once more whether the actor may edit it as it is now."""
    now = runbooks.lock(rt.workspace_id, shown.slug)
    if now is None or now.source_path is not None:
        raise Conflict(f"{shown.slug} was changed in this moment. Look at it again.")
    authorise(rt, actor, Action.EDIT, now)
    if tag(now) != (was or tag(shown)):
        raise Stale(f"{now.slug} was changed since you looked: it is version {now.current_number}, {now.status}.")


def _add(rt: Runtime, actor: Actor, definition: Runbook, source: str, note: str) -> VersionRecord:
    canonical = codec.canonical(definition)
    digest = codec.digest(canonical)
    about = {
        "slug": definition.id, "name": definition.name, "description": definition.description, "team": definition.team,
        "tags": list(definition.tags), "risk": definition.risk, "source_path": None,
    }  # fmt: skip
    new = {
        "digest": digest, "definition": canonical, "source": source, "author": actor.user_id,
        "author_email": actor.email, "source_commit": None, "note": note.strip(),
    }  # fmt: skip
    before = runbooks.find(rt.workspace_id, definition.id)
    added = runbooks.add_version(rt.workspace_id, about, new)
    ran = before is not None and before.status is VersionStatus.APPROVED
    notices.of_draft(rt, added.slug, added.number, stops=ran and rt.settings.on_edit == "stop")
    detail = {"digest": digest, "author": actor.user_id, "note": note.strip()}
    auditing.by_actor(rt, actor, "runbook.draft", auditing.of_version(added.slug, added.number), detail)
    return added


def _merged(into: Json, changes: Json) -> Json:
    if not isinstance(changes, Mapping):
        return changes
    found = dict(into) if isinstance(into, Mapping) else {}
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found
