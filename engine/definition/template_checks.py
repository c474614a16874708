"""What is wrong with the templates in a value, a URL among them, checked when the runbook is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.definition.references import Scope, reference_faults
from engine.definition.rendering import target_as_url
from engine.definition.schema import Finding, Path, subject_in_step
from engine.expressions import check, has_template, references
from engine.expressions.grammar import Syntax
from engine.expressions.urls import parse_url
from storage.records import Json

_HOST_VALUE = re.compile(r"[a-z0-9.-]+")
_TARGET = re.compile(r"[^/?]+:\d{1,5}")


def template_findings(value: Json, path: Path, scope: Scope) -> Iterator[Finding]:
    """Everything wrong with the templates in a JSON value."""
    if isinstance(value, str) and has_template(value):
        yield from source_findings(value, path, scope)
    elif isinstance(value, dict):
        for key, item in value.items():
            if has_template(key):
                yield Finding(
                    (*path, key), f"{subject_in_step((*path, key))}: keys are not rendered, only values", at_key=True
                )
            yield from template_findings(item, (*path, key), scope)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from template_findings(item, (*path, index), scope)


def secrets_only(value: Json, path: Path) -> Iterator[Finding]:
    """Everything wrong with templates that may read secrets and nothing else."""
    yield from template_findings(value, path, Scope(parameters=None, secrets=True))
    if any(chain[0] != "secrets" for chain in references(value)):
        yield Finding(path, f"{subject_in_step(path)} may read secrets only, as in {{{{ secrets.lb_token }}}}")


def source_findings(source: str, path: Path, scope: Scope, *, bare: bool = False) -> Iterator[Finding]:
    """What is wrong with one template, or with one expression that stands without braces."""
    if bare and "{{" in source:
        yield Finding(path, f"{subject_in_step(path)} is a bare expression: leave the {{{{ }}}} out")
        return
    kind: Syntax = "expression" if bare else "template"
    wrong = check(source, kind)
    for message in wrong or reference_faults(references(source, kind), scope):
        yield Finding(path, f"{subject_in_step(path)}: {message}")


def target_findings(template: str, path: Path, scope: Scope) -> Iterator[Finding]:
    """A target is the host and port of a URL, and the same values may stand in it."""
    if _TARGET.fullmatch(template) and not has_template(template[template.rindex(":") :]):
        yield from url_findings(target_as_url(template), path, scope)
    else:
        yield Finding(path, f"{subject_in_step(path)} must be a host and a port, as in orders.internal:443")


def url_findings(template: str, path: Path, scope: Scope) -> Iterator[Finding]:
    """A URL has to be one before its values are known, and only what the author has listed may stand in its host."""
    try:
        url = parse_url(template)
    except ValueError as error:
        yield Finding(path, f"{subject_in_step(path)}: {error}")
        return
    yield from source_findings(template, path, scope)
    for value in url.host_values:
        fault = _host_fault(value.path, scope)
        if fault:
            yield Finding(path, f"{subject_in_step(path)}: {fault}")


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
