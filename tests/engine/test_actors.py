"""Hints over a real Redis: carried while it is there, missed by nobody when it is not."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from harness import Harness, Target, http, runbook

from bot import embedded_redis
from engine import health
from engine.worker import actors
from engine.worker.actors import Hints, make_actor, make_broker, make_worker
from engine.worker.worker_process import Worker
from storage import attempts, database, steps
from storage.states import ExecutionStatus

PROGRAM = embedded_redis.find()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Redis server's program here")


def wait_for(condition: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    return pytest.fail("it did not come true in time")


class Redis:
    """One server that can be killed, stopped and started again."""

    def __init__(self, folder: Path) -> None:
        assert PROGRAM is not None
        self._server = embedded_redis.Embedded(PROGRAM, folder)
        self.url = self._server.url
        self.start()

    def start(self) -> None:
        self._process = self._server.start()
        with redis.Redis.from_url(self.url) as client:
            wait_for(lambda: _answers(client))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def limit(self, memory: int) -> None:
        """Take no more than this many bytes, all that is there included; 0 is as much as there is."""
        with redis.Redis.from_url(self.url) as client:
            client.config_set("maxmemory", memory)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    made = Redis(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def harness(harness: Harness) -> Harness:
    """By the real clock: threads are at work here."""
    database.use_clock(None)
    harness.know_groups()
    return harness


@pytest.fixture
def at_work(harness: Harness) -> Iterator[Callable[[str | None], Worker]]:
    """Start a real worker with this Redis, or none."""
    started: list[Worker] = []

    def start(url: str | None) -> Worker:
        settings = replace(harness.rt.settings, redis_url=url, worker_threads=4)
        worker = Worker(replace(harness.rt, settings=settings), f"real-{len(started)}", harness.tools)
        worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.stop()


def send_with(harness: Harness, hints: Hints) -> None:
    """What services hint from here on goes through these."""
    harness.rt = replace(harness.rt, hint=hints)


def ended(harness: Harness, run: str) -> Callable[[], bool]:
    return lambda: harness.status(run) == ExecutionStatus.SUCCESS


def test_a_hint_starts_a_run_at_once(harness: Harness, target: Target, server: Redis, at_work) -> None:
    """Well before a sweep would have: from here to the end in a fraction of a second."""
    at_work(server.url)
    send_with(harness, Hints(make_broker(server.url)))
    harness.publish(runbook("demo", http("a", target.url()), http("b", target.url())))
    began = time.monotonic()
    wait_for(ended(harness, harness.start("demo")))
    assert time.monotonic() - began < 1.8


def test_without_redis_the_sweeper_carries_the_work(harness: Harness, target: Target, at_work) -> None:
    """No hint, no server: a second or so, and it runs."""
    worker = at_work(None)
    run = harness.begin(http("a", target.url()), http("b", target.url()))
    wait_for(ended(harness, run), 5)
    assert worker.failed() is None


def test_hints_that_were_flushed_are_sent_again(harness: Harness, target: Target, server: Redis, at_work) -> None:
    """Redis forgot everything before a worker came: at most five seconds more."""
    send_with(harness, Hints(make_broker(server.url)))
    harness.publish(runbook("demo", http("a", target.url())))
    runs = [harness.start("demo") for _ in range(5)]
    server.flush()
    at_work(server.url)
    for run in runs:
        wait_for(ended(harness, run), 8)
    assert len(target.hits) == 5


def test_a_redis_that_is_killed_midway_stops_nothing(harness: Harness, target: Target, server: Redis, at_work) -> None:
    """What runs goes on, what starts meanwhile runs too, and nothing is done twice."""
    at_work(server.url)
    send_with(harness, Hints(make_broker(server.url)))
    harness.publish(runbook("demo", *(http(name, target.url(), method="POST") for name in "abcdef")))
    kill = threading.Event()
    target.on_request = lambda _path: kill.set()
    first = harness.start("demo")
    assert kill.wait(5)
    server.kill()
    second = harness.start("demo")
    wait_for(ended(harness, first), 10)
    wait_for(ended(harness, second), 10)
    assert set(target.seen_keys().values()) == {1}
    server.start()


@pytest.mark.slow
def test_a_hint_never_raises_and_costs_bounded_time(server: Redis) -> None:
    """A server that is gone costs no time worth naming; one that hangs, one wait, and then none for a while."""
    hints = Hints(make_broker(server.url))
    assert hints.send(["R-AAAAAA"])
    server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert not hints.send(["R-AAAAAA"])
        assert time.monotonic() - began < 8
        began = time.monotonic()
        assert not any(hints.send(["R-AAAAAA"]) for _ in range(100))
        assert time.monotonic() - began < 0.5
    finally:
        server.signal(signal.SIGCONT)
    wait_for(lambda: hints.send(["R-AAAAAA"]), 10)
    server.kill()
    began = time.monotonic()
    assert not hints.send(["R-AAAAAA"])
    assert time.monotonic() - began < 3


@pytest.mark.slow
def test_a_redis_that_is_not_there_at_the_start_is_used_when_it_comes(
    harness: Harness, target: Target, server: Redis, at_work
) -> None:
    """The sweeper carries the work until then, and the process lives."""
    server.kill()
    worker = at_work(server.url)
    send_with(harness, Hints(make_broker(server.url)))
    harness.publish(runbook("demo", http("a", target.url())))
    wait_for(ended(harness, harness.start("demo")), 8)
    server.start()

    def hinted() -> bool:
        began = time.monotonic()
        run = harness.start("demo")
        wait_for(ended(harness, run), 8)
        return time.monotonic() - began < 0.5

    wait_for(hinted, 20)
    assert worker.failed() is None


@pytest.mark.slow
def test_a_worker_stops_in_time_although_redis_hangs(harness: Harness, server: Redis, at_work) -> None:
    """`runbook up` gives it 20 seconds in all."""
    worker = at_work(server.url)
    wait_for(lambda: worker._dramatiq is not None and worker._dramatiq.consumers)
    server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        worker.stop()
        assert time.monotonic() - began < 18
    finally:
        server.signal(signal.SIGCONT)


def test_nobody_waits_for_a_redis_that_hangs(harness: Harness, target: Target, server: Redis, at_work) -> None:
    """Neither who starts a run, nor the run's first call and its timer, nor who asks whether the bot is ready."""
    worker = at_work(server.url)
    hints = Hints(make_broker(server.url))
    send_with(harness, hints)
    nap = {"id": "nap", "type": "delay", "with": {"for": "1s"}}
    harness.publish(runbook("demo", http("a", target.url()), nap, http("b", target.url())))
    wait_for(ended(harness, harness.start("demo")), 10)
    server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        runs = [harness.start("demo") for _ in range(3)]
        assert time.monotonic() - began < 1.5
        for run in runs:
            wait_for(lambda run=run: harness.all_steps(run)["a"] == "SUCCESS", 5)
        for run in runs:
            wait_for(ended(harness, run), 3)
        rt = replace(harness.rt, settings=replace(harness.rt.settings, redis_url=server.url))
        for _ in range(3):
            began = time.monotonic()
            assert not {check.name: check for check in health.checks(rt)}["redis"].ok
            assert time.monotonic() - began < 0.9
    finally:
        server.signal(signal.SIGCONT)
    wait_for(lambda: {check.name: check for check in health.checks(rt)}["redis"].ok)
    assert worker.failed() is None


