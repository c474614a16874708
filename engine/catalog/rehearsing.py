"""Rehearsing what a sync has read, in a process of its own, and keeping what came of it with the versions.

That process has an engine of its own in memory, and the database of a process is one. It is given texts, no settings
and no secrets, and is ended when its time is up, whatever hangs in it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.definition import codec, regular_files, rehearsals
from engine.definition.kinds import kind_of
from engine.definition.load import MAX_BYTES
from engine.definition.model import Runbook
from engine.definition.targets import Targets, resolved
from engine.runtime import Runtime
from engine.text.problem import Problem
from storage import database, runbooks, version_rehearsals
from storage.records import Json

log = logging.getLogger(__name__)

LIMIT_S = 25.0
"""How long all rehearsals of one sync may take: who has asked for it by the API waits for no more than 30 s."""
COMMAND = (sys.executable, "-I", "-X", "utf8", "-m", "engine.rehearsal")


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What came of the runbooks of a folder: by the id of each its definition's digest, and its result.

    A result is the digest of all that was rehearsed and what came of it; None for a runbook without a rehearsal.
    Runbooks whose result is kept already are not in it.
    """

    results: Mapping[str, tuple[str, tuple[str, Json] | None]]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Task:
    path: str
    runbook: Runbook
    source: str
    definition_digest: str
    digest: str


def rehearse(rt: Runtime, folder: Path, files: Mapping[str, Runbook], targets: Targets) -> Rehearsed:
    """Play the rehearsals beside these files that have changed since they were played last.

    So are those of which a runbook or a target that it calls has changed: what is played are the calls themselves.
    """
    known = {runbook.id: resolved(runbook, targets) for runbook in files.values()}
    problems: list[Problem] = []
    tasks: list[_Task] = []
    results: dict[str, tuple[str, tuple[str, Json] | None]] = {}
    for path, runbook in files.items():
        source = _read(rehearsals.beside(folder / path), runbook, problems)
        definition_digest = codec.digest(codec.canonical(runbook))
        if source is None:
            results[runbook.id] = definition_digest, None
            continue
        name = str(rehearsals.beside(Path(path)))
        made = known[runbook.id]
        task = _Task(name, made, source, definition_digest, _digest(source, made, known))
        if not _is_kept(rt, task):
            tasks.append(task)
    for task, result in zip(tasks, _play(tasks, known), strict=True):
        results[task.runbook.id] = task.definition_digest, (task.digest, result)
    return Rehearsed(results, tuple(problems))


def keep(rt: Runtime, rehearsed: Rehearsed) -> None:
    """Keep the results with the versions that were rehearsed; needs a transaction."""
    for slug, (definition_digest, result) in rehearsed.results.items():
        runbook = runbooks.find(rt.workspace_id, slug)
        version = runbooks.version(runbook.id, runbook.current_number) if runbook is not None else None
        if version is None or version.digest != definition_digest:
            continue
        if result is not None:
            runbooks.lock(rt.workspace_id, slug)
            version_rehearsals.keep(version, rt.workspace_id, result[0], passed=result[1]["passed"], result=result[1])
        elif version_rehearsals.of_version(version.id) is not None:
            runbooks.lock(rt.workspace_id, slug)
            version_rehearsals.forget(version.id)


def _read(path: Path, runbook: Runbook, problems: list[Problem]) -> str | None:
    """A rehearsal's text, None where there is none; what is wrong with it is added to the problems."""
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(Problem(str(path), 1, 1, f"cannot be read: {error.strerror}"))
        return None
    problems += rehearsals.load(source, str(path), runbook).problems
    return source.decode("utf-8", "replace")


def _digest(source: str, runbook: Runbook, known: Mapping[str, Runbook]) -> str:
    """What says whether it would be played alike: the rehearsal, its runbook, and the runbooks that may be started."""
    parts = [source, *(codec.digest(codec.canonical(each)) for each in (runbook, *_started(runbook, known)))]
    return "sha256:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _started(runbook: Runbook, known: Mapping[str, Runbook]) -> list[Runbook]:
    found: dict[str, Runbook] = {}
    left = [runbook]
    while left:
        ids = {step.with_["id"] for step in left.pop().by_id.values() if kind_of(step).starts_run}
        fresh = [known[each] for each in sorted(ids) if each in known and each not in (runbook.id, *found)]
        found |= {each.id: each for each in fresh}
        left += fresh
    return list(found.values())


def _is_kept(rt: Runtime, task: _Task) -> bool:
    """Whether the current version is this one and was rehearsed like this, to the end."""
    with database.reading():
        runbook = runbooks.find(rt.workspace_id, task.runbook.id)
        version = runbooks.version(runbook.id, runbook.current_number) if runbook is not None else None
        kept = version_rehearsals.of_version(version.id) if version is not None else None
    same = version is not None and version.digest == task.definition_digest
    return same and kept is not None and kept.digest == task.digest and not kept.result.get("unfinished")


def _play(tasks: Sequence[_Task], known: Mapping[str, Runbook]) -> list[Json]:
    """The result of each task; where time was up, or the process has failed, one that says so."""
    if not tasks:
        return []
    asked = {
        "rehearsals": [[task.path, task.runbook.id, task.source] for task in tasks],
        "runbooks": {slug: codec.canonical(runbook) for slug, runbook in known.items()},
    }
    played, failed = ask(json.dumps(asked).encode(), LIMIT_S)
    late = f"it was not played to its end within the {LIMIT_S:g} s of a sync: sync again, or make it shorter"
    why = "the process that plays rehearsals has failed; the log says how" if failed else late
    missing = [_unfinished(task, why) for task in tasks[len(played) :]]
    return [*played, *missing]


def play_one(file: str, slug: str, source: str, known: Mapping[str, Runbook], limit_s: float) -> Json:
    """The result of one rehearsal, of the runbook `slug` among those that are known."""
    asked = {
        "rehearsals": [[file, slug, source]],
        "runbooks": {each: codec.canonical(runbook) for each, runbook in known.items()},
    }
    played, _ = ask(json.dumps(asked).encode(), limit_s)
    return played[0] if played else _none(file, slug, f"it was not played to its end within {limit_s:g} s")


def _unfinished(task: _Task, why: str) -> Json:
    return _none(task.path, task.runbook.id, why)


def _none(file: str, slug: str, why: str) -> Json:
    about = {"file": file, "runbook": slug, "cases": [], "points": 0, "missed": []}
    return {**about, "problems": [f"{file}: {why}"], "passed": False, "unfinished": True}


def ask(asked: bytes, limit_s: float) -> tuple[list[Json], bool]:
    """What the process has told before it ended, after `limit_s` seconds at the latest, and whether it has failed."""
    failed = False
    with subprocess.Popen(  # noqa: S603 - our own module
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}, cwd="/"
    ) as process:
        try:
            told, said = process.communicate(asked, limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            told, said = process.communicate()
        else:
            failed = process.returncode != 0
            if failed:
                log.error("rehearsing failed: %s", said.decode("utf-8", "replace")[-2_000:])
    lines = told.decode("utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")], failed
