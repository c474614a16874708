"""From a runbook's file to a `Runbook`, or to everything that is wrong with it, each with its line and column."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path as FilePath

from engine.definition import checks, lint
from engine.definition.durations import parse_duration
from engine.definition.kinds import KINDS
from engine.definition.model import (
    DEFAULT_RUN_TIMEOUT_MS,
    DEFAULT_WEBHOOK_TIMEOUT_MS,
    Json,
    Problem,
    Retry,
    Runbook,
    Step,
)
from engine.definition.parameters import EMPTY
from engine.definition.schema import Finding, Path, file_validator
from engine.definition.schema import findings as schema_findings
from engine.definition.yaml_source import MAX_BYTES, Source, read
from engine.errors import InvalidDefinition

__all__ = ["MAX_BYTES", "check_file", "examine", "load"]

MAX_PROBLEMS = 50
"""Problems shown for one file; one more says that there are others."""
MAX_STEPS = 200
WEBHOOK_STEP = "webhook"
"""The id of the one step that a `webhook:` runbook has."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file came to: a runbook and its warnings, or no runbook and at least one problem."""

    runbook: Runbook | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def load(source: bytes, file: str) -> Runbook:
    """The runbook in `source`; `file` is the name that problems show. Raises InvalidDefinition with all problems."""
    examined = examine(source, file)
    if examined.runbook is None:
        raise InvalidDefinition(examined.problems)
    return examined.runbook


def examine(source: bytes, file: str) -> Examined:
    """As `load`, with the warnings, and with the problems returned rather than raised."""
    parsed = read(source, file)
    problems = list(parsed.problems)
    if isinstance(parsed.data, dict) or not problems:
        problems += _problems(parsed)
    if problems:
        return Examined(None, tuple(_tidy(problems)))
    runbook = build(parsed.data)
    return Examined(runbook, (), tuple(_located(parsed, lint.findings(runbook), "warning")))


def check_file(path: FilePath) -> list[Problem]:
    """Errors and warnings of the file at `path`, for `runbook check`; empty when all is well. Raises nothing."""
    file = str(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return [Problem(file, 1, 1, "this is not a file" + ("; name the files in it" if path.is_dir() else ""))]
        with path.open("rb") as opened:
            source = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return [Problem(file, 1, 1, f"the file cannot be read: {reason}")]
    examined = examine(source, file)
    return [*examined.problems, *examined.warnings]


def _problems(source: Source) -> Iterator[Problem]:
    data = source.data
    found: list[Finding] = []
    if isinstance(data, dict) and isinstance(data.get("steps"), list) and len(data["steps"]) > MAX_STEPS:
        found.append(Finding(("steps", MAX_STEPS), f"`steps` must have at most {MAX_STEPS} items"))
        data = {**data, "steps": data["steps"][:MAX_STEPS]}
    found += islice(schema_findings(file_validator(), data), MAX_PROBLEMS + 1)
    if isinstance(data, dict) and len(found) <= MAX_PROBLEMS:
        broken = frozenset(each.path[:length] for each in found for length in range(len(each.path) + 1))
        found += islice((each for each in checks.findings(data, broken) if each.path not in broken), MAX_PROBLEMS + 1)
    return _located(source, found)


def _located(source: Source, found: Iterable[Finding], severity: str = "error") -> Iterator[Problem]:
    for each in found:
        line, column = source.place(each.path, at_key=each.at_key)
        message = _step_label(source.data, each.path) + each.message
        yield Problem(source.file, line, column, message, "warning" if severity == "warning" else "error")


def _step_label(data: Json, path: Path) -> str:
    """Which step a problem is in, for people who do not count lines."""
    match path:
        case ("steps", int(index), *_) if isinstance(data, dict) and index < len(data["steps"]):
            step = data["steps"][index]
            step_id = step.get("id") if isinstance(step, dict) else None
            return f"step `{step_id}`: " if isinstance(step_id, str) and len(step_id) <= 63 else f"step {index + 1}: "
    return ""


def _tidy(problems: list[Problem]) -> list[Problem]:
    """In the file's order, no place and sentence twice, and not more than anyone reads."""
    ordered = sorted(set(problems))
    if len(ordered) <= MAX_PROBLEMS:
        return ordered
    last = ordered[MAX_PROBLEMS - 1]
    return [*ordered[:MAX_PROBLEMS], Problem(last.file, last.line, last.column, "… and more; these first")]


def build(data: Mapping[str, Json]) -> Runbook:
    """The runbook that faultless data says, with every default filled in."""
    is_webhook = "webhook" in data
    default_timeout = DEFAULT_WEBHOOK_TIMEOUT_MS if is_webhook else DEFAULT_RUN_TIMEOUT_MS
    timeout_ms = parse_duration(data["timeout"]) if "timeout" in data else default_timeout
    return Runbook(
        id=data["id"],
        name=data["name"],
        description=data.get("description", ""),
        team=data.get("team"),
        tags=tuple(data.get("tags", ())),
        risk=data.get("risk", "low"),
        timeout_ms=timeout_ms,
        parameters=data.get("parameters", EMPTY),
        steps=(_webhook_step(data, timeout_ms),) if is_webhook else tuple(_steps(data["steps"])),
        max_concurrent_steps=data.get("max_concurrent_steps"),
        is_webhook=is_webhook,
    )


def _steps(items: list[dict[str, Json]]) -> Iterator[Step]:
    needs = checks.needs_in(items)
    for item in items:
        kind = KINDS[item["type"]]
        with_ = {**kind.defaults, **item.get("with", {})}
        for key in kind.durations:
            with_[f"{key}_ms"] = parse_duration(with_.pop(key))
        yield Step(
            id=item["id"],
            name=str(item.get("name", item["id"])),
            kind=item["type"],
            needs=tuple(needs[item["id"]]),
            with_=with_,
            condition=item.get("if"),
            timeout_ms=parse_duration(item["timeout"]) if "timeout" in item else kind.timeout_ms,
            retry=_retry(item.get("retry")),
            idempotent=item.get("idempotent", kind.idempotent(with_)),
            on_timeout=item.get("on_timeout", "fail"),
        )


def _webhook_step(data: Mapping[str, Json], timeout_ms: int) -> Step:
    """The one call of a `webhook:` runbook, which may take as long as the whole runbook may."""
    return Step(
        id=WEBHOOK_STEP,
        name=data["name"],
        kind="http",
        needs=(),
        with_={"method": "POST", **data["webhook"]},
        timeout_ms=timeout_ms,
        retry=_retry(data.get("retry")),
        idempotent=data.get("idempotent", True),
    )


def _retry(data: dict[str, Json] | None) -> Retry | None:
    if data is None:
        return None
    plain = Retry()
    return Retry(
        max_attempts=int(data.get("max_attempts", plain.max_attempts)),
        delay_ms=parse_duration(data["delay"]) if "delay" in data else plain.delay_ms,
        backoff=float(data.get("backoff", plain.backoff)),
        max_delay_ms=parse_duration(data["max_delay"]) if "max_delay" in data else plain.max_delay_ms,
    )
