"""From a runbook's file to a `Runbook`, or to everything that is wrong with it, each with its line and column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path as FilePath
from typing import Literal

from engine.definition import checks, dry_runs, lint, lint_ignores, parameter_options, regular_files, structure, tree
from engine.definition.durations import parse_duration
from engine.definition.kinds import KINDS
from engine.definition.model import (
    DEFAULT_RUN_TIMEOUT_MS,
    DEFAULT_WEBHOOK_TIMEOUT_MS,
    Concurrency,
    Retry,
    Runbook,
    Step,
)
from engine.definition.parameters import EMPTY
from engine.definition.schema import Finding, Path, file_validator, split, value_at
from engine.definition.schema import findings as schema_findings
from engine.definition.step_templates import Templates, shown
from engine.definition.yaml_source import MAX_BYTES, Source, read
from engine.errors import InvalidDefinition
from engine.text.problem import Problem
from storage.records import Json

__all__ = ["MAX_BYTES", "check_file", "examine", "examine_file", "load", "must_load"]

MAX_PROBLEMS = 50
"""Problems shown for one file; one more says that there are others."""
WEBHOOK_STEP = "webhook"
"""The id of the one step that a `webhook:` runbook has."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file came to: a runbook and its warnings, or no runbook and at least one problem.

    `ignored` are the warnings that the file ignores, each with its reason.
    """

    runbook: Runbook | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    ignored: tuple[Problem, ...] = ()
    text: str = ""
    """What the file says, and behind it what its templates came to."""
    templates: tuple[str, ...] = ()
    """The names of the templates that it uses, also by others."""


def load(source: bytes, file: str) -> Runbook:
    """The runbook in `source`; `file` is the name that problems show. Raises InvalidDefinition with all problems.

    It is in no folder, so that it uses no templates.
    """
    return must_load(source, file, Templates()).runbook


@dataclass(frozen=True, slots=True)
class Loaded:
    """A runbook, and its file's text with what its templates came to, whose names these are."""

    runbook: Runbook
    text: str
    templates: tuple[str, ...]


def must_load(source: bytes, file: str, templates: Templates) -> Loaded:
    """`load` for a runbook that may use templates. Raises alike."""
    examined = examine(source, file, templates=templates)
    if examined.runbook is None:
        raise InvalidDefinition(examined.problems)
    return Loaded(examined.runbook, examined.text, examined.templates)


Rule = Callable[[Runbook], Iterable[Finding]]
"""What else may be wrong with a runbook that is right by itself."""


def _nothing(_: Runbook) -> Iterable[Finding]:
    return ()


def examine(
    source: bytes,
    file: str,
    also: Rule = _nothing,
    warned: Rule = _nothing,
    *,
    templates: Templates | None = None,
) -> Examined:
    """As `load`, with the warnings, and with the problems returned rather than raised.

    `also` finds more that is wrong, `warned` more that deserves a second look. `templates` are those beside the file.
    """
    parsed = read(source, file)
    if not parsed.problems:
        (templates or Templates()).expand(parsed)
        if parsed.problems:
            return Examined(None, tuple(_tidy(parsed.problems)))
    problems = list(parsed.problems)
    if isinstance(parsed.data, dict) or not problems:
        problems += _problems(parsed)
    if problems:
        return Examined(None, tuple(_tidy(problems)))
    runbook = build(parsed.data)
    if more := list(_located(parsed, also(runbook))):
        return Examined(None, tuple(_tidy(more)))
    told = _ignored(parsed, source, templates or Templates(), [*lint.findings(runbook), *warned(runbook)])
    return Examined(
        runbook,
        (),
        tuple(each for each in told if not each.ignored),
        tuple(each for each in told if each.ignored),
        shown(parsed, source.decode("utf-8")),
        tuple(sorted(parsed.used)),
    )


def _ignored(parsed: Source, text: bytes, templates: Templates, found: Iterable[Finding]) -> list[Problem]:
    """These warnings; each that a comment in its own file ignores has the reason."""
    warned = list(_located(parsed, found, "warning"))
    told = lint_ignores.apply(text, parsed.file, [each for each in warned if each.file == parsed.file])
    for name in sorted(parsed.used):
        file = templates.file(name)
        theirs = [each for each in warned if each.file == file]
        told += lint_ignores.apply(templates.read_as[name], file, theirs)[: len(theirs)]
    return told


def check_file(path: FilePath, also: Rule = _nothing, warned: Rule = _nothing) -> list[Problem]:
    """Errors and warnings of the file at `path`, for `runbook check`; empty when all is well. Raises nothing."""
    examined = examine_file(path, also, warned)
    return [*examined.problems, *examined.warnings]


