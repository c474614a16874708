"""One execution under its lock, in one transaction: its steps are moved and counted, its events and row written once.

Whatever changes an execution does so through this, so that counters, status, times and events agree whoever did it.
What follows from a step's end is `step_completion`, what follows from a phase's end is `run_phases`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from engine.catalog import approved_targets, catalog
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook
from engine.orchestration import run_status
from engine.runtime import Runtime
from storage import approvals, attempts, cards, database, events, executions, manual_tasks, step_changes
from storage.records import AttemptRecord, EventRecord, ExecutionRecord, Json, StepRunRecord, changed
from storage.run_state import RunState
from storage.states import AttemptStatus, ExecutionStatus, Phase, StepStatus


class Transition:
    """The change being made. `at` is the one time of all of it; `execution` is its state so far.

    `run` is the run under its lock; `wake` holds other executions that have work once this is committed.
    """

    def __init__(self, rt: Runtime, run: RunState) -> None:
        self.rt = rt
        self.at = database.now()
        self.run = run
        self.before = run.execution
        self.execution = run.execution
        self.wake: list[str] = []
        self._events: list[EventRecord] = []
        self._begun_attempts: dict[tuple[int, int], AttemptRecord] = {}
        self._ended_attempts: dict[tuple[int, int], Callable[[], None]] = {}
        self._pruned: list[Callable[[], None]] = []
        self._runbook: Runbook | None = None

    @property
    def runbook(self) -> Runbook:
        """The definition of the run's version, its targets as they were agreed to. Raises `Undecodable`."""
        if self._runbook is None:
            version_id = self.execution.version_id
            self._runbook = approved_targets.to_run(version_id, catalog.definition_of(version_id))
        return self._runbook

    @property
    def seq(self) -> int:
        """The number of the last event so far."""
        return self.before.event_seq + len(self._events)

    @property
    def changed(self) -> bool:
        """Whether there is anything to save."""
        return bool(self._events) or self.execution != self.before

    @property
    def may_start_steps(self) -> bool:
        """Whether the phase that runs now still starts steps.

        Main does until a failure or cancel has ended it, cleanup until its time is up or a person ends it by force.
        """
        execution = self.execution
        if execution.cleanup_until is not None and execution.cleanup_until <= self.at:
            return False
        return execution.pending_result is None or execution.phase is not Phase.MAIN

    def deadline_of(self, step: StepRunRecord) -> int | None:
        """When the time of a step that begins now is up; None where only the run's own limit holds."""
        timeout_ms = self.runbook.by_id[step.step_id].timeout_ms
        return None if timeout_ms is None else self.at + timeout_ms

    def record_event(self, kind: str, path: str | None = None, actor: str | None = None, **data: Json) -> None:
        """Add an event to this change."""
        self._events.append(EventRecord(self.before.id, self.seq + 1, self.at, kind, path, actor, data))

    def move(self, step: StepRunRecord, to: StepStatus, **fields: Any) -> bool:
        """Compare-and-set one step run, counted while its phase runs; False when it was changed meanwhile."""
        if not self.run.move(step, to, **fields):
            return False
        if step.phase is self.execution.phase:
            self.count(step.status, to, container=kind_of(step).is_container)
        return True

    def count(self, old: StepStatus, new: StepStatus, count: int = 1, *, container: bool = False) -> None:
        """Count step runs that were moved together."""
        self.execution = run_status.recount(self.execution, old, new, count, container=container)

    def count_all(self, moved: Mapping[StepStatus, int], new: StepStatus) -> None:
        """Count step runs that were moved together from several states."""
        for old, count in moved.items():
            self.count(old, new, count)

    def edit(self, **fields: Any) -> None:
        """Change the execution itself."""
        self.execution = changed(self.execution, **fields)

    def fail_run(self, code: str, message: str, path: str | None = None) -> None:
        """Fix the result as FAILED and start nothing more of main; open gates close, running steps finish."""
        if self.execution.pending_result is not None or self.execution.status.ended:
            return
        self.edit(pending_result=ExecutionStatus.FAILED, error={"code": code, "message": message, "step": path})
        self.stop_phase()

    def stop_phase(self, scope: str = "") -> None:
        """Start nothing more of what stands in `scope` of the phase that runs now, and ask nobody there any more."""
        run, phase = self.run, self.execution.phase
        self.count(StepStatus.READY, StepStatus.BLOCKED, step_changes.block_ready(run, phase, scope))
        self.count(StepStatus.WAITING, StepStatus.CANCELLED, step_changes.cancel_waiting(run, phase, self.at, scope))
        approvals.cancel_orphaned(run.id, self.at)
        manual_tasks.cancel_orphaned(run.id, self.at)

    def cancel_idle(self) -> None:
        """End everything of the phase that is not being run right now as CANCELLED."""
        self.count_all(step_changes.cancel_idle(self.run, self.execution.phase, self.at), StepStatus.CANCELLED)
        approvals.cancel_open(self.before.id, self.at)
        manual_tasks.cancel_open(self.before.id, self.at)

    def abandon_all(self, code: str, message: str) -> None:
        """End every step run of the execution, also what is being run right now, and fix the result as FAILED."""
        error = {"code": code, "message": message}
        step_changes.abandon_all(self.run, self.at, error)
        approvals.cancel_open(self.before.id, self.at)
        manual_tasks.cancel_open(self.before.id, self.at)
        result = self.execution.pending_result or ExecutionStatus.FAILED
        counters = dict.fromkeys(("live", "running", "waiting_steps", "unfinished", "reopened_gates"), 0)
        self.edit(pending_result=result, error={**error, "step": None}, **counters)

    def close_gates(self) -> None:
        """Close the gates and manual tasks whose steps no longer wait."""
        approvals.cancel_orphaned(self.execution.id, self.at)
        manual_tasks.cancel_orphaned(self.execution.id, self.at)

    def reopen(self, census: list[tuple[StepStatus, str, int]], *, slot_group: str | None, slot: str | None) -> None:
        """Let a FAILED run go on with its main phase; its counters are made anew from its step runs."""
        fresh = {"pending_result": None, "error": None, "ended_at": None, "cleanup_until": None, "running_ms": 0}
        self.edit(status=ExecutionStatus.RUNNING, phase=Phase.MAIN, slot_group=slot_group, slot=slot, **fresh)
        self.execution = run_status.with_counters(self.execution, census)
        cards.reopen(self.execution.id)

    def pause(self, reason: str, actor: str | None = None) -> None:
        """Claim nothing more until a person decides."""
        self.edit(status=ExecutionStatus.PAUSED, paused_reason=reason)
        self.record_event("paused", actor=actor, reason=reason)

    def begin_attempt(self, step: StepRunRecord) -> None:
        """Put an attempt of this step run, as its claim leaves it, on record with this change."""
        assert step.worker_id is not None
        self._begun_attempts[step.id, step.attempts] = AttemptRecord(
            id=0, step_run_id=step.id, number=step.attempts, status=AttemptStatus.RUNNING, worker_id=step.worker_id,
            started_at=self.at, ended_at=None, request=None, response=None, error=None,
        )  # fmt: skip

    def end_attempt(
        self,
        step: StepRunRecord,
        status: AttemptStatus,
        *,
        request: Json = None,
        response: Json = None,
        error: Json = None,
    ) -> None:
        """Close the step run's last attempt with this change, if it is still open; it may have begun with it."""
        begun = self._begun_attempts.get((step.id, step.attempts))
        if begun is not None:
            ended = changed(begun, status=status, ended_at=self.at, request=request, response=response, error=error)
            self._begun_attempts[step.id, step.attempts] = ended
            return
        end = partial(attempts.end, step, status, self.at, request, response, error)
        self._ended_attempts.setdefault((step.id, step.attempts), end)

    def prune_attempts(self, step: StepRunRecord) -> None:
        """Keep of the attempts of a step that asks again and again a bounded number on record."""
        self._pruned.append(partial(attempts.prune, step.id, step.attempts))

    def mark_started(self) -> None:
        """The first claim: the run has started."""
        if self.execution.started_at is None:
            self.edit(status=ExecutionStatus.RUNNING, started_at=self.at)

    def write_ended(self) -> ExecutionRecord:
        """Write the events of a change to an execution that has ended and stays so, and have them shown."""
        if self._events:
            cards.reopen(self.execution.id)
        self._write(changed(self.execution, event_seq=self.seq))
        return self.execution

    def write(self, *, over: bool, result: Json = None) -> ExecutionRecord:
        """Write the execution and the events of this change; `over` says that no phase is left."""
        execution = changed(self.execution, status=run_status.status_of(self.execution, over=over))
        execution = run_status.add_time_spent(execution, self.before.status, self.at)
        if over:
            self.record_event("ended", status=execution.status, error=execution.error)
            execution = changed(
                execution, ended_at=self.at, paused_reason=None, result=result, cleanup_until=None, slot=None
            )
        execution = changed(execution, event_seq=self.seq)
        self._write(execution)
        self.execution = execution
        return execution

    def _write(self, execution: ExecutionRecord) -> None:
        for do in (*self._ended_attempts.values(), *self._pruned):
            do()
        attempts.add(self.rt.workspace_id, list(self._begun_attempts.values()))
        executions.save(self.before, execution)
        events.append(self.rt.workspace_id, self._events)
