"""Reading `runbooks.d` into the catalogue: every changed definition becomes a new DRAFT version.

A broken file changes nothing of the runbook it held; an empty or unreadable folder changes nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engine.access import access_file, auditing, calendar_file, secrets_file, targets_file
from engine.access.policy import Action, Actor, acting, authorise
from engine.catalog import (
    approved_targets,
    notices,
    rehearsing,
    secret_policy,
    source_control,
    unused_templates,
    version_approval,
)
from engine.catalog.source_control import Commit
from engine.definition import codec, regular_files, rehearsals
from engine.definition.load import MAX_BYTES, must_load
from engine.definition.model import Runbook
from engine.definition.step_templates import FOLDER, Templates
from engine.errors import InvalidDefinition
from engine.runtime import Runtime
from engine.text.problem import Problem
from storage import database, freezes, people, runbooks
from storage.catalog_records import RunbookRecord
from storage.records import Json
from storage.states import Severity, VersionStatus

FindAuthor = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class SyncChange:
    """What happened to one runbook. `kind` is new, changed or deprecated; `number` its current version after it."""

    slug: str
    kind: str
    number: int
    author: str | None = None
    source_commit: str | None = None


@dataclass(frozen=True, slots=True)
class LastChange:
    """The last sync that changed something: when, who did it (`system` for the watch over the folder), and what."""

    at: int
    by: str
    changes: tuple[SyncChange, ...]


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, and what is wrong with files. `last` is the change before, where this one changed nothing."""

    changes: tuple[SyncChange, ...]
    problems: tuple[Problem, ...]
    unchanged: int
    last: LastChange | None = None

    @property
    def ok(self) -> bool:
        """Whether every file could be taken in as it is."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class _File:
    """A runbook file that was read whole and is valid."""

    path: str
    source: bytes
    runbook: Runbook
    text: str
    templates: tuple[str, ...] = ()
    commit: Commit | None = None

    @property
    def author_email(self) -> str | None:
        return self.commit.email if self.commit else None


@dataclass(frozen=True, slots=True)
class _Folder:
    """What was found: the valid files, the paths of the others, the ids that several files claim, and what is wrong."""

    files: list[_File]
    broken: set[str]
    doubled: set[str]
    problems: list[Problem]


def sync(rt: Runtime, actor: Actor, find_author: FindAuthor | None = None) -> SyncReport:
    """Bring the catalogue and the roles up to the folder. Raises `NotAllowed`; what is wrong with files is reported.

    `find_author` turns a committer's e-mail address into a Slack user id, or None where nobody is known by it.
    """
    authorise(rt, actor, Action.SYNC)
    folder = rt.settings.runbooks_dir
    found = _read_folder(folder)
    policy, policy_problems = access_file.read(folder / access_file.NAME)
    secret_rules, secret_problems = secrets_file.read(folder / secrets_file.NAME)
    calendar, calendar_problems = calendar_file.read(folder / calendar_file.NAME)
    targets, target_problems = targets_file.read(folder / targets_file.NAME, rt.settings.environment)
    problems = [*found.problems, *policy_problems, *secret_problems, *calendar_problems, *target_problems]
    emails = {each.author_email for each in found.files if each.author_email}
    authors = {email: find_author(email) for email in emails} if find_author else {}
    with acting(rt, actor, Action.SYNC):
        database.one_at_a_time("sync")
        changes = _apply(rt, actor, found, authors)
        if policy is not None:
            _apply_policy(rt, actor, policy)
        if calendar is not None and (found.files or found.broken):
            _apply_calendar(rt, actor, calendar)
        approved_targets.apply(rt, actor, targets)
        secret_policy.apply(rt, actor, secret_rules, broken=bool(secret_problems))
        here = {str(folder / each.path): each.runbook for each in found.files}
        problems += approved_targets.problems(rt, here, gone=targets is None and not target_problems)
        problems += secret_policy.problems(rt, here, gone=secret_rules is None and not secret_problems)
        unchanged = len(found.files) - sum(each.kind != "deprecated" for each in changes)
        last = None if changes else last_change(rt)
        report = SyncReport(tuple(changes), tuple(sorted(problems)), unchanged, last)
        runbooks.save_sync(rt.workspace_id, report.ok, _summary(report, actor))
    files = {each.path: each.runbook for each in found.files}
    return _rehearsed(rt, actor, report, rehearsing.rehearse(rt, folder, files, targets or {}))


def _rehearsed(rt: Runtime, actor: Actor, report: SyncReport, rehearsed: rehearsing.Rehearsed) -> SyncReport:
    """Keep what the rehearsals came to. All else holds by then: nothing that was taken away waits for them."""
    told = replace(report, problems=tuple(sorted((*report.problems, *rehearsed.problems))))
    with database.transaction():
        database.one_at_a_time("sync")
        rehearsing.keep(rt, rehearsed)
        if rehearsed.problems:
            runbooks.save_sync(rt.workspace_id, told.ok, _summary(told, actor))
    return told


def last_change(rt: Runtime) -> LastChange | None:
    """The last sync that changed something, as it was kept; read inside a transaction."""
    kept = runbooks.last_sync(rt.workspace_id)
    found = kept.summary.get("last") if kept is not None and isinstance(kept.summary, dict) else None
    if not found:
        return None
    return LastChange(found["at"], found["by"], tuple(SyncChange(*each) for each in found["changes"]))


def _summary(report: SyncReport, actor: Actor) -> Json:
    """What is kept of a sync: its problems, and the last change, which is its own where it changed something."""
    made = LastChange(database.now(), actor.user_id, report.changes) if report.changes else report.last
    summary: Json = {"problems": [str(problem) for problem in report.problems]}
    if made is not None:
        changes = [[each.slug, each.kind, each.number] for each in made.changes]
        summary["last"] = {"at": made.at, "by": made.by, "changes": changes}
    return summary


def _read_folder(folder: Path) -> _Folder:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except OSError as error:
        return _nothing(folder, f"the folder cannot be read ({error.strerror}): nothing was changed")
    paths = [path for path in paths if not path.name.startswith(("_", ".")) and not rehearsals.is_rehearsal(path)]
    if not paths:
        return _nothing(folder, "there is no runbook in this folder: nothing was changed")
    files: list[_File] = []
    broken: set[str] = set()
    problems: list[Problem] = []
    templates = Templates(folder)
    for path in paths:
        try:
            files.append(_read_file(path, templates))
        except InvalidDefinition as error:
            broken.add(path.name)
            problems += error.problems
    problems += unused_templates.problems(folder, templates)
    commits = source_control.last_commits(folder, {each.path: each.source for each in files})
    shared = source_control.last_commits(folder / FOLDER, _template_files(templates)) if templates.read_as else {}
    files = [replace(each, commit=_last_commit(each, commits, shared)) for each in files]
    return _without_doubles(files, broken, problems)


def _template_files(templates: Templates) -> dict[str, bytes]:
    return {f"{name}.yaml": source for name, source in templates.read_as.items()}


def _last_commit(each: _File, commits: Mapping[str, Commit], shared: Mapping[str, Commit]) -> Commit | None:
    """The latest commit of a runbook's file and its templates; None where that of one of them is not known.

    A template's is taken for the later one within a second.
    """
    found = [*(shared.get(f"{name}.yaml") for name in each.templates), commits.get(each.path)]
    known = [commit for commit in found if commit is not None]
    return max(known, key=lambda commit: commit.at) if len(known) == len(found) else None


def _nothing(folder: Path, message: str) -> _Folder:
    return _Folder([], set(), set(), [Problem(str(folder), 1, 1, message)])


def _read_file(path: Path, templates: Templates) -> _File:
    if not path.name.isprintable():  # it is kept with its runbook, and shown
        shown = ascii(str(path))[1:-1]
        raise InvalidDefinition([Problem(shown, 1, 1, "its name is not printable UTF-8: give it another")])
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except OSError as error:
        raise InvalidDefinition([Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from error
    loaded = must_load(source, str(path), templates)
    return _File(path.name, source, loaded.runbook, loaded.text, loaded.templates)


def _without_doubles(files: list[_File], broken: set[str], problems: list[Problem]) -> _Folder:
    by_id: dict[str, list[_File]] = {}
    for each in files:
        by_id.setdefault(each.runbook.id, []).append(each)
    doubled = {runbook_id for runbook_id, same in by_id.items() if len(same) > 1}
    for runbook_id in doubled:
        names = " and ".join(each.path for each in by_id[runbook_id])
        problems += [Problem(each.path, 1, 1, f"the id {runbook_id} is used by {names}") for each in by_id[runbook_id]]
    broken |= {each.path for each in files if each.runbook.id in doubled}
    return _Folder([each for each in files if each.path not in broken], broken, doubled, problems)


def _apply(rt: Runtime, actor: Actor, found: _Folder, authors: dict[str, str | None]) -> list[SyncChange]:
    if not (found.files or found.broken):
        return []
    known = {runbook.slug: runbook for runbook in runbooks.listing(rt.workspace_id)}
    changes = []
    for each in found.files:
        change = _apply_file(rt, actor, each, known.get(each.runbook.id), authors.get(each.author_email or ""))
        if change is not None:
            changes.append(change)
    present = {each.runbook.id for each in found.files} | found.doubled
    for runbook in known.values():
        gone = runbook.slug not in present and runbook.source_path is not None
        if gone and runbook.source_path not in found.broken:
            changes.append(_remove(rt, actor, runbook))
    return changes


def _apply_file(
    rt: Runtime, actor: Actor, each: _File, known: RunbookRecord | None, author: str | None
) -> SyncChange | None:
    canonical = codec.canonical(each.runbook)
    digest = codec.digest(canonical)
    if known is not None and known.source_path is not None:
        current = runbooks.version(known.id, known.current_number)
        if current is not None and current.digest == digest:
            if known.source_path != each.path:
                runbooks.set_source_path(known.id, each.path)
            return None
    runbook, commit = each.runbook, each.commit.id if each.commit else None
    about = {
        "slug": runbook.id, "name": runbook.name, "description": runbook.description, "team": runbook.team,
        "tags": list(runbook.tags), "risk": runbook.risk, "source_path": each.path,
    }  # fmt: skip
    new = {
        "digest": digest, "definition": canonical, "source": each.text,
        "author": author, "author_email": each.author_email, "source_commit": commit, "note": "",
    }  # fmt: skip
    added = runbooks.add_version(rt.workspace_id, about, new)
    detail = {"digest": digest, "file": each.path, "author": author, "commit": commit}
    thing = auditing.of_version(added.slug, added.number)
    auditing.by_actor(rt, actor, "runbook.draft", thing, detail, Severity.INFO)
    ran = known is not None and known.status is VersionStatus.APPROVED
    notices.of_draft(rt, added.slug, added.number, stops=ran and rt.settings.on_edit == "stop")
    return SyncChange(added.slug, "new" if known is None else "changed", added.number, author, commit)


def _remove(rt: Runtime, actor: Actor, runbook: RunbookRecord) -> SyncChange:
    if runbook.status is not VersionStatus.DEPRECATED:
        version_approval.withdraw(rt, actor, None, runbook.id, f"Its file {runbook.source_path} was removed.")
    runbooks.forget_source(runbook.id)
    return SyncChange(runbook.slug, "deprecated", runbook.current_number)


def _apply_policy(rt: Runtime, actor: Actor, policy: access_file.Policy) -> None:
    content = policy.as_json()
    digest = codec.digest(content)
    if people.save_policy(rt.workspace_id, digest, content):
        detail = {"digest": digest, "policy": content}
        auditing.by_actor(rt, actor, "access.change", auditing.ACCESS, detail, Severity.WARNING)


def _apply_calendar(rt: Runtime, actor: Actor, windows: list[dict[str, str]]) -> None:
    digest = codec.digest(windows)
    if freezes.save_calendar(rt.workspace_id, digest, windows):
        detail: dict[str, Json] = {"digest": digest, "windows": windows}
        auditing.by_actor(rt, actor, "calendar.change", auditing.CALENDAR, detail, Severity.WARNING)
