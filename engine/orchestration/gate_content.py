"""What a gate asks about: what it shows, whom that bars, and what becomes of its votes when it shows something else.

Votes are for what will be done. So whatever changes that while a gate is open voids the votes given so far, and the
gate shows, under another digest, what would be done now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from engine.access import auditing
from engine.definition import gate_graph
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook, Step
from engine.expressions import ExpressionError, holds
from engine.orchestration import answerers, skip_rules, tolerated_failures
from engine.orchestration.transition import Transition
from engine.steps import approval, context
from engine.steps.approval import Behind
from engine.steps.outcome import Opened
from engine.text.redaction import Redact
from storage import approvals, break_glass, steps
from storage.records import ApprovalRecord, ExecutionRecord, Json, StepRunRecord
from storage.states import ApprovalStatus, Severity, StepStatus

NOT_MET = "its condition is not met"
"""Why a gate will not be asked that was not reached yet."""


def behind(execution: ExecutionRecord, runbook: Runbook, gate: Step, scope: str) -> Behind:
    """What a gate at `scope` shows: what follows up to the next gate that may be asked. Needs an open connection."""
    passed = _Conditions(execution, runbook, scope)
    shown = tuple(gate_graph.shown_by(runbook, gate, passed.not_met))
    rows = {row.path: row for row in _rows(execution, runbook, shown, scope)}
    top = {each.id: context.path_of(runbook, each.id, scope) for each in shown}
    instead = {key: why for key, path in top.items() if path in rows and (why := _why_not_run(runbook, rows[path]))}
    instead |= {each.id: NOT_MET for each in shown if each.id not in instead and passed.not_met(each)}
    insides = {
        each.id: _Inside(runbook, rows, each, top[each.id]) for each in shown if each.blocks and each.id not in instead
    }
    over = frozenset[str]().union(*(each.over for each in insides.values()))
    met = frozenset(each.id for each in shown if each.id not in instead and passed.met(each))
    return Behind(shown, instead, over, {key: each.items for key, each in insides.items()}, met)


def barred(execution: ExecutionRecord, runbook: Runbook, gate: Step, scope: str) -> list[str]:
    """Who had steps behind a gate skipped, or steps inside these, or answered what it shows: they chose that."""
    shown = list(gate_graph.shown_by(runbook, gate, _Conditions(execution, runbook, scope).not_met))
    skipped = [row.skip["by"] for row in _rows(execution, runbook, shown, scope) if skip_rules.skip_agreed(row.skip)]
    return list(dict.fromkeys([*skipped, *answerers.of_gate(execution, runbook, gate, shown)]))


def releases(execution: ExecutionRecord, runbook: Runbook, gate: StepRunRecord, step_id: str) -> bool:
    """Whether no gate that was asked stands between this one and a step, so that this one has released it.

    One that the run may still go past, by its condition, does not stand between them yet.
    """
    passed = _Conditions(execution, runbook, gate.scope)
    shown = gate_graph.shown_by(runbook, runbook.by_id[gate.step_id], lambda each: not passed.asked(each))
    return any(inner.id == step_id for each in shown for inner in gate_graph.with_inner(each))


def eased(execution: ExecutionRecord, shown: Opened) -> Opened:
    """What a gate asks for; in a run by break-glass that overrides a quorum, one approval of anybody whom it names.

    It overrides that for the parameters that two people saw: once somebody has changed them, all are asked.
    """
    agreed = break_glass.of_execution(execution.id)
    if agreed is None or not agreed.overrides["quorum"] or execution.revision:
        return shown
    approvers = {kind: list(shown.approvers.get(kind, ())) for kind in shown.approvers}
    for minimum in approvers.pop("minima", ()):
        kind = next(each for each in ("role", "user", "group") if each in minimum)
        approvers[f"{kind}s"] = list(dict.fromkeys([*approvers.get(f"{kind}s", ()), minimum[kind]]))
    return replace(shown, min_approvals=1, approvers={**approvers, "minima": []})


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

    It is something else too where it is now known to be by the choice of somebody who may have voted.
    Raises `ExpressionError` where its message cannot be rendered any more.
    """
    step_run = steps.by_id(gate.step_run_id)
    assert step_run is not None
    digest = digest_of(transition.execution, gate.path, _shown(transition, step_run, _unmasked))
    step = transition.runbook.by_id[step_run.step_id]
    bars = barred(transition.execution, transition.runbook, step, step_run.scope)
    if digest == gate.digest and set(bars) == set(gate.barred or ()):
        return False
    shown = _shown(transition, step_run, transition.rt.redactor().redact_json)
    void = [vote.person for vote in approvals.votes(gate.id)]
    approvals.show_anew(gate, shown.message, shown.preview, digest, bars)
    transition.record_event("gate_changed", gate.path, approval_id=gate.id, void=void)
    detail = {"step": gate.path, "was": gate.digest, "digest": digest, "void": void}
    thing = auditing.of_execution(gate.execution_id)
    auditing.by_bot(transition.rt, "approval.change", thing, detail, Severity.NOTICE)
    return True


def _unmasked(value: Json) -> Json:
    return value


def _shown(transition: Transition, step_run: StepRunRecord, redact: Redact) -> Opened:
    execution, runbook = transition.execution, transition.runbook
    step = runbook.by_id[step_run.step_id]
    found = behind(execution, runbook, step, step_run.scope)
    visible = context.of(execution, runbook, approval.chains_of(step, found), step_run.scope)
    shown = approval.run(step, runbook, visible, found, redact=redact)
    assert isinstance(shown, Opened)
    return eased(execution, shown)


