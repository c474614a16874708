"""Behind a gate means behind its decision, worked out anew from the rows, by the simplest way there is.

Every attempt that is new since the last look has to stand behind gates that were decided yes, for the parameters of
now, by people who chose nothing of it, or that the run itself did not come by.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.catalog import catalog
from engine.definition.model import Runbook, Step
from storage import approvals, database, events, executions, steps
from storage.columns import tuples
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import Decision
from storage.tables import Attempt, StepRun

BY_ITSELF = "its condition was not met"


class GateBooks:
    """Knows which attempts it has looked at."""

    def __init__(self) -> None:
        self._last = 0

    def look(self) -> None:
        """Raise `AssertionError` for the first attempt that began although a gate before it had not released it."""
        with database.reading():
            query = Attempt.select(Attempt.id, StepRun.execution_id, StepRun.path).join(
                StepRun, on=(StepRun.id == Attempt.step_run_id)
            )
            new = tuples(query.where(Attempt.id > self._last).order_by(Attempt.id))
            for attempt_id, execution_id, path in new:
                self._last = attempt_id
                lacking = list(lacking_before(execution_id, path))
                assert not lacking, f"{path} of {execution_id} began, and {lacking} had not released it"


def lacking_before(execution_id: str, path: str) -> Iterator[str]:
    """The gates before a step that have not released it; those of the runs that wait for this one too."""
    run = executions.by_id(execution_id)
    assert run is not None
    runbook = catalog.definition_of(run.version_id)
    rows = {row.path: row for row in steps.of_execution(execution_id)}
    step_id, scope = rows[path].step_id, rows[path].scope
    while step_id in runbook.by_id and not step_id.endswith(".undo"):
        for need in _needs(_siblings(runbook, step_id), step_id):
            yield from _lacking(run, runbook, rows, runbook.by_id[need], scope)
        holder = runbook.container_of.get(step_id)
        if holder is None:
            break
        step_id, scope = holder[0], scope.rpartition(".")[0]
    if run.parent_step is not None:
        starter = steps.by_id(run.parent_step)
        assert starter is not None
        yield from lacking_before(starter.execution_id, starter.path)


def _siblings(runbook: Runbook, step_id: str) -> tuple[Step, ...]:
    holder = runbook.container_of.get(step_id)
    if holder is not None:
        return runbook.by_id[holder[0]].blocks[holder[1]]
    lists = (runbook.steps, runbook.on_failure, runbook.finally_)
    return next(each for each in lists if step_id in [step.id for step in each])


def _needs(siblings: tuple[Step, ...], step_id: str) -> set[str]:
    by_id = {step.id: step for step in siblings}
    found = set(by_id[step_id].needs)
    while True:
        more = found.union(*(by_id[each].needs for each in found))
        if more == found:
            return found
        found = more


def _lacking(
    run: ExecutionRecord, runbook: Runbook, rows: dict[str, StepRunRecord], step: Step, scope: str
) -> Iterator[str]:
    path = f"{scope}.{step.id}" if scope else step.id
    row = rows[path]
    if step.kind == "approval":
        if not (_gone_past(row) or _decided(run, row)):
            yield f"{run.id} {path}"
    elif step.kind == "runbook":
        child = executions.by_id(row.child) if row.child else None
        if child is None or child.status != "SUCCESS":
            yield from _gates_of(row, child, path)
    elif _has_gate(step) and row.status != "SUCCESS" and not _gone_past(row):
        yield f"{run.id} {path}"
    for inner in step.blocks.values():
        for scope_ in {each.scope for each in rows.values() if _directly_in(each, path)}:
            for each in inner:
                if f"{scope_}.{each.id}" in rows:
                    yield from _lacking(run, runbook, rows, each, scope_)


def _gates_of(row: StepRunRecord, child: ExecutionRecord | None, path: str) -> Iterator[str]:
    """A child with a gate has to succeed; one that never began, or holds none, need not."""
    if child is not None and row.status != "SUCCESS":
        definition = catalog.definition_of(child.version_id)
        if any(step.kind == "approval" for step in definition.by_id.values()):
            yield f"{child.id} of {path}"


def _has_gate(step: Step) -> bool:
    return step.kind == "approval" or any(_has_gate(each) for block in step.blocks.values() for each in block)


def _directly_in(row: StepRunRecord, path: str) -> bool:
    return row.scope == path or (row.scope.startswith(f"{path}[") and "." not in row.scope[len(path) :])


def _gone_past(row: StepRunRecord) -> bool:
    return row.status == "SKIPPED" and row.note == BY_ITSELF


def _decided(run: ExecutionRecord, row: StepRunRecord) -> bool:
    mine = [gate for gate in approvals.of_execution(run.id) if gate.step_run_id == row.id]
    if not mine or mine[-1].status != "APPROVED" or row.status != "SUCCESS":
        return False
    chose = choosers(run)
    return all(vote.person not in chose for vote in approvals.votes(mine[-1].id) if vote.decision is Decision.APPROVE)


def choosers(run: ExecutionRecord) -> set[str]:
    """Who chose what a run does or ever owned it, by its story and that of the runs it belongs to."""
    found = {run.requester}
    for event in events.after(run.id, 0, 100_000):
        if event.kind == "handed_over":
            found.add(event.data["to"])
        elif event.kind == "step_retried" and event.data["changed"] and event.actor:
            found.add(event.actor)
    if run.replay_of is not None and (old := executions.by_id(run.replay_of)) is not None:
        found |= choosers(old)
    if run.parent_step is not None and (starter := steps.by_id(run.parent_step)) is not None:
        parent = executions.by_id(starter.execution_id)
        assert parent is not None
        found |= choosers(parent)
    return found
