"""Workers that die, hang and come back: what they held is taken over once, and what they bring late is dropped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from house import CAROL, House, Target, http

from engine.orchestration import retry_backoff
from engine.runs import controls
from engine.steps.outcome import Failed, Succeeded
from engine.worker import runner, worker_process
from engine.worker.heartbeat import Heartbeat
from engine.worker.sweeper import Sweeper
from storage import database, workers


def lose(house: House, worker_id: str = "w2") -> None:
    """Let a worker's lease run out while the others' hearts go on beating."""
    house.alive.discard(worker_id)
    house.pass_time(workers.LEASE_MS)


def test_an_idempotent_step_of_a_dead_worker_runs_again(house: House, target: Target) -> None:
    """It is ready again under a higher fence, keeps its key, and the lost attempt stays on record."""
    run = house.begin(http("a", target.url()), http("b", target.url()))
    dead = house.worker("w2")
    claim = house.claim(run, dead)
    lose(house)
    house.sweep()
    assert house.status(run) == "SUCCESS"
    step = house.step(run, "a")
    assert step.fence > claim.step_run.fence
    assert step.recoveries == 1
    assert [each.status for each in house.attempts(run, "a")] == ["LOST", "SUCCESS"]
    assert claim.idempotency_key in target.seen_keys()
    assert "step_taken_over" in house.event_kinds(run)
    house.check_books(run)


def test_nothing_is_taken_from_a_worker_whose_lease_still_runs(house: House) -> None:
    """A millisecond before its end, a lease is a lease."""
    run = house.begin(http("a"))
    dead = house.worker("w2")
    house.claim(run, dead)
    house.alive.discard("w2")
    house.pass_time(workers.LEASE_MS - 1)
    house.sweep()
    assert house.all_steps(run) == {"a": "RUNNING"}
    house.clock.tick(1)
    house.sweep()
    assert house.step(run, "a").recoveries == 1


def test_a_worker_that_is_proven_dead_is_not_waited_for(house: House, target: Target) -> None:
    """Whoever saw the process end says so, and the next sweep takes over."""
    run = house.begin(http("a", target.url()))
    house.claim(run, house.worker("w2"))
    house.alive.discard("w2")
    worker_process.declare_dead("w2")
    house.sweep()
    assert house.status(run) == "SUCCESS"


def test_a_step_that_is_not_idempotent_is_not_sent_again(house: House, target: Target) -> None:
    """Whether the dead worker's call took effect nobody knows: a person decides."""
    run = house.begin(http("a", target.url(), method="POST"))
    claim = house.claim(run, house.worker("w2"))
    lose(house)
    house.sweep()
    assert house.all_steps(run) == {"a": "UNKNOWN"}
    assert house.step(run, "a").fence == claim.step_run.fence + 1
    assert house.status(run) == "WAITING"
    assert target.hits == []
    controls.resolve(house.rt, CAROL, run, None, "retry", "It never left.")
    house.advance(run)
    assert house.status(run) == "SUCCESS"
    assert len(target.hits) == 1
    house.check_books(run)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_late_result_of_a_worker_that_was_given_up_is_dropped(house: House, target: Target, method: str) -> None:
    """It is told of and changes nothing, not even after the step was run again by somebody else."""
    run = house.begin(http("a", target.url(), method=method), http("b", target.url()))
    zombie = house.worker("w2")
    claim = house.claim(run, zombie)
    lose(house)
    house.sweep()
    before = house.all_steps(run)
    assert before == ({"a": "SUCCESS", "b": "SUCCESS"} if method == "GET" else {"a": "UNKNOWN", "b": "BLOCKED"})
    house.finish(claim, Failed("http_status", "too late"), runner=zombie)
    assert house.all_steps(run) == before
    assert house.event_kinds(run)[-1] == "late_result"
    house.check_books(run)