def _rows(execution: ExecutionRecord, runbook: Runbook, shown: Iterable[Step], scope: str) -> list[StepRunRecord]:
    """The runs of the steps that a gate at `scope` shows, and of those inside these."""
    tops, inner = [], {}
    for each in shown:
        path = context.path_of(runbook, each.id, scope)
        tops.append(path)
        inner.update({step.id: path for step in gate_graph.with_inner(each) if step is not each})
    rows = steps.of_steps(execution.id, inner)
    return [
        *steps.at_paths(execution.id, tops),
        *(row for row in rows if context.inside(row.scope, inner[row.step_id])),
    ]


class _Conditions:
    """Which steps the run does or goes past by their condition, seen from `scope`."""

    def __init__(self, execution: ExecutionRecord, runbook: Runbook, scope: str) -> None:
        self._execution = execution
        self._runbook = runbook
        self._scope = scope
        self._rows: dict[str, StepRunRecord | None] = {}
        self._known: dict[str, bool | None] = {}

    def not_met(self, step: Step) -> bool:
        """Whether it is known by now that a step will not be done, because of its condition."""
        row = self._row(step.id) if step.condition is not None else None
        if row is not None and row.status is StepStatus.SKIPPED:
            return row.note == skip_rules.CONDITION_NOT_MET
        return not self.asked(step) and self._holds(step) is False

    def met(self, step: Step) -> bool:
        """Whether it is known by now that its condition lets a step be done."""
        return step.condition is not None and (self.asked(step) or self._holds(step) is True)

    def _holds(self, step: Step) -> bool | None:
        """Whether a step's condition holds, once all that it reads has ended; None where that is not known."""
        if step.id not in self._known:
            self._known[step.id] = self._worked_out(step)
        return self._known[step.id]

    def _worked_out(self, step: Step) -> bool | None:
        chains = context.chains_in_condition(step.condition)
        read = {chain[1] for chain in chains if chain[0] == "steps" and len(chain) > 1}
        if not all(_has_ended(self._row(each)) for each in read):
            return None
        try:
            return holds(step.condition, context.of(self._execution, self._runbook, chains, self._scope))
        except ExpressionError:
            return None

    def asked(self, step: Step) -> bool:
        """Whether a gate is or was asked, or surely will be, because it has no condition or is asked again.

        The same of any other step: whether its condition, if it has one, has been gone by.
        """
        if step.condition is None:
            return True
        row = self._row(step.id)
        if row is None or row.reopened:
            return row is not None
        return row.status not in (StepStatus.BLOCKED, StepStatus.SKIPPED, StepStatus.CANCELLED)

    def _row(self, step_id: str) -> StepRunRecord | None:
        if step_id not in self._rows:
            found = steps.at_paths(self._execution.id, [context.path_of(self._runbook, step_id, self._scope)])
            self._rows[step_id] = found[0] if found else None
        return self._rows[step_id]


class _Inside:
    """What of the steps inside a branch or loop will not be done: of each that has begun its rows say so."""

    def __init__(self, runbook: Runbook, rows: Mapping[str, StepRunRecord], container: Step, path: str) -> None:
        self._runbook = runbook
        self._rows = rows
        self._settled: dict[str, list[StepRunRecord]] = {each.id: [] for each in gate_graph.with_inner(container)}
        self._open: set[str] = set()
        self._visit_container(container, path)
        self.over = frozenset(key for key, found in self._settled.items() if found and key not in self._open)
        self.items = [item for found in self._settled.values() for item in _summaries_of(runbook, found)]

    def _visit_container(self, container: Step, path: str) -> None:
        row = self._rows.get(path)
        repeats = kind_of(container).repeats
        scopes = [f"{path}[{each}]" for each in range(row.rounds if row else 0)] if repeats else [path]
        more = repeats and not (row and isinstance(row.items, list) and row.rounds == len(row.items))
        for step in (each for block in container.blocks.values() for each in block):
            if more:
                self._open.update(each.id for each in gate_graph.with_inner(step))
            for scope in scopes:
                self._visit_step(step, context.join(scope, step.id))

    def _visit_step(self, step: Step, path: str) -> None:
        row = self._rows.get(path)
        if row is not None and _why_not_run(self._runbook, row):
            self._settled[step.id].append(row)
            return
        self._open.add(step.id)
        if step.blocks:
            self._visit_container(step, path)


def _summaries_of(runbook: Runbook, rows: list[StepRunRecord]) -> list[dict[str, Json]]:
    """What is said of the runs of one step that will not be done: of what people had skipped each by itself."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        own = row.path if skip_rules.skip_agreed(row.skip) else ""
        found.setdefault((_why_not_run(runbook, row), own), []).append(row.path)
    return [
        {"step": paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more", "kind": rows[0].kind,
         "instead": why}
        for (why, _), paths in found.items()
    ]  # fmt: skip


def _has_ended(row: StepRunRecord | None) -> bool:
    return row is not None and row.status in (StepStatus.SUCCESS, StepStatus.SKIPPED) and not row.reopened


def _why_not_run(runbook: Runbook, row: StepRunRecord) -> str:
    """Why a step will not be done, "" where it may be; what has failed may be retried unless it is tolerated."""
    if row.status is StepStatus.SKIPPED:
        return row.note
    if row.status is StepStatus.SUCCESS and not row.reopened:
        return row.note or "done already"
    if row.status is StepStatus.FAILED and tolerated_failures.tolerated(runbook, row.step_id, row.error):
        return "it has failed, and is not tried again"
    return skip_rules.skip_note(row.skip) if skip_rules.skip_agreed(row.skip) else ""
