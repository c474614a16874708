"""Branches and loops: beginning their inner steps, and ending them when those have ended.

A container is claimed like any step but costs no attempt: it goes from READY to WAITING for its own steps. A loop that
may begin another round becomes READY again, so that pause and the limits hold for rounds as for steps.
"""

from __future__ import annotations

from typing import Any

from engine import context, decide, flow, rows
from engine.definition.model import Json, Step
from engine.expressions import ExpressionError, evaluate, render
from engine.storable import TooLarge, to_storable
from engine.transition import Transition
from storage import steps
from storage.records import Phase, StepRunRecord, StepStatus

NOT_REACHED = "the round or branch had failed before"


def begin(transition: Transition, step: StepRunRecord) -> None:
    """Begin what a READY container can begin now: the taken branch, or as many rounds as may run beside each other."""
    definition = transition.runbook.by_id[step.step_id]
    try:
        if definition.kind == "branch":
            _begin_branch(transition, step, definition)
        else:
            _begin_rounds(transition, step, definition)
    except ExpressionError as error:
        flow.fail(transition, step, "template", str(error))


def look(transition: Transition, scope: str, phase: Phase) -> None:
    """See whether the branch or round at `scope`, or one around it, has ended now."""
    for each in context.scopes_of(scope):
        if flow.failing(transition, each, phase):
            if not steps.busy_inside(transition.execution.id, each):
                _end(transition, each, failed=True)
                return
        elif not steps.in_scope(transition.execution.id, each, phase, *steps.UNFINISHED):
            _end(transition, each, failed=False)
            return


def _begin_branch(transition: Transition, step: StepRunRecord, definition: Step) -> None:
    condition = definition.with_["if"]
    chains = context.chains_in_condition(condition)
    holds = evaluate(condition, context.of(transition.execution, transition.runbook, chains, step.scope))
    taken = "then" if holds else "else"
    moved = transition.move(
        step, StepStatus.WAITING, items={"taken": taken}, started_at=transition.at, due_at=None, deadline_at=None
    )
    if moved:
        transition.tell("branch_taken", step.path, taken=taken)
        _enter(transition, step, definition.blocks.get(taken, ()), step.path)


def _begin_rounds(transition: Transition, step: StepRunRecord, definition: Step) -> None:
    items = step.items if step.rounds or isinstance(step.items, list) else _items(transition, step, definition)
    if isinstance(items, list) and len(items) > decide.MAX_ROUNDS:
        flow.fail(transition, step, "too_many_rounds", f"{len(items)} items are more than {decide.MAX_ROUNDS}.")
        return
    room = definition.with_.get("max_parallel", 1) - _open_rounds(transition, step)
    first, number = step.rounds, step.rounds
    while number - first < room and _another(transition, step, definition, items, number):
        if number == decide.MAX_ROUNDS:
            flow.fail(transition, step, "too_many_rounds", f"It wanted more than {decide.MAX_ROUNDS} rounds.")
            return
        number += 1
    started = step.started_at or transition.at
    if not transition.move(step, StepStatus.WAITING, items=items, rounds=number, started_at=started, due_at=None):
        return
    for each in range(first, number):
        _enter(transition, step, definition.blocks["steps"], f"{step.path}[{each}]")
    if number == first and not _open_rounds(transition, step):
        _finish(transition, step.path)


def _items(transition: Transition, step: StepRunRecord, definition: Step) -> Json:
    """The list to go over, rendered once; None for a `while` loop."""
    if "items" not in definition.with_:
        return None
    source = definition.with_["items"]
    chains = context.chains_in(source)
    items = render(source, context.of(transition.execution, transition.runbook, chains, step.scope))
    if not isinstance(items, list):
        raise ExpressionError(f"`items` must be a list, not {type(items).__name__}")
    try:
        return to_storable(items)
    except TooLarge as error:
        raise ExpressionError(f"`items`: {error}") from error


def _another(transition: Transition, step: StepRunRecord, definition: Step, items: Json, number: int) -> bool:
    """Whether round `number` is to be begun."""
    if isinstance(items, list):
        return number < len(items)
    condition = definition.with_["while"]
    chains = context.chains_in_condition(condition)
    scope = f"{step.path}[{max(0, number - 1)}]"
    seen = context.of(transition.execution, transition.runbook, chains, scope)
    return bool(evaluate(condition, {**seen, "index": number}))


