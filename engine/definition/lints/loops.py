"""Loops that cannot end."""

from __future__ import annotations

from collections.abc import Container, Iterator

from engine.definition import gate_graph
from engine.definition.kinds import Awaits, Effect, kind_of
from engine.definition.lints.reachable import certain_answer
from engine.definition.model import Runbook, Step
from engine.definition.placed import Placed, every_step, readers
from engine.definition.schema import Finding
from engine.expressions import references

_CHANGING_ROOTS = frozenset({"index", "incident"})
"""What differs from round to round by itself, or because people act meanwhile."""


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Each `while` whose answer no round can change: it has no round, or goes on until the loop fails."""
    for placed in every_step(runbook):
        condition = placed.step.with_.get("while")
        if condition is not None and certain_answer(condition) is not False and not _can_change(placed):
            message = (
                "nothing in a round changes what `while` asks: there is no round, or one after the other until the "
                "loop fails; read `index` or what a step inside came to"
            )
            yield Finding((*placed.with_path, "while"), message, rule="endless-loop")


def _can_change(placed: Placed) -> bool:
    chains = references(placed.step.with_["while"], "expression")
    inner = {each.id: each for block in placed.step.blocks.values() for each in block}
    read = [inner[chain[1]] for chain in chains if chain[0] == "steps" and len(chain) > 1 and chain[1] in inner]
    changing = any(_differs(each, inner) for step in read for each in gate_graph.with_inner(step))
    return changing or any(chain[0] in _CHANGING_ROOTS for chain in chains)


def _differs(step: Step, inner: Container[str]) -> bool:
    """Whether a step may come to something else in another round."""
    kind = kind_of(step)
    if kind.effect in (Effect.CALL, Effect.RUN) or kind.awaits in (Awaits.PEOPLE, Awaits.EVENT):
        return True
    return any(
        chain[0] in _CHANGING_ROOTS or (chain[0] == "steps" and chain[1:2] and chain[1] in inner)
        for _, value, is_condition in readers(Placed(step, (), ("with",)))
        for chain in references(value, "expression" if is_condition else "template")
    )
