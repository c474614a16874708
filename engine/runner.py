"""Running an execution: claim a step, make the attempt, record what came of it, and go straight on with the next.

The record of one step and the claim of the next are one commit. What a process that dies leaves behind is taken over
by the sweeper; a result that comes too late finds its fence gone and is dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from functools import partial

from engine import catalog, containers, context, decide, flow, lifecycle
from engine.errors import NotApproved
from engine.failpoints import commit, failpoint
from engine.held import Held
from engine.lifecycle import change
from engine.recording import record, take_over
from engine.runtime import Runtime
from engine.steps import approval
from engine.steps.outcome import Outcome
from engine.steps.perform import Claim, Tools, perform
from engine.transition import Transition
from storage import database, executions, runbooks, steps
from storage.records import ExecutionRecord, ExecutionStatus, Phase, StepRunRecord, StepStatus, VersionStatus

log = logging.getLogger(__name__)

_CLAIMABLE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING)
RECORD_PATIENCE_S = 60
"""How long a result is held while the database is away. After that the lease is gone too, and the sweeper decides."""


class Runner:
    """A worker process's hands. Any number of threads may call `advance` at once."""

    def __init__(self, rt: Runtime, worker_id: str, tools: Tools) -> None:
        self.rt = rt
        self.worker_id = worker_id
        self._tools = tools
        self._held = Held()
        self._draining = threading.Event()

    def advance(self, execution_id: str) -> None:
        """Run what is ready in an execution, one step after the other, until nothing is."""
        claim = self._claim(execution_id)
        while claim is not None:
            step_run = claim.step_run
            try:
                failpoint("effect.before")
                outcome = perform(claim, self._tools, partial(self._held.is_abandoned, step_run))
                failpoint("effect.after")
                claim = self._record(step_run, outcome)
            finally:
                self._held.drop(step_run)

    def drain(self) -> None:
        """Finish the attempts under way and claim nothing more."""
        self._draining.set()

    def busy(self) -> int:
        """How many attempts are under way."""
        return len(self._held)

    def abandon_cancelled(self) -> None:
        """Drop the calls of executions that were cancelled meanwhile; those of their cleanup go on."""
        held = self._held.executions()
        if held:
            with database.reading():
                cancelled = executions.to_abandon(held, database.now())
            self._held.abandon(cancelled)

    def take_back_strays(self) -> None:
        """Settle what the database says this worker runs although no thread of it does.

        That is so after a commit whose answer was lost, and after a result that could not be recorded. The worker is
        alive, so nobody else would ever take these steps over.
        """
        with database.reading():
            strays = [step for step in steps.held_by(self.worker_id) if step not in self._held]
        for stray in strays:
            with change(self.rt, stray.execution_id, "take_back") as transition:
                step = steps.by_id(stray.id)
                # Asked again under the lock: a claim is held before its commit, and dropped after its record's.
                still = step is not None and (step.status, step.fence) == (stray.status, stray.fence)
                if step is not None and still and step not in self._held:
                    log.warning("no thread runs %s of %s: taking it back", step.path, step.execution_id)
                    take_over(transition, step)
            self.rt.hint([stray.execution_id])

    def _claim(self, execution_id: str) -> Claim | None:
        if self._draining.is_set():
            return None
        with self._held.unless_undone() as claimed:
            done = commit("claim", execution_id, partial(self._claim_first, execution_id, claimed))
        if done is None:
            return None
        claim, execution, wake = done
        return self._go_on(claim, execution, wake, beside=claim is not None)

    def _claim_first(
        self, execution_id: str, claimed: list[StepRunRecord]
    ) -> tuple[Claim | None, ExecutionRecord, list[str]] | None:
        execution = executions.lock(execution_id)
        if execution is None or execution.workspace_id != self.rt.workspace_id:
            return None
        transition = Transition(self.rt, execution)
        claim = self._claim_next(transition, claimed)
        if transition.changed:
            execution = lifecycle.save(transition)
        return claim, execution, transition.wake

    def _go_on(
        self, claim: Claim | None, execution: ExecutionRecord, wake: list[str], *, beside: bool = True
    ) -> Claim | None:
        """After a commit: wake whoever has work now, and go on with the claim that was part of it.

        One hint for what is ready beside it: whoever takes that claims one and calls the next, so that what is ready
        together starts together.
        """
        self.rt.hint([*wake, execution.id] if beside and _claimable_beside(execution) else wake)
        return replace(claim, execution=execution) if claim else None

    def _record(self, step_run: StepRunRecord, outcome: Outcome) -> Claim | None:
        """Record an outcome and claim what follows, in one commit; patient while the database is away."""
        deadline = time.monotonic() + RECORD_PATIENCE_S
        while True:
            try:
                return self._record_once(step_run, outcome)
            except database.DatabaseTrouble:
                if time.monotonic() > deadline:
                    raise
                log.warning("the database did not take the result of %s: trying again", step_run.path, exc_info=True)
                time.sleep(0.5)

    def _record_once(self, step_run: StepRunRecord, outcome: Outcome) -> Claim | None:
        with self._held.unless_undone() as claimed:
            done = commit("record", step_run.execution_id, partial(self._record_one, step_run, outcome, claimed))
        return self._go_on(*done)

    def _record_one(
        self, step_run: StepRunRecord, outcome: Outcome, claimed: list[StepRunRecord]
    ) -> tuple[Claim | None, ExecutionRecord, list[str]]:
        execution = executions.lock(step_run.execution_id)
        assert execution is not None
        transition = Transition(self.rt, execution)
        claim: Claim | None = None
        if not record(transition, step_run, outcome):
            kind = type(outcome).__name__.lower()
            message = f"a late result ({kind}) of attempt {step_run.attempts} was dropped"
            transition.tell("late_result", step_run.path, message=message)
            log.warning("%s of %s: %s", step_run.path, execution.id, message)
        elif not self._draining.is_set():
            claim = self._claim_next(transition, claimed)
        return claim, lifecycle.save(transition), transition.wake

    def _claim_next(self, transition: Transition, claimed: list[StepRunRecord]) -> Claim | None:
        """Take the step that has been ready longest, if the run may go on; needs the execution's lock.

        What needs no attempt is done on the way: a container begins its inner steps, a delay that is over ends.
        """
        while True:
            execution = transition.execution
            if execution.status not in _CLAIMABLE or not transition.goes_on or execution.slot == "queued":
                return None
            if lifecycle.cleanup_ended(execution, transition.at):
                return None
            step = steps.next_ready(execution.id, transition.at)
            if step is None or not self._still_approved(transition):
                return None
            if step.kind in decide.CONTAINERS:
                transition.begin()
                containers.begin(transition, step)
            elif step.kind == "delay" and step.attempts:
                flow.succeed(transition, step, step.outputs)
            elif execution.running >= execution.max_concurrent:
                return None
            else:
                claim = self._take(transition, step)
                if claim is not None:
                    self._held.add(claim.step_run)
                    claimed.append(claim.step_run)
                return claim

    def _take(self, transition: Transition, step: StepRunRecord) -> Claim | None:
        definition = transition.runbook.by_id[step.step_id]
        whole_step = definition.kind == "poll" and step.deadline_at is None
        deadline = transition.at + (definition.timeout_ms or 0) if whole_step else step.deadline_at
        taken = replace(
            step, status=StepStatus.RUNNING, fence=step.fence + 1, attempts=step.attempts + 1, worker_id=self.worker_id,
            started_at=step.started_at or transition.at, deadline_at=deadline, due_at=None,
        )  # fmt: skip
        changed = ("fence", "attempts", "worker_id", "started_at", "deadline_at", "due_at")
        if not transition.move(step, StepStatus.RUNNING, **{name: getattr(taken, name) for name in changed}):
            return None
        steps.begin_attempt(self.rt.workspace_id, taken, taken.attempts, self.worker_id, transition.at)
        transition.begin()
        if taken.attempts == 1:
            transition.tell("step_started", taken.path, attempt=1)
        runbook = transition.runbook
        chains = context.chains_in(definition.with_)
        if definition.kind == "poll":
            chains |= context.chains_in_condition(definition.with_["until"])
        if definition.kind == "approval":
            chains |= approval.chains_of(definition, runbook)
        chains |= context.chains_in(dict(definition.outputs))
        execution = transition.execution
        visible = context.of(execution, runbook, chains, step.scope)
        return Claim(execution, runbook, definition, taken, visible, _time_left(execution, transition.at))

    def _still_approved(self, transition: Transition) -> bool:
        """Nothing runs that is not APPROVED: a run that has not begun fails, one under way is parked."""
        execution = transition.execution
        if execution.ending is not None:
            return True
        if execution.started_at is None:
            runbook = runbooks.by_id(execution.runbook_id)
            assert runbook is not None
            try:
                catalog.runnable(self.rt, runbook, execution.number)
            except NotApproved as error:
                transition.fail_run("not_approved", str(error))
                return False
            return True
        status, note = runbooks.version_state(execution.version_id)
        if status is not VersionStatus.APPROVED:
            transition.pause(f"{execution.slug}@{execution.number} was deprecated. {note}".strip())
            return False
        return True


def _claimable_beside(execution: ExecutionRecord) -> int:
    """How many more steps could be claimed now, if those that are READY are due."""
    if execution.status not in _CLAIMABLE or execution.slot == "queued":
        return 0
    if execution.ending is not None and execution.phase is Phase.MAIN:
        return 0
    return max(0, min(execution.live, execution.max_concurrent) - execution.running)


def _time_left(execution: ExecutionRecord, at: int) -> int:
    """How much running time is left, at least a second: the sweeper ends a run that is over its time."""
    since = at - execution.running_since if execution.running_since is not None else 0
    return max(1_000, execution.timeout_ms - execution.running_ms - since)
