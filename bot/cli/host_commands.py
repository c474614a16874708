"""What operators do on the bot's own host: check, rehearse, up, web, worker, migrate, sync, token, audit and more.

Exit codes: 0 done, 1 something is wrong with what was looked at, 2 usage or settings. What only one verb needs is
imported when that is asked for: a command line has to answer at once.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli.argument_parser import Parser

if TYPE_CHECKING:
    from engine.config.settings import Settings
    from engine.text.redaction import Redactor

log = logging.getLogger("runbook")

SHELLS = ("bash", "zsh", "fish")
"""Those that commands can be completed in."""


def main(arguments: Sequence[str]) -> int:
    """Do what was asked and return the exit code. Raises `BadSettings`."""
    chosen, unknown = _parser(arguments[0].lower()).parse_known_args([arguments[0].lower(), *arguments[1:]])
    if unknown:
        chosen.parser.refuse(unknown)
    code: int = chosen.act(chosen)
    return code


def _parser(chosen: str) -> Parser:
    """Every verb, and the arguments of the chosen one: those of another need not be known, nor what they import."""
    parser = Parser(prog="runbook", description="Runs approved, versioned runbooks from the incident channel.")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, words in VERBS.items():
        verb = verbs.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        verb.set_defaults(act=_ACTS[name], parser=verb)
        if name == chosen and name in _ARGUMENTS:
            _ARGUMENTS[name](verb)
    return parser


def options_of(verb: str) -> list[str]:
    """The options that a verb of operators has of its own, in the order in which its help has them."""
    parser = argparse.ArgumentParser(add_help=False)
    if verb in _ARGUMENTS:
        _ARGUMENTS[verb](parser)
    return [option for action in parser._actions for option in action.option_strings]


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    from bot.cli import check_formats

    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", type=Path)
    parser.add_argument(
        "--format",
        choices=check_formats.FORMATS,
        default="text",
        help="text, JSON, GitHub's annotations or SARIF 2.1.0",
    )
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    secrets = "refuse secrets that no rule names, as SECRETS_STRICT=true does; also where the environment says so"
    parser.add_argument("--secrets-strict", action="store_true", help=secrets)


def _new_arguments(parser: argparse.ArgumentParser) -> None:
    from bot.cli import new

    new.add_arguments(parser)


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="say it as JSON")


def _token_arguments(parser: argparse.ArgumentParser) -> None:
    from bot import token_verbs

    token_verbs.add_arguments(parser)


def _audit_arguments(parser: argparse.ArgumentParser) -> None:
    from bot.cli import audit_verify

    audit_verify.add_arguments(parser)


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")


def _check(chosen: argparse.Namespace) -> int:
    from bot.cli import check
    from engine.config.setting_values import boolean
    from engine.errors import BadSettings

    said = os.environ.get("SECRETS_STRICT", "").strip()
    try:
        secrets = chosen.secrets_strict or (boolean(said) if said else False)
    except ValueError as error:
        raise BadSettings([f"SECRETS_STRICT: {said!r} is not right: {error}"]) from error
    return check.run(chosen.files, chosen.format, strict=chosen.strict, secrets_strict=secrets)


def _new(chosen: argparse.Namespace) -> int:
    from bot.cli import new

    return new.run(chosen)


def _schema(_chosen: argparse.Namespace) -> int:
    from bot.cli import schema

    return schema.run()


def _rehearse_arguments(parser: argparse.ArgumentParser) -> None:
    from bot.cli import rehearse

    rehearse.add_arguments(parser)


def _rehearse(chosen: argparse.Namespace) -> int:
    from bot.cli import rehearse

    if chosen.run:
        return rehearse.recorded(chosen)
    return rehearse.run(chosen.files, chosen.format, coverage=chosen.coverage)


def _up(_chosen: argparse.Namespace) -> int:
    from bot import up_command

    read, _ = load()
    return up_command.run(read)


def _web(_chosen: argparse.Namespace) -> int:
    from bot import web

    return web.run(*load())


def _worker(_chosen: argparse.Namespace) -> int:
    from bot import worker

    return worker.run(*load())


def _migrate(_chosen: argparse.Namespace) -> int:
    from engine import boot

    read, _ = load()
    applied = boot.migrate_database(read)
    print("\n".join(f"applied {name}" for name in applied) or "the database is up to date")
    return 0


def _sync(_chosen: argparse.Namespace) -> int:
    from bot.cli import show
    from engine import boot
    from engine.access.policy import SYSTEM
    from engine.catalog.sync import sync

    read, _ = load()
    report = sync(boot.open_engine(read), SYSTEM)
    for change in report.changes:
        print(f"{change.slug}@{change.number}: {change.kind}")
    for problem in report.problems:
        print(show.safe([str(problem)]), file=sys.stderr)
    print(f"{len(report.changes)} changed, {report.unchanged} as before, {len(report.problems)} problems")
    return 1 if report.problems else 0


def _token(chosen: argparse.Namespace) -> int:
    from bot import token_verbs

    read, _ = load()
    return token_verbs.run(read, chosen)


def _audit(chosen: argparse.Namespace) -> int:
    from bot.cli import audit_verify

    read, _ = load(quietly=True)
    return audit_verify.run(read, chosen)


def _doctor(chosen: argparse.Namespace) -> int:
    from bot.cli import doctor

    return doctor.run(as_json=chosen.json)


def _completion(chosen: argparse.Namespace) -> int:
    from bot.cli import completion

    print(completion.script(chosen.shell))
    return 0


def load(*, quietly: bool = False) -> tuple[Settings, Redactor]:
    """The settings, with logging set up so that nothing secret in them can be shown.

    `quietly` is for who asks for one thing and wants no log besides.
    """
    from engine.config import settings
    from engine.text.logs import install_logging
    from engine.text.redaction import Redactor

    redactor = Redactor()
    read = settings.load(os.environ, Path.cwd())
    redactor.add_all(read.secret_values())
    install_logging("ERROR" if quietly else read.log_level, redactor)
    for warning in read.warnings:
        log.warning("%s", warning)
    return read, redactor


VERBS: Mapping[str, str] = {
    "new": "ask a few questions and write a new runbook",
    "schema": "print the JSON Schema of runbook files, for editors",
    "check": "say everything that is wrong with runbook files; needs no settings",
    "rehearse": "play the rehearsals beside runbook files, in which nothing is called; needs no settings",
    "up": "run the whole bot: migrate, Redis, web and worker",
    "web": "run the web process alone",
    "worker": "run a worker process alone",
    "migrate": "bring the database up to this release",
    "sync": "read the runbooks folder into the catalogue",
    "token": "make, list and end the tokens that programs act by",
    "audit": "with `audit verify`, check the chain of audit rows and name the first that is wrong",
    "doctor": "say what is well with this deployment and what is not, and what to do",
    "completion": "print what your shell needs to complete commands",
}
"""What operators do, on the bot's own host."""

_ACTS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "new": _new,
    "schema": _schema,
    "check": _check,
    "rehearse": _rehearse,
    "up": _up,
    "web": _web,
    "worker": _worker,
    "migrate": _migrate,
    "sync": _sync,
    "token": _token,
    "audit": _audit,
    "doctor": _doctor,
    "completion": _completion,
}
_ARGUMENTS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "new": _new_arguments,
    "check": _check_arguments,
    "rehearse": _rehearse_arguments,
    "token": _token_arguments,
    "audit": _audit_arguments,
    "doctor": _doctor_arguments,
    "completion": _completion_arguments,
}
