"""What keeps things moving when nobody calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest
from house import ALICE, CAROL, MINUTE, SECOND, House, Target, gate, http, runbook

from engine import health
from engine.catalog import version_approval
from engine.runs import controls
from engine.steps.outcome import Failed
from engine.worker import sweeper as sweeping
from engine.worker.sweeper import HINT_GRACE_MS, Sweeper
from storage import database, workers

NOT_SENT = Failed("not_sent", "No route.", retryable=True)


def sweeper(house: House, **keys) -> tuple[Sweeper, list[str]]:
    due: list[str] = []
    return Sweeper(house.rt, due.extend, **keys), due


def test_new_work_is_left_to_its_hint_for_a_while(house: House) -> None:
    """Then the hint is taken to be lost, and is sent again."""
    run = house.begin(http("a"))
    each, due = sweeper(house)
    house.clock.tick(HINT_GRACE_MS - 1)
    each.sweep()
    assert due == []
    house.clock.tick(1)
    each.sweep()
    assert due == [run]


def test_new_work_is_not_left_to_hints_that_do_not_come(house: House) -> None:
    """A Redis that stands still costs a sweep and not the grace besides."""
    run = house.begin(http("a"))
    comes = [True]
    each, due = sweeper(house, hints_come=lambda: comes[0])
    each.sweep()
    assert due == []
    comes[0] = False
    each.sweep()
    assert due == [run]


def test_without_redis_new_work_is_done_at_once(house: House, target: Target) -> None:
    """There is no hint to wait for: a sweep starts the run and takes it to its end."""
    run = house.begin(http("a", target.url()), http("b", target.url()))
    assert house.sweep() == [run]
    assert house.status(run) == "SUCCESS"


def test_a_hint_is_not_repeated_every_second(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only after five, in case it was lost too."""
    now = [100.0]
    monkeypatch.setattr(sweeping.time, "monotonic", lambda: now[0])
    run = house.begin(http("a"))
    each, due = sweeper(house, grace_ms=0)
    for seconds, expected in ((0, 1), (1, 1), (3.9, 1), (0.2, 2), (4, 2), (1.1, 3)):
        now[0] += seconds
        each.sweep()
        assert due == [run] * expected


@pytest.mark.parametrize("late", [0, 1])
def test_a_retry_is_never_early(house: House, late: int) -> None:
    """A millisecond before its time nothing is due."""
    run = house.begin(http("a", retry={"max_attempts": 3, "delay": "10s"}))
    house.finish(house.claim(run), NOT_SENT)
    due_at = house.step(run, "a").due_at
    assert due_at is not None
    house.clock.time = due_at - 1 + late
    each, due = sweeper(house)
    each.sweep()
    assert due == [run] * late
    assert (house.try_claim(run) is not None) is bool(late)


def test_the_sweep_comes_when_the_next_step_falls_due(house: House) -> None:
    """It sleeps no longer than a second, and less where something is due sooner."""
    run = house.begin(http("a", retry={"max_attempts": 3, "delay": "10s"}))
    each, _ = sweeper(house)
    assert each._until_next() == sweeping.TICK_S
    house.finish(house.claim(run), NOT_SENT)
    due_at = house.step(run, "a").due_at
    assert due_at is not None
    house.clock.time = due_at - 300
    assert each._until_next() == pytest.approx(0.3)
    house.clock.time = due_at - 5_000
    assert each._until_next() == sweeping.TICK_S


@pytest.mark.parametrize("state", ["paused", "full", "ended", "waiting"])
def test_what_can_not_go_on_is_not_due(house: House, state: str) -> None:
    """Nobody is sent to look at a run that is paused, has all its hands full, is over, or waits for a person."""

    if state == "waiting":
        run = house.begin(gate("ask"))
        house.advance(run)
    else:
        run = house.begin(http("a"), http("b", needs=[]), max_concurrent_steps=1)
        claim = house.claim(run)
        if state == "paused":
            version_approval.deprecate(house.rt, ALICE, "demo")
            house.finish(claim)
            house.advance(run)
            assert house.status(run) == "PAUSED"
        if state == "ended":
            controls.cancel(house.rt, CAROL, run)
    house.clock.tick(10 * MINUTE)
    with database.transaction():
        workers.heartbeat("w1")
    each, due = sweeper(house, grace_ms=0)
    each.sweep()
    assert due == []


def test_one_bad_gate_does_not_keep_the_others_from_expiring(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails is logged and tried again; the rest is done."""
    house.publish(runbook("demo", gate("ask", timeout="1m")))
    first, second = house.start("demo"), house.start("demo")
    house.advance(first)
    house.advance(second)
    house.clock.tick(MINUTE)
    original = sweeping.gates.expire

    def sometimes(rt, opened):
        if opened.execution_id == first:
            raise ZeroDivisionError
        original(rt, opened)

    with monkeypatch.context() as patch:
        patch.setattr(sweeping.gates, "expire", sometimes)
        house.sweep()
    assert (house.status(first), house.status(second)) == ("WAITING", "FAILED")
    assert "could not expire" in caplog.text
    house.sweep()
    assert house.status(first) == "FAILED"


def test_the_loop_goes_on_through_trouble(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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

    house.begin(http("a"))
    each = Sweeper(house.rt, run_due, grace_ms=0)
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


def test_a_step_that_waits_for_its_turn_is_no_sign_of_ill_health(house: House) -> None:
    """A run with all its hands full does not make the bot unready; work that nobody takes does."""
    run = house.begin(http("a"), http("b", needs=[]), max_concurrent_steps=1)

    def queue() -> bool:
        return next(each.ok for each in health.checks(house.rt) if each.name == "queue")

    house.clock.tick(health.MAX_READY_AGE_MS - 1)
    assert queue()
    house.clock.tick(1)
    assert not queue()
    claim = house.claim(run)
    house.clock.tick(MINUTE)
    assert queue()
    house.finish(claim)
    house.clock.tick(SECOND)
    assert not queue()
