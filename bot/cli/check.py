"""`runbook check`: everything that is wrong with runbook, access and evidence files. Needs no settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path

from bot import evidence_page
from bot.cli import check_formats
from engine.access import access_file, calendar_file, secret_use, secrets_file, unfillable_gates
from engine.definition import regular_files
from engine.definition.load import Rule, examine_file
from engine.egress.secret_rules import SecretRules
from engine.queries import evidence
from engine.text.problem import Problem

_PAGES = (".html", ".htm")
_RULES: Mapping[str, Callable[[Path], tuple[object, list[Problem]]]] = {
    access_file.NAME: access_file.read,
    secrets_file.NAME: secrets_file.read,
    calendar_file.NAME: calendar_file.read,
}
"""How the files of rules are read, by their names."""


def run(paths: Sequence[Path], form: str = "text", *, strict: bool = False) -> int:
    """Say everything that is wrong with these files, and with all in these folders, in one of `check_formats.FORMATS`.

    Returns 1 where that is more than a warning, or with `strict` where it is anything, else 0.
    """
    of_paths = {path: _files(path) for path in paths}
    files = [file for found in of_paths.values() for file in found]
    found = [_nothing_in(path) for path, inside in of_paths.items() if path.is_dir() and not inside]
    found += _of_files(files)
    wrong = any(problem.severity == "error" for problem in found)
    print(check_formats.FORMATS[form](found, len(files)), end="")
    return 1 if wrong or (strict and found) else 0


def _files(path: Path) -> list[Path]:
    """A file itself; of a folder what a sync reads: its runbooks and its files of rules."""
    if not path.is_dir():
        return [path]
    yaml = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml"))
    return [each for each in yaml if each.name in _RULES or not each.name.startswith(("_", "."))]


def _nothing_in(folder: Path) -> Problem:
    return Problem(str(folder), 1, 1, "there is no runbook in this folder")


def _of_files(files: Iterable[Path]) -> list[Problem]:
    """The problems of each file, and one for each whose runbook's id another of them has too."""
    asked = cache(_asked)
    found: list[Problem] = []
    named: dict[str, list[Path]] = {}
    for path in files:
        problems, runbook_id = _check_one(path, asked)
        found += problems
        if runbook_id:
            named.setdefault(runbook_id, []).append(path)
    return found + [
        Problem(str(path), 1, 1, f"the id {runbook_id} is used by {' and '.join(each.name for each in same)}")
        for runbook_id, same in named.items()
        for path in same
        if len(same) > 1
    ]


def _check_one(path: Path, asked: Callable[[Path], tuple[Rule, Rule]]) -> tuple[list[Problem], str]:
    """A file's problems, and its runbook's id, "" where it is no runbook or a broken one.

    Files that start with `_` are no runbooks, but for those of rules.
    """
    if path.name in _RULES and path.is_file():
        return _RULES[path.name](path)[1], ""
    found_in = _of_evidence(path) if path.suffix in (".json", *_PAGES) else None
    if found_in is not None:
        return found_in, ""
    if path.name.startswith("_") and path.is_file():
        return [], ""
    examined = examine_file(path, *asked(path.parent))
    return [*examined.problems, *examined.warnings], examined.runbook.id if examined.runbook else ""


def _asked(folder: Path) -> tuple[Rule, Rule]:
    """What is asked of a runbook besides itself: who may decide at its gates, where its secrets may go.

    The files of rules in its folder say that; first comes what is wrong, then what deserves a second look.
    """
    policy = access_file.read(folder / access_file.NAME)[0]
    rules = secrets_file.read(folder / secrets_file.NAME)[0] or SecretRules()
    found = [partial(secret_use.findings, known=rules)]
    warned = [partial(secret_use.cautions, known=rules)]
    if policy is not None:
        found.append(partial(unfillable_gates.findings, policy=policy))
        warned.append(partial(unfillable_gates.cautions, policy=policy))
    return _all(found), _all(warned)


def _all(rules: Sequence[Rule]) -> Rule:
    return lambda runbook: chain.from_iterable(rule(runbook) for rule in rules)


def _of_evidence(path: Path) -> list[Problem] | None:
    """What is wrong with an evidence file or page, and what it cannot prove; None for a file that is something else."""
    try:
        data = regular_files.read(path)
        if path.suffix in _PAGES:
            wrong = evidence_page.check(data.decode())
            found = evidence_page.evidence_in(data.decode()) if not wrong else None
        else:
            found = json.loads(data)
            if not isinstance(found, dict) or found.get("format") != evidence.FORMAT:
                return None
            wrong = evidence.check(found)
    except (OSError, ValueError, RecursionError):
        return None
    if wrong:
        return [Problem(str(path), 1, 1, each) for each in wrong]
    return [Problem(str(path), 1, 1, each, "warning") for each in evidence.cautions(found)]
