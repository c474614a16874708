"""Cancelling, from wherever a run is."""

from __future__ import annotations

import threading

import pytest
from house import ALICE, CAROL, OSCAR, SECOND, House, Target, gate, http
from local_server import silence

from engine.catalog import version_approval
from engine.errors import Conflict, NotAllowed
from engine.runs import controls, voting
from engine.steps.outcome import Again, Failed, Succeeded, Unknown
from storage import audit, database
from storage.states import Decision

FAILED = Failed("http_status", "The server answered 500.")


def pending(house: House) -> str:
    return house.begin(http("a"), http("b"))


def running(house: House) -> str:
    run = pending(house)
    house.finish(house.claim(run))
    return run


def backing_off(house: House) -> str:
    run = pending(house)
    house.finish(house.claim(run), Failed("not_sent", "No route.", retryable=True))
    return run


def at_a_gate(house: House) -> str:
    run = house.begin(gate("ask"), http("b"))
    house.advance(run)
    return run


def unknown(house: House) -> str:
    run = house.begin(http("a", method="POST"), http("b"))
    house.finish(house.claim(run), Unknown("timeout", "No answer."))
    return run


def paused(house: House) -> str:

    run = running(house)
    version_approval.deprecate(house.rt, ALICE, "demo")
    house.advance(run)
    return run


STATES = {
    pending: "PENDING", running: "RUNNING", backing_off: "RUNNING", at_a_gate: "WAITING", unknown: "WAITING",
    paused: "PAUSED",
}  # fmt: skip


@pytest.mark.parametrize("reach", STATES)
def test_a_run_is_cancelled_from_every_state_it_can_be_in(house: House, target: Target, reach) -> None:
    """It ends at once, nothing of it starts afterwards, and who did it and why is on record."""
    run = reach(house)
    assert house.status(run) == STATES[reach]
    controls.cancel(house.rt, CAROL, run, "wrong host")
    assert house.status(run) == "CANCELLED"
    house.clock.tick(60 * SECOND)
    assert house.sweep() == []
    assert house.try_claim(run) is None
    assert target.hits == []
    house.check_books(run)
    assert set(house.all_steps(run).values()) <= {"SUCCESS", "CANCELLED"}
    assert house.execution(run).error == {"code": "cancelled", "message": "wrong host", "step": None}
    with database.reading():
        last = audit.of_thing(1, f"execution:{run}")[-1]
    assert (last.action, last.actor, last.detail["reason"]) == ("execution.cancel", CAROL.user_id, "wrong host")


@pytest.mark.parametrize("reach", STATES)
def test_only_who_may_run_it_may_cancel(house: House, reach) -> None:
    """A refusal changes nothing."""
    run = reach(house)
    before = house.execution(run)
    with pytest.raises(NotAllowed):
        controls.cancel(house.rt, OSCAR, run)
    assert house.execution(run) == before


def test_a_run_that_has_ended_cannot_be_cancelled(house: House, target: Target) -> None:
    """What is over stays as it is."""
    run = house.begin(http("a", target.url()))
    house.advance(run)
    with pytest.raises(Conflict, match="SUCCESS"):
        controls.cancel(house.rt, CAROL, run)
    assert house.status(run) == "SUCCESS"


@pytest.mark.parametrize(
    ("outcome", "step"),
    [
        (Succeeded({}), "SUCCESS"),
        (FAILED, "FAILED"),
        (Unknown("timeout", "?"), "CANCELLED"),
        (Again(1, "no"), "CANCELLED"),
    ],
)
def test_a_cancel_waits_for_what_is_being_called(house: House, outcome, step: str) -> None:
    """The running step's result is kept as it was; then the run ends as CANCELLED."""
    run = house.begin(http("a", method="POST"), http("b"))
    claim = house.claim(run)
    controls.cancel(house.rt, CAROL, run)
    assert (house.status(run), house.execution(run).pending_result) == ("RUNNING", "CANCELLED")
    with pytest.raises(Conflict, match="already"):
        controls.cancel(house.rt, CAROL, run)
    house.finish(claim, outcome)
    assert house.status(run) == "CANCELLED"
    assert house.all_steps(run) == {"a": step, "b": "CANCELLED"}
    house.check_books(run)


def test_a_cancel_never_changes_a_result_that_a_failure_has_fixed(house: House) -> None:
    """It ends the waiting for a person, and the run is FAILED for the reason it failed for."""
    run = house.begin(http("a", method="POST"), http("bad", needs=[]))
    a, bad = house.claim(run), house.claim(run)
    house.finish(a, Unknown("timeout", "No answer."))
    house.finish(bad, FAILED)
    assert house.status(run) == "WAITING"
    controls.cancel(house.rt, CAROL, run, "enough")
    assert house.status(run) == "FAILED"
    assert house.execution(run).error["step"] == "bad"
    assert house.all_steps(run)["a"] == "CANCELLED"
    house.check_books(run)


def test_a_call_under_way_is_abandoned(house: House, target: Target) -> None:
    """The worker drops the call, and does not wait for its timeout."""
    target.does["/"] = [silence]
    run = house.begin(http("a", target.url(), method="POST", timeout="60s"))
    arrived = threading.Event()
    target.on_request = lambda _path: arrived.set()
    worker = threading.Thread(target=house.advance, args=(run,))
    worker.start()
    assert arrived.wait(10)
    controls.cancel(house.rt, CAROL, run)
    house.runner.abandon_cancelled()
    worker.join(10)
    assert not worker.is_alive()
    assert house.status(run) == "CANCELLED"
    assert house.all_steps(run) == {"a": "CANCELLED"}
    assert house.attempts(run, "a")[0].status == "ABANDONED"


def test_a_vote_after_a_cancel_is_refused(house: House) -> None:
    """The gate went with the run."""
    run = at_a_gate(house)
    controls.cancel(house.rt, CAROL, run)
    with pytest.raises(Conflict, match="cancelled"):
        voting.vote(house.rt, ALICE, run, "ask", Decision.APPROVE)
