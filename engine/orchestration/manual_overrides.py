"""A person's hand in what decides whether a gate is asked: nobody goes past a gate by that.

A run goes past a gate by itself when a condition says so. Where what the condition reads was skipped, settled or
cancelled by a person, ran out of time while one had paused it, was done for other parameters than those that a person
has given the run since, or was made of something that was, it is not the run itself that goes past it. That holds
across runs: a child's parameters come from its parent, its outputs go there, and what a replay takes over keeps its
mark.
"""

from __future__ import annotations

from engine.catalog import catalog
from engine.definition import gate_graph as rules
from engine.definition.model import Runbook, Step
from engine.orchestration import gate_checks, skip_rules
from engine.runtime import Runtime
from engine.steps import context
from storage import executions, steps
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import ExecutionStatus, StepStatus

PARAMS = "params"

_OUT_OF_TIME = ("timeout", "wait_timeout")

_DONE = (StepStatus.SUCCESS, StepStatus.FAILED, StepStatus.SKIPPED)


def decides_path(rt: Runtime, execution: ExecutionRecord, runbook: Runbook, step: Step) -> bool:
    """Whether the way that a step takes, which is or holds a gate, comes from a person's hand. Needs a connection."""
    chains = gate_checks.path_references(step)
    if not chains or not gate_checks.holds_gate(rt, execution.id, step):
        return False
    given = _parameters_by_hand(execution)
    start = touched_steps(execution) | (_readers_of_parameters(runbook) if given else set())
    reads = {chain[1] for chain in chains if chain[0] == "steps" and len(chain) > 1}
    return (given and any(chain[0] == PARAMS for chain in chains)) or bool(reads & rules.readers(runbook, start))


def touched_when_reused(old: ExecutionRecord, run: ExecutionRecord) -> set[str]:
    """The ids of the steps whose outputs a run goes past no gate by, where it takes them over from an old one.

    Those came from a person's hand, or were made for other parameters or by another definition than it has.
    """
    before, now = (catalog.definition_of(each.version_id) for each in (old, run))
    given = old.parameters != run.parameters or _parameters_by_hand(old)
    differ = {step_id for step_id, step in before.by_id.items() if now.by_id.get(step_id) != step}
    return rules.readers(before, touched_steps(old) | differ | (_readers_of_parameters(before) if given else set()))


def touched_steps(execution: ExecutionRecord, depth: int = 0) -> set[str]:
    """The ids of the steps of a run that a person has decided about, or about something in the runs they started."""
    return {row.step_id for row in steps.of_execution(execution.id) if _is_touched(execution, row, depth)}


def _is_touched(execution: ExecutionRecord, row: StepRunRecord, depth: int) -> bool:
    if row.settled_by is not None or (row.status is StepStatus.SKIPPED and skip_rules.skip_agreed(row.skip)):
        return True
    if row.status is StepStatus.CANCELLED:
        return execution.pending_result is ExecutionStatus.CANCELLED
    if row.status in _DONE and row.revision < execution.revision and row.note != steps.EARLIER_CLEANUP:
        return True
    child = executions.by_id(row.child) if row.child else None
    timed_out = row.status is StepStatus.FAILED and (row.error or {}).get("code") in _OUT_OF_TIME
    if timed_out and (_was_paused(execution) or (child is not None and _was_paused(child))):
        return True
    if child is None or depth >= gate_checks.MAX_DEPTH:
        return False
    left_alone = row.status in _DONE and not child.status.ended  # it is cancelled in a moment, whatever kept it
    return left_alone or child.pending_result is ExecutionStatus.CANCELLED or bool(touched_steps(child, depth + 1))


def _was_paused(execution: ExecutionRecord) -> bool:
    return execution.paused_ms > 0 or execution.status is ExecutionStatus.PAUSED


def _parameters_by_hand(execution: ExecutionRecord) -> bool:
    """Whether the parameters of a child run come from a person's hand in the run that started it."""
    parent = executions.parent_of(execution)
    starter = steps.by_id(execution.parent_step) if execution.parent_step is not None else None
    if parent is None or starter is None:
        return False
    runbook = catalog.definition_of(parent.version_id)
    start = touched_steps(parent) - {starter.step_id}
    given = _parameters_by_hand(parent)
    after = rules.readers(runbook, start | (_readers_of_parameters(runbook) if given else set()))
    return starter.step_id in after


def _readers_of_parameters(runbook: Runbook) -> set[str]:
    """The steps that read parameters anywhere."""
    return {step.id for step in runbook.by_id.values() if PARAMS in _roots(step)}


def _roots(step: Step) -> set[str]:
    chains = context.chains_in([step.with_, dict(step.outputs)]) | gate_checks.path_references(step)
    return {chain[0] for chain in chains}
