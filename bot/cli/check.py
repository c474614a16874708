"""`runbook check`: everything that is wrong with runbook, access and evidence files. Needs no settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from pathlib import Path

from bot import evidence_page
from bot.cli import check_formats
from engine.access import (
    access_file,
    calendar_file,
    secret_use,
    secrets_file,
    targets_file,
    unfillable_gates,
    unknown_team,
)
from engine.definition import regular_files, rehearsals, target_cautions
from engine.definition.load import MAX_BYTES, Rule, examine_file
from engine.definition.step_templates import FOLDER, Templates
from engine.definition.targets import findings as target_findings
from engine.definition.targets import resolved
from engine.egress.secret_rules import SecretRules
from engine.queries import evidence
from engine.text.problem import Problem

_PAGES = (".html", ".htm")
_RULES: Mapping[str, Callable[[Path], tuple[object, list[Problem]]]] = {
    access_file.NAME: access_file.read,
    secrets_file.NAME: secrets_file.read,
    calendar_file.NAME: calendar_file.read,
    targets_file.NAME: partial(targets_file.read, environment=targets_file.ANY),
}
"""How the files of rules are read, by their names."""


def run(paths: Sequence[Path], form: str = "text", *, strict: bool = False, secrets_strict: bool = False) -> int:
    """Say everything that is wrong with these files, and with all in these folders, in one of `check_formats.FORMATS`.

    Returns 1 where that is more than a warning, or with `strict` where it is anything, else 0. `secrets_strict` as by
    SECRETS_STRICT.
    """
    of_paths = {path: _files(path) for path in paths}
    files = [file for found in of_paths.values() for file in found]
    found = [_nothing_in(path) for path, inside in of_paths.items() if path.is_dir() and not inside]
    found += _of_files(files, secrets_strict=secrets_strict)
    wrong = any(problem.severity == "error" for problem in found)
    print(check_formats.FORMATS[form](found, len(files)), end="")
    return 1 if wrong or (strict and found) else 0


def _files(path: Path) -> list[Path]:
    """A file itself; of a folder what a sync reads: its runbooks and its files of rules."""
    if not path.is_dir():
        return [path]
    yaml = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml"))
    found = [each for each in yaml if each.name in _RULES or not each.name.startswith(("_", "."))]
    return found + ([] if path.name == FOLDER else sorted((path / FOLDER).glob("[!._]*.yaml")))


def _nothing_in(folder: Path) -> Problem:
    return Problem(str(folder), 1, 1, "there is no runbook in this folder")


def _of_files(files: Iterable[Path], *, secrets_strict: bool = False) -> list[Problem]:
    """The problems of each file, and one for each whose runbook's id another of them has too."""
    asked = cache(partial(_asked, secrets_strict=secrets_strict))
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
    if rehearsals.is_rehearsal(path):
        return rehearsals.check_file(path), ""
    found_in = _of_evidence(path) if path.suffix in (".json", *_PAGES) else None
    if found_in is not None:
        return found_in, ""
    if path.parent.name == FOLDER and path.is_file():
        return _of_template(path), ""
    if path.name.startswith("_") and path.is_file():
        return [], ""
    examined = examine_file(path, *asked(path.parent))
    return [*examined.problems, *examined.warnings], examined.runbook.id if examined.runbook else ""


def _asked(folder: Path, *, secrets_strict: bool) -> tuple[Rule, Rule]:
    """What is asked of a runbook besides itself: who may decide at its gates, where its secrets may go,
    what its targets are.

    The files of rules in its folder say that; first comes what is wrong, then what deserves a second look.
    """
    policy = access_file.read(folder / access_file.NAME)[0]
    rules = replace(secrets_file.read(folder / secrets_file.NAME)[0] or SecretRules(), strict=secrets_strict)
    targets = targets_file.read(folder / targets_file.NAME, targets_file.ANY)[0] or {}
    found: list[Rule] = [
        partial(target_findings, targets=targets),
        lambda runbook: secret_use.findings(resolved(runbook, targets), rules),
    ]
    warned: list[Rule] = [
        partial(target_cautions.cautions, targets=targets),
        lambda runbook: secret_use.cautions(resolved(runbook, targets), rules),
    ]
    if policy is not None:
        found.append(partial(unfillable_gates.findings, policy=policy))
        warned.append(partial(unfillable_gates.cautions, policy=policy))
        warned.append(partial(unknown_team.cautions, teams=policy.teams))
    return _all(found), _all(warned)


def _of_template(path: Path) -> list[Problem]:
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except OSError as error:
        return [Problem(str(path), 1, 1, f"the file cannot be read: {error.strerror}")]
    return Templates(path.parent.parent).check_file(source, path.stem, str(path))


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
