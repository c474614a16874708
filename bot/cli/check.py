"""`runbook check`: everything that is wrong with runbook, access and evidence files. Needs no settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from bot.cli import show
from engine.access import access_file, unfillable_gates
from engine.definition import regular_files
from engine.definition.load import MAX_BYTES, check_file, examine
from engine.queries import evidence
from engine.text.problem import Problem


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
    """A file itself; of a folder what a sync reads: its runbooks and its access file."""
    if not path.is_dir():
        return [path]
    yaml = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml"))
    return [each for each in yaml if each.name == access_file.NAME or not each.name.startswith(("_", "."))]


def _nothing_in(folder: Path) -> Problem:
    return Problem(str(folder), 1, 1, "there is no runbook in this folder")


def _same_ids(paths: Sequence[Path]) -> list[Problem]:
    """A problem for each file whose runbook's id another of the files has too."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        with suppress(OSError):  # what cannot be read was said above
            if not path.name.startswith("_"):
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
    """A runbook's problems, the access file's or an evidence file's; others that start with `_` are no runbooks.

    Who may decide at a runbook's gates is asked of the access file beside it, where there is one.
    """
    if path.name == access_file.NAME:
        return access_file.read(path)[1]
    wrong = _wrong_evidence(path) if path.suffix == ".json" else None
    if wrong is not None:
        return [Problem(str(path), 1, 1, each) for each in wrong]
    if path.name.startswith("_") and path.is_file():
        return []
    policy = access_file.read(path.parent / access_file.NAME)[0]
    if policy is None:
        return check_file(path)
    return check_file(
        path, partial(unfillable_gates.findings, policy=policy), partial(unfillable_gates.cautions, policy=policy)
    )


def _wrong_evidence(path: Path) -> list[str] | None:
    """What is wrong with an evidence file; None for a file that is something else."""
    try:
        found = json.loads(regular_files.read(path))
    except (OSError, ValueError, RecursionError):
        return None
    return evidence.check(found) if isinstance(found, dict) and found.get("format") == evidence.FORMAT else None
