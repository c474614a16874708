"""One execution under its lock, in one transaction: its steps are moved, counted and told of, its row written once.

Runner, approvals, executions and sweeper all change executions through this, so that counters, status, running time
and events agree whoever made the change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from engine import catalog, context, decide
from engine.definition import graph
from engine.definition.model import Runbook
from engine.errors import NotFound
from engine.expressions import ExpressionError, evaluate
from engine.runtime import Runtime
from storage import approvals, database, events, executions, steps
from storage.records import (
    EventRecord,
    ExecutionRecord,
    ExecutionStatus,
    Json,
    StepRunRecord,
    StepStatus,
)

CONDITION_NOT_MET = "its condition was not met"
NEED_SKIPPED = "a step it needs was skipped"


class Transition:
    """The change being made. `at` is the one time of all of it; `execution` is its state so far."""

    def __init__(self, rt: Runtime, execution: ExecutionRecord) -> None:
        self.rt = rt
        self.at = database.now()
        self.before = execution
        self.execution = execution
        self._told: list[EventRecord] = []

    @property
    def runbook(self) -> Runbook:
        return catalog.definition_of(self.execution.version_id)

    @property
    def changed(self) -> bool:
        """Whether there is anything to save."""
        return bool(self._told) or self.execution != self.before

    def tell(self, kind: str, path: str | None = None, actor: str | None = None, **data: Json) -> None:
        """Add an event to this change."""
        seq = self.before.event_seq + len(self._told) + 1
        self._told.append(EventRecord(self.before.id, seq, self.at, kind, path, actor, data))

    def move(self, step: StepRunRecord, to: StepStatus, **fields: Any) -> bool:
        """Compare-and-set one step run and count it; False when it was changed meanwhile."""
        if not steps.move(step, to, **fields):
            return False
        self.execution = decide.recount(self.execution, step.status, to)
        return True

    def succeed(self, step: StepRunRecord, outputs: Json, note: str = "") -> bool:
        """The step is done: its outputs are kept and what needs it is let on."""
        done = {"outputs": outputs, "error": None, "ended_at": self.at, "due_at": None, "note": note}
        if not self.move(step, StepStatus.SUCCESS, **done):
            return False
        self.tell("step_succeeded", step.path)
        self.release(step.step_id, poisoned=False)
        return True

    def fail(self, step: StepRunRecord, code: str, message: str, outputs: Json = None) -> bool:
        """The step has failed for good, and with it the run."""
        error = {"code": code, "message": message}
        if not self.move(step, StepStatus.FAILED, outputs=outputs, error=error, ended_at=self.at, due_at=None):
            return False
        self.tell("step_failed", step.path, code=code, message=message, attempt=step.attempts)
        self.fail_run(code, message, step.path)
        return True

    def fail_run(self, code: str, message: str, path: str | None = None) -> None:
        """Fix the result as FAILED and start nothing more; open gates close, running steps finish."""
        if self.execution.ending is not None or self.execution.status.ended:
            return
        error = {"code": code, "message": message, "step": path}
        self.execution = replace(self.execution, ending=ExecutionStatus.FAILED, error=error)
        held = steps.hold_back(self.execution.id)
        self.execution = decide.recount(self.execution, StepStatus.READY, StepStatus.BLOCKED, held)
        closed = steps.cancel_waiting(self.execution.id, self.at)
        self.execution = decide.recount(self.execution, StepStatus.WAITING, StepStatus.CANCELLED, closed)
        approvals.cancel_open(self.execution.id, self.at)

    def cancel(self, actor: str, reason: str) -> None:
        """End everything that is not being run right now; the result is CANCELLED unless a failure has fixed it."""
        self.tell("cancel_requested", actor=actor, reason=reason)
        if self.execution.ending is None:
            error = {"code": "cancelled", "message": reason, "step": None}
            self.execution = replace(self.execution, ending=ExecutionStatus.CANCELLED, error=error)
        for status, count in steps.cancel_idle(self.execution.id, self.at).items():
            self.execution = decide.recount(self.execution, status, StepStatus.CANCELLED, count)
        approvals.cancel_open(self.execution.id, self.at)

    def pause(self, reason: str) -> None:
        """Claim nothing more until a person decides."""
        self.execution = replace(self.execution, status=ExecutionStatus.PAUSED, paused_reason=reason)
        self.tell("paused", reason=reason)

    def begin(self) -> None:
        """The first claim: the run has started."""
        if self.execution.started_at is None:
            self.execution = replace(self.execution, status=ExecutionStatus.RUNNING, started_at=self.at)

    def let_on_roots(self) -> None:
        """Let on the steps that need nothing; for a new execution."""
        skipped: list[tuple[str, bool]] = []
        for step in steps.at_paths(self.execution.id, graph.roots(self.runbook)):
            if self.execution.ending is None:
                skipped.extend(self._let_on(step))
        for step_id, poisoned in skipped:
            self.release(step_id, poisoned=poisoned)

    def release(self, step_id: str, *, poisoned: bool) -> None:
        """Take one need off every step that needs `step_id`, and let on those that need nothing more.

        Costs the same however many steps the execution has: only successors are looked at.
        """
        ended = deque([(step_id, poisoned)])
        while ended:
            step_id, poisoned = ended.popleft()
            after = catalog.successors_of(self.execution.version_id).get(step_id, ())
            if not after:
                continue
            steps.count_down(self.execution.id, dict.fromkeys(after, poisoned))
            for step in steps.at_paths(self.execution.id, after):
                if step.blocked == 0 and step.status is StepStatus.BLOCKED and self.execution.ending is None:
                    ended.extend(self._let_on(step))

    def _let_on(self, step: StepRunRecord) -> list[tuple[str, bool]]:
        """Make a step READY or skip it; what was skipped is returned, for its own successors."""
        if step.poisoned:
            return self._skip(step, NEED_SKIPPED, poisoned=True)
        try:
            wanted = self._condition_holds(step)
        except ExpressionError as error:
            self.fail(step, "condition", str(error))
            return []
        if not wanted:
            return self._skip(step, CONDITION_NOT_MET, poisoned=False)
        self.move(step, StepStatus.READY, due_at=self.at)
        return []

    def _condition_holds(self, step: StepRunRecord) -> bool:
        condition = self.runbook.by_id[step.step_id].condition
        if condition is None:
            return True
        chains = context.chains_in_condition(condition)
        return bool(evaluate(condition, context.of(self.execution, self.runbook, chains)))

    def _skip(self, step: StepRunRecord, reason: str, *, poisoned: bool) -> list[tuple[str, bool]]:
        if not self.move(step, StepStatus.SKIPPED, ended_at=self.at, note=reason):
            return []
        self.tell("step_skipped", step.path, reason=reason)
        return [(step.step_id, poisoned)]

    def _result(self) -> Json:
        """What a finished run brought: the outputs of the steps that nothing else needed, by step."""
        following = catalog.successors_of(self.execution.version_id)
        last = [step.id for step in self.runbook.steps if not following[step.id]]
        return {path: outputs for path, outputs in steps.outputs(self.execution.id, last).items() if outputs}

    def save(self) -> ExecutionRecord:
        """Write the execution and the events of this change."""
        status = decide.status_of(self.execution)
        execution = decide.keep_time(replace(self.execution, status=status), self.at)
        if status.ended and not self.before.status.ended:
            self.tell("ended", status=status, error=execution.error)
            result = self._result() if status is ExecutionStatus.SUCCESS else None
            execution = replace(execution, ended_at=self.at, paused_reason=None, result=result)
        execution = replace(execution, event_seq=self.before.event_seq + len(self._told))
        executions.save(self.before, execution)
        events.append(self.rt.workspace_id, self._told)
        self.execution = execution
        return execution


@contextmanager
def change(rt: Runtime, execution_id: str) -> Iterator[Transition]:
    """Lock an execution, let the caller change it, and write all of it or nothing. Raises `NotFound`."""
    with database.transaction():
        execution = executions.lock(execution_id)
        if execution is None or execution.workspace_id != rt.workspace_id:
            raise NotFound(f"There is no execution {execution_id}.")
        transition = Transition(rt, execution)
        yield transition
        transition.save()
