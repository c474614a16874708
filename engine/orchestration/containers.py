"""Branches and loops: beginning their inner steps, and ending them when those have ended.

A container is claimed like any step but costs no attempt: it goes from READY to WAITING for its own steps. A loop that
may begin another round becomes READY again, so that pause and the limits hold for rounds as for steps.
"""

from __future__ import annotations

from typing import Any

from engine.definition.kinds import kind_of
from engine.definition.kinds.loop import round_names
from engine.definition.model import Step
from engine.expressions import ExpressionError, holds, render
from engine.expressions.values import describe
from engine.orchestration import gate_checks, step_completion, step_runs, tolerated_failures
from engine.orchestration.transition import Transition
from engine.steps import context
from engine.text.storable import TooLarge, to_storable
from storage import step_changes, steps
from storage.records import Json, StepRunRecord
from storage.states import Phase, StepStatus

MAX_ROUNDS = 1_000
"""A loop that wants more has gone wrong."""


NOT_REACHED = "the round or branch had failed before"


def begin(transition: Transition, step: StepRunRecord) -> None:
    """Begin what a READY container can begin now: the taken branch, or as many rounds as may run beside each other."""
    definition = transition.runbook.by_id[step.step_id]
    if step_completion.path_decided_by_hand(transition, definition):
        stop(transition, step, "by_hand", step_completion.BY_HAND)
        return
    try:
        begin_now = _begin_rounds if kind_of(definition).repeats else _begin_branch
        begin_now(transition, step, definition)
    except ExpressionError as error:
        stop(transition, step, "template", str(error))


def settle_scope(transition: Transition, scope: str, phase: Phase) -> None:
    """See whether the branch or round at `scope`, or one around it, has ended now."""
    for each in context.scopes_of(scope):
        failed = tolerated_failures.scope_failed(transition, each, phase)
        if failed:
            over = not steps.busy_inside(transition.execution.id, each)
        else:
            over = not steps.in_scope(transition.execution.id, each, phase, *steps.UNFINISHED)
        if over:
            _end_scope(transition, each, failed=failed)
            break
    for path in stopping_containers(transition, scope):
        _end_stopped(transition, path)


def stop(transition: Transition, step: StepRunRecord, code: str, message: str) -> None:
    """Begin nothing more in a container; it fails with this once nothing in it runs any more."""
    if step.status is StepStatus.READY:
        transition.move(step, StepStatus.WAITING, due_at=None)
    transition.run.edit(step, error={"code": code, "message": message}, deadline_at=None)
    transition.stop_phase(step.path)
    _end_stopped(transition, step.path)


def stopping_containers(transition: Transition, scope: str) -> list[str]:
    """The paths of the containers around `scope` that are stopped, the outermost first."""
    around = [context.container_path(each)[0] for each in context.scopes_of(scope)]
    return steps.stopped(transition.execution.id, around) if around else []


def skip_rest(transition: Transition, scope: str) -> None:
    """End what was held back in a scope, because the run goes on without it."""
    ended = step_changes.skip_rest(transition.run, scope, transition.at, NOT_REACHED)
    transition.count_all(ended, StepStatus.SKIPPED)


def takes_other_path(transition: Transition, step: StepRunRecord, stale: tuple[str, ...]) -> bool | None:
    """Whether a container that has begun would take another branch, or go over other items, as the run stands now.

    One that goes by something `stale` is taken to, and a `while` that has ended and goes by what the run was asked for.
    None for one that has not begun. Raises `ExpressionError`.
    """
    if step.items is None and step.started_at is None:
        return None
    definition = transition.runbook.by_id[step.step_id]
    if gate_checks.path_depends_on(definition, *stale):
        return True
    if not kind_of(definition).repeats:
        return bool(_branch_taken(transition, step, definition) != step.items["taken"])
    if "items" in definition.with_:
        return bool(_items(transition, step, definition) != step.items)
    return (
        gate_checks.path_depends_on(definition, "params", "execution", "runbook") if step.ended_at is not None else None
    )


def _branch_taken(transition: Transition, step: StepRunRecord, definition: Step) -> str:
    condition = definition.with_["if"]
    chains = context.chains_in_condition(condition)
    seen = context.of(transition.execution, transition.runbook, chains, step.scope)
    return "then" if holds(condition, seen) else "else"


def _begin_branch(transition: Transition, step: StepRunRecord, definition: Step) -> None:
    taken = _branch_taken(transition, step, definition)
    begun = {"started_at": transition.at, "due_at": None, "deadline_at": transition.deadline_of(step)}
    begun["revision"] = transition.execution.revision
    if transition.move(step, StepStatus.WAITING, items={"taken": taken}, **begun):
        transition.record_event("branch_taken", step.path, taken=taken)
        _start_inner_steps(transition, step, definition.blocks.get(taken, ()), step.path)