def examine_file(path: FilePath, also: Rule = _nothing, warned: Rule = _nothing) -> Examined:
    """As `examine`, of the file at `path`; that it cannot be read is a problem of it. Raises nothing."""
    file = str(path)
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except regular_files.NotRegular:
        if path.is_symlink():
            return _unread(file, "this is a symbolic link, and links are not followed; name the file itself")
        return _unread(file, "this is not a file" + ("; name the files in it" if path.is_dir() else ""))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return _unread(file, f"the file cannot be read: {reason}")
    return examine(source, file, also, warned, templates=Templates(path.parent))


def _unread(file: str, message: str) -> Examined:
    return Examined(None, (Problem(file, 1, 1, message),))


def _problems(source: Source) -> Iterator[Problem]:
    data = source.data
    blocks = tuple(tree.blocks(data)) if isinstance(data, dict) else ()
    excess = structure.too_many(blocks)
    if excess:
        return _located(source, [excess])
    found = list(islice(schema_findings(file_validator(), data), MAX_PROBLEMS + 1))
    if isinstance(data, dict) and len(found) <= MAX_PROBLEMS:
        broken = frozenset(each.path[:length] for each in found for length in range(len(each.path) + 1))
        more = (each for each in checks.findings(data, blocks, broken) if each.path not in broken)
        found += islice(more, MAX_PROBLEMS + 1)
    return _located(source, found)


def _located(
    source: Source, found: Iterable[Finding], severity: Literal["error", "warning"] = "error"
) -> Iterator[Problem]:
    for each in found:
        message = _step_label(source.data, each.path) + each.message
        yield replace(source.located(each.path, message, severity, at_key=each.at_key), rule=each.rule)


def _step_label(data: Json, path: Path) -> str:
    """Which step a problem is in, for people who do not count lines."""
    at, _ = split(path)
    if not at:
        return ""
    step = value_at(data, at)
    step_id = step.get("id") if isinstance(step, dict) else None
    if isinstance(step_id, str) and len(step_id) <= 63:
        return f"step `{step_id}`: "
    around = "" if at[-2] == at[0] == "steps" else f" of `{at[-2]}`"
    return f"step {int(at[-1]) + 1}{around}: "


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
        steps=(_webhook_step(data, timeout_ms),) if is_webhook else _steps(data["steps"]),
        max_concurrent_steps=data.get("max_concurrent_steps"),
        is_webhook=is_webhook,
        on_failure=_steps(data.get("on_failure", ())),
        finally_=_steps(data.get("finally", ())),
        outputs=data.get("outputs", {}),
        concurrency=_concurrency(data.get("concurrency")),
        approval_max_age_ms=parse_duration(data["approval_max_age"]) if "approval_max_age" in data else None,
        expected_ms=parse_duration(data["expected"]) if "expected" in data else None,
        lookups=parameter_options.lookups(data.get("parameters", EMPTY)),
    )


def _steps(items: Sequence[dict[str, Json]]) -> tuple[Step, ...]:
    needs = tree.needs_in(items)
    return tuple(_step(item, tuple(needs[item["id"]])) for item in items)


def _step(item: dict[str, Json], needs: tuple[str, ...] = ()) -> Step:
    kind = KINDS[item["type"]]
    written = kind.normalised({**kind.defaults, **item["with"]})
    with_ = {key: value for key, value in written.items() if key not in kind.durations and key not in kind.blocks}
    with_ |= {f"{key}_ms": parse_duration(written[key]) for key in kind.durations}
    step = Step(
        id=item["id"],
        name=str(item.get("name", item["id"])),
        kind=item["type"],
        needs=needs,
        with_=with_,
        condition=item.get("if"),
        timeout_ms=parse_duration(item["timeout"]) if "timeout" in item else kind.timeout_ms,
        retry=_retry(item.get("retry")),
        idempotent=item.get("idempotent", kind.idempotent(with_)),
        on_timeout=item.get("on_timeout", "fail"),
        notify=item.get("notify"),
        continue_on_error=item.get("continue_on_error", False),
        skippable=item.get("skippable"),
        outputs=item.get("outputs", {}),
        blocks={block: _steps(written.get(block, ())) for block in kind.blocks},
        undo=_undo(item),
    )
    return dry_runs.with_check(step, item.get(dry_runs.KEY))


def _undo(item: dict[str, Json]) -> Step | None:
    """The step that takes `item` back; it starts when the run's undo comes to it and needs nothing else."""
    if "undo" not in item:
        return None
    return _step({"name": f"Undo: {item.get('name', item['id'])}", **item["undo"], "id": f"{item['id']}.undo"})


def _concurrency(data: dict[str, Json] | None) -> Concurrency | None:
    if data is None:
        return None
    return Concurrency(data["group"], int(data.get("limit", 1)), data.get("on_conflict", "queue"))


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
        condition=data.get("if"),
    )
