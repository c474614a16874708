"""What can be wrong with a step's `dry_run`: all that can be wrong with its `with`, told where `dry_run` says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from engine.definition import calls, references, schema, step_checks
from engine.definition.dry_runs import BEFORE_GATES, KEY, SENT, laid_over
from engine.definition.kinds import KINDS
from engine.definition.schema import Finding, Path
from storage.records import Json


def findings(step: Mapping[str, Json], path: Path, scope: references.Scope) -> Iterator[Finding]:
    """Everything wrong with the check of a step of sound shape that is not wrong with the step itself."""
    said, with_ = step.get(KEY), step.get("with")
    kind = KINDS.get(str(step.get("type")))
    if not isinstance(said, dict) or not isinstance(with_, dict) or kind is None or not kind.calls_out:
        return
    here: Path = (*path, KEY)
    asked = laid_over(with_, said)
    known = set(_of_call(kind.name, {**kind.defaults, **with_}, path, here, scope))
    found = [each for each in _of_call(kind.name, {**kind.defaults, **asked}, path, here, scope) if each not in known]
    yield from (_placed(each, here, said) for each in found)
    if not found and not _differs({**kind.defaults, **with_}, {**kind.defaults, **asked}):
        message = (
            f"`{KEY}` changes nothing that is sent: it would be the call itself. Say what makes the target only check, "
            "such as query: {dryRun: All}"
        )
        yield Finding(here, message, at_key=True)


def _differs(with_: Mapping[str, Json], asked: Mapping[str, Json]) -> bool:
    return any(with_.get(key) != asked.get(key) for key in SENT)


def _of_call(kind: str, with_: dict[str, Json], path: Path, here: Path, scope: references.Scope) -> Iterator[Finding]:
    for each in schema.findings(_validator(kind), with_, here):
        yield replace(each, path=(*here, *each.path))
    yield from calls.findings(with_, here)
    yield from step_checks.step_findings({"type": kind, "with": with_}, path, here, scope)


@cache
def _validator(kind: str) -> Any:
    """Checks a whole `with` of a kind."""
    return schema.checker({"$ref": f"#/$defs/{kind}", "$defs": schema.document()["$defs"]})


def _placed(finding: Finding, here: Path, said: Mapping[str, Json]) -> Finding:
    """The finding where the file has it: at the part of `dry_run` that it is in, else at the whole."""
    rest: list[str | int] = []
    value: Json = {key: part for key, part in said.items() if key != BEFORE_GATES}
    for part in finding.path[len(here) :]:
        if not (isinstance(value, dict) and part in value) and not (isinstance(value, list) and isinstance(part, int)):
            break
        value = value[part]  # type: ignore[index]  # an index only of a list
        rest.append(part)
    whole = len(rest) == len(finding.path) - len(here)
    return replace(finding, path=(*here, *rest), at_key=finding.at_key if whole else True)
