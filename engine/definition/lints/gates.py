"""Gates that come too late, and changes of high risk that nobody decides about."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition import gate_graph
from engine.definition.kinds import kind_of
from engine.definition.lints.effects import changes_something, holds_change
from engine.definition.model import Runbook, Step
from engine.definition.placed import Placed, every_step
from engine.definition.schema import Finding


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Gates behind everything that changes something, and a runbook of high risk that changes something ungated."""
    before = gate_graph.before(runbook)
    main = [each for each in every_step(runbook) if each.path[:1] in ((), ("steps",)) and not each.is_undo]
    if not _takes_back(runbook):
        yield from (_late(each) for each in main if kind_of(each.step).is_gate and _is_late(runbook, each, before))
    ungated = [each for each in main if changes_something(each.step) and not before[each.step.id]]
    if runbook.risk == "high" and ungated:
        message = "`risk` is high, and this changes something before anybody decides: put an approval before it"
        yield Finding(ungated[0].path, message, rule="ungated-risk")


def _takes_back(runbook: Runbook) -> bool:
    """Whether a refused gate has anything taken back or mended."""
    return any(step.undo for step in runbook.by_id.values()) or any(map(holds_change, runbook.on_failure))


def _late(placed: Placed) -> Finding:
    message = "everything that changes something comes before this gate: to refuse it prevents and takes back nothing"
    return Finding(placed.path, message, rule="gate-behind-effect")


def _is_late(runbook: Runbook, placed: Placed, before: dict[str, tuple[str, ...]]) -> bool:
    gate = placed.step
    shown = {each.id for step in gate_graph.shown_by(runbook, gate, lambda _: True) for each in _inner(step)}
    again = {each.id for each in _rounds_of(runbook, gate)}
    changing = {step.id for step in _main(runbook) if changes_something(step)}
    done = {step_id for step_id in changing if step_id not in shown and gate.id not in before[step_id]}
    return bool(done) and not changing & (shown | again)


def _main(runbook: Runbook) -> Iterator[Step]:
    for step in runbook.steps:
        yield from gate_graph.with_inner(step)


def _inner(step: Step) -> Iterator[Step]:
    return gate_graph.with_inner(step)


def _rounds_of(runbook: Runbook, gate: Step) -> Iterator[Step]:
    """What comes again behind a gate that stands in a loop."""
    at = gate.id
    while (holder := runbook.container_of.get(at)) is not None:
        at = holder[0]
        if kind_of(runbook.by_id[at]).repeats:
            yield from gate_graph.with_inner(runbook.by_id[at])
