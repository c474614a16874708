"""What keeps things moving when nobody calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest
from harness import ALICE, CAROL, MINUTE, SECOND, Harness, Target, gate, http, runbook

from engine import health
from engine.catalog import version_approval
from engine.runs import controls
from engine.steps.outcome import Failed
from engine.worker import sweeper as sweeping
from engine.worker.sweeper import HINT_GRACE_MS, Sweeper
from storage import database, workers

NOT_SENT = Failed("not_sent", "No route.", retryable=True)


def sweeper(harness: Harness, **keys) -> tuple[Sweeper, list[str]]:
    due: list[str] = []
    return Sweeper(harness.rt, due.extend, **keys), due


def test_new_work_is_left_to_its_hint_for_a_while(harness: Harness) -> None:
    """Then the hint is taken to be lost, and is sent again."""
    run = harness.begin(http("a"))
    each, due = sweeper(harness)
    harness.clock.tick(HINT_GRACE_MS - 1)
    each.sweep()
    assert due == []
    harness.clock.tick(1)
    each.sweep()
    assert due == [run]


def test_new_work_is_not_left_to_hints_that_do_not_come(harness: Harness) -> None:
    """A Redis that stands still costs a sweep and not the grace besides."""
    run = harness.begin(http("a"))
    comes = [True]
    each, due = sweeper(harness, hints_come=lambda: comes[0])
    each.sweep()
    assert due == []
    comes[0] = False
    each.sweep()
    assert due == [run]


def test_without_redis_new_work_is_done_at_once(harness: Harness, target: Target) -> None:
    """There is no hint to wait for: a sweep starts the run and takes it to its end."""
    run = harness.begin(http("a", target.url()), http("b", target.url()))
    assert harness.sweep() == [run]
    assert harness.status(run) == "SUCCESS"


def test_a_hint_is_not_repeated_every_second(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only after five, in case it was lost too."""
    now = [100.0]
    monkeypatch.setattr(sweeping.time, "monotonic", lambda: now[0])
    run = harness.begin(http("a"))
    each, due = sweeper(harness, grace_ms=0)
    for seconds, expected in ((0, 1), (1, 1), (3.9, 1), (0.2, 2), (4, 2), (1.1, 3)):
        now[0] += seconds
        each.sweep()
        assert due == [run] * expected


@pytest.mark.parametrize("late", [0, 1])
def test_a_retry_is_never_early(harness: Harness, late: int) -> None:
    """A millisecond before its time nothing is due."""
    run = harness.begin(http("a", retry={"max_attempts": 3, "delay": "10s"}))
    harness.finish(harness.claim(run), NOT_SENT)
    due_at = harness.step(run, "a").due_at
    assert due_at is not None
    harness.clock.time = due_at - 1 + late
    each, due = sweeper(harness)
    each.sweep()
    assert due == [run] * late
    assert (harness.try_claim(run) is not None) is bool(late)


def test_the_sweep_comes_when_the_next_step_falls_due(harness: Harness) -> None:
    """It sleeps no longer than a second, and less where something is due sooner."""
    run = harness.begin(http("a", retry={"max_attempts": 3, "delay": "10s"}))
    each, _ = sweeper(harness)
    assert each._until_next() == sweeping.TICK_S
    harness.finish(harness.claim(run), NOT_SENT)
    due_at = harness.step(run, "a").due_at
    assert due_at is not None
    harness.clock.time = due_at - 300
    assert each._until_next() == pytest.approx(0.3)
    harness.clock.time = due_at - 5_000
    assert each._until_next() == sweeping.TICK_S


@pytest.mark.parametrize("state", ["paused", "full", "ended", "waiting"])
def test_what_can_not_go_on_is_not_due(harness: Harness, state: str) -> None:
    """Nobody is sent to look at a run that is paused, has all its hands full, is over, or waits for a person."""

    if state == "waiting":
        run = harness.begin(gate("ask"))
        harness.advance(run)
    else:
        run = harness.begin(http("a"), http("b", needs=[]), max_concurrent_steps=1)
        claim = harness.claim(run)
        if state == "paused":
            version_approval.deprecate(harness.rt, ALICE, "demo")
            harness.finish(claim)
            harness.advance(run)
            assert harness.status(run) == "PAUSED"
        if state == "ended":
            controls.cancel(harness.rt, CAROL, run)
    harness.clock.tick(10 * MINUTE)
    with database.transaction():
        workers.heartbeat("w1")
    each, due = sweeper(harness, grace_ms=0)
    each.sweep()
    assert due == []


def test_one_bad_gate_does_not_keep_the_others_from_expiring(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails is logged and tried again; the rest is done."""
    harness.publish(runbook("demo", gate("ask", timeout="1m")))
    first, second = harness.start("demo"), harness.start("demo")
    harness.advance(first)
    harness.advance(second)
    harness.clock.tick(MINUTE)
    original = sweeping.gates.expire

    def sometimes(rt, opened):
        if opened.execution_id == first:
            raise ZeroDivisionError
        original(rt, opened)

    with monkeypatch.context() as patch:
        patch.setattr(sweeping.gates, "expire", sometimes)
        harness.sweep()
    assert (harness.status(first), harness.status(second)) == ("WAITING", "FAILED")
    assert "could not expire" in caplog.text
    harness.sweep()
    assert harness.status(first) == "FAILED"


def test_the_loop_goes_on_through_trouble(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is away for a while, and a fault of ours, are logged and survived."""
    calls: list[int] = []
    enough = threading.Event()

    def run_due(_ids: Iterable[str]) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise database.OperationalError("gone")
        if len(calls) == 2:
            raise ZeroDivisionError
        enough.set()

    harness.begin(http("a"))
    each = Sweeper(harness.rt, run_due, grace_ms=0)
    each._until_next = lambda: 0.01  # type: ignore[method-assign]
    monkeypatch.setattr(sweeping, "TICK_S", 0.01)
    stop = threading.Event()
    thread = threading.Thread(target=each.run, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while len(calls) < 3 and time.monotonic() < deadline:
            each._hinted.clear()
            time.sleep(0.02)
        assert enough.is_set()
    finally:
        stop.set()
        thread.join(10)
    assert "could not reach the database" in caplog.text
    assert "a sweep failed" in caplog.text


def test_a_step_that_waits_for_its_turn_is_no_sign_of_ill_health(harness: Harness) -> None:
    """A run with all its hands full does not make the bot unready; work that nobody takes does."""
    run = harness.begin(http("a"), http("b", needs=[]), max_concurrent_steps=1)

    def queue() -> bool:
        return next(each.ok for each in health.checks(harness.rt) if each.name == "queue")

    harness.clock.tick(health.MAX_READY_AGE_MS - 1)
    assert queue()
    harness.clock.tick(1)
    assert not queue()
    claim = harness.claim(run)
    harness.clock.tick(MINUTE)
    assert queue()
    harness.finish(claim)
    harness.clock.tick(SECOND)
    assert not queue()