def _enter(transition: Transition, step: StepRunRecord, inner: tuple[Step, ...], scope: str) -> None:
    """Make the inner steps and let on those that need nothing."""
    made = rows.make(transition, inner, scope=scope, phase=step.phase)
    flow.let_on_all(transition, [each for each in made if each.blocked == 0])
    look(transition, scope, step.phase)


def _open_rounds(transition: Transition, step: StepRunRecord) -> int:
    prefix = f"{step.path}["
    scopes = steps.open_scopes(transition.execution.id, prefix)
    return len({scope[len(prefix) :].partition("]")[0] for scope in scopes})


def _end(transition: Transition, scope: str, *, failed: bool) -> None:
    """The branch or round at `scope` is over: so may be its container, or it goes on with another round."""
    path, number = context.container_path(scope)
    (step,) = steps.at_paths(transition.execution.id, [path])
    if step.status not in (StepStatus.WAITING, StepStatus.READY):
        return
    if number is None:
        if failed:
            _give_up(transition, step, scope, f"a step of its {step.items['taken']} branch failed")
        else:
            _succeed(transition, step, {"taken": step.items["taken"], "steps": _outputs(transition, scope)[scope]})
        return
    _end_round(transition, step, scope, failed=failed)


def _end_round(transition: Transition, step: StepRunRecord, scope: str, *, failed: bool) -> None:
    definition = transition.runbook.by_id[step.step_id]
    failures = step.failures + failed
    if failed and failures > definition.with_.get("max_failures", 0):
        steps.edit(step, failures=failures)
        transition.stop_phase(step.path)
        if not steps.busy_inside(transition.execution.id, step.path):
            word = "round" if failures == 1 else "rounds"
            _give_up(transition, step, step.path, f"{failures} {word} failed, the last was {scope}")
        return
    if failed:
        _skip_rest(transition, scope)
        steps.edit(step, failures=failures)
        (step,) = steps.at_paths(transition.execution.id, [step.path])
    if not transition.goes_on:
        return
    more = not isinstance(step.items, list) or step.rounds < len(step.items)
    if more and step.status is StepStatus.WAITING:
        transition.move(step, StepStatus.READY, due_at=transition.at)
    elif not more and not _open_rounds(transition, step):
        _finish(transition, step.path)


def _finish(transition: Transition, path: str) -> None:
    """All rounds of a loop have ended."""
    (step,) = steps.at_paths(transition.execution.id, [path])
    found = _outputs(transition, f"{path}[")
    results = [found.get(f"{path}[{number}]", {}) for number in range(step.rounds)]
    _succeed(transition, step, {"rounds": step.rounds, "failures": step.failures, "results": results})


def _outputs(transition: Transition, prefix: str) -> dict[str, dict[str, Json]]:
    """What the inner steps brought, by scope and step."""
    found: dict[str, dict[str, Json]] = {prefix: {}}
    for scope, step_id, outputs in steps.outputs_inside(transition.execution.id, prefix):
        found.setdefault(scope, {})[step_id] = outputs
    return found


def _succeed(transition: Transition, step: StepRunRecord, outputs: dict[str, Any]) -> None:
    try:
        flow.succeed(transition, step, flow.mapped(transition, step, outputs))
    except (ExpressionError, TooLarge) as error:
        flow.fail(transition, step, "outputs", f"its outputs cannot be kept: {error}")


def _give_up(transition: Transition, step: StepRunRecord, scope: str, message: str) -> None:
    """The container fails. Where the runbook puts up with that, what it held back is over; else a retry may need it."""
    if flow.tolerated(transition, step.step_id):
        _skip_rest(transition, scope)
    flow.fail(transition, step, "inner_step_failed", message)


def _skip_rest(transition: Transition, scope: str) -> None:
    ended = steps.skip_rest(transition.execution.id, scope, transition.at, NOT_REACHED)
    transition.count_all(ended, StepStatus.SKIPPED)