def test_a_late_result_does_not_end_the_attempt_that_replaced_it(house: House) -> None:
    """While the second attempt runs, the first one's result is not taken for it."""
    run = house.begin(http("a"))
    zombie = house.worker("w2")
    first = house.claim(run, zombie)
    lose(house)
    with_lease = house.worker("w3")
    house.sweep(work=False)
    second = house.claim(run, with_lease)
    house.finish(first, Succeeded({"who": "zombie"}), runner=zombie)
    assert house.all_steps(run) == {"a": "RUNNING"}
    house.finish(second, Succeeded({"who": "second"}), runner=with_lease)
    assert house.step(run, "a").outputs == {"who": "second"}
    assert [each.status for each in house.attempts(run, "a")] == ["LOST", "SUCCESS"]


def test_a_step_that_keeps_killing_workers_fails(house: House) -> None:
    """After so many lost workers the step is taken to be the cause."""
    run = house.begin(http("a"))
    for number in range(retry_backoff.MAX_RECOVERIES + 1):
        assert house.status(run) in ("PENDING", "RUNNING")
        house.claim(run, house.worker(f"victim-{number}"))
        house.alive.discard(f"victim-{number}")
        worker_process.declare_dead(f"victim-{number}")
        house.sweep(work=False)
    assert house.status(run) == "FAILED"
    assert house.execution(run).error["code"] == "worker_lost"
    house.check_books(run)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_dead_workers_step_of_a_cancelled_run_ends_as_cancelled(house: House, method: str) -> None:
    """Nothing is run again, and nobody is asked, for a run that was given up."""
    run = house.begin(http("a", method=method), http("b"))
    house.claim(run, house.worker("w2"))
    controls.cancel(house.rt, CAROL, run)
    assert house.status(run) == "RUNNING"
    lose(house)
    house.sweep()
    assert house.status(run) == "CANCELLED"
    assert house.all_steps(run) == {"a": "CANCELLED", "b": "CANCELLED"}
    house.check_books(run)


def test_a_dead_workers_step_of_a_failing_run_is_settled(house: House) -> None:
    """A failing run starts nothing more: what could be repeated has failed, what could not is asked about."""
    run = house.begin(http("safe"), http("unsafe", method="POST", needs=[]), http("bad", needs=[]))
    dead = house.worker("w2")
    house.claim(run, dead)
    house.claim(run, dead)
    house.finish(house.claim(run), Failed("http_status", "500"))
    lose(house)
    house.sweep()
    assert house.all_steps(run) == {"safe": "FAILED", "unsafe": "UNKNOWN", "bad": "FAILED"}
    assert house.status(run) == "WAITING"
    house.check_books(run)


