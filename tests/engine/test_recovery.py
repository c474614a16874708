"""Workers that die, hang and come back: what they held is taken over once, and what they bring late is dropped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness import CAROL, Harness, Target, http

from engine.orchestration import retry_backoff
from engine.runs import controls
from engine.steps.outcome import Failed, Succeeded
from engine.worker import runner, worker_process
from engine.worker.heartbeat import Heartbeat
from engine.worker.sweeper import Sweeper
from storage import database, workers


def lose(harness: Harness, worker_id: str = "w2") -> None:
    """Let a worker's lease run out while the others' hearts go on beating."""
    harness.alive.discard(worker_id)
    harness.pass_time(workers.LEASE_MS)


def test_an_idempotent_step_of_a_dead_worker_runs_again(harness: Harness, target: Target) -> None:
    """It is ready again under a higher fence, keeps its key, and the lost attempt stays on record."""
    run = harness.begin(http("a", target.url()), http("b", target.url()))
    dead = harness.worker("w2")
    claim = harness.claim(run, dead)
    lose(harness)
    harness.sweep()
    assert harness.status(run) == "SUCCESS"
    step = harness.step(run, "a")
    assert step.fence > claim.step_run.fence
    assert step.recoveries == 1
    assert [each.status for each in harness.attempts(run, "a")] == ["LOST", "SUCCESS"]
    assert claim.idempotency_key in target.seen_keys()
    assert "step_taken_over" in harness.event_kinds(run)
    harness.check_books(run)


def test_nothing_is_taken_from_a_worker_whose_lease_still_runs(harness: Harness) -> None:
    """A millisecond before its end, a lease is a lease."""
    run = harness.begin(http("a"))
    dead = harness.worker("w2")
    harness.claim(run, dead)
    harness.alive.discard("w2")
    harness.pass_time(workers.LEASE_MS - 1)
    harness.sweep()
    assert harness.all_steps(run) == {"a": "RUNNING"}
    harness.clock.tick(1)
    harness.sweep()
    assert harness.step(run, "a").recoveries == 1


def test_a_worker_that_is_proven_dead_is_not_waited_for(harness: Harness, target: Target) -> None:
    """Whoever saw the process end says so, and the next sweep takes over."""
    run = harness.begin(http("a", target.url()))
    harness.claim(run, harness.worker("w2"))
    harness.alive.discard("w2")
    worker_process.declare_dead("w2")
    harness.sweep()
    assert harness.status(run) == "SUCCESS"


def test_a_step_that_is_not_idempotent_is_not_sent_again(harness: Harness, target: Target) -> None:
    """Whether the dead worker's call took effect nobody knows: a person decides."""
    run = harness.begin(http("a", target.url(), method="POST"))
    claim = harness.claim(run, harness.worker("w2"))
    lose(harness)
    harness.sweep()
    assert harness.all_steps(run) == {"a": "UNKNOWN"}
    assert harness.step(run, "a").fence == claim.step_run.fence + 1
    assert harness.status(run) == "WAITING"
    assert target.hits == []
    controls.resolve(harness.rt, CAROL, run, None, "retry", "It never left.")
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert len(target.hits) == 1
    harness.check_books(run)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_late_result_of_a_worker_that_was_given_up_is_dropped(harness: Harness, target: Target, method: str) -> None:
    """It is told of and changes nothing, not even after the step was run again by somebody else."""
    run = harness.begin(http("a", target.url(), method=method), http("b", target.url()))
    zombie = harness.worker("w2")
    claim = harness.claim(run, zombie)
    lose(harness)
    harness.sweep()
    before = harness.all_steps(run)
    assert before == ({"a": "SUCCESS", "b": "SUCCESS"} if method == "GET" else {"a": "UNKNOWN", "b": "BLOCKED"})
    harness.finish(claim, Failed("http_status", "too late"), runner=zombie)
    assert harness.all_steps(run) == before
    assert harness.event_kinds(run)[-1] == "late_result"
    harness.check_books(run)


def test_a_late_result_does_not_end_the_attempt_that_replaced_it(harness: Harness) -> None:
    """While the second attempt runs, the first one's result is not taken for it."""
    run = harness.begin(http("a"))
    zombie = harness.worker("w2")
    first = harness.claim(run, zombie)
    lose(harness)
    with_lease = harness.worker("w3")
    harness.sweep(work=False)
    second = harness.claim(run, with_lease)
    harness.finish(first, Succeeded({"who": "zombie"}), runner=zombie)
    assert harness.all_steps(run) == {"a": "RUNNING"}
    harness.finish(second, Succeeded({"who": "second"}), runner=with_lease)
    assert harness.step(run, "a").outputs == {"who": "second"}
    assert [each.status for each in harness.attempts(run, "a")] == ["LOST", "SUCCESS"]


def test_a_step_that_keeps_killing_workers_fails(harness: Harness) -> None:
    """After so many lost workers the step is taken to be the cause."""
    run = harness.begin(http("a"))
    for number in range(retry_backoff.MAX_RECOVERIES + 1):
        assert harness.status(run) in ("PENDING", "RUNNING")
        harness.claim(run, harness.worker(f"victim-{number}"))
        harness.alive.discard(f"victim-{number}")
        worker_process.declare_dead(f"victim-{number}")
        harness.sweep(work=False)
    assert harness.status(run) == "FAILED"
    assert harness.execution(run).error["code"] == "worker_lost"
    harness.check_books(run)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_dead_workers_step_of_a_cancelled_run_ends_as_cancelled(harness: Harness, method: str) -> None:
    """Nothing is run again, and nobody is asked, for a run that was given up."""
    run = harness.begin(http("a", method=method), http("b"))
    harness.claim(run, harness.worker("w2"))
    controls.cancel(harness.rt, CAROL, run)
    assert harness.status(run) == "RUNNING"
    lose(harness)
    harness.sweep()
    assert harness.status(run) == "CANCELLED"
    assert harness.all_steps(run) == {"a": "CANCELLED", "b": "CANCELLED"}
    harness.check_books(run)


