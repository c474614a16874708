"""Steps that never run, and conditions that ask nothing."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.kinds import Treatment, kind_of
from engine.definition.model import Runbook
from engine.definition.placed import Placed, every_step
from engine.definition.schema import Finding, Path
from engine.expressions import ExpressionError, holds, references
from storage.records import Json

NEVER, CONSTANT = "unreachable-step", "constant-condition"


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Conditions whose answer is known before any run, and the steps that nothing therefore comes to."""
    for placed in every_step(runbook):
        yield from _own_condition(placed)
        yield from _with_findings(placed)


def _own_condition(placed: Placed) -> Iterator[Finding]:
    answer = certain_answer(placed.step.condition)
    if answer is False:
        yield Finding((*placed.path, "if"), "`if` never holds: the step is skipped in every run", rule=NEVER)
    elif answer:
        yield Finding((*placed.path, "if"), "`if` always holds: leave it out", rule=CONSTANT)


def _with_findings(placed: Placed) -> Iterator[Finding]:
    kind, with_ = kind_of(placed.step), placed.step.with_
    if with_.get("items") == [] and kind.repeats:
        yield Finding((*placed.with_path, "items"), "`items` is empty: no step of the loop ever runs", rule=NEVER)
    for key, treatment in kind.treatments.items():
        answer = certain_answer(with_.get(key)) if treatment is Treatment.CONDITION else None
        if answer is None:
            continue
        if kind.is_container:
            yield from _container_findings(placed, key, answer=answer)
        else:
            always = "always" if answer else "never"
            message = f"`{key}` {always} holds, whatever the run comes to: ask what is to be known"
            yield Finding((*placed.with_path, key), message, rule=CONSTANT)


def _container_findings(placed: Placed, key: str, *, answer: bool) -> Iterator[Finding]:
    """A branch that always goes one way, a loop without a round; one that never ends is told of elsewhere."""
    blocks = list(kind_of(placed.step).blocks)
    dead = blocks[-1] if answer else blocks[0]
    path: Path = (*placed.with_path, key)
    always = "always" if answer else "never"
    if placed.step.blocks.get(dead) and not (answer and len(blocks) == 1):
        yield Finding(path, f"`{key}` {always} holds: the steps under `{dead}` never run", rule=NEVER)
    elif len(blocks) > 1 and placed.step.with_[key] is not True:  # so one writes, and a template becomes, a group
        yield Finding(path, f"`{key}` {always} holds: write the steps without the {placed.step.kind}", rule=CONSTANT)


def certain_answer(condition: Json) -> bool | None:
    """What a condition comes to in every run, None where that depends on something."""
    if condition is None or references(condition, "expression"):
        return None
    try:
        return holds(condition, {})
    except ExpressionError:  # it fails the step; that is no matter of its answer
        return None
