"""Rehearsing one runbook: every case of its rehearsal, and how much of it they have gone through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine.access import targets_file
from engine.definition import regular_files, rehearsals
from engine.definition.kinds import kind_of
from engine.definition.load import MAX_BYTES, examine
from engine.definition.model import Runbook
from engine.definition.rehearsals import Case
from engine.definition.step_templates import Templates
from engine.definition.targets import resolved
from engine.rehearsal import coverage
from engine.rehearsal.judge import differences
from engine.rehearsal.play import play
from engine.rehearsal.world import Published, World
from storage.records import Json

FILE_LIMIT_S = 60.0
"""How long the cases of one file may take together."""

FindOthers = Callable[[], Mapping[str, Published]]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case; it has passed where there are no `failures`. `path` is each step with how it ended."""

    name: str
    line: int
    failures: tuple[str, ...]
    outcome: str = ""
    path: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of a rehearsal; `problems` are why its cases were not played. `missed` is what no case covers."""

    file: str
    runbook: str
    cases: tuple[CaseResult, ...] = ()
    problems: tuple[str, ...] = ()
    points: int = 0
    missed: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether there are cases, and each has passed."""
        return bool(self.cases) and not self.problems and not any(each.failures for each in self.cases)

    def as_json(self) -> dict[str, Json]:
        """The same as plain data."""
        return {**asdict(self), "passed": self.passed}


def rehearse(world: World, file: str, rehearsal: bytes, subject: Published, find_others: FindOthers) -> FileResult:
    """Play every case of a rehearsal of this runbook; what it calls is among the others. Raises nothing."""
    runbook = subject.runbook
    found = rehearsals.load(rehearsal, file, runbook)
    if found.problems:
        return FileResult(file, runbook.id, problems=tuple(map(str, found.problems)))
    others = _needed(runbook, find_others)
    began, covered, results = time.monotonic(), set[str](), list[CaseResult]()
    for case in found.cases:
        result, points = _case(world, subject, others, case, began + FILE_LIMIT_S)
        results.append(result)
        covered |= points
    every = coverage.points(runbook)
    missed = tuple(coverage.in_words(each) for each in every if each not in covered)
    return FileResult(file, runbook.id, tuple(results), (), len(every), missed)


def _case(
    world: World, subject: Published, others: Iterable[Published], case: Case, until: float
) -> tuple[CaseResult, frozenset[str]]:
    began = time.monotonic()
    if began > until:
        late = f"the cases before it took more than {FILE_LIMIT_S:g} s together, so that it was not played"
        return CaseResult(case.name, case.line, (late,)), frozenset()
    got = play(world, subject, others, case)
    seconds = time.monotonic() - began
    failures = tuple(differences(case.expect, got))
    return CaseResult(case.name, case.line, failures, got.outcome, got.path, seconds), got.points


def _needed(runbook: Runbook, find_others: FindOthers) -> list[Published]:
    """The runbooks that this one may start, and those that they may start."""
    wanted, found = _started_by(runbook), dict[str, Published]()
    known = find_others() if wanted else {}
    while wanted:
        slug = wanted.pop()
        if slug in known and slug not in (runbook.id, *found):
            found[slug] = known[slug]
            wanted |= _started_by(known[slug].runbook)
    return list(found.values())


def _started_by(runbook: Runbook) -> set[str]:
    return {step.with_["id"] for step in runbook.by_id.values() if kind_of(step).starts_run}


def read_folder(folder: Path) -> Iterator[tuple[str, Published]]:
    """Every faultless runbook of a folder, by its id."""
    for path in sorted(folder.iterdir()):
        if (
            path.suffix in (".yaml", ".yml")
            and not path.name.startswith(("_", "."))
            and not rehearsals.is_rehearsal(path)
        ):
            published = read_runbook(path)
            if published is not None:
                yield published.runbook.id, published


def read_runbook(path: Path) -> Published | None:
    """The runbook in a file, with the targets beside it; None where it has mistakes or cannot be read."""
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except (OSError, ValueError):
        return None
    runbook = examine(source, str(path), templates=Templates(path.parent)).runbook
    if runbook is None:
        return None
    targets = targets_file.read(path.parent / targets_file.NAME, targets_file.ANY)[0] or {}
    return Published(resolved(runbook, targets), source.decode("utf-8"))
