"""Dramatiq: one queue, one actor, one message, and the message is nothing but an execution's id.

A message is a hint. It may be lost, doubled or late: the database says what is to be done, and the sweeper looks there.
So there are no retries, delays, results or pipelines here, and the middleware is listed rather than defaulted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit

log = logging.getLogger(__name__)

QUEUE = "advance"
POLL_MS = 50
"""How long an idle worker may leave a hint lying; Dramatiq's default of 1,000 would be felt in the channel."""

BREAK_S = 2.0
"""How long no hint is tried after one failed, so that a stalled Redis costs one wait and not one a step."""


def make_broker(redis_url: str) -> RedisBroker:
    """The broker for this Redis; connects when first used. A stalled server holds a caller 2 to 5 s, not for ever."""
    client = redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=15)
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=client,
        namespace="runbook",
        middleware=[AgeLimit(max_age=600_000)],
        maintenance_chance=100_000,
        heartbeat_timeout=60_000,
        dead_message_ttl=86_400_000,
    )
    broker.declare_queue(QUEUE)
    return broker


def make_actor(broker: RedisBroker, advance: Callable[[str], None]) -> None:
    """Have workers of `broker` call `advance` for every hint. What it raises is logged: the sweeper comes back."""

    def run(execution_id: str) -> None:
        try:
            advance(execution_id)
        except Exception:
            log.exception("advancing %s failed; the sweeper will come back to it", execution_id)

    dramatiq.actor(broker=broker, actor_name=QUEUE, queue_name=QUEUE)(run)


def make_worker(broker: RedisBroker, threads: int) -> dramatiq.Worker:
    """A worker that takes no more hints than it has threads for."""
    worker = dramatiq.Worker(broker, queues={QUEUE}, worker_timeout=POLL_MS, worker_threads=threads)
    worker.queue_prefetch = threads
    worker.delay_prefetch = 1
    return worker


class Hints:
    """Sends hints. Never raises; `send` says whether Redis took them."""

    def __init__(self, broker: RedisBroker | None) -> None:
        self._broker = broker
        self._quiet_until = 0.0
        self._lock = threading.Lock()

    def __call__(self, execution_ids: Iterable[str]) -> None:
        self.send(execution_ids)

    def send(self, execution_ids: Iterable[str]) -> bool:
        if self._broker is None or time.monotonic() < self._quiet_until:
            return False
        try:
            for execution_id in execution_ids:
                self._broker.enqueue(_message(execution_id))
        except (dramatiq.errors.BrokerError, redis.RedisError) as error:
            with self._lock:
                self._quiet_until = time.monotonic() + BREAK_S
            log.warning("Redis took no hint (%s); sweeps carry the work meanwhile", error)
            return False
        return True


def _message(execution_id: str) -> dramatiq.Message[None]:
    return dramatiq.Message(queue_name=QUEUE, actor_name=QUEUE, args=(execution_id,), kwargs={}, options={})
