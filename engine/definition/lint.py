"""What is allowed and still worth a second look before a runbook is approved."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.definition import lints
from engine.definition.kinds import Treatment, kind_of
from engine.definition.kinds.message import channel_is_value
from engine.definition.model import Concurrency, Runbook
from engine.definition.placed import Placed, every_step, readers
from engine.definition.references import FACTS
from engine.definition.schema import Finding, Path
from engine.expressions import references
from engine.expressions.conditions import sources
from engine.expressions.grammar import Syntax
from engine.text.problem import Problem
from storage.records import Json

_GUARDED = re.compile(r"\bdefault\b|\bis (not )?(un)?defined\b")
_OWN_CHANNEL = re.compile(r"\{\{\s*incident\.channel\s*\}\}")


def warnings(runbook: Runbook, file: str = "") -> list[Problem]:
    """The warnings for a runbook whose file is not at hand; `load.examine` gives them with their places."""
    return [Problem(file, 1, 1, each.message, "warning", each.rule) for each in findings(runbook)]


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Every warning, with its path in the runbook's file."""
    optional = _optional(runbook.parameters)
    for placed in every_step(runbook):
        yield from _step_findings(placed)
        yield from _optional_findings(placed, optional)
        yield from _unsure_findings(placed, runbook)
        yield from _incident_findings(placed)
        yield from _channel_findings(placed)
        if kind_of(placed.step).parks and _others_queue(runbook.concurrency):
            message = "while this waits, its run holds the only slot of its `concurrency` group, and others queue"
            yield Finding(placed.path, message, rule="slot-held-while-waiting")
    yield from lints.findings(runbook)


def _others_queue(concurrency: Concurrency | None) -> bool:
    return concurrency is not None and concurrency.limit == 1 and concurrency.on_conflict == "queue"


def _step_findings(placed: Placed) -> Iterator[Finding]:
    step, path = placed.step, placed.path
    yield from kind_of(step).caution(step, path, placed.with_path)
    if step.retry and step.retry.max_attempts > 1 and step.retry.condition is None and not step.idempotent:
        message = (
            "`retry` does little here: a call that is not `idempotent` is tried again only when it surely never "
            "arrived or the server asked for it; say `idempotent: true` if the target may safely get it twice"
        )
        in_rounds = "; each round that stops at an unknown outcome waits for a person" if placed.in_loop else ""
        yield Finding((*path, "retry"), message + in_rounds, rule="retry-without-idempotency")
    if placed.is_undo and not step.idempotent:
        message = (
            "an undo whose call is not `idempotent` stops for a person when its outcome is not seen; say "
            "`idempotent: true` if the target may safely get it twice"
        )
        yield Finding(path, message, rule="undo-without-idempotency")


def _optional(schema: dict[str, Json]) -> frozenset[str]:
    """The parameters that an execution may not have at all."""
    properties = schema.get("properties", {})
    certain = {name for name, rules in properties.items() if "default" in rules or "$ref" in rules}
    return frozenset(properties) - certain - set(schema.get("required", ()))


def _optional_findings(placed: Placed, optional: frozenset[str]) -> Iterator[Finding]:
    kind = kind_of(placed.step)
    for key, value in placed.step.with_.items():
        if kind.treatment(key) is Treatment.CONDITION:
            continue
        for leaf in _texts(value):
            if "params" not in leaf:
                continue
            names = {chain[1] for chain in references(leaf) if chain[0] == "params" and len(chain) > 1} & optional
            if names and not _GUARDED.search(leaf):
                name = min(names)
                message = f"`params.{name}` may be missing, which fails the step: give it a `default`, or require it"
                yield Finding((*placed.with_path, key), message, rule="parameter-may-be-missing")


def _unsure_findings(placed: Placed, runbook: Runbook) -> Iterator[Finding]:
    """Outputs that need not be there yet: of main steps in cleanup, of the round before in a loop's `while`."""
    step, cleanup = placed.step, placed.path[:1] in {("on_failure",), ("finally",)}
    earlier = (*runbook.steps, *(runbook.on_failure if placed.path[:1] == ("finally",) else ()))
    main = frozenset(each.id for each in earlier)
    for location, value, is_condition in readers(placed) if cleanup else ():
        yield from _unguarded(location, value, is_condition, main, "need not have run")
    if "while" in step.with_:
        location, inner = (*placed.with_path, "while"), frozenset(each.id for each in step.blocks["steps"])
        yield from _unguarded(location, step.with_["while"], True, inner, "has not run before the first round")


def _incident_findings(placed: Placed) -> Iterator[Finding]:
    """Fields that people give an incident, which the next one may not have."""
    for location, value, is_condition in readers(placed):
        for text, syntax in _sources(value, is_condition):
            chains = frozenset() if "incident" not in text or _GUARDED.search(text) else references(text, syntax)
            names = {chain[1] for chain in chains if chain[0] == "incident" and len(chain) > 1} - set(FACTS["incident"])
            if names:
                message = f"`incident.{min(names)}` is there only where people gave the incident that field: "
                message += "give it a `default`, or take it by a parameter's `x-prefill`"
                yield Finding(location, message, rule="incident-fact-may-be-missing")


def _channel_findings(placed: Placed) -> Iterator[Finding]:
    """A message whose channel is not written down; that of the run itself is always where its requester is."""
    channel = str(placed.step.with_.get("channel") or "")
    if channel_is_value(placed.step) and not _OWN_CHANNEL.fullmatch(channel):
        message = (
            "`channel` is not written down as a channel's id: the message is posted only where who asked for the run "
            "is in that channel, as Slack says then, and fails the step where they are not"
        )
        yield Finding((*placed.with_path, "channel"), message, rule="channel-by-value")


def _unguarded(location: Path, value: Json, is_condition: bool, steps: frozenset[str], why: str) -> Iterator[Finding]:
    for text, syntax in _sources(value, is_condition):
        chains = frozenset() if _GUARDED.search(text) else references(text, syntax)
        names = {chain[1] for chain in chains if chain[0] == "steps" and len(chain) > 1} & steps
        if names:
            message = f"`steps.{min(names)}` {why}: give what is read of it a `default`"
            yield Finding(location, message, rule="output-may-be-missing")


def _sources(value: Json, is_condition: bool) -> Iterator[tuple[str, Syntax]]:
    if not is_condition:
        yield from ((text, "template") for text in _texts(value))
        return
    for _, part, is_expression in sources(value):
        yield from ((text, "expression" if is_expression else "template") for text in _texts(part))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
