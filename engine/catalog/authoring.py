"""Runbooks that live in the database: written, changed and deleted there. Each change is a new version in DRAFT.

A runbook that comes from a file is changed in that file only, or the next sync would undo it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.access import auditing, reasons
from engine.access.policy import Action, Actor, Draft, acting, authorise
from engine.catalog import catalog, notices, stored_rehearsal, version_approval
from engine.catalog.stored_rehearsal import Played
from engine.definition import codec
from engine.definition.expanded_text import as_written
from engine.definition.load import Loaded, must_load
from engine.definition.step_templates import Templates
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


def create(rt: Runtime, actor: Actor, source: str, note: str = "", rehearsal: str = "") -> VersionRecord:
    """The first version of a new runbook. Raises `InvalidDefinition`, `NotAllowed`, and `Conflict` for an id in use.

    Its `rehearsal` is played before; whether it passes is for who approves the version.
    """
    loaded = _read(rt, source)
    definition = loaded.runbook
    authorise(rt, actor, Action.EDIT, Draft(definition.id, definition.team))
    played = stored_rehearsal.play(rt, actor, definition, rehearsal)
    with acting(rt, actor, Action.EDIT, Draft(definition.id, definition.team)):
        database.one_at_a_time("sync")
        if runbooks.find(rt.workspace_id, definition.id) is not None:
            raise Conflict(f"There is a runbook {definition.id} already.")
        return _add(rt, actor, loaded, note, played)


def update(
    rt: Runtime, actor: Actor, slug: str, source: str, note: str = "", was: str | None = None,
    rehearsal: str | None = None,
) -> VersionRecord:  # fmt: skip
    """A new version of a runbook. `was` is its `tag` as the author saw it; without `rehearsal` it keeps the one it has.

    A rehearsal belongs to its version as the text does: another one makes another version, of the same digest, so that
    what was approved is what was played for whoever looked. So does the same one once it is outdated.

    Raises `InvalidDefinition`, `NotAllowed`, `Conflict` for one that comes from a file, and `Stale`.
    """
    shown = catalog.get(rt, slug)
    authorise(rt, actor, Action.EDIT, shown)
    must_be_ours(shown)
    loaded = _read(rt, source)
    definition = loaded.runbook
    if definition.id != shown.slug:
        raise InvalidParameters({"id": f"a runbook keeps its id: {shown.slug}, not {definition.id}"})
    authorise(rt, actor, Action.EDIT, Draft(definition.id, definition.team))
    before = catalog.version(rt, shown.slug, shown.current_number)
    had = stored_rehearsal.of_version(before)
    wanted = had if rehearsal is None else rehearsal
    same = before.digest == codec.digest(codec.canonical(definition)) and wanted.strip() == had.strip()
    same = same and not stored_rehearsal.outdated_by(rt, before)
    played = None if same else stored_rehearsal.play(rt, actor, definition, wanted)
    with acting(rt, actor, Action.EDIT, Draft(definition.id, definition.team)):
        database.one_at_a_time("sync")
        _unchanged(rt, actor, shown, was)
        if same:
            raise Conflict(f"This changes nothing of {shown.slug}@{shown.current_number}.")
        return _add(rt, actor, loaded, note, played)


def patch(
    rt: Runtime, actor: Actor, slug: str, changes: Mapping[str, Any], note: str = "", was: str | None = None,
    rehearsal: str | None = None,
) -> VersionRecord:  # fmt: skip
    """`update` by changes that are merged into the current version's definition (RFC 7396): null takes a key away."""
    shown = catalog.get(rt, slug)
    authorise(rt, actor, Action.EDIT, shown)
    must_be_ours(shown)
    current = catalog.version(rt, shown.slug)
    data = read(current.source.encode(), f"{shown.slug}.yaml").data
    source = json.dumps(_merged(data, changes), indent=2, ensure_ascii=False) + "\n"
    return update(rt, actor, shown.slug, source, note, was or tag(shown), rehearsal)


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


def _read(rt: Runtime, source: str) -> Loaded:
    text = as_written(source).encode("utf-8", "surrogatepass")
    return must_load(text, "definition", Templates(rt.settings.runbooks_dir, named=""))


def _unchanged(rt: Runtime, actor: Actor, shown: RunbookRecord, was: str | None) -> None:
    """Lock the runbook and ask once more whether the actor may edit it as it is now."""
    now = runbooks.lock(rt.workspace_id, shown.slug)
    if now is None or now.source_path is not None:
        raise Conflict(f"{shown.slug} was changed in this moment. Look at it again.")
    authorise(rt, actor, Action.EDIT, now)
    if tag(now) != (was or tag(shown)) or now.current_number != shown.current_number:
        raise Stale(f"{now.slug} was changed since you looked: it is version {now.current_number}, {now.status}.")


def _add(rt: Runtime, actor: Actor, loaded: Loaded, note: str, played: Played | None) -> VersionRecord:
    definition = loaded.runbook
    canonical = codec.canonical(definition)
    digest = codec.digest(canonical)
    about = {
        "slug": definition.id, "name": definition.name, "description": definition.description, "team": definition.team,
        "tags": list(definition.tags), "risk": definition.risk, "source_path": None,
    }  # fmt: skip
    new = {
        "digest": digest, "definition": canonical, "source": loaded.text, "author": actor.user_id,
        "author_email": actor.email, "source_commit": None, "note": note.strip(),
    }  # fmt: skip
    before = runbooks.find(rt.workspace_id, definition.id)
    added = runbooks.add_version(rt.workspace_id, about, new)
    stored_rehearsal.keep(rt, added, played)
    ran = before is not None and before.status is VersionStatus.APPROVED
    notices.of_draft(rt, added.slug, added.number, stops=ran and rt.settings.on_edit == "stop")
    detail = {"digest": digest, "author": actor.user_id, "note": note.strip()}
    if played is not None:
        detail |= {"rehearsal": played.digest, "passed": played.result["passed"]}
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
