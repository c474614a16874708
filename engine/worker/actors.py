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
POLL_MS = 250
"""How long an idle worker may leave a hint lying for which it got no signal."""

CHANNEL = "runbook:bell"
"""The channel on which a sender says that there is a hint. Dramatiq alone would look for one less and less often."""

MOST_WAITING = 1_000
"""Hints that wait to be sent, as while Redis does not answer."""

IDLE_S = 10.0
"""How long the thread that sends hints waits for another before it ends."""

PROBE_S, MOMENT_S = 1.0, 0.3

LOOK_S = 0.5
"""How long a look for hints may take before Redis counts as one that gives none; else it takes a thousandth."""

BREAK_S = 2.0
"""How long no hint is tried after one failed, so that a stalled Redis costs one wait and not one a step."""


def make_broker(redis_url: str) -> SignallingBroker:
    """The broker for this Redis; connects when first used. A stalled server holds a caller 2 to 5 s, not for ever."""
    client = redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=15)
    broker = SignallingBroker(  # type: ignore[no-untyped-call]
        client=client,
        namespace="runbook",
        middleware=[AgeLimit(max_age=600_000)],
        maintenance_chance=100_000,
        heartbeat_timeout=60_000,
        dead_message_ttl=86_400_000,
    )
    broker.declare_queue(QUEUE)
    return broker


def answers(redis_url: str) -> bool:
    """Whether this Redis can be reached now; takes a second at most."""
    client = redis.Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1)
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()


class RedisProbe:
    """Whether a Redis answers. A thread of its own asks, so that nobody waits longer than a moment. Thread-safe."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._lock = threading.Lock()
        self._asking: threading.Event | None = None
        self._asked_at = 0.0
        self._answers = False

    def is_up(self) -> bool:
        """By an answer of the last second or, within a moment, by a new one."""
        with self._lock:
            if self._asking is None and time.monotonic() - self._asked_at > PROBE_S:
                self._asking = threading.Event()
                threading.Thread(target=self._probe, args=(self._asking,), name="redis-probe", daemon=True).start()
            asking = self._asking
        if asking is not None and not asking.wait(MOMENT_S):
            return False
        return self._answers

    def _probe(self, asked: threading.Event) -> None:
        found = answers(self._redis_url)
        with self._lock:
            self._answers, self._asked_at, self._asking = found, time.monotonic(), None
        asked.set()


def make_actor(broker: SignallingBroker, advance: Callable[[str], None]) -> None:
    """Have workers of `broker` call `advance` for every hint. What it raises is logged: the sweeper comes back."""

    def run(execution_id: str) -> None:
        try:
            advance(execution_id)
        except Exception:
            log.exception("advancing %s failed; the sweeper will come back to it", execution_id)

    dramatiq.actor(broker=broker, actor_name=QUEUE, queue_name=QUEUE)(run)


def make_worker(broker: SignallingBroker, prefetch: int) -> dramatiq.Worker:
    """A worker that takes one hint after the other, and no more than `prefetch` from Redis before it gets to them."""
    worker = dramatiq.Worker(broker, queues={QUEUE}, worker_timeout=POLL_MS, worker_threads=1)
    worker.queue_prefetch = prefetch
    worker.delay_prefetch = 1
    return worker


class HintSignal:
    """Set when a hint was sent or a place for one came free; `wait` is what an idle consumer does."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._rung = threading.Event()
        self._listening: threading.Thread | None = None
        self._closed = False

    def close(self) -> None:
        """End the thread that listens, within a second; it is not waited for."""
        self._closed = True

    def notify(self) -> None:
        """End the wait under way, or else the next one, in this process. Any thread may call it."""
        self._rung.set()

    def wait(self, ms: int) -> None:
        """Until the next signal, one since the last wait included, or until the time is up."""
        if self._listening is None or not self._listening.is_alive():
            self._listening = threading.Thread(target=self._listen, name="hint-signal", daemon=True)
            self._listening.start()
        self._rung.wait(ms / 1000)
        self._rung.clear()

    def _listen(self) -> None:
        """Listen for what senders publish, until Redis goes away; the next `wait` begins again."""
        try:
            with self._client.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]
                heard.subscribe(CHANNEL)
                self._rung.set()  # what was sent before is not heard any more: look once
                while not self._closed:
                    if heard.get_message(timeout=1) is not None:
                        self._rung.set()
        except (redis.RedisError, OSError) as error:
            log.info("the hint channel is away (%s); hints are looked for every %d ms", error, POLL_MS)


