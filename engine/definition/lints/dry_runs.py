"""Checks of `dry_run` that no live plan ever makes, and what deserves a second look in what they send."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition import gate_graph
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook, Step
from engine.definition.placed import Placed, dry_run_of, every_step, readers
from engine.definition.references import BEFORE_START
from engine.definition.schema import Finding
from engine.expressions import references

_LATER = frozenset({"steps", "now"})
"""What only the run will know; `item` and `index` of a round, and facts of the execution, may be known before."""


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Every `dry_run` that no live plan asks, and what deserves a second look in the call that one says."""
    yield from (each for placed in every_step(runbook) for each in _cautions(placed))
    found = [(placed.step, asked) for placed in every_step(runbook) for asked in dry_run_of(placed)]
    before = gate_graph.before(runbook) if found else {}
    for step, asked in found:
        why = _read_later(asked) or _gate_before(runbook, step, before)
        if why:
            yield Finding(asked.with_path, f"no live plan ever asks this: {why}", at_key=True, rule="unasked-dry-run")


def _cautions(placed: Placed) -> Iterator[Finding]:
    """What a call of its kind is asked, as far as what `dry_run` says is to blame and not the step's own `with`."""
    known = {(each.rule, each.message) for each in _asked(placed)}
    for checked in dry_run_of(placed):
        for each in _asked(checked):
            (key,) = each.path[len(checked.with_path) :]
            changed = checked.step.with_.get(str(key)) != placed.step.with_.get(str(key))
            if changed or (each.rule, each.message) not in known:
                yield each


def _asked(placed: Placed) -> Iterator[Finding]:
    return kind_of(placed.step).caution(placed.step, placed.path, placed.with_path)


def _read_later(asked: Placed) -> str:
    chains = (
        chain
        for _, value, is_condition in readers(asked)
        for chain in sorted(references(value, "expression" if is_condition else "template"))
    )
    found = next((".".join(chain[:2]) for chain in chains if _is_later(chain)), "")
    return f"it reads `{found}`, which only the run will know; say a value in its place" if found else ""


def _is_later(chain: tuple[str, ...]) -> bool:
    return chain[0] in _LATER or (chain[0] == "execution" and chain[1:2] != () and chain[1] not in BEFORE_START)


def _gate_before(runbook: Runbook, step: Step, before: dict[str, tuple[str, ...]]) -> str:
    if step.dry_run is None or step.dry_run.before_gates:
        return ""
    stands = (runbook.by_id[each] for each in before.get(step.id, ()))
    gate = next((each.id for each in (*stands, *_in_rounds(runbook, step)) if _is_sure(each)), "")
    means = "say `before_gates: true`, but only where the target surely changes nothing"
    return f"`{gate}` stands before it, which is or may hold a gate; {means}" if gate else ""


def _is_sure(step: Step) -> bool:
    """Whether every run that comes by it comes to a gate of its, as far as a plan can tell."""
    kind = kind_of(step)
    return step.condition is None and (kind.is_gate or kind.starts_run)


def _in_rounds(runbook: Runbook, step: Step) -> Iterator[Step]:
    """What stands in the loops around a step, before its call in the rounds that come later."""
    holder = runbook.container_of.get(step.id)
    while holder is not None:
        around = runbook.by_id[holder[0]]
        if kind_of(around).repeats:
            yield from (inner for block in around.blocks.values() for inner in block)
        holder = runbook.container_of.get(around.id)
