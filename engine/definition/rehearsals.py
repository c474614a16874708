"""Rehearsals as files: `NAME.rehearsal.yaml` beside `NAME.yaml`, read and checked against the runbook beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path as FilePath
from typing import Any

from engine.definition import regular_files, rehearsal_fit
from engine.definition.formats import FORMATS
from engine.definition.load import MAX_BYTES, MAX_PROBLEMS, examine
from engine.definition.model import Runbook
from engine.definition.schema import Finding, Path, checker
from engine.definition.schema import findings as schema_findings
from engine.definition.step_templates import Templates
from engine.definition.yaml_source import Source, read
from engine.text.problem import Problem
from engine.text.words import did_you_mean
from storage.records import Json

MARK = ".rehearsal"
DEFAULT_START = "2026-01-01T09:00:00Z"
_ADDRESS = re.compile(r"[A-Z]+ \S")
_ROUND = re.compile(r"\[[0-9]+\]")


@dataclass(frozen=True, slots=True)
class Case:
    """One run to rehearse. `stubs` and `answers` hold lists by step or address; `expect` is as the file says it."""

    name: str
    parameters: dict[str, Json]
    started_by: str
    reason: str
    incident: dict[str, str]
    at: str
    stubs: Mapping[str, list[Json]]
    answers: Mapping[str, list[Json]]
    expect: Mapping[str, Json]
    line: int


@dataclass(frozen=True, slots=True)
class Examined:
    """What a rehearsal's file came to: its cases, or at least one problem."""

    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]


def is_rehearsal(path: FilePath) -> bool:
    """Whether a file is a rehearsal by its name, and so no runbook."""
    return path.stem.endswith(MARK) and path.suffix in (".yaml", ".yml")


def beside(runbook: FilePath) -> FilePath:
    """Where the rehearsal of the runbook in this file stands."""
    return runbook.with_name(f"{runbook.stem}{MARK}{runbook.suffix}")


def runbook_of(rehearsal: FilePath) -> FilePath:
    """The file of the runbook that this one rehearses."""
    return rehearsal.with_name(f"{rehearsal.stem.removesuffix(MARK)}{rehearsal.suffix}")


@cache
def document() -> dict[str, Json]:
    """The published JSON Schema of a rehearsal."""
    text = resources.files(__package__).joinpath("rehearsal.schema.json").read_text("utf-8")
    loaded: dict[str, Json] = json.loads(text)
    return loaded


@cache
def _validator() -> Any:
    return checker(document(), FORMATS)


def load(source: bytes, file: str, runbook: Runbook) -> Examined:
    """The cases in `source`, which rehearse this runbook, or all that is wrong with it."""
    parsed = read(source, file)
    problems = list(parsed.problems)
    if isinstance(parsed.data, dict) or not problems:
        found = list(islice(schema_findings(_validator(), parsed.data), MAX_PROBLEMS))
        found = found or list(islice(_findings(parsed.data, runbook), MAX_PROBLEMS))
        problems += [_located(parsed, each) for each in found]
    if problems:
        return Examined((), tuple(sorted(set(problems))))
    cases = enumerate(parsed.data["cases"])
    return Examined(tuple(_case(each, parsed.location(("cases", number))[0]) for number, each in cases), ())


def check_file(path: FilePath) -> list[Problem]:
    """All that is wrong with a rehearsal and with its place beside a runbook, if anything is. Raises nothing."""
    runbook_path = runbook_of(path)
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except FileNotFoundError:
        name = runbook_path.name
        wanted = f"{name} has no rehearsal" if runbook_path.exists() else f"nor is there a {name}"
        return [Problem(str(path), 1, 1, f"there is no such file: {wanted}")]
    except (OSError, ValueError) as error:
        return [Problem(str(path), 1, 1, f"the file cannot be read: {_reason(error)}")]
    try:
        text, templates = regular_files.read(runbook_path, MAX_BYTES + 1), Templates(runbook_path.parent)
        runbook = examine(text, str(runbook_path), templates=templates).runbook
    except FileNotFoundError:
        return [Problem(str(path), 1, 1, f"there is no {runbook_path.name} beside it, which it would rehearse")]
    except (OSError, ValueError) as error:
        return [Problem(str(path), 1, 1, f"{runbook_path.name} beside it cannot be read: {_reason(error)}")]
    if runbook is None:
        return [Problem(str(path), 1, 1, f"{runbook_path.name}, which it rehearses, has mistakes: see to those first")]
    return list(load(source, str(path), runbook).problems)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)


def _located(source: Source, found: Finding) -> Problem:
    line, column = source.location(found.path, at_key=found.at_key)
    return Problem(source.file, line, column, f"{_case_label(source.data, found.path)}{found.message}")


def _case_label(data: Json, path: Path) -> str:
    if len(path) < 2:
        return ""
    case = data["cases"][path[1]]
    name = case.get("name") if isinstance(case, dict) else None
    return f"case “{name}”: " if isinstance(name, str) and len(name) <= 200 else f"case {int(path[1]) + 1}: "


def _findings(data: Json, runbook: Runbook) -> Iterator[Finding]:
    names: set[str] = set()
    for number, case in enumerate(data["cases"]):
        at: Path = ("cases", number)
        if case["name"] in names:
            yield Finding((*at, "name"), "another case has this name")
        names.add(case["name"])
        for key in case.get("stubs", {}):
            if not _ADDRESS.match(key):
                yield from _unknown_step(runbook, key, (*at, "stubs", key), at_key=True)
        for key in case.get("answers", {}):
            yield from _unknown_step(runbook, key, (*at, "answers", key), at_key=True)
        yield from rehearsal_fit.findings(runbook, case, at)
        expect = case["expect"]
        for place, item in enumerate(expect.get("path", ())):
            step, _ = path_item(item)
            yield from _unknown_step(runbook, step, (*at, "expect", "path", place))
        for place, call in enumerate(expect.get("calls", ())):
            if "step" in call:
                yield from _unknown_step(runbook, call["step"], (*at, "expect", "calls", place, "step"))


def path_item(item: Json) -> tuple[str, str]:
    """A part of an expected path as the step's path and how it ended."""
    return (item, "SUCCESS") if isinstance(item, str) else next(iter(item.items()))


def _unknown_step(runbook: Runbook, path: str, at: Path, *, at_key: bool = False) -> Iterable[Finding]:
    """What is wrong with a step's path: `switch`, `each[1].switch`, `switch.undo`, or `child/step` in a child run."""
    here = _ROUND.sub("", path.partition("/")[0])
    parts = here.removesuffix(".undo").split(".")
    missing = [part for part in parts if part not in runbook.by_id] if here not in runbook.by_id else []
    if missing:
        near = did_you_mean(missing[0], runbook.by_id)
        hint = near or "; a stub may also stand for an address, as in `GET https://api.example.com/*`"
        yield Finding(at, f"`{runbook.id}` has no step `{missing[0]}`{hint if at_key or near else ''}", at_key)


def _case(data: Mapping[str, Json], line: int) -> Case:
    return Case(
        name=data["name"],
        parameters=data.get("parameters", {}),
        started_by=data.get("started_by", "U0STARTER"),
        reason=data.get("reason", "A rehearsal."),
        incident=data.get("incident", {}),
        at=data.get("at", DEFAULT_START),
        stubs=_lists(data.get("stubs", {})),
        answers=_lists(data.get("answers", {})),
        expect=data["expect"],
        line=line,
    )


def _lists(given: Mapping[str, Json]) -> dict[str, list[Json]]:
    return {key: value if isinstance(value, list) else [value] for key, value in given.items()}
