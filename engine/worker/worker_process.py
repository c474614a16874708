"""A worker process from its first heartbeat to its last: its pools of threads, its sweeper, and the lease on it all."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import replace

import dramatiq

from engine.runtime import Runtime
from engine.steps.perform import Tools
from engine.worker.actors import Hints, make_actor, make_broker, make_worker
from engine.worker.call_pool import CallPool
from engine.worker.claim_pool import ClaimPool
from engine.worker.heartbeat import Heartbeat
from engine.worker.runner import Runner
from engine.worker.sweeper import HINT_GRACE_MS, Sweeper
from storage import database, workers
from storage.worker_lock import WorkerLock

log = logging.getLogger(__name__)

DRAIN_S = 12.0
"""How long attempts under way may take to finish when the process is told to stop; what is left is taken over."""


OTHERS = 5
"""Database connections of what is neither hand nor call: heartbeat, sweeper, watch, projector and one to spare."""

LOOK_S = 1.0
RECONNECT_S = 0.1
"""Far less than the sweepers' patience with a lock that nobody holds."""


class Worker:
    """Everything that runs steps in this process. `start`, then watch `failed`, then `stop`."""

    def __init__(self, rt: Runtime, worker_id: str, tools: Tools) -> None:
        settings = rt.settings
        self._worker_id = worker_id
        self._broker = make_broker(settings.redis_url) if settings.redis_url else None
        self._hints = Hints(self._broker)
        claimers, recorders = thread_counts(settings.worker_threads, settings.db_pool_max)
        self._claim_pool = ClaimPool(lambda execution_id: self.runner.advance(execution_id), claimers)
        calls = CallPool(settings.worker_calls, recorders, lambda run: self._claim_pool.put([run]))
        self._rt = replace(rt, hint=self._hint)
        self._heartbeat = Heartbeat(worker_id, lambda: self._sweeper.rounds, calls.shares.census)
        self.runner = Runner(self._rt, worker_id, tools, self._heartbeat, calls)
        self._sweeper = Sweeper(
            self._rt,
            self._claim_pool.put,
            HINT_GRACE_MS,
            worker_id,
            self._heartbeat,
            calls.shares.waits,
            self._receives_hints,
        )
        self._lock = WorkerLock(worker_id)
        self._dramatiq: dramatiq.Worker | None = None
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take the lease, then work."""
        self._lock.hold()
        self._sweeper.proven_dead()  # from when it is known of, it has seen who lives
        with database.transaction():
            workers.register(self._rt.workspace_id, self._worker_id, self._lock.key)
        self._heartbeat.begin()
        parts = {"heartbeat": self._heartbeat.run, "sweeper": self._sweeper.run, "watch": self._watch}
        if self._lock.key is not None:
            parts["presence"] = self._hold_lock
        for name, run in parts.items():
            thread = threading.Thread(target=run, args=(self._stop,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        self._claim_pool.start()
        if self._broker is not None:
            make_actor(self._broker, self._claim_pool.offer)
            self._dramatiq = make_worker(self._broker, self._rt.settings.worker_threads)
            self._dramatiq.start()

    def failed(self) -> str | None:
        """Why this process can't go on and has to be started anew, or None while all is well."""
        if self._heartbeat.lost.is_set():
            return "its lease was taken away"
        if self._dramatiq is not None and not all(each.is_alive() for each in self._dramatiq.consumers.values()):
            return "its Redis consumer has died"
        if not self._stop.is_set():
            return next((f"its {each.name} thread has died" for each in self._threads if not each.is_alive()), None)
        return None

    def stop(self) -> None:
        """Finish what is under way, for a while, and give the rest back."""
        self.runner.drain()
        self._claim_pool.close()
        until = time.monotonic() + DRAIN_S
        if self._dramatiq is not None:
            self._dramatiq.stop(timeout=int(DRAIN_S * 1000))
        while self.runner.attempts_under_way() and time.monotonic() < until:
            time.sleep(0.05)
        self._stop.set()
        self.runner.give_up()
        self._hints.close()
        for thread in self._threads:
            thread.join(timeout=2)
        try:
            with database.transaction():
                workers.end(self._worker_id)
        except database.DatabaseTrouble:
            log.warning("could not say that this worker ends; its lease will run out instead", exc_info=True)
        self._lock.close()

    def _receives_hints(self) -> bool:
        return self._broker is not None and self._broker.receives_hints()

    def _hint(self, execution_ids: Iterable[str]) -> None:
        """What this process has found to do it does itself; where that is much, others hear of it too."""
        ids = list(execution_ids)
        if self._claim_pool.full:
            self._hints(ids)
        self._claim_pool.put(ids)

    def _hold_lock(self, stop: threading.Event) -> None:
        """Hold this worker's lock, and take it again at once where its connection was lost."""
        while not stop.is_set():
            try:
                self._lock.hold()
                self._lock.wait(LOOK_S)
            except database.DatabaseTrouble:
                log.warning("this worker's lock cannot be held; trying again", exc_info=True)
                stop.wait(RECONNECT_S)
            except Exception:
                log.exception("holding this worker's lock failed; trying again")
                stop.wait(LOOK_S)

    def _watch(self, stop: threading.Event) -> None:
        """Notice cancels of what is being called right now, and steps that fell between a commit and its answer."""
        while not stop.wait(0.5):
            try:
                self.runner.abandon_cancelled()
                self.runner.recover_strays()
            except database.DatabaseTrouble:
                log.warning("could not look after the steps under way", exc_info=True)
            except Exception:
                log.exception("looking after the steps under way failed; trying again")


def thread_counts(threads: int, connections: int) -> tuple[int, int]:
    """How many threads claim, and how many threads with calls may record at once, over so many connections.

    A quarter as many record: what a record costs is processor time, of which Python gives one thread at a time, and
    handing it round among seven cost a third of a call on PostgreSQL (docs/performance.md).
    """
    left = max(2, connections - OTHERS)
    claimers = min(threads, (left + 1) // 2)
    return claimers, min(max(2, threads // 4), left - claimers)


def declare_dead(worker_id: str) -> None:
    """Have a worker's steps taken over at once; for whoever has seen its process end."""
    with database.transaction():
        workers.declare_dead(worker_id)
