"""What is allowed and still worth a second look before a runbook is approved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from engine.definition.model import Json, Problem, Runbook, Step
from engine.definition.schema import Finding, Path
from engine.expressions import references

_GUARDED = re.compile(r"\bdefault\b|\bis (not )?(un)?defined\b")
_BODIES = ("text", "payload")


def warnings(runbook: Runbook, file: str = "") -> list[Problem]:
    """The warnings for a runbook whose file is not at hand; `load.examine` gives them with their places."""
    return [Problem(file, 1, 1, each.message, "warning") for each in findings(runbook)]


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Every warning, with its path in the runbook's file."""
    optional = _optional(runbook.parameters)
    for index, step in enumerate(runbook.steps):
        path: Path = () if runbook.is_webhook else ("steps", index)
        with_path: Path = ("webhook",) if runbook.is_webhook else (*path, "with")
        yield from _step_findings(step, path, with_path)
        yield from _optional_findings(step, with_path, optional)


def _step_findings(step: Step, path: Path, with_path: Path) -> Iterator[Finding]:
    if step.on_timeout == "approve":
        yield Finding((*path, "on_timeout"), "`on_timeout: approve` lets the steps behind it run when nobody looked")
    if step.retry and step.retry.max_attempts > 1 and not step.idempotent:
        message = (
            "`retry` does little here: a call that is not `idempotent` is tried again only when it surely never "
            "arrived or the server asked for it; say `idempotent: true` if the target may safely get it twice"
        )
        yield Finding((*path, "retry"), message)
    url = step.with_.get("url", "")
    if url.startswith("http://") and not _is_loopback(url):
        yield Finding((*with_path, "url"), "`url` is plain http: what is sent, secrets too, can be read on the way")
    for key in _BODIES:
        body = step.with_.get(key)
        if isinstance(body, str) and body.lstrip().startswith(("{", "[")) and _has_bare_value(body):
            message = (
                f"`{key}` is JSON written as text: a quote in a value breaks it unless `| tojson` stands behind it"
            )
            yield Finding((*with_path, key), message)


def _is_loopback(url: str) -> bool:
    return urlsplit(url).netloc.split(":")[0] in {"127.0.0.1", "localhost"}


def _has_bare_value(body: str) -> bool:
    expressions = re.findall(r"\{\{(.*?)\}\}", body, re.DOTALL)
    whole = re.fullmatch(r"\s*\{\{.*\}\}\s*", body, re.DOTALL) and len(expressions) == 1
    return not whole and any("tojson" not in expression for expression in expressions)


def _optional(schema: dict[str, Json]) -> frozenset[str]:
    """The parameters that an execution may not have at all."""
    properties = schema.get("properties", {})
    certain = {name for name, rules in properties.items() if "default" in rules or "$ref" in rules}
    return frozenset(properties) - certain - set(schema.get("required", ()))


def _optional_findings(step: Step, with_path: Path, optional: frozenset[str]) -> Iterator[Finding]:
    for key, value in step.with_.items():
        place = (*with_path, key)
        for leaf in _texts(value if key != "until" else None):
            if "params" not in leaf:
                continue
            names = {chain[1] for chain in references(leaf) if chain[0] == "params" and len(chain) > 1} & optional
            if names and not _GUARDED.search(leaf):
                name = min(names)
                message = f"`params.{name}` may be missing, which fails the step: give it a `default`, or require it"
                yield Finding(place, message)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
