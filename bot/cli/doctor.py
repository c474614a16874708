"""`runbook doctor`: one line for each thing that was looked at, with what to do where it is not well."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from bot.cli import show
from bot.slack import doctor_checks
from engine import doctor
from engine.config import settings
from engine.doctor import Finding, Level
from engine.errors import BadSettings
from engine.text.logs import install_logging
from engine.text.redaction import Redactor
from engine.text.visible_characters import visible_line

_MARKS = {Level.OK: "ok  ", Level.WARN: "warn", Level.BAD: "BAD "}


def run(*, as_json: bool) -> int:
    """Look at everything and say it; 1 where something is bad, else 0."""
    redactor = Redactor()
    install_logging("CRITICAL", redactor)
    found = []
    for each in _findings(redactor):
        found.append(each)
        if not as_json:
            print("\n".join(_lines(each, redactor)), flush=True)
    worst = [each.level for each in found]
    if as_json:
        print(show.as_json(redactor.redact_json([asdict(each) for each in found])))
    else:
        print(_summary(worst))
    return 1 if Level.BAD in worst else 0


def _findings(redactor: Redactor) -> Iterator[Finding]:
    try:
        read = settings.load(os.environ, Path.cwd())
    except BadSettings as error:
        for problem in error.problems:
            yield Finding(Level.BAD, "settings", problem, "Correct it in the environment or in .env.")
        return
    redactor.add_all(read.secret_values())
    yield from doctor.of_settings(read)
    yield from doctor.of_files(read)
    yield from doctor.of_descriptors()
    found, rt = doctor.of_database(read)
    yield from found
    yield from doctor.of_redis(read)
    yield from doctor.of_vault(read)
    yield from doctor_checks.findings(read)
    if rt is not None:
        yield from doctor.of_clock(rt)
        yield from doctor.of_policy(rt)
        yield from doctor.of_running(rt)
        yield from doctor.of_stuck(rt)
        yield from doctor.of_open_matters(rt)


def _lines(found: Finding, redactor: Redactor) -> Iterable[str]:
    yield visible_line(redactor.redact(f"{_MARKS[found.level]}  {found.thing}: {found.detail}"))
    if found.advice:
        yield visible_line(redactor.redact(f"      → {found.advice}"))


def _summary(levels: list[Level]) -> str:
    bad, warned = levels.count(Level.BAD), levels.count(Level.WARN)
    if not bad and not warned:
        return "All is well."
    return f"{bad} bad, {warned} to look at."
