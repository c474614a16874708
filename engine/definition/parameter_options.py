"""Choices of parameters that a system is asked for: `x-options` in a runbook's `parameters`. Pure.

Each becomes a call like that of an `http` step, so that every rule about hosts, targets, headers and secrets holds as
it is. It is asked before there is a run, so that it reads secrets and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from engine.definition import calls, duration_rule, step_checks, template_checks
from engine.definition.durations import HOUR_MS, SECOND_MS, parse_duration
from engine.definition.model import Runbook, Step
from engine.definition.references import Scope
from engine.definition.schema import Finding, Path, subject
from engine.definition.tree import Container
from engine.expressions import ExpressionError, has_template
from engine.expressions import references as names_in
from engine.text.words import listed
from storage.records import Json

KEY: Final = "x-options"
DEADLINE_MS = 2_500
"""How long a system may take to answer: Slack waits three seconds for what it shows in a menu."""
DEFAULT_CACHE_MS, LEAST_CACHE_MS, MOST_CACHE_MS = 30 * SECOND_MS, SECOND_MS, HOUR_MS
_PREFIX = "parameters."
_CALL = ("url", "target", "path", "query", "headers", "auth", "tls", "redirects")
_SECRET_KEYS = frozenset({"query", "headers", "auth", "tls"})
_OF_A_RUN = frozenset({"params", "steps", "execution", "incident", "runbook", "now", "outputs", "index"})
_TOO_EARLY = "a system is asked for choices while the form is still open, and before there is a run"
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


@dataclass(frozen=True, slots=True)
class Reading:
    """How choices are read from an answer: templates over `response` and, for one choice, `item`.

    `search` is the query parameter that carries what was typed, "" where the system does not search. An answer is good
    for `cache_ms`.
    """

    items: str
    value: str
    label: str
    search: str
    cache_ms: int


def lookups(schema: Mapping[str, Json]) -> tuple[Step, ...]:
    """The call of each parameter that has one, in the order of the parameters; `schema` has passed every check."""
    return tuple(
        Step(
            id=f"{_PREFIX}{name}", kind="http", needs=(), timeout_ms=DEADLINE_MS, idempotent=True,
            with_={"method": "GET", **{key: rules[KEY][key] for key in _CALL if key in rules[KEY]}},
            name=str(rules.get("title", name)),
        )
        for name, rules in schema.get("properties", {}).items()
        if KEY in rules
    )  # fmt: skip


def without(runbook: Runbook) -> Runbook:
    """The runbook whose parameters ask nobody, and are otherwise what they were."""
    if not runbook.lookups:
        return runbook
    properties: dict[str, dict[str, Json]] = runbook.parameters["properties"]
    plain = {name: {key: said for key, said in rules.items() if key != KEY} for name, rules in properties.items()}
    return replace(runbook, parameters={**runbook.parameters, "properties": plain}, lookups=())


def parameter_of(lookup: Step) -> str:
    """The parameter whose choices a call asks for."""
    return lookup.id.removeprefix(_PREFIX)


def reading(rules: Mapping[str, Json]) -> Reading:
    """How the choices of a parameter with these rules are read."""
    said = rules[KEY]
    value = said.get("value", "{{ item }}")
    return Reading(
        items=said.get("items", "{{ response.json }}"),
        value=value,
        label=said.get("label", value),
        search=said.get("search", ""),
        cache_ms=parse_duration(said["cache"]) if "cache" in said else DEFAULT_CACHE_MS,
    )


def findings(schema: Json) -> Iterator[Finding]:
    """Everything wrong with the `x-options` of a `parameters` schema whose shape is right."""
    for path, node in _nodes(schema, ("parameters",)):
        if KEY not in node:
            continue
        here: Path = (*path, KEY)
        if len(path) != 3 or path[1] != "properties":
            yield Finding(here, f"`{KEY}` stands on a parameter itself, not deeper inside one", at_key=True)
            continue
        yield from _rule_findings(node, here)
        yield from _call_findings(node[KEY], here)
        yield from _reading_findings(node[KEY], here)


def refused(schema: Json) -> Iterator[Finding]:
    """Every `x-options` in the parameters of a step template, where it would say nothing."""
    for path, node in _nodes(schema, ("parameters",)):
        if KEY in node:
            told = f"`{KEY}` is for the parameters of a runbook: those of a template are filled in by its steps"
            yield Finding((*path, KEY), told, at_key=True)


def _nodes(node: Json, path: Path) -> Iterator[tuple[Path, dict[str, Json]]]:
    if not isinstance(node, dict):
        return
    yield path, node
    for word in ("properties", "$defs"):
        inner = node.get(word)
        for key, child in inner.items() if isinstance(inner, dict) else ():
            yield from _nodes(child, (*path, word, key))
    for word in ("items", "additionalProperties"):
        yield from _nodes(node.get(word), (*path, word))


def _rule_findings(node: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    """A parameter has one set of choices, and each is one plain value."""
    rules = node.get("items", {}) if node.get("type") == "array" else node
    for word in ("enum", "const"):
        if word in rules:
            yield Finding(path, f"`{KEY}` cannot stand beside `{word}`: choices have one source", at_key=True)
    types = rules.get("type", [])
    known = set([types] if isinstance(types, str) else types) - {"null"}
    if not known or not known <= _SCALARS:
        told = f"`{KEY}` is for a parameter of type {listed(sorted(_SCALARS))}, or an array of one of them"
        yield Finding(path, told, at_key=True)


def _call_findings(said: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    """What is wrong with the call; no value of the form stands in it, since Slack does not tell what is filled in."""
    with_ = {key: value for key, value in said.items() if key in _CALL}
    step = {"type": "http", "with": with_}
    yield from calls.findings(with_, path)
    foreign = list(_foreign(said, path))
    yield from foreign or step_checks.step_findings(step, path, path, Scope(parameters=None))
    if said.get("search") in said.get("query", {}):
        yield Finding((*path, "search"), f"`{said['search']}` stands in `query` too: what is typed would replace it")


def _foreign(said: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    for key in _CALL:
        odd = _roots(said.get(key)) - ({"secrets"} if key in _SECRET_KEYS else set()) - {"targets"}
        if odd:
            told = f"only `secrets` may be read, in {listed(sorted(_SECRET_KEYS))}"
            yield Finding((*path, key), f"{subject((*path, key))}: `{min(odd)}` is not there: {_TOO_EARLY}; {told}")


def _reading_findings(said: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    answer = Scope(parameters=None, response=True)
    one = Scope(parameters=None, response=True, within=(Container("", repeats=True, each=True),))
    for key, scope in (("items", answer), ("value", one), ("label", one)):
        odd = _roots(said.get(key)) & _OF_A_RUN
        if odd:
            told = f"`{min(odd)}` is not there: {_TOO_EARLY}; it reads `response`, and `item` in `value` and `label`"
            yield Finding((*path, key), f"{subject((*path, key))}: {told}")
        else:
            yield from template_checks.template_findings(said.get(key), (*path, key), scope)
    if isinstance(said.get("items"), str) and not _is_one_expression(said["items"]):
        yield Finding((*path, "items"), "`items` must be one expression that gives a list, as in {{ response.json }}")
    if "cache" in said:
        yield from duration_rule.findings(said["cache"], (*path, "cache"), LEAST_CACHE_MS, MOST_CACHE_MS)


def _roots(value: Json) -> set[str]:
    """The first names that templates read; none where one is wrong, which is told by itself."""
    try:
        return {chain[0] for chain in names_in(value)}
    except ExpressionError:
        return set()


def _is_one_expression(template: str) -> bool:
    text = template.strip()
    return has_template(text) and text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1
