"""The command line: operator's verbs.

Exit codes: 0 done, 1 something is wrong with what was checked, 2 usage or settings."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bot import token_verbs
from engine import access_file, boot, settings
from engine.access import SYSTEM
from engine.definition.load import MAX_BYTES, check_file, examine
from engine.definition.model import Problem
from engine.errors import BadSettings
from engine.logs import install_logging
from engine.redaction import Redactor
from engine.settings import Settings
from engine.sync import sync

log = logging.getLogger("runbook")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what was asked and return the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        code: int = chosen.act(chosen)
    except BadSettings as error:
        for problem in error.problems:
            print(f"runbook: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="runbook", description="Runs approved, versioned runbooks from the incident channel."
    )
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = verbs.add_parser("check", help="say everything that is wrong with runbook files; needs no settings")
    check.add_argument("files", nargs="+", metavar="FILE", type=Path)
    check.set_defaults(act=_check)
    for name, act, words in (
        ("up", _up, "run the whole bot: migrate, Redis, web and worker"),
        ("web", _web, "run the web process alone"),
        ("worker", _worker, "run a worker process alone"),
        ("migrate", _migrate, "bring the database up to this release"),
        ("sync", _sync, "read the runbooks folder into the catalogue"),
    ):
        verbs.add_parser(name, help=words, description=words.capitalize() + ".").set_defaults(act=act)
    token = verbs.add_parser("token", help="make, list and end the tokens that programs act by")
    token_verbs.add_arguments(token)
    token.set_defaults(act=_token)
    return parser


def _check(chosen: argparse.Namespace) -> int:
    found = [problem for path in chosen.files for problem in _check_one(path)] + _same_ids(chosen.files)
    for problem in found:
        print(problem)
    wrong = any(problem.severity == "error" for problem in found)
    if not wrong:
        print(f"{len(chosen.files)} file{'s are' if len(chosen.files) > 1 else ' is'} fine")
    return 1 if wrong else 0


def _same_ids(paths: Sequence[Path]) -> list[Problem]:
    """A problem for each file whose runbook's id another of the files has too."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        if path.is_file() and not path.name.startswith("_") and path.stat().st_size <= MAX_BYTES:
            runbook = examine(path.read_bytes(), str(path)).runbook
            named.setdefault(runbook.id if runbook else "", []).append(path)
    named.pop("", None)
    return [
        Problem(str(path), 1, 1, f"the id {runbook_id} is used by {' and '.join(each.name for each in same)}")
        for runbook_id, same in named.items()
        for path in same
        if len(same) > 1
    ]


def _check_one(path: Path) -> list[Problem]:
    """A runbook's problems or the access file's; other files that start with `_` are no runbooks."""
    if path.name == access_file.NAME:
        return access_file.read(path)[1]
    return [] if path.name.startswith("_") and path.is_file() else check_file(path)


def _up(_chosen: argparse.Namespace) -> int:
    from bot import up

    read, _ = _load()
    return up.run(read)


def _web(_chosen: argparse.Namespace) -> int:
    from bot import web

    return web.run(*_load())


def _worker(_chosen: argparse.Namespace) -> int:
    from bot import worker

    return worker.run(*_load())


def _migrate(_chosen: argparse.Namespace) -> int:
    read, _ = _load()
    applied = boot.migrate_database(read)
    print("\n".join(f"applied {name}" for name in applied) or "the database is up to date")
    return 0


def _sync(_chosen: argparse.Namespace) -> int:
    read, _ = _load()
    report = sync(boot.open_engine(read), SYSTEM)
    for change in report.changes:
        print(f"{change.slug}@{change.number}: {change.kind}")
    for problem in report.problems:
        print(problem, file=sys.stderr)
    print(f"{len(report.changes)} changed, {report.unchanged} unchanged, {len(report.problems)} problems")
    return 1 if report.problems else 0


def _token(chosen: argparse.Namespace) -> int:
    read, _ = _load()
    return token_verbs.run(read, chosen)


def _load() -> tuple[Settings, Redactor]:
    """The settings, with logging set up so that nothing secret in them can be shown."""
    redactor = Redactor()
    read = settings.load(os.environ, Path.cwd())
    redactor.add_all(read.secret_values())
    install_logging(read.log_level, redactor)
    for warning in read.warnings:
        log.warning("%s", warning)
    return read, redactor


if __name__ == "__main__":
    sys.exit(main())
