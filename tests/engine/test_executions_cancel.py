"""Cancelling, from wherever a run is."""

from __future__ import annotations

import threading

import pytest
from harness import ALICE, CAROL, OSCAR, SECOND, Harness, Target, gate, http
from local_server import silence

from engine.catalog import version_approval
from engine.errors import Conflict, NotAllowed
from engine.runs import controls, voting
from engine.steps.outcome import Again, Failed, Succeeded, Unknown
from storage import audit, database
from storage.states import Decision

FAILED = Failed("http_status", "The server answered 500.")


def pending(harness: Harness) -> str:
    return harness.begin(http("a"), http("b"))


def running(harness: Harness) -> str:
    run = pending(harness)
    harness.finish(harness.claim(run))
    return run


def backing_off(harness: Harness) -> str:
    run = pending(harness)
    harness.finish(harness.claim(run), Failed("not_sent", "No route.", retryable=True))
    return run


def at_a_gate(harness: Harness) -> str:
    run = harness.begin(gate("ask"), http("b"))
    harness.advance(run)
    return run


def unknown(harness: Harness) -> str:
    run = harness.begin(http("a", method="POST"), http("b"))
    harness.finish(harness.claim(run), Unknown("timeout", "No answer."))
    return run


def paused(harness: Harness) -> str:

    run = running(harness)
    version_approval.deprecate(harness.rt, ALICE, "demo")
    harness.advance(run)
    return run


STATES = {
    pending: "PENDING", running: "RUNNING", backing_off: "RUNNING", at_a_gate: "WAITING", unknown: "WAITING",
    paused: "PAUSED",
}  # fmt: skip


@pytest.mark.parametrize("reach", STATES)
def test_a_run_is_cancelled_from_every_state_it_can_be_in(harness: Harness, target: Target, reach) -> None:
    """It ends at once, nothing of it starts afterwards, and who did it and why is on record."""
    run = reach(harness)
    assert harness.status(run) == STATES[reach]
    controls.cancel(harness.rt, CAROL, run, "wrong host")
    assert harness.status(run) == "CANCELLED"
    harness.clock.tick(60 * SECOND)
    assert harness.sweep() == []
    assert harness.try_claim(run) is None
    assert target.hits == []
    harness.check_books(run)
    assert set(harness.all_steps(run).values()) <= {"SUCCESS", "CANCELLED"}
    assert harness.execution(run).error == {"code": "cancelled", "message": "wrong host", "step": None}
    with database.reading():
        last = audit.of_thing(1, f"execution:{run}")[-1]
    assert (last.action, last.actor, last.detail["reason"]) == ("execution.cancel", CAROL.user_id, "wrong host")


@pytest.mark.parametrize("reach", STATES)
def test_only_who_may_run_it_may_cancel(harness: Harness, reach) -> None:
    """A refusal changes nothing."""
    run = reach(harness)
    before = harness.execution(run)
    with pytest.raises(NotAllowed):
        controls.cancel(harness.rt, OSCAR, run)
    assert harness.execution(run) == before


def test_a_run_that_has_ended_cannot_be_cancelled(harness: Harness, target: Target) -> None:
    """What is over stays as it is."""
    run = harness.begin(http("a", target.url()))
    harness.advance(run)
    with pytest.raises(Conflict, match="SUCCESS"):
        controls.cancel(harness.rt, CAROL, run)
    assert harness.status(run) == "SUCCESS"


@pytest.mark.parametrize(
    ("outcome", "step"),
    [
        (Succeeded({}), "SUCCESS"),
        (FAILED, "FAILED"),
        (Unknown("timeout", "?"), "CANCELLED"),
        (Again(1, "no"), "CANCELLED"),
    ],
)
def test_a_cancel_waits_for_what_is_being_called(harness: Harness, outcome, step: str) -> None:
    """The running step's result is kept as it was; then the run ends as CANCELLED."""
    run = harness.begin(http("a", method="POST"), http("b"))
    claim = harness.claim(run)
    controls.cancel(harness.rt, CAROL, run)
    assert (harness.status(run), harness.execution(run).pending_result) == ("RUNNING", "CANCELLED")
    with pytest.raises(Conflict, match="already"):
        controls.cancel(harness.rt, CAROL, run)
    harness.finish(claim, outcome)
    assert harness.status(run) == "CANCELLED"
    assert harness.all_steps(run) == {"a": step, "b": "CANCELLED"}
    harness.check_books(run)


def test_a_cancel_never_changes_a_result_that_a_failure_has_fixed(harness: Harness) -> None:
    """It ends the waiting for a person, and the run is FAILED for the reason it failed for."""
    run = harness.begin(http("a", method="POST"), http("bad", needs=[]))
    a, bad = harness.claim(run), harness.claim(run)
    harness.finish(a, Unknown("timeout", "No answer."))
    harness.finish(bad, FAILED)
    assert harness.status(run) == "WAITING"
    controls.cancel(harness.rt, CAROL, run, "enough")
    assert harness.status(run) == "FAILED"
    assert harness.execution(run).error["step"] == "bad"
    assert harness.all_steps(run)["a"] == "CANCELLED"
    harness.check_books(run)


def test_a_call_under_way_is_abandoned(harness: Harness, target: Target) -> None:
    """The worker drops the call, and does not wait for its timeout."""
    target.does["/"] = [silence]
    run = harness.begin(http("a", target.url(), method="POST", timeout="60s"))
    arrived = threading.Event()
    target.on_request = lambda _path: arrived.set()
    worker = threading.Thread(target=harness.advance, args=(run,))
    worker.start()
    assert arrived.wait(10)
    controls.cancel(harness.rt, CAROL, run)
    harness.runner.abandon_cancelled()
    worker.join(10)
    assert not worker.is_alive()
    assert harness.status(run) == "CANCELLED"
    assert harness.all_steps(run) == {"a": "CANCELLED"}
    assert harness.attempts(run, "a")[0].status == "ABANDONED"


def test_a_vote_after_a_cancel_is_refused(harness: Harness) -> None:
    """The gate went with the run."""
    run = at_a_gate(harness)
    controls.cancel(harness.rt, CAROL, run)
    with pytest.raises(Conflict, match="cancelled"):
        voting.vote(harness.rt, ALICE, run, "ask", Decision.APPROVE)