def test_a_worker_knows_whether_hints_come(harness: Harness, server: Redis, at_work) -> None:
    """By its own looks for them: not before the first, not while Redis hangs, and not when it is gone."""
    assert not make_broker(server.url).receives_hints()
    broker = at_work(server.url)._broker
    wait_for(broker.receives_hints)
    hang, wake = partial(server.signal, signal.SIGSTOP), partial(server.signal, signal.SIGCONT)
    for go, come in ((hang, wake), (server.kill, server.start)):
        go()
        wait_for(lambda: not broker.receives_hints(), 5)
        come()
        wait_for(broker.receives_hints)


def test_hints_that_wait_are_few_and_are_sent_before_the_end(server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while too many wait is dropped; a process that ends lets the rest be sent first."""
    monkeypatch.setattr(actors, "MOST_WAITING", 5)
    broker = make_broker(server.url)
    hints = Hints(broker)
    hints(f"R-{number}" for number in range(20))
    hints.close(10)
    assert broker.do_qsize(actors.QUEUE) == 5


def test_without_a_broker_no_hint_is_taken() -> None:
    """And that is no error."""
    assert not Hints(None).send(["R-AAAAAA"])


def test_hints_that_come_five_times_make_one_attempt(harness: Harness, target: Target, server: Redis, at_work) -> None:
    """Doubled and reordered messages change nothing."""
    hints = Hints(make_broker(server.url))
    harness.publish(runbook("demo", *(http(name, target.url(), method="POST") for name in "abc")))
    runs = [harness.start("demo") for _ in range(3)]
    hints.send([*runs, *reversed(runs)] * 5)
    at_work(server.url)
    for run in runs:
        wait_for(ended(harness, run), 10)
    assert len(target.hits) == 9
    assert set(target.seen_keys().values()) == {1}
    with database.reading():
        assert all(len(attempts.of_step(step.id)) == 1 for run in runs for step in steps.of_execution(run))


def test_what_an_actor_raises_is_logged_and_the_worker_lives(server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """The next hint is taken as if nothing had been."""
    broker, seen = make_broker(server.url), []

    def advance(execution_id: str) -> None:
        seen.append(execution_id)
        if execution_id == "R-BAD":
            raise ZeroDivisionError

    make_actor(broker, advance)
    worker = make_worker(broker, 1)
    worker.start()
    try:
        Hints(broker).send(["R-BAD", "R-GOOD"])
        wait_for(lambda: "R-GOOD" in seen)
    finally:
        worker.stop()
    assert seen == ["R-BAD", "R-GOOD"]
    assert "advancing R-BAD failed" in caplog.text


def test_a_message_is_an_id_and_nothing_else(server: Redis) -> None:
    """No parameter, secret or state ever lies in Redis."""
    message = actors._message("R-AAAAAA").asdict()
    assert (message["args"], message["kwargs"], message["options"]) == (("R-AAAAAA",), {}, {})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_consumer_that_died_is_noticed(harness: Harness, server: Redis, at_work) -> None:
    """A worker that listens to nobody says so, and can be started anew."""
    worker = at_work(server.url)
    wait_for(lambda: worker._dramatiq is not None and worker._dramatiq.consumers)
    assert worker.failed() is None
    dramatiq_worker = worker._dramatiq
    assert dramatiq_worker is not None
    for consumer in dramatiq_worker.consumers.values():
        consumer.running = False
    wait_for(worker.failed)
    assert worker.failed() == "its Redis consumer has died"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("name", "part"), [("watch", "runner"), ("heartbeat", "_heartbeat"), ("sweeper", "_sweeper")])
def test_a_thread_that_died_is_noticed(harness: Harness, at_work, name: str, part: str) -> None:
    """A process that has lost one of its own threads would keep its lease and never finish: it begins anew."""
    worker = at_work(None)
    assert worker.failed() is None
    within = {"watch": "abandon_cancelled", "heartbeat": "renew", "sweeper": "sweep"}[name]

    def end(*_given: object, **_named: object) -> None:
        raise SystemExit

    setattr(getattr(worker, part), within, end)
    wait_for(worker.failed)
    assert worker.failed() == f"its {name} thread has died"


def test_a_lost_lease_is_noticed(harness: Harness, at_work) -> None:
    """The process has to begin anew."""
    worker = at_work(None)
    assert worker.failed() is None
    worker._heartbeat.lost.set()
    assert worker.failed() == "its lease was taken away"


def test_a_worker_that_stops_gives_back_what_it_did_not_finish(harness: Harness, target: Target, at_work) -> None:
    """It finishes its step, its lease ends, and the next worker goes on at once."""
    arrived = threading.Event()
    target.on_request = lambda _path: (arrived.set(), time.sleep(0.1))
    worker = at_work(None)
    run = harness.begin(*(http(name, target.url(), method="POST") for name in "abcd"))
    assert arrived.wait(10)
    worker.stop()
    assert worker.runner.attempts_under_way() == 0
    assert "RUNNING" not in harness.all_steps(run).values()
    assert "READY" in harness.all_steps(run).values()
    at_work(None)
    wait_for(ended(harness, run), 10)
    assert set(target.seen_keys().values()) == {1}


def test_an_idle_consumer_hears_of_a_hint_at_once(server: Redis) -> None:
    """It waits for the signal, however long it may wait, and does not lie down before it listens."""
    sender, listener = make_broker(server.url), make_broker(server.url)
    hint_signal = actors.HintSignal(listener.client)
    hint_signal.wait(1)
    wait_for(lambda: sender.client.pubsub_numsub(actors.CHANNEL)[0][1] == 1)
    hint_signal.wait(10_000)  # set once when it began to listen
    timer = threading.Timer(0.2, Hints(sender).send, [["R-ANY"]])
    timer.start()
    began = time.monotonic()
    hint_signal.wait(60_000)
    assert 0.1 < time.monotonic() - began < 30
    hint_signal.close()
    timer.join()
    sender.close()
    listener.close()


def test_a_redis_that_is_full_stops_nothing(harness: Harness, target: Target, server: Redis, at_work) -> None:
    """It refuses every write (`maxmemory` with `noeviction`), before and during a run, and has room again."""
    worker = at_work(server.url)
    send_with(harness, Hints(make_broker(server.url)))
    harness.publish(runbook("demo", http("a", target.url("/a")), http("b", target.url("/b"))))

    def refuse(path: str) -> None:
        if path == "/a":
            server.limit(1)

    target.on_request = refuse
    wait_for(ended(harness, harness.start("demo")), 8)
    began = time.monotonic()
    runs = [harness.start("demo") for _ in range(5)]
    for run in runs:
        wait_for(ended(harness, run), 8)
    assert time.monotonic() - began < 8
    assert worker.failed() is None
    target.on_request = lambda _path: None
    server.limit(0)
    wait_for(ended(harness, harness.start("demo")), 8)
    assert target.paths().count("/a") == target.paths().count("/b") == 7
    assert worker.failed() is None
