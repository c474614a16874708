"""What a step's templates and conditions use, checked when the runbook is loaded, so that no run finds a typo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from engine.definition.kinds import KINDS, Treatment
from engine.definition.model import Json
from engine.definition.schema import Finding, Path, path_in_step, subject
from engine.definition.words import did_you_mean, listed, nearest
from engine.expressions import check, has_template, references
from engine.expressions.conditions import pattern_fault, sources
from engine.expressions.grammar import Syntax
from engine.expressions.urls import parse_url

FACTS: Mapping[str, tuple[str, ...]] = {
    "execution": ("id", "workspace", "team", "requester", "reason", "started_at"),
    "incident": ("channel", "channel_name"),
    "runbook": ("id", "name", "version", "team"),
    "response": ("status", "headers", "json", "text"),
}
"""What a template may read of the execution around it, and `until` of the answer."""

_ROOTS = ("params", "steps", "incident", "execution", "runbook", "secrets", "response")
_SECRET_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_HOST_VALUE = re.compile(r"[a-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be named at one place. `parameters` is None when the schema is broken, and is then not checked against.

    `upstream` holds the steps that have ended before this one starts, `steps` all of the file.
    """

    parameters: Mapping[str, Mapping[str, Json]] | None
    steps: frozenset[str] = frozenset()
    upstream: frozenset[str] = frozenset()
    open_parameters: bool = False
    secrets: bool = False
    response: bool = False
    itself: str = ""


def step_findings(step: Mapping[str, Json], path: Path, with_path: Path, scope: Scope) -> Iterator[Finding]:
    """Everything wrong with what a step of sound shape says in its `with` and `if`."""
    kind = KINDS[step["type"]]
    for key, value in step.get("with", {}).items():
        place, inner = (*with_path, key), replace(scope, secrets=key in kind.secret_keys)
        match kind.treatment(key):
            case Treatment.URL:
                yield from _url_findings(value, place, inner)
            case Treatment.TEXT | Treatment.DATA:
                yield from _template_findings(value, place, inner)
            case Treatment.CONDITION:
                yield from _condition_findings(value, place, replace(scope, response=True))
    if "if" in step:
        yield from _condition_findings(step["if"], (*path, "if"), scope)


def _template_findings(value: Json, path: Path, scope: Scope) -> Iterator[Finding]:
    if isinstance(value, str) and has_template(value):
        yield from _source_findings(value, path, scope)
    elif isinstance(value, dict):
        for key, item in value.items():
            if has_template(key):
                yield Finding((*path, key), f"{_named((*path, key))}: keys are not rendered, only values", at_key=True)
            yield from _template_findings(item, (*path, key), scope)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _template_findings(item, (*path, index), scope)


def _source_findings(source: str, path: Path, scope: Scope, *, bare: bool = False) -> Iterator[Finding]:
    if bare and "{{" in source:
        yield Finding(path, f"{_named(path)} is a bare expression: leave the {{{{ }}}} out")
        return
    kind: Syntax = "expression" if bare else "template"
    wrong = check(source, kind)
    for message in wrong or _reference_faults(references(source, kind), scope):
        yield Finding(path, f"{_named(path)}: {message}")


def _condition_findings(condition: Json, path: Path, scope: Scope) -> Iterator[Finding]:
    for place, source, bare in sources(condition, path):
        if bare:
            yield from _source_findings(source, place, scope, bare=True)
        else:
            yield from _template_findings(source, place, scope)
    yield from _operator_findings(condition, path)


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
        yield Finding((*path, "value"), f"{_named((*path, 'value'))}: {fault}")
    elif operator == "exists" and not isinstance(condition.get("value", True), bool):
        yield Finding((*path, "value"), f"{_named((*path, 'value'))} must be true or false for `exists`")
    elif operator not in {"exists", None} and "value" not in condition:
        yield Finding(path, f"{_named(path)}: `{operator}` needs a `value`")
    elif operator == "in" and not isinstance(value, (list, str)):
        yield Finding((*path, "value"), f"{_named((*path, 'value'))} must be a list for `in`")


def _url_findings(template: str, path: Path, scope: Scope) -> Iterator[Finding]:
    try:
        url = parse_url(template)
    except ValueError as error:
        yield Finding(path, f"{_named(path)}: {error}")
        return
    yield from _source_findings(template, path, scope)
    for value in url.host_values:
        fault = _host_fault(value.path, scope)
        if fault:
            yield Finding(path, f"{_named(path)}: {fault}")


def _host_fault(names: tuple[str, ...] | None, scope: Scope) -> str | None:
    """What speaks against a value inside a host name: only what the author has listed may decide where a call goes."""
    rule = "inside the host name only a parameter with an `enum` may stand, as in https://{{ params.region }}.example"
    if names is None or len(names) != 2 or names[0] != "params":
        return rule
    if scope.parameters is None or names[1] not in scope.parameters:
        return None
    allowed = scope.parameters[names[1]].get("enum")
    if not isinstance(allowed, list):
        return rule
    odd = next((word for word in map(str, allowed) if not _HOST_VALUE.fullmatch(word)), None)
    return odd and f"`{odd}` cannot be part of a host name: lower-case letters, digits, dots and dashes only"


def _reference_faults(chains: frozenset[tuple[str, ...]], scope: Scope) -> Iterator[str]:
    for chain in sorted(chains):
        match chain[0]:
            case "params":
                yield from _parameter_faults(chain, scope)
            case "steps":
                yield from _step_faults(chain, scope)
            case "secrets":
                yield from _secret_faults(chain, scope)
            case "response" if not scope.response:
                yield "`response` is there in a poll's `until` only"
            case root if root in FACTS:
                yield from _fact_faults(chain)
            case "item":
                yield "`item` is not there outside a loop"
            case root:
                yield f"unknown name `{root}`{did_you_mean(root, _ROOTS)}"


def _parameter_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    known = scope.parameters
    if len(chain) > 1 and known is not None and not scope.open_parameters and chain[1] not in known:
        yield f"there is no parameter `{chain[1]}`{_hint(chain[1], known)}"


def _step_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    if len(chain) < 2:
        yield "name the step that is meant, as in `steps.drain.outputs.status`"
    elif chain[1] == scope.itself:
        yield f"`steps.{chain[1]}` is this step itself, which has not ended yet"
    elif chain[1] not in scope.steps:
        yield f"there is no step `{chain[1]}`{_hint(chain[1], scope.steps)}"
    elif chain[1] not in scope.upstream:
        yield f"`steps.{chain[1]}` has not ended when this step starts; add it to `needs`"
    elif len(chain) > 2 and chain[2] != "outputs":
        yield f"`steps.{chain[1]}` has `outputs` and nothing else, not `{chain[2]}`"


def _secret_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    if not scope.secrets:
        yield "secrets may stand in a call's headers, query, auth and body only"
    elif len(chain) != 2:
        yield "name one secret, as in `secrets.lb_token`"
    elif not _SECRET_NAME.fullmatch(chain[1]):
        yield f"`{chain[1]}` is not the name of a secret: lower-case letters, digits and underscores"


def _fact_faults(chain: tuple[str, ...]) -> Iterator[str]:
    known = FACTS[chain[0]]
    if len(chain) > 1 and chain[1] not in known:
        yield f"there is no `{chain[0]}.{chain[1]}`{_hint(chain[1], known)}"


def _hint(word: str, known: Iterable[str]) -> str:
    words = sorted(known)
    if nearest(word, words):
        return did_you_mean(word, words)
    return f"; there is {listed(words[:20])}" if words else ""


def _named(path: Path) -> str:
    return subject(path_in_step(path))
