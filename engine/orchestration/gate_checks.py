"""Behind a gate means behind its decision: which gates before a step have not released it.

A gate counts as passed when it was decided yes for the parameters that the run has now, by nobody who chose them, or
when the run itself did not come by it: its own condition, or that of what holds it, said no. A `runbook` step counts
as its child's gates do, so it is passed when the child has succeeded. Nothing that a person does makes up for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.access import choosers
from engine.catalog import catalog
from engine.definition import gate_graph as rules
from engine.definition.gate_graph import holders
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook, Step
from engine.orchestration import skip_rules, tolerated_failures
from engine.runtime import Runtime
from engine.steps import context
from storage import approvals, executions, runbooks, steps
from storage.records import ApprovalRecord, ExecutionRecord, StepRunRecord
from storage.states import ApprovalStatus, ExecutionStatus, StepStatus

MAX_DEPTH = 8
"""How deep runbooks may start runbooks."""


def undecided(rt: Runtime, execution: ExecutionRecord, runbook: Runbook, step: StepRunRecord) -> list[str]:
    """The paths of the gates before a step that have not released it, or of what holds them.

    Those of the runs that wait for this one are among them, as `RUN path`. Needs an open connection.
    """
    needed = [runbook.by_id[each] for each in catalog.gates_before(execution.version_id).get(step.step_id, ())]
    found = list(_Passage(rt, execution, runbook).not_passed_before(needed, step.scope)) if needed else []
    return [*found, *undecided_around(rt, execution)]


def undecided_around(rt: Runtime, execution: ExecutionRecord) -> list[str]:
    """The gates that have not released the step which started this run, and so on outwards, as `RUN path`."""
    parent = executions.parent_of(execution)
    if parent is None or execution.parent_step is None:
        return []
    step = steps.by_id(execution.parent_step)
    assert step is not None
    found = undecided(rt, parent, catalog.definition_of(parent.version_id), step)
    return [each if " " in each else f"{parent.id} {each}" for each in found]


def not_passed_by(rt: Runtime, execution: ExecutionRecord, runbook: Runbook, step: Step, scope: str = "") -> list[str]:
    """The gates that a step is or holds and that have not released what follows it, as `undecided` gives them."""
    return list(_Passage(rt, execution, runbook).not_passed(step, scope))


def holds_gate(rt: Runtime, execution_id: str | None, step: Step, depth: int = 0) -> bool:
    """Whether a step is or holds a gate, in the runs that it has started in this execution too.

    A `runbook` step that has started none holds what the last approved version of its runbook does, and every draft
    after it: a draft may add a gate, and takes none away. One of which nothing is approved is taken to hold one.
    """
    return any(
        kind_of(holder).is_gate or _child_holds_gate(rt, execution_id, holder, depth + 1) for holder in holders(step)
    )


def run_holds_gate(rt: Runtime, run: ExecutionRecord, depth: int = 0) -> bool:
    """`holds_gate` for the main steps of a run."""
    return any(holds_gate(rt, run.id, each, depth) for each in catalog.definition_of(run.version_id).steps)


def _child_holds_gate(rt: Runtime, execution_id: str | None, step: Step, depth: int) -> bool:
    if depth > MAX_DEPTH:
        return True
    started = executions.started_by(execution_id, step.id) if execution_id is not None else []
    if started:
        return any(run_holds_gate(rt, child, depth) for child in started)
    other = runbooks.find(rt.workspace_id, step.with_["id"])
    approved = runbooks.last_approved(other.id, other.current_number) if other is not None else None
    if other is None or approved is None:
        return True
    versions = [each.id for each in runbooks.versions(other.id) if each.number >= approved.number]
    return any(holds_gate(rt, None, each, depth) for id_ in versions for each in catalog.definition_of(id_).steps)


def has_conditional_gate(rt: Runtime, run: ExecutionRecord) -> bool:
    """Whether some gate of a run is asked under a condition only, or stands in a branch, a loop or another runbook."""
    main = catalog.definition_of(run.version_id).steps
    return any(
        holds_gate(rt, run.id, step) and (not kind_of(step).is_gate or step.condition is not None) for step in main
    )


def gates_depending_on(runbook: Runbook, step_id: str, holds: Callable[[Step], bool]) -> list[str]:
    """The ids of what `holds` a gate and would ask it or go past it by what this step comes to."""
    after = rules.readers(runbook, [step_id])
    return [each.id for each in runbook.by_id.values() if _path_steps(each) & after and holds(each)]


def path_references(step: Step) -> set[tuple[str, ...]]:
    """What decides whether a step runs, and which way a branch or loop takes, as chains of names."""
    parts = [step.condition, *(step.with_.get(key) for key in ("if", "while") if step.blocks)]
    chains = set().union(*(context.chains_in_condition(part) for part in parts if part is not None))
    return chains | context.chains_in(step.with_.get("items") if step.blocks else None)


def _path_steps(step: Step) -> set[str]:
    """The ids of the steps by which a step runs or goes its way."""
    return {chain[1] for chain in path_references(step) if chain[0] == "steps" and len(chain) > 1}


def path_depends_on(step: Step, *roots: str) -> bool:
    """Whether a step runs, or goes its way, by one of these `roots`, as `steps`, `params` or `execution`."""
    return any(chain[0] in roots for chain in path_references(step))


class _Passage:
    """What one run has on record about its gates, read once."""

    def __init__(self, rt: Runtime, execution: ExecutionRecord, runbook: Runbook) -> None:
        self._rt = rt
        self._execution = execution
        self._runbook = runbook
        self._rows: dict[str, StepRunRecord] = {}
        self._gates: dict[int, ApprovalRecord] | None = None

    def not_passed_before(self, needed: list[Step], scope: str) -> Iterator[str]:
        """What is not passed of these steps, each seen from `scope`."""
        self._read(needed)
        for each in needed:
            path = context.path_of(self._runbook, each.id, scope)
            yield from self._not_passed(each, path)

    def not_passed(self, step: Step, scope: str) -> Iterator[str]:
        self._read([step])
        yield from self._not_passed(step, context.join(scope, step.id))

    def _read(self, needed: list[Step]) -> None:
        ids = {inner for each in needed for inner in _with_holders(each)}
        self._rows = {row.path: row for row in steps.of_steps(self._execution.id, ids)}

    def _not_passed(self, step: Step, path: str) -> Iterator[str]:
        row = self._rows.get(path)
        if row is not None and self._condition_was_not_met(row):
            return
        if row is not None and self._skipped_or_tolerated(row):
            yield from [path] if self._started_gate(step) else []
        elif row is None or not self._is_current(row):
            yield from [path] if self._holds_gate(step, row) else []
        elif kind_of(step).is_gate:
            yield from [] if self._approved(row) else [path]
        elif kind_of(step).repeats:
            for number in range(row.rounds):
                yield from self._inside(step.blocks["steps"], f"{row.path}[{number}]")
        elif step.blocks:
            yield from self._inside(step.blocks.get(row.items["taken"], ()), row.path)
        elif not self._child_succeeded(step, row):
            yield path

    def _inside(self, block: tuple[Step, ...], scope: str) -> Iterator[str]:
        for step in block:
            if any(holders(step)):
                yield from self._not_passed(step, context.join(scope, step.id))

    def _condition_was_not_met(self, row: StepRunRecord) -> bool:
        """Whether its own condition said no, for the parameters of now."""
        skipped = row.status is StepStatus.SKIPPED and row.note == skip_rules.CONDITION_NOT_MET
        return skipped and row.revision == self._execution.revision

    def _skipped_or_tolerated(self, row: StepRunRecord) -> bool:
        """Whether a person had it skipped, or its failure was tolerated: that it held no gate was seen then."""
        if row.status is StepStatus.FAILED:
            return tolerated_failures.tolerated(self._runbook, row.step_id, row.error)
        return row.status is StepStatus.SKIPPED and skip_rules.skip_agreed(row.skip)

    def _started_gate(self, step: Step) -> bool:
        """Whether there is a gate in a step, or in what it has started, whatever its runbooks' newest versions hold."""
        run = self._execution.id
        started = [child for holder in holders(step) for child in executions.started_by(run, holder.id)]
        gate = any(kind_of(holder).is_gate for holder in holders(step))
        return gate or any(run_holds_gate(self._rt, child) for child in started)

    def _is_current(self, row: StepRunRecord) -> bool:
        """Whether it is done, for the parameters of now, and not being asked again."""
        return row.status is StepStatus.SUCCESS and row.revision == self._execution.revision

    def _approved(self, row: StepRunRecord) -> bool:
        if self._gates is None:
            self._gates = {gate.step_run_id: gate for gate in approvals.of_execution(self._execution.id)}
        gate = self._gates.get(row.id)
        if gate is None or gate.status is not ApprovalStatus.APPROVED:
            return False
        if gate.allow_self or self._rt.settings.allow_self_approval:
            return True
        chose = choosers.of_gate(self._rt, gate, self._execution)
        return not any(vote.person in chose for vote in approvals.votes(gate.id))

    def _child_succeeded(self, step: Step, row: StepRunRecord) -> bool:
        """Whether its child has, or one of an earlier run that was taken over and has no gate to be asked again."""
        child = executions.by_id(row.child) if row.child else None
        if child is not None and child.parent_step == row.id:
            return child.status is ExecutionStatus.SUCCESS
        return not self._holds_gate(step, row)

    def _holds_gate(self, step: Step, row: StepRunRecord | None) -> bool:
        """Whether a step holds a gate; the child of one that was taken over is what it started."""
        child = executions.by_id(row.child) if row is not None and row.child else None
        if row is not None and child is not None and child.parent_step != row.id:
            return run_holds_gate(self._rt, child)
        return holds_gate(self._rt, self._execution.id, step)


def _with_holders(step: Step) -> Iterator[str]:
    """The ids of a step and of everything in it that is or holds a gate or another runbook."""
    if any(holders(step)):
        yield step.id
        for block in step.blocks.values():
            for inner in block:
                yield from _with_holders(inner)