def test_a_dead_workers_step_of_a_failing_run_is_settled(harness: Harness) -> None:
    """A failing run starts nothing more: what could be repeated has failed, what could not is asked about."""
    run = harness.begin(http("safe"), http("unsafe", method="POST", needs=[]), http("bad", needs=[]))
    dead = harness.worker("w2")
    harness.claim(run, dead)
    harness.claim(run, dead)
    harness.finish(harness.claim(run), Failed("http_status", "500"))
    lose(harness)
    harness.sweep()
    assert harness.all_steps(run) == {"safe": "FAILED", "unsafe": "UNKNOWN", "bad": "FAILED"}
    assert harness.status(run) == "WAITING"
    harness.check_books(run)


def test_a_worker_that_was_taken_over_from_learns_it_at_its_next_heartbeat(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must begin anew under another id: `lost` is set."""
    monkeypatch.setattr(workers, "HEARTBEAT_MS", 20)
    run = harness.begin(http("a"))
    harness.claim(run, harness.worker("w2"))
    lose(harness)
    harness.sweep()
    heart = Heartbeat("w2")
    heart.run(threading.Event())
    assert heart.lost.is_set()


def test_a_heart_beats_on_after_the_database_was_away(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that failed says nothing of the lease: the next beat renews it, and the worker keeps its work."""
    monkeypatch.setattr(workers, "HEARTBEAT_MS", 20)
    run = harness.begin(http("a"))
    harness.claim(run)
    harness.clock.tick(workers.LEASE_MS - 1)
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
    harness.clock.tick(workers.LEASE_MS - 1)
    Sweeper(harness.rt, lambda _ids: None).sweep()
    assert harness.all_steps(run) == {"a": "RUNNING"}


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
    harness: Harness, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The worker lives, so no sweep would ever take the step over: its own watch does. Nothing of it was sent."""
    run = harness.begin(http("a", method=method))
    with _answer_of_commit_lost(monkeypatch), pytest.raises(database.OperationalError):
        harness.advance(run)
    assert harness.all_steps(run) == {"a": "RUNNING"}
    assert harness.runner.attempts_under_way() == 0
    harness.runner.recover_strays()
    assert harness.all_steps(run) == {"a": "READY"}
    assert harness.step(run, "a").recoveries == 0
    assert [each.status for each in harness.attempts(run, "a")] == ["LOST"]
    harness.check_books(run)


def test_a_result_that_could_not_be_recorded_is_settled_by_the_rules(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That call was made, and nobody will ever say how it ended: a person is asked."""
    run = harness.begin(http("a", target.url("/a"), method="POST"))
    harness.runner.give_up()

    def away(*_: object) -> None:
        raise database.OperationalError("gone")

    with monkeypatch.context() as patch:
        target.on_request = lambda _path: patch.setattr(runner, "commit", away)
        with pytest.raises(database.OperationalError):
            harness.advance(run)
    harness.runner.recover_strays()
    assert harness.all_steps(run) == {"a": "UNKNOWN"}
    harness.check_books(run)


def test_a_claim_made_with_a_record_whose_commit_was_not_answered_is_taken_back(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next step was claimed in a commit that nobody heard of: it runs all the same."""
    monkeypatch.setattr(runner, "RECORD_AGAIN_S", 0)
    run = harness.begin(http("a", target.url("/a")), http("b", target.url("/b"), method="POST"))
    claim = harness.claim(run)
    with _answer_of_commit_lost(monkeypatch):
        assert harness.record(claim, Succeeded({})) is None
    harness.runner._held.drop(claim.step_run)
    assert harness.all_steps(run) == {"a": "SUCCESS", "b": "RUNNING"}
    harness.runner.recover_strays()
    harness.sweep()
    assert harness.status(run) == "SUCCESS"
    assert target.paths() == ["/b"]
    harness.check_books(run)


def test_what_a_thread_is_doing_is_never_taken_back(harness: Harness) -> None:
    """A step under way is nobody's stray."""
    run = harness.begin(http("a"))
    claim = harness.claim(run)
    harness.runner.recover_strays()
    assert harness.all_steps(run) == {"a": "RUNNING"}
    harness.finish(claim)
    assert harness.status(run) == "SUCCESS"


def test_a_draining_worker_finishes_its_step_and_claims_no_other(harness: Harness, target: Target) -> None:
    """What it leaves is ready for the next worker."""
    run = harness.begin(http("a", target.url("/a")), http("b", target.url("/b")))
    target.on_request = lambda _path: harness.runner.drain()
    harness.advance(run)
    assert harness.all_steps(run) == {"a": "SUCCESS", "b": "READY"}
    assert harness.hinted[-1] == run
    harness.advance(run)
    assert target.paths() == ["/a"]
    harness.worker("w2").advance(run)
    assert harness.status(run) == "SUCCESS"


@pytest.mark.parametrize("ended", [False, True])
def test_what_a_sweep_saw_is_looked_at_again_under_the_lock(harness: Harness, ended: bool) -> None:
    """Another sweeper was faster, and a living worker has the step by now or has even finished it."""
    run = harness.begin(http("a", method="POST"))
    claim = harness.claim(run)
    if ended:
        harness.finish(claim)
    before = harness.step_runs(run)
    sweeper = Sweeper(harness.rt, lambda _ids: None)
    sweeper._take_over(run)
    assert harness.step_runs(run) == before
