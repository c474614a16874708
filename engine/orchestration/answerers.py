"""Who gave a value that a gate shows: by answering a manual step, or the form of a gate before it.

Such a value reaches a gate where it, what stands behind it or what it stands in reads the answer, or reads what another
step came to that reads it. What was given to a run that waits for this one is among its parameters, as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from engine.catalog import catalog
from engine.definition.kinds import kind_of
from engine.definition.kinds.kind import Awaits
from engine.definition.model import Runbook, Step
from engine.steps import context
from storage import executions, manual_tasks, steps
from storage.records import ExecutionRecord
from storage.states import StepStatus, TaskStatus

Chain = tuple[str, ...]
_NO_CHOICE = frozenset({"by", "at", "approved_by", "approvals", "on_timeout"})
"""Outputs that say who answered and when, which nobody chooses."""


def of_gate(execution: ExecutionRecord, runbook: Runbook, gate: Step, shown: Iterable[Step]) -> list[str]:
    """User ids of who answered what this gate and the steps that it shows read. Needs an open connection."""
    return list(dict.fromkeys(_of(execution, runbook, [gate, *shown])))


def _of(execution: ExecutionRecord, runbook: Runbook, readers: Iterable[Step]) -> Iterator[str]:
    asked = _answered_steps(runbook, readers)
    if asked:
        yield from _people(execution, runbook, asked)
    starter = steps.by_id(execution.parent_step) if execution.parent_step is not None else None
    if starter is not None:
        parent = executions.by_id(starter.execution_id)
        assert parent is not None
        above = catalog.definition_of(parent.version_id)
        yield from _of(parent, above, [above.by_id[starter.step_id]])


def _answered_steps(runbook: Runbook, readers: Iterable[Step]) -> set[str]:
    """The steps with answers of people that these read, directly or by way of others."""
    found, seen = set[str](), set[str]()
    waiting = [each for reader in readers for each in _with_holders(runbook, reader)]
    while waiting:
        for chain in _read(waiting.pop()):
            for step in _named(runbook, chain):
                if kind_of(step).form_outputs:
                    found |= {step.id} if _is_choice(step, chain) else set()
                elif step.id not in seen:
                    seen.add(step.id)
                    waiting += _with_holders(runbook, step)
    return found


def _with_holders(runbook: Runbook, step: Step) -> Iterator[Step]:
    """A step and what it stands in, whose conditions and items are read for it too."""
    yield step
    if (holder := runbook.container_of.get(step.id)) is not None:
        yield from _with_holders(runbook, runbook.by_id[holder[0]])


def _read(step: Step) -> set[Chain]:
    """What decides whether and what a step does, and what it hands on, those inside it included."""
    found = context.chains_in([step.with_, dict(step.outputs)])
    for condition in (step.condition, *(step.with_.get(key) for key in kind_of(step).conditions)):
        found |= set() if condition is None else context.chains_in_condition(condition)
    return found.union(*(_read(each) for block in step.blocks.values() for each in block))


def _named(runbook: Runbook, chain: Chain) -> Collection[Step]:
    if chain[0] != "steps":
        return ()
    if len(chain) == 1:
        return runbook.by_id.values()
    return [runbook.by_id[chain[1]]] if chain[1] in runbook.by_id else []


def _is_choice(step: Step, chain: Chain) -> bool:
    """Whether what is read of a step is what somebody answered, and not how it ended, by whom and when."""
    if len(chain) > 2 and chain[2] != "outputs":
        return False
    return bool(step.outputs) or len(chain) < 4 or chain[3] not in _NO_CHOICE


def _people(execution: ExecutionRecord, runbook: Runbook, asked: Collection[str]) -> Iterator[str]:
    by_hand = set[str]()
    for row in steps.of_steps(execution.id, asked):
        if row.status is not StepStatus.SUCCESS:
            continue
        if kind_of(row).awaits is Awaits.ASSIGNEE:
            by_hand.add(row.path)
        elif runbook.by_id[row.step_id].with_.get("form"):
            yield from (row.outputs or {}).get("approved_by", ())
    if by_hand:
        yield from _who_did(execution, by_hand)


def _who_did(execution: ExecutionRecord, paths: set[str]) -> Iterator[str]:
    """Who did these manual steps, in the run that this one replays where it took them over."""
    did = {task.path: task for task in manual_tasks.of_execution(execution.id) if task.status is TaskStatus.DONE}
    yield from (str(task.ended_by) for path, task in did.items() if path in paths)
    missing = paths - set(did)
    old = executions.by_id(execution.replay_of) if missing and execution.replay_of is not None else None
    if old is not None:
        yield from _who_did(old, missing)