class _Consumer(dramatiq.Consumer):
    """Dramatiq's consumer, but one that waits for the signal instead of sleeping longer and longer."""

    def __init__(self, inner: dramatiq.Consumer, signal: HintSignal, idle_ms: int) -> None:
        self._inner = inner
        self._signal = signal
        self._idle_ms = idle_ms
        self._looking_since: float | None = float("-inf")

    def receives_hints(self) -> bool:
        """Whether the last look was answered, and one under way may still be; any thread may ask."""
        since = self._looking_since
        return since is None or time.monotonic() - since < LOOK_S

    def __next__(self) -> dramatiq.MessageProxy | None:
        self._looking_since = time.monotonic()
        message: dramatiq.MessageProxy | None = next(self._inner)
        self._looking_since = None
        if message is None:
            self._signal.wait(self._idle_ms)
        return message

    def ack(self, message: dramatiq.MessageProxy) -> None:
        self._inner.ack(message)
        self._signal.notify()

    def nack(self, message: dramatiq.MessageProxy) -> None:
        self._inner.nack(message)
        self._signal.notify()

    def requeue(self, messages: Iterable[dramatiq.MessageProxy]) -> None:
        self._inner.requeue(messages)

    def close(self) -> None:
        self._inner.close()
        self._signal.close()


class SignallingBroker(RedisBroker):
    """A Redis broker whose idle consumers wake at once."""

    _consumer: _Consumer | None = None

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        """A consumer that looks for hints at every signal, and without one every `timeout` milliseconds."""
        inner = super().consume(queue_name, prefetch, 1)
        consumer = _Consumer(inner, HintSignal(self.client), timeout)
        if queue_name == QUEUE:
            self._consumer = consumer
        return consumer

    def receives_hints(self) -> bool:
        """Whether hints come to this process now, as far as its own looks for them tell."""
        return self._consumer is not None and self._consumer.receives_hints()

    def notify(self) -> None:
        """Wake the consumers of every process."""
        self.client.publish(CHANNEL, "")


class Hints:
    """Sends hints to Redis from a thread of its own: whoever calls it never waits, and is never told.

    What Redis does not take, and what comes while too many wait, is dropped: a sweep finds the work. Thread-safe.
    """

    def __init__(self, broker: SignallingBroker | None) -> None:
        self._broker = broker
        self._quiet_until = 0.0
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._sender: threading.Thread | None = None

    def __call__(self, execution_ids: Iterable[str]) -> None:
        """Have these sent soon, as far as there is room among what waits; nothing is sent without a broker."""
        if self._broker is None:
            return
        with self._changed:
            self._waiting += list(execution_ids)[: max(0, MOST_WAITING - len(self._waiting))]
            if self._sender is None and self._waiting:
                self._sender = threading.Thread(target=self._run, name="hints", daemon=True)
                self._sender.start()
            self._changed.notify_all()

    def close(self, seconds: float = 1.0) -> None:
        """Let what waits be sent; for no longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)

    def send(self, execution_ids: Iterable[str]) -> bool:
        """Send these here and now; whether Redis took them. Never raises."""
        if self._broker is None or time.monotonic() < self._quiet_until:
            return False
        sent = False
        try:
            for execution_id in execution_ids:
                self._broker.enqueue(_message(execution_id))
                sent = True
            if sent:
                self._broker.notify()
        except (dramatiq.errors.BrokerError, redis.RedisError) as error:
            self._quiet_until = time.monotonic() + BREAK_S
            log.warning("Redis took no hint (%s); sweeps carry the work meanwhile", error)
            return False
        return True

    def _run(self) -> None:
        """Send what waits, until nothing has come for a while."""
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._waiting, IDLE_S):
                    self._sender = None
                    return
                sending = list(self._waiting)
            taken = self.send(sending)
            with self._changed:
                del self._waiting[: len(sending) if taken else None]
                self._changed.notify_all()


def _message(execution_id: str) -> dramatiq.Message[None]:
    return dramatiq.Message(queue_name=QUEUE, actor_name=QUEUE, args=(execution_id,), kwargs={}, options={})
