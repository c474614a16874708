"""Cleanup of what was never done."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition import gate_graph
from engine.definition.kinds import kind_of
from engine.definition.lints.effects import changes_something, holds_change
from engine.definition.model import Runbook
from engine.definition.placed import every_step
from engine.definition.reaches import reaches
from engine.definition.schema import Finding

RULE = "cleanup-of-nothing"


def findings(runbook: Runbook) -> Iterator[Finding]:
    """An `undo` of what changes nothing, and cleanup at a place where a refused gate has let nothing happen."""
    for placed in every_step(runbook):
        if placed.step.undo is not None and not holds_change(placed.step):
            message = "`undo` takes back a step that changes nothing: put it on the step that does"
            yield Finding((*placed.path, "undo"), message, rule=RULE)
    yield from _behind_gates(runbook)


def _behind_gates(runbook: Runbook) -> Iterator[Finding]:
    """Cleanup without `if` that changes something at a host at which the main steps do so behind a gate only."""
    hosts = {each.step: each.host for each in reaches(runbook)}
    before = gate_graph.before(runbook)
    main = [each for step in runbook.steps for each in gate_graph.with_inner(step) if changes_something(each)]
    for section, steps in (("on_failure", runbook.on_failure), ("finally", runbook.finally_)):
        for index, step in enumerate(steps):
            there = [each for each in main if hosts.get(each.id) == hosts.get(step.id, "")]
            gated = bool(there) and all(_gates(runbook, before[each.id]) for each in there)
            if gated and step.condition is None and changes_something(step):
                message = (
                    f"this is done even where a gate was refused and nothing happened at {hosts[step.id]}: give it an "
                    f"`if` that reads what `{there[0].id}` came to, or make it the `undo` of that step"
                )
                yield Finding((section, index), message, rule=RULE)


def _gates(runbook: Runbook, step_ids: tuple[str, ...]) -> bool:
    return any(kind_of(runbook.by_id[each]).is_gate for each in step_ids)