def test_a_worker_that_was_taken_over_from_learns_it_at_its_next_heartbeat(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must begin anew under another id: `lost` is set."""
    monkeypatch.setattr(workers, "HEARTBEAT_MS", 20)
    run = house.begin(http("a"))
    house.claim(run, house.worker("w2"))
    lose(house)
    house.sweep()
    heart = Heartbeat("w2")
    heart.run(threading.Event())
    assert heart.lost.is_set()


def test_a_heart_beats_on_after_the_database_was_away(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that failed says nothing of the lease: the next beat renews it, and the worker keeps its work."""
    monkeypatch.setattr(workers, "HEARTBEAT_MS", 20)
    run = house.begin(http("a"))
    house.claim(run)
    house.clock.tick(workers.LEASE_MS - 1)
    beat, stop, beats = workers.heartbeat, threading.Event(), []

    def away_at_first(worker_id: str, *said: int) -> bool:
        beats.append(worker_id)
        if len(beats) < 3:
            raise database.OperationalError("gone")
        stop.set()
        return beat(worker_id, *said)

    monkeypatch.setattr(workers, "heartbeat", away_at_first)
    heart = Heartbeat("w1")
    heart.run(stop)
    assert (beats, heart.lost.is_set()) == (["w1"] * 3, False)
    assert caplog.text.count("could not reach the database") == 2
    house.clock.tick(workers.LEASE_MS - 1)
    Sweeper(house.rt, lambda _ids: None).sweep()
    assert house.all_steps(run) == {"a": "RUNNING"}


@contextmanager
def _answer_of_commit_lost(monkeypatch: pytest.MonkeyPatch, times: int = 1) -> Iterator[None]:
    """The next commits take place, but whoever made them is told that the connection broke."""
    original, left = database.transaction, [times]

    @contextmanager
    def broken() -> Iterator[None]:
        with original():
            yield
        if left[0]:
            left[0] -= 1
            raise database.OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(database, "transaction", broken)
        yield


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_claim_whose_commit_was_not_answered_is_taken_back(
    house: House, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The worker lives, so no sweep would ever take the step over: its own watch does. Nothing of it was sent."""
    run = house.begin(http("a", method=method))
    with _answer_of_commit_lost(monkeypatch), pytest.raises(database.OperationalError):
        house.advance(run)
    assert house.all_steps(run) == {"a": "RUNNING"}
    assert house.runner.attempts_under_way() == 0
    house.runner.recover_strays()
    assert house.all_steps(run) == {"a": "READY"}
    assert house.step(run, "a").recoveries == 0
    assert [each.status for each in house.attempts(run, "a")] == ["LOST"]
    house.check_books(run)


def test_a_result_that_could_not_be_recorded_is_settled_by_the_rules(
    house: House, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That call was made, and nobody will ever say how it ended: a person is asked."""
    run = house.begin(http("a", target.url("/a"), method="POST"))
    house.runner.give_up()

    def away(*_: object) -> None:
        raise database.OperationalError("gone")

    with monkeypatch.context() as patch:
        target.on_request = lambda _path: patch.setattr(runner, "commit", away)
        with pytest.raises(database.OperationalError):
            house.advance(run)
    house.runner.recover_strays()
    assert house.all_steps(run) == {"a": "UNKNOWN"}
    house.check_books(run)


def test_a_claim_made_with_a_record_whose_commit_was_not_answered_is_taken_back(
    house: House, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next step was claimed in a commit that nobody heard of: it runs all the same."""
    monkeypatch.setattr(runner, "RECORD_AGAIN_S", 0)
    run = house.begin(http("a", target.url("/a")), http("b", target.url("/b"), method="POST"))
    claim = house.claim(run)
    with _answer_of_commit_lost(monkeypatch):
        assert house.record(claim, Succeeded({})) is None
    house.runner._held.drop(claim.step_run)
    assert house.all_steps(run) == {"a": "SUCCESS", "b": "RUNNING"}
    house.runner.recover_strays()
    house.sweep()
    assert house.status(run) == "SUCCESS"
    assert target.paths() == ["/b"]
    house.check_books(run)


def test_what_a_thread_is_doing_is_never_taken_back(house: House) -> None:
    """A step under way is nobody's stray."""
    run = house.begin(http("a"))
    claim = house.claim(run)
    house.runner.recover_strays()
    assert house.all_steps(run) == {"a": "RUNNING"}
    house.finish(claim)
    assert house.status(run) == "SUCCESS"


def test_a_draining_worker_finishes_its_step_and_claims_no_other(house: House, target: Target) -> None:
    """What it leaves is ready for the next worker."""
    run = house.begin(http("a", target.url("/a")), http("b", target.url("/b")))
    target.on_request = lambda _path: house.runner.drain()
    house.advance(run)
    assert house.all_steps(run) == {"a": "SUCCESS", "b": "READY"}
    assert house.hinted[-1] == run
    house.advance(run)
    assert target.paths() == ["/a"]
    house.worker("w2").advance(run)
    assert house.status(run) == "SUCCESS"


@pytest.mark.parametrize("ended", [False, True])
def test_what_a_sweep_saw_is_looked_at_again_under_the_lock(house: House, ended: bool) -> None:
    """Another sweeper was faster, and a living worker has the step by now or has even finished it."""
    run = house.begin(http("a", method="POST"))
    claim = house.claim(run)
    if ended:
        house.finish(claim)
    before = house.step_runs(run)
    sweeper = Sweeper(house.rt, lambda _ids: None)
    sweeper._take_over(run)
    assert house.step_runs(run) == before
