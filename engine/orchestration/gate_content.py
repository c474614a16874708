"""What a gate asks about: what it shows, whom that bars, and what becomes of its votes when it shows something else.

Votes are for what will be done. So whatever changes that while a gate is open voids the votes given so far, and the
gate shows, under another digest, what would be done now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from engine.definition import gates
from engine.definition.model import Runbook, Step
from engine.orchestration import run_rules
from engine.orchestration.transition import Transition
from engine.steps import approval, context
from engine.steps.outcome import Opened
from engine.text.redaction import Redact
from storage import approvals, audit, steps
from storage.records import ApprovalRecord, ExecutionRecord, Json, StepRunRecord
from storage.states import ApprovalStatus, Severity, StepStatus


def settled(execution: ExecutionRecord, runbook: Runbook, gate: Step, scope: str) -> dict[str, str]:
    """By the ids of the steps behind a gate at `scope` that will not run: why. Needs an open connection."""
    return {row.step_id: _instead(row) for row in _behind(execution, runbook, gate, scope) if _instead(row)}


def barred(execution: ExecutionRecord, runbook: Runbook, gate: Step, scope: str) -> list[str]:
    """Who had steps behind a gate skipped: they chose what it shows."""
    rows = _behind(execution, runbook, gate, scope)
    return list(dict.fromkeys(row.skip["by"] for row in rows if run_rules.skip_agreed(row.skip)))


def digest_of(execution: ExecutionRecord, path: str, shown: Opened) -> str:
    """What every vote on a gate is bound to: the version, the parameters and what people are asked about."""
    bound: Mapping[str, Any] = {
        "execution": execution.id,
        "step": path,
        "version": execution.digest,
        "parameters": execution.parameters,
        "plan": shown.plan_digest,
        "approvers": shown.approvers,
        "min_approvals": shown.min_approvals,
    }
    return "sha256:" + hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()


def refresh_all(transition: Transition) -> None:
    """Let every open gate of the run show what would be done now."""
    for gate in approvals.of_execution(transition.execution.id):
        if gate.status is ApprovalStatus.PENDING:
            refresh(transition, gate)


def refresh(transition: Transition, gate: ApprovalRecord) -> bool:
    """Let an open gate show what would be done now; True when that is something else, for which nobody has voted yet.

    Raises `ExpressionError` where its message cannot be rendered any more.
    """
    step_run = steps.by_id(gate.step_run_id)
    assert step_run is not None
    digest = digest_of(transition.execution, gate.path, _shown(transition, step_run, _as_it_is))
    if digest == gate.digest:
        return False
    shown = _shown(transition, step_run, transition.rt.redactor().redact_json)
    void = [vote.person for vote in approvals.votes(gate.id)]
    step = transition.runbook.by_id[step_run.step_id]
    bars = barred(transition.execution, transition.runbook, step, step_run.scope)
    approvals.show_anew(gate, shown.message, shown.preview, digest, bars)
    transition.tell("gate_changed", gate.path, approval_id=gate.id, void=void)
    detail = {"step": gate.path, "was": gate.digest, "digest": digest, "void": void}
    thing = f"execution:{gate.execution_id}"
    audit.write(transition.rt.workspace_id, "system", "approval.change", thing, Severity.NOTICE, detail)
    return True


def _as_it_is(value: Json) -> Json:
    return value


def _shown(transition: Transition, step_run: StepRunRecord, redact: Redact) -> Opened:
    execution, runbook = transition.execution, transition.runbook
    step = runbook.by_id[step_run.step_id]
    visible = context.of(execution, runbook, approval.chains_of(step, runbook), step_run.scope)
    instead = settled(execution, runbook, step, step_run.scope)
    shown = approval.run(step, runbook, visible, instead, redact=redact)
    assert isinstance(shown, Opened)
    return shown


def _behind(execution: ExecutionRecord, runbook: Runbook, gate: Step, scope: str) -> list[StepRunRecord]:
    paths = [context.path_of(runbook, step.id, scope) for step in gates.shown_by(runbook, gate)]
    return steps.at_paths(execution.id, paths)


def _instead(row: StepRunRecord) -> str:
    if row.status is StepStatus.SKIPPED:
        return row.note
    if row.status is StepStatus.SUCCESS and not row.reopened:
        return row.note or "done already"
    return run_rules.skip_note(row.skip) if run_rules.skip_agreed(row.skip) else ""
