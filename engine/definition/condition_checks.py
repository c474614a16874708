"""Whether a condition can be true or false, checked when the runbook is loaded, so that no run finds a typo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.definition.references import FACTS, Scope
from engine.definition.schema import Finding, Path, subject_in_step
from engine.definition.template_checks import source_findings, template_findings
from engine.expressions import asked
from engine.expressions.conditions import pattern_fault, sources
from storage.records import Json


def condition_findings(condition: Json, path: Path, scope: Scope) -> Iterator[Finding]:
    """Everything wrong with a condition."""
    for location, source, bare in sources(condition, path):
        if bare:
            found = list(source_findings(source, location, scope, bare=True))
            yield from found or (_truth_findings(source, location, scope) if location[-1] != "field" else ())
        else:
            yield from template_findings(source, location, scope)
    yield from _operator_findings(condition, path)


def _truth_findings(source: str, path: Path, scope: Scope) -> Iterator[Finding]:
    """What a sound condition asks that can be neither true nor false, where that is certain already."""
    for surely, chain in asked(source):
        found = surely or _never_boolean(chain, scope)
        if found:
            told = f" `{'.'.join(chain)}`" if chain else ""
            rule = f"a condition must be true or false, and{told or ' this'} is {found}: compare it with something"
            yield Finding(path, f"{subject_in_step(path)}: {rule}")


def _never_boolean(chain: tuple[str, ...], scope: Scope) -> str | None:
    """What a name stands for where that is certain and is neither true nor false, in words."""
    match chain:
        case ("params", name) if scope.parameters is not None:
            schema = scope.parameters.get(name, {})
            types = schema.get("type") if isinstance(schema, Mapping) else None
            return _TYPES.get(types) if isinstance(types, str) else None
        case ("steps", _, "outputs" | "error"):
            return "a mapping, or not there"
        case ("steps", _, "status") | ("steps", _, "error", _):
            return "text"
        case ("execution" | "incident" | "runbook" as root, name) if name in FACTS[root]:
            return "a number" if name == "version" else "text"
        case ("response", "status" | "headers" | "text" as name):
            return {"status": "a number", "headers": "a mapping", "text": "text"}[name]
    return None


_TYPES = {
    "string": "text", "integer": "a number", "number": "a number", "array": "a list", "object": "a mapping",
    "null": "null",
}  # fmt: skip


def _operator_findings(condition: Json, path: Path) -> Iterator[Finding]:
    if not isinstance(condition, dict):
        return
    for word in ("all", "any"):
        for index, part in enumerate(condition.get(word, ())):
            yield from _operator_findings(part, (*path, word, index))
    yield from _operator_findings(condition.get("not"), (*path, "not"))
    operator, value = condition.get("operator"), condition.get("value")
    fault = pattern_fault(condition)
    if fault:
        yield Finding((*path, "value"), f"{subject_in_step((*path, 'value'))}: {fault}")
    elif operator == "exists" and not isinstance(condition.get("value", True), bool):
        yield Finding((*path, "value"), f"{subject_in_step((*path, 'value'))} must be true or false for `exists`")
    elif operator not in {"exists", None} and "value" not in condition:
        yield Finding(path, f"{subject_in_step(path)}: `{operator}` needs a `value`")
    elif operator == "in" and not isinstance(value, (list, str)):
        yield Finding((*path, "value"), f"{subject_in_step((*path, 'value'))} must be a list for `in`")