def _begin_rounds(transition: Transition, step: StepRunRecord, definition: Step) -> None:
    items = step.items if step.rounds or isinstance(step.items, list) else _items(transition, step, definition)
    if isinstance(items, list) and len(items) > MAX_ROUNDS:
        stop(transition, step, "too_many_rounds", f"{len(items)} items are more than {MAX_ROUNDS}.")
        return
    room = definition.with_.get("max_parallel", 1) - _open_rounds(transition, step)
    first, number = step.rounds, step.rounds
    while number - first < room and _wants_round(transition, step, definition, items, number):
        if number == MAX_ROUNDS:
            stop(transition, step, "too_many_rounds", f"It wanted more than {MAX_ROUNDS} rounds.")
            return
        number += 1
    begun = {"started_at": step.started_at, "deadline_at": step.deadline_at}
    if step.started_at is None:
        begun = {"started_at": transition.at, "deadline_at": transition.deadline_of(step)}
    begun["revision"] = transition.execution.revision
    if not transition.move(step, StepStatus.WAITING, items=items, rounds=number, due_at=None, **begun):
        return
    for each in range(first, number):
        _start_inner_steps(transition, step, definition.blocks["steps"], f"{step.path}[{each}]")
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
        raise ExpressionError(f"`items` must be a list, not {describe(items)}")
    try:
        return to_storable(items)
    except TooLarge as error:
        raise ExpressionError(f"`items`: {error}") from error


def _wants_round(transition: Transition, step: StepRunRecord, definition: Step, items: Json, number: int) -> bool:
    """Whether round `number` is to be begun."""
    if isinstance(items, list):
        return number < len(items)
    condition = definition.with_["while"]
    chains = context.chains_in_condition(condition)
    scope = f"{step.path}[{max(0, number - 1)}]"
    seen = context.of(transition.execution, transition.runbook, chains, scope)
    itself = dict.fromkeys(("index", *round_names(definition.with_)[1:]), number)
    return holds(condition, {**seen, **itself})


def _start_inner_steps(transition: Transition, step: StepRunRecord, inner: tuple[Step, ...], scope: str) -> None:
    """Make the inner steps, READY where they need nothing."""
    made = step_runs.make(transition, inner, scope=scope, phase=step.phase)
    step_completion.unblock_all(transition, [each for each in made if each.blocked == 0])
    settle_scope(transition, scope, step.phase)


def _open_rounds(transition: Transition, step: StepRunRecord) -> int:
    prefix = f"{step.path}["
    scopes = steps.open_scopes(transition.execution.id, prefix)
    return len({scope[len(prefix) :].partition("]")[0] for scope in scopes})


def _end_scope(transition: Transition, scope: str, *, failed: bool) -> None:
    """The branch or round at `scope` is over: so may be its container, or it goes on with another round."""
    path, number = context.container_path(scope)
    (step,) = transition.run.at([path])
    if step.status not in (StepStatus.WAITING, StepStatus.READY):
        return
    if number is not None:
        _end_round(transition, step, scope, failed=failed)
    elif step.error is not None:
        return  # it was stopped, and fails with that
    elif failed:
        stop(transition, step, "inner_step_failed", f"a step of its {step.items['taken']} branch failed")
    else:
        _succeed(transition, step, {"taken": step.items["taken"], "steps": _outputs(transition, scope)[scope]})


def _end_round(transition: Transition, step: StepRunRecord, scope: str, *, failed: bool) -> None:
    definition = transition.runbook.by_id[step.step_id]
    failures = step.failures + failed
    if failed:
        transition.run.edit(step, failures=failures)
    if step.error is not None:
        return
    if failures > _failures_allowed(transition, definition):
        word = "round" if failures == 1 else "rounds"
        stop(transition, step, "inner_step_failed", f"{failures} {word} failed, the last was {scope}")
        return
    if failed:
        skip_rest(transition, scope)
    (step,) = transition.run.at([step.path])
    if not transition.may_start_steps:
        return
    more = not isinstance(step.items, list) or step.rounds < len(step.items)
    if more and step.status is StepStatus.WAITING:
        transition.move(step, StepStatus.READY, due_at=transition.at)
    elif not more and not _open_rounds(transition, step):
        _finish(transition, step.path)


def _failures_allowed(transition: Transition, loop: Step) -> int:
    """How many rounds may fail: none where a round holds a gate, which would then not be decided."""
    wanted = int(loop.with_.get("max_failures", 0))
    return 0 if wanted and gate_checks.holds_gate(transition.rt, transition.execution.id, loop) else wanted


def _end_stopped(transition: Transition, path: str) -> None:
    """Fail a stopped container if nothing in it runs any more.

    Where the runbook tolerates that, what it held back is over; else a retry may need it.
    """
    if steps.busy_inside(transition.execution.id, path):
        return
    (step,) = transition.run.at([path])
    if step_completion.tolerates_failure(transition, step.step_id):
        skip_rest(transition, path)
    step_completion.fail(transition, step, step.error["code"], step.error["message"])


def _finish(transition: Transition, path: str) -> None:
    """All rounds of a loop have ended."""
    (step,) = transition.run.at([path])
    found = _outputs(transition, f"{path}[")
    results = [found.get(f"{path}[{number}]", {}) for number in range(step.rounds)]
    _succeed(transition, step, {"rounds": step.rounds, "failures": step.failures, "results": results})


def _outputs(transition: Transition, prefix: str) -> dict[str, dict[str, Json]]:
    """What the inner steps brought, by scope and step."""
    found: dict[str, dict[str, Json]] = {prefix: {}}
    for scope, step_id, outputs in steps.outputs_inside(transition.execution.id, prefix):
        found.setdefault(scope, {}).update({} if outputs is None else {step_id: outputs})
    return found


def _succeed(transition: Transition, step: StepRunRecord, outputs: dict[str, Any]) -> None:
    try:
        step_completion.succeed(transition, step, step_completion.mapped(transition, step, outputs))
    except (ExpressionError, TooLarge) as error:
        step_completion.fail(transition, step, "outputs", f"its outputs cannot be kept: {error}")
