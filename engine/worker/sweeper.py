"""What keeps everything moving when nobody calls: due work, gates and runs out of time, and workers that are gone.

Every worker process has a sweeper; any number is safe, because each thing it does is a compare-and-set.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from engine.orchestration import children, event_waits, expected_time, recording, run_ending, step_timeouts
from engine.orchestration.run_phases import change
from engine.queries import audit_chain
from engine.runs import incoming_events
from engine.runs import manual_tasks as tasks
from engine.runs import voting as gates
from engine.runtime import Runtime
from engine.worker import audit_heads, audit_reports
from engine.worker.heartbeat import Heartbeat
from engine.worker.worker_deaths import DeathWatch
from storage import (
    approvals,
    database,
    executions,
    idempotency,
    manual_tasks,
    orphans,
    secret_outputs,
    steps,
    waits,
    worker_lock,
    workers,
)
from storage.task_records import TaskRecord

log = logging.getLogger(__name__)

TICK_S = 1.0
HINT_GRACE_MS = 2_000
"""How long a hint for a new step may take before a sweep takes it to be lost, while hints come."""

REPEAT_HINT_S = 5.0
BATCH = 200
HOURLY_S = 3_600.0
DROP_EVERY_S = 60.0
SEAL_EVERY_S = 1.0
AUDIT_JOBS_EVERY_S = 60.0
_AUDIT_JOBS: tuple[Callable[[Runtime], None], ...] = (audit_heads.note_due, audit_reports.note_due)
"""What is done of the audit at times of its own."""


class Sweeper:
    """`run_due` is called with the ids of executions that have work now; it decides how it gets done.

    `grace_ms` is how long new work is left to its hint while `hints_come`, and no time else. `worker_id` is whose
    sweeper it is, and `heartbeat` that one's: it is renewed before anybody else's lease is held to be over. `no_place`
    says of a run whether it waits for a place among this process's calls: it is told when it has one, and not before.
    """

    def __init__(
        self,
        rt: Runtime,
        run_due: Callable[[Iterable[str]], None],
        grace_ms: int = HINT_GRACE_MS,
        worker_id: str = "",
        heartbeat: Heartbeat | None = None,
        no_place: Callable[[str], bool] = lambda _run: False,
        hints_come: Callable[[], bool] = lambda: True,
    ) -> None:
        self._rt = rt
        self._no_place = no_place
        self._run_due = run_due
        self._grace_ms = grace_ms
        self._receives_hints = hints_come
        self._worker_id = worker_id
        self._heartbeat = heartbeat
        self._death_watch = DeathWatch()
        self._hinted: dict[tuple[str, int], float] = {}
        self._looked_at = 0
        self._drop_at = 0.0
        self._forget_at = 0.0
        self._seal_at = 0.0
        self._audit_jobs_at = 0.0
        self.rounds = 0

    def run(self, stop: threading.Event) -> None:
        """Sweep until `stop`, at least every second and as soon as the next step falls due."""
        while not stop.is_set():
            pause = TICK_S
            try:
                self.sweep()
                self.rounds += 1
                pause = self._until_next()
            except database.DatabaseTrouble:
                self._death_watch.interrupted()
                log.warning("the sweep could not reach the database; trying again", exc_info=True)
            except Exception:
                log.exception("a sweep failed; trying again")
            stop.wait(pause)

    def sweep(self) -> None:
        """One round of everything. A thing that fails is logged and does not keep the others from being done.

        Nothing is done by a worker whose lease was taken away.
        """
        if self._heartbeat is not None and not self._heartbeat.ensure():
            return
        at = database.now()
        self._for_each("declare dead", self.proven_dead(), self._declare_dead)
        self._for_each("take over", self._orphans(), self._take_over)
        self._for_each("expire", self._expired(at), lambda gate: gates.expire(self._rt, gate))
        self._for_each("remind people of", self._unreminded(at), lambda gate: gates.remind(self._rt, gate))
        self._for_each("expire", self._expired_tasks(at), lambda task: tasks.expire(self._rt, task))
        self._for_each("remind people of", self._unreminded_tasks(at), lambda task: tasks.remind(self._rt, task))
        self._for_each("give an event to", self._receivable(at), lambda wait: incoming_events.give(self._rt, *wait))
        self._for_each("end", self._waits(at), self._expire_wait)
        self._for_each("time out", self._overdue(at), self._time_out)
        self._for_each(
            "tell of the length of", self._beyond_expected(at), lambda run: expected_time.tell(self._rt, run)
        )
        self._for_each("end for its limit", self._past_deadline(at), self._end_past_deadline)
        self._for_each(
            "cancel the children of",
            self._orphaned_children(),
            lambda parent: children.cancel_orphans(self._rt, parent),
        )
        self._for_each("end the cleanup of", self._cleanups(at), self._end_cleanup)
        self._hint_due()
        self._seal_audit()
        self._do_audit_jobs()
        self._forget_data()
        self._forget_requests()

    def _for_each(self, what: str, things: Iterable[object], act: Callable[..., object]) -> None:
        for thing in things:
            try:
                act(thing)
            except database.DatabaseTrouble:
                raise
            except Exception:
                log.exception("the sweep could not %s %r", what, thing)

    def proven_dead(self) -> list[str]:
        """The workers whose death the look at their locks that this makes has proven."""
        with database.reading():
            locks = worker_lock.probe(database.now(), self._worker_id)
        return self._death_watch.proven(locks, time.monotonic())

    def _declare_dead(self, worker_id: str) -> None:
        log.warning("the process of worker %s is gone: nobody holds its lock", worker_id)
        with database.transaction():
            workers.declare_dead(worker_id)

    def _orphans(self) -> list[str]:
        """Where a lease is past: renew our own, by which silence is told from an outage, and look whose it was."""
        with database.reading():
            late = orphans.late(database.now())
        if not late or (self._heartbeat is not None and not self._heartbeat.renew()):
            return []
        with database.reading():
            return list(orphans.orphaned(database.now()))

    def _expired(self, at: int) -> list[object]:
        with database.reading():
            return list(approvals.expired(at, BATCH))

    def _unreminded(self, at: int) -> list[object]:
        with database.reading():
            return list(approvals.to_remind(at, BATCH))

    def _expired_tasks(self, at: int) -> list[TaskRecord]:
        with database.reading():
            return manual_tasks.expired(at, BATCH)

    def _unreminded_tasks(self, at: int) -> list[TaskRecord]:
        with database.reading():
            return manual_tasks.to_remind(at, BATCH)

    def _waits(self, at: int) -> list[tuple[str, int]]:
        with database.reading():
            return waits.overdue(at, BATCH)

    def _receivable(self, at: int) -> list[tuple[str, int, str]]:
        with database.reading():
            return waits.served(at, BATCH)

    def _cleanups(self, at: int) -> list[str]:
        with database.reading():
            return executions.cleanup_overdue(at, BATCH)

    def _past_deadline(self, at: int) -> list[tuple[str, int]]:
        with database.reading():
            return steps.past_deadline(at, BATCH)

    def _orphaned_children(self) -> list[str]:
        with database.reading():
            return sorted({parent for _child, parent in executions.orphaned_children(BATCH)})

    def _end_past_deadline(self, found: tuple[str, int]) -> None:
        execution_id, step_run_id = found
        with change(self._rt, execution_id, "end_for_limit") as transition:
            step_timeouts.end(transition, step_run_id)
        children.cancel_orphans(self._rt, execution_id)
        self._rt.hint([execution_id])

    def _expire_wait(self, found: tuple[str, int]) -> None:
        execution_id, step_run_id = found
        with change(self._rt, execution_id, "expire_wait") as transition:
            event_waits.expire(transition, step_run_id)
        self._rt.hint([execution_id])

    def _end_cleanup(self, execution_id: str) -> None:
        with change(self._rt, execution_id, "end_cleanup") as transition:
            run_ending.end_overdue(transition)

    def _overdue(self, at: int) -> list[str]:
        with database.reading():
            return executions.overdue(at, BATCH)

    def _beyond_expected(self, at: int) -> list[str]:
        with database.reading():
            return executions.beyond_expected(at, BATCH)

    def _take_over(self, execution_id: str) -> None:
        with change(self._rt, execution_id, "take_over") as transition:
            for step in orphans.of_execution(execution_id, transition.at):
                log.warning("taking over %s of %s from %s", step.path, step.execution_id, step.worker_id)
                if recording.take_over(transition, step) and step.worker_id is not None:
                    workers.end(step.worker_id)  # should it be alive after all, its next heartbeat tells it so
        self._rt.hint([execution_id])

    def _time_out(self, execution_id: str) -> None:
        with change(self._rt, execution_id, "time_out") as transition:
            deadline = transition.execution.deadline_at
            if deadline is not None and deadline <= transition.at:
                limit = transition.execution.timeout_ms / 1000
                transition.record_event("timed_out")
                transition.fail_run("timeout", f"The run used up its running time of {limit:g} s.")

    def _hint_due(self) -> None:
        now = time.monotonic()
        self._hinted = {
            key: when for key, when in self._hinted.items() if now - when < REPEAT_HINT_S or self._no_place(key[0])
        }
        grace_ms = self._grace_ms if self._receives_hints() else 0
        with database.reading():
            self._looked_at = at = database.now()
            due = executions.due(at - grace_ms, at, BATCH + len(self._hinted))
        fresh = [each for each in due.items() if each not in self._hinted]
        self._hinted |= dict.fromkeys(fresh, now)
        if fresh:
            self._run_due([execution_id for execution_id, _ in fresh])

    def _until_next(self) -> float:
        """How long until something falls due, also if that was while this sweep was at other things."""
        with database.reading():
            due = executions.next_due_at(self._looked_at)
        if due is None:
            return TICK_S
        return min(TICK_S, max(0.02, (due - database.now()) / 1000))

    def _seal_audit(self) -> None:
        if time.monotonic() >= self._seal_at:
            audit_chain.seal(self._rt)
            self._seal_at = time.monotonic() + SEAL_EVERY_S

    def _do_audit_jobs(self) -> None:
        if time.monotonic() >= self._audit_jobs_at:
            self._for_each("do", _AUDIT_JOBS, lambda job: job(self._rt))
            self._audit_jobs_at = time.monotonic() + AUDIT_JOBS_EVERY_S

    def _forget_data(self) -> None:
        if time.monotonic() >= self._drop_at:
            with database.transaction():
                waits.forget_data(database.now())
                secret_outputs.forget_ended()
            self._drop_at = time.monotonic() + DROP_EVERY_S

    def _forget_requests(self) -> None:
        if time.monotonic() >= self._forget_at:
            with database.transaction():
                idempotency.forget_old()
                waits.forget_old(database.now())
            self._forget_at = time.monotonic() + HOURLY_S
