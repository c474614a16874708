"""Running an execution: claim a step, make the attempt, record what came of it, and go straight on with the next.

The record of one step and the claim of the next are one commit. A step that reaches nothing outside the database is
done in such a commit, too: nothing was sent, so a crash before the commit leaves nothing behind. What a process that
dies leaves behind is taken over by the sweeper; a result that comes too late finds its fence gone and is dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from engine.access.external_policy import asking_before
from engine.catalog import catalog
from engine.definition.kinds import CALLS_NOTHING
from engine.errors import Undecodable
from engine.failpoints import commit, failpoint
from engine.orchestration import claiming, message_channels, run_ending, run_phases, step_completion
from engine.orchestration.recording import record, take_over, undo_lost_claim
from engine.orchestration.run_phases import change
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from engine.steps.outcome import Failed, Outcome
from engine.steps.perform import Claim, Tools, perform
from engine.worker.call_pool import Calls, InlineCalls
from engine.worker.fair_shares import Share
from engine.worker.heartbeat import Heartbeat
from engine.worker.in_flight import InFlight
from storage import database, executions, orphans, run_state, steps
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import ExecutionStatus, Phase, StepStatus

log = logging.getLogger(__name__)

_CLAIMABLE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING)
RECORD_PATIENCE_S = 3_600
"""How long a result is held while the database is away; as long as a run may take where its runbook says nothing."""

RECORD_AGAIN_S = 0.5

MAX_STEPS_PER_COMMIT = 64
"""How many steps that reach nothing outside are done in one commit, so that no lock is held for long."""


@dataclass(frozen=True, slots=True)
class _Committed:
    """What a commit did: the call it claimed, the execution as it left it, and other executions that have work now.

    `more` says that it stopped at the limit, and that the same execution may have work left that nobody was told of.
    """

    claim: Claim | None
    execution: ExecutionRecord
    wake: list[str]
    more: bool


@dataclass(slots=True)
class _Claimed:
    """What one commit has claimed so far, and the places that it took among the calls; undone with it.

    `placed` says since when (monotonic) the claimer has a place: a call of the same run has just ended in it.
    """

    placed: float | None
    steps: list[StepRunRecord] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)


class Runner:
    """What a worker process does with runs. Any number of threads may call `advance` at once.

    Nothing is claimed but under the lease that `heartbeat` keeps.
    """

    def __init__(
        self,
        rt: Runtime,
        worker_id: str,
        tools: Tools,
        heartbeat: Heartbeat | None = None,
        calls: Calls | None = None,
    ) -> None:
        self.rt = rt
        self.worker_id = worker_id
        self._tools = tools
        self._heartbeat = heartbeat
        self._calls = calls or InlineCalls()
        self._shares = self._calls.shares
        self._held = InFlight()
        self._draining = threading.Event()
        self._given_up = threading.Event()

    def advance(self, execution_id: str) -> None:
        """Do what is ready in an execution and calls nothing, and begin a call, which goes on by itself."""
        reserved = self._shares.reserved(execution_id)
        try:
            with self._quarantining(execution_id):
                self._advance(execution_id)
        finally:
            self._shares.settle(execution_id, reserved)

    def _advance(self, execution_id: str) -> None:
        claim = self._claim(execution_id)
        while claim is not None and not claiming.calls_out(claim.step):
            claim = self._attempt(claim, placed=None)
        if claim is not None:
            self._calls.start(partial(self._run_calls, claim))

    def _run_calls(self, claim: Claim) -> None:
        """Make a claimed call, and the next ones of its run while they follow one another and its share lets it."""
        share, execution_id, since = Share.of(claim.execution), claim.execution.id, time.monotonic()
        following: Claim | None = claim
        try:
            with self._quarantining(execution_id):
                while following is not None:
                    following = self._attempt(following, placed=since)
        except Exception:
            if not self._calls.yields:
                raise
            log.exception("a call of %s could not be recorded; the sweeper will come back to it", execution_id)
        finally:
            self._shares.give_back(share)

    def _attempt(self, claim: Claim, *, placed: float | None) -> Claim | None:
        try:
            self._held.begin(claim.step_run)
            following = self._record(claim, self._perform(claim), placed=placed)
            self._held.settle(claim.step_run)
            return following
        finally:
            self._held.drop(claim.step_run)

    @contextmanager
    def _quarantining(self, execution_id: str) -> Iterator[None]:
        try:
            yield
        except Undecodable as error:
            log.error("ending %s: %s", execution_id, error)
            run_ending.quarantine(self.rt, execution_id, error)

    def _perform(self, claim: Claim) -> Outcome:
        failpoint("effect.before")
        outcome = perform(claim, self._tools, partial(self._held.is_abandoned, claim.step_run))
        outcome = message_channels.checked(self.rt, claim.execution, outcome)
        failpoint("effect.after")
        return outcome

    def drain(self) -> None:
        """Finish the attempts under way and claim nothing more."""
        self._draining.set()

    def give_up(self) -> None:
        """Hold no result any longer for a database that is away; what could not be recorded is taken over."""
        self._given_up.set()

    def attempts_under_way(self) -> int:
        """How many attempts are under way."""
        return len(self._held)

    def abandon_cancelled(self) -> None:
        """Drop the calls of executions that were cancelled meanwhile; those of their cleanup go on."""
        held = self._held.executions()
        if held:
            with database.reading():
                cancelled = executions.to_abandon(held, database.now())
            self._held.abandon(cancelled)

    def recover_strays(self) -> None:
        """Settle what the database says this worker runs although no thread of it does.

        That is so after a commit whose answer was lost, and after a result that could not be recorded. The worker is
        alive, so nobody else would ever take these steps over. What no thread has begun was not sent, and begins anew.
        """
        with database.reading():
            strays = [step for step in orphans.held_by(self.worker_id) if step not in self._held]
        for stray in strays:
            with change(self.rt, stray.execution_id, "take_back") as transition:
                step = steps.by_id(stray.id)
                # Asked again under the lock: a claim is held before its commit, and dropped after its record's.
                still = step is not None and (step.status, step.fence) == (stray.status, stray.fence)
                if step is not None and still and step not in self._held:
                    log.warning("no thread runs %s of %s: taking it back", step.path, step.execution_id)
                    settle = take_over if self._held.was_begun(step) else undo_lost_claim
                    settle(transition, step)
            self._held.settle(stray)
            self.rt.hint([stray.execution_id])

    def _claim(self, execution_id: str, *, placed: float | None = None) -> Claim | None:
        more = self._heartbeat is None or self._heartbeat.ensure()
        while more and not self._draining.is_set():
            done = asking_before(self.rt, partial(self._commit_claim, execution_id, placed=placed))
            if done is None:
                return None
            if done.claim is not None:
                return self._after_commit(done)
            # What is ready but not due is left to the sweeper: a hint for it would come back for ever.
            self.rt.hint(done.wake)
            more = done.more
            if more and self._calls.yields:
                self.rt.hint([execution_id])
                return None
        return None

    def _commit_claim(self, execution_id: str, *, placed: float | None) -> _Committed | None:
        with self._holding_claims(placed=placed) as taken:
            return commit("claim", execution_id, partial(self._claim_first, execution_id, taken))

    @contextmanager
    def _holding_claims(self, *, placed: float | None) -> Iterator[_Claimed]:
        """Around a commit: what it claims is held already before it, and no more if it fails."""
        taken = _Claimed(placed)
        try:
            with self._calls.turn() if placed is not None else nullcontext():
                yield taken
        except BaseException:
            for step in taken.steps:
                self._held.drop(step)
            for share in taken.shares:
                self._shares.give_back(share)
            raise

    def _claim_first(self, execution_id: str, taken: _Claimed) -> _Committed | None:
        run = run_state.load(execution_id, to_claim=True)
        if run is None or run.execution.workspace_id != self.rt.workspace_id:
            return None
        execution = run.execution
        catalog.definition_of(execution.version_id)  # one that cannot be read ends the run before anything is looked at
        transition = Transition(self.rt, run)
        claim, more = self._claim_next(transition, taken)
        return _saved(transition, claim, more=more) if transition.changed else _Committed(claim, execution, [], more)

    def _after_commit(self, done: _Committed) -> Claim | None:
        """After a commit: wake whoever has work now, and go on with what was claimed in it.

        One hint for what is ready beside it: whoever takes that claims one and calls the next, so that what is ready
        together starts together.
        """
        beside = [done.execution.id] if _claimable_beside(done.execution) else []
        self.rt.hint([*done.wake, *beside])
        return replace(done.claim, execution=done.execution) if done.claim is not None else None

    def _record(self, claim: Claim, outcome: Outcome, *, placed: float | None = None) -> Claim | None:
        """Record an outcome and claim what follows in one commit; patient while the database is away."""
        deadline = time.monotonic() + RECORD_PATIENCE_S
        step_run, again = claim.step_run, False
        while True:
            try:
                done = asking_before(self.rt, partial(self._commit_record, claim, outcome, again, placed=placed))
                break
            except database.DatabaseTrouble:
                if self._given_up.is_set() or time.monotonic() > deadline:
                    raise
                log.warning("the database did not take the result of %s: trying again", step_run.path, exc_info=True)
                self._given_up.wait(RECORD_AGAIN_S)
                again = True
        if done.claim is None and done.more:
            self.rt.hint(done.wake)
            if not self._calls.yields:
                return self._claim(step_run.execution_id, placed=placed)
            self.rt.hint([step_run.execution_id])
            return None
        return self._after_commit(done)

    def _commit_record(self, claim: Claim, outcome: Outcome, again: bool, *, placed: float | None) -> _Committed:
        with self._holding_claims(placed=placed) as taken:
            if self._heartbeat is not None:
                self._heartbeat.ensure()  # what follows is claimed only by a worker with a lease
            act = partial(self._record_and_claim, claim, outcome, taken, again)
            return commit("record", claim.step_run.execution_id, act)

    def _record_and_claim(self, done: Claim, outcome: Outcome, taken: _Claimed, again: bool) -> _Committed:
        step_run = done.step_run
        run = run_state.load(step_run.execution_id, step_completion.paths_to_load(done.execution.version_id, step_run))
        assert run is not None
        transition = Transition(self.rt, run)
        recorded = (again and _was_recorded(step_run)) or self._record_one(transition, step_run, outcome)
        claim, more = None, False
        if recorded and not self._draining.is_set():
            yields = self._calls.yields and taken.placed is None
            claim, more = (None, True) if yields else self._claim_next(transition, taken)
        if not transition.changed:
            return _Committed(claim, run.execution, [], more)
        return _saved(transition, claim, more=more)

    def _record_one(self, transition: Transition, step_run: StepRunRecord, outcome: Outcome) -> bool:
        if record(transition, step_run, outcome):
            return True
        kind = type(outcome).__name__.lower()
        message = f"a late result ({kind}) of attempt {step_run.attempts} was dropped"
        transition.record_event("late_result", step_run.path, message=message)
        log.warning("%s of %s: %s", step_run.path, step_run.execution_id, message)
        return False

    def _claim_next(self, transition: Transition, taken: _Claimed) -> tuple[Claim | None, bool]:
        """Claim the next call, for the thread that makes it now, and do at once what is ready before it and is no call.

        Where there is no place for a call of this run now, do what is ready and is no call. True says that the limit
        was reached and that there may be more to do.
        """
        ready: deque[StepRunRecord] = deque()
        calling = True
        for number in range(MAX_STEPS_PER_COMMIT):
            execution = transition.execution
            count = execution.live - execution.running
            if count <= 0:
                return None, False
            ready = ready or self._ready(transition, count, calling=calling)
            if not ready or not self._may_claim(transition, checked=number > 0):
                return None, False
            step = ready.popleft()
            if claiming.advance_without_attempt(transition, step):
                ready.clear()  # what was ready before that may not be any more
                continue
            if transition.execution.running >= transition.execution.max_concurrent:
                return None, False
            if claiming.bypasses(transition, step):
                return None, False
            calling = calling and self._may_call(transition, step, taken)
            if not calling and claiming.calls_out(transition.runbook.by_id[step.step_id]):
                ready.clear()
                continue
            claim = claiming.claim(transition, step, self.worker_id)
            if claim is None:
                return None, False
            if not claiming.is_quiet(claim.step):
                self._held.add(claim.step_run)
                taken.steps.append(claim.step_run)
                return claim, False
            outcome = self._perform(claim)
            record(transition, claim.step_run, outcome)
            if isinstance(outcome, Failed):
                ready.clear()
        return None, True

    def _ready(self, transition: Transition, count: int, *, calling: bool) -> deque[StepRunRecord]:
        """Those of the `count` READY steps that have been due longest; without `calling` only what calls nothing."""
        at = transition.at
        if calling:
            return deque(transition.run.ready(at, MAX_STEPS_PER_COMMIT, count))
        found = transition.run.ready(at, MAX_STEPS_PER_COMMIT, count, CALLS_NOTHING)
        return deque(step for step in found if not claiming.calls_out(transition.runbook.by_id[step.step_id]))

    def _may_call(self, transition: Transition, step: StepRunRecord, taken: _Claimed) -> bool:
        """Whether there is a place for the step's call, if it is one; from now on it is taken."""
        if not claiming.calls_out(transition.runbook.by_id[step.step_id]):
            return True
        share = Share.of(transition.execution)
        if taken.placed is not None:
            return self._shares.keep(share, taken.placed)
        if not self._shares.take(share):
            return False
        taken.shares.append(share)
        return True

    def _may_claim(self, transition: Transition, *, checked: bool) -> bool:
        """Whether the run may go on; needs its lock. `checked` says that its approval was asked in this change."""
        execution = transition.execution
        if execution.status not in _CLAIMABLE or not transition.may_start_steps or execution.slot == "queued":
            return False
        if self._heartbeat is not None and not self._heartbeat.holds():
            return False
        if run_ending.cleanup_ended(execution, transition.at):
            return False
        return checked or claiming.still_approved(transition)


def _was_recorded(step_run: StepRunRecord) -> bool:
    """Whether an earlier commit, whose answer was lost, has recorded the result of this attempt."""
    now = steps.by_id(step_run.id)
    return now is not None and now.fence == step_run.fence and now.status is not StepStatus.RUNNING


def _saved(transition: Transition, claim: Claim | None, *, more: bool) -> _Committed:
    execution = run_phases.save(transition)
    begun = execution.phase is not transition.before.phase and not execution.status.ended
    return _Committed(claim, execution, transition.wake, more or begun)


def _claimable_beside(execution: ExecutionRecord) -> int:
    """How many more steps could be claimed now, if those that are READY are due."""
    if execution.status not in _CLAIMABLE or execution.slot == "queued":
        return 0
    if execution.pending_result is not None and execution.phase is Phase.MAIN:
        return 0
    return max(0, min(execution.live, execution.max_concurrent) - execution.running)
