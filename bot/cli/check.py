"""`runbook check`: everything that is wrong with runbook, access and evidence files. Needs no settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path

from bot import evidence_page
from bot.cli import show
from engine.access import access_file, calendar_file, secret_use, secrets_file, unfillable_gates
from engine.definition import regular_files, rehearsals
from engine.definition.load import MAX_BYTES, Rule, check_file, examine
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


def run(paths: Sequence[Path]) -> int:
    """Say everything that is wrong with these files, and with all in these folders.

    Returns 1 where that is more than a warning, else 0.
    """
    files = [file for path in paths for file in _files(path)]
    found = [_nothing_in(path) for path in paths if path.is_dir() and not _files(path)]
    found += [problem for path in files for problem in _check_one(path)] + _same_ids(files)
    for problem in found:
        print(show.safe([str(problem)]))
    wrong = any(problem.severity == "error" for problem in found)
    if not wrong:
        print(f"{len(files)} file{'s are' if len(files) > 1 else ' is'} fine")
    return 1 if wrong else 0


def _files(path: Path) -> list[Path]:
    """A file itself; of a folder what a sync reads: its runbooks and its files of rules."""
    if not path.is_dir():
        return [path]
    yaml = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml"))
    return [each for each in yaml if each.name in _RULES or not each.name.startswith(("_", "."))]


def _nothing_in(folder: Path) -> Problem:
    return Problem(str(folder), 1, 1, "there is no runbook in this folder")


def _same_ids(paths: Sequence[Path]) -> list[Problem]:
    """A problem for each file whose runbook's id another of the files has too."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        with suppress(OSError):  # what cannot be read was said above
            if not path.name.startswith("_") and not rehearsals.is_rehearsal(path):
                runbook = examine(regular_files.read(path, MAX_BYTES + 1), str(path)).runbook
                named.setdefault(runbook.id if runbook else "", []).append(path)
    named.pop("", None)
    return [
        Problem(str(path), 1, 1, f"the id {runbook_id} is used by {' and '.join(each.name for each in same)}")
        for runbook_id, same in named.items()
        for path in same
        if len(same) > 1
    ]


def _check_one(path: Path) -> list[Problem]:
    """A runbook's problems, a rehearsal's, the access file's or an evidence file's; others in `_` are no runbooks.

    Who may decide at a runbook's gates, and where its secrets may go, is asked of the files of rules beside it.
    """
    if path.name in _RULES and path.is_file():
        return _RULES[path.name](path)[1]
    if rehearsals.is_rehearsal(path):
        return rehearsals.check_file(path)
    found_in = _of_evidence(path) if path.suffix in (".json", *_PAGES) else None
    if found_in is not None:
        return found_in
    if path.name.startswith("_") and path.is_file():
        return []
    policy = access_file.read(path.parent / access_file.NAME)[0]
    rules = secrets_file.read(path.parent / secrets_file.NAME)[0] or SecretRules()
    found = [partial(secret_use.findings, known=rules)]
    warned = [partial(secret_use.cautions, known=rules)]
    if policy is not None:
        found.append(partial(unfillable_gates.findings, policy=policy))
        warned.append(partial(unfillable_gates.cautions, policy=policy))
    return check_file(path, _all(found), _all(warned))


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
