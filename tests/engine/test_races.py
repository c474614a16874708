"""Two at once, from one starting line, round after round: exactly one transition, whoever is first."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from house import ALICE, CAROL, DAVE, MINUTE, House, at_once, errors, gate, http, runbook

from engine.catalog import version_approval
from engine.errors import Conflict, EngineError
from engine.orchestration import run_ending, run_phases
from engine.runs import controls, voting
from engine.runs.voting import expire
from engine.steps.outcome import Failed, Succeeded
from storage import approvals as gates
from storage import database
from storage.columns import proxy
from storage.states import Decision

ROUNDS = 8


def each_round(house: House, *steps) -> list[str]:
    """So many runs of one runbook, all started."""
    house.publish(runbook("demo", *steps))
    return [house.start("demo") for _ in range(ROUNDS)]


def waiting(house: House, **keys) -> list[str]:
    runs = each_round(house, gate("ask", timeout="10m", **keys), http("after"))
    for run in runs:
        house.advance(run)
    return runs


def vote_of(house: House, run: str, who, decision=Decision.APPROVE):
    return lambda: voting.vote(house.rt, who, run, None, decision, "as I see it")


def ends_of(house: House, run: str) -> Counter[str]:
    """How often a gate's end was told."""
    return Counter(
        kind for kind in house.event_kinds(run) if kind in ("gate_approved", "gate_rejected", "gate_expired")
    )


def test_two_last_approvers(house: House) -> None:
    """Both votes are kept and the gate opens once: neither overlooks the other."""
    for run in waiting(house, min_approvals=2):
        results = at_once(vote_of(house, run, ALICE), vote_of(house, run, DAVE))
        assert errors(results) == []
        assert house.all_steps(run) == {"ask": "SUCCESS", "after": "READY"}
        assert ends_of(house, run) == {"gate_approved": 1}
        assert house.step(run, "ask").outputs["approvals"] == 2
        house.check_books(run)


def test_two_single_approvers(house: House) -> None:
    """One decides, the other is told that it is decided."""
    for run in waiting(house):
        results = at_once(vote_of(house, run, ALICE), vote_of(house, run, DAVE))
        assert [type(each) for each in errors(results)] == [Conflict]
        assert ends_of(house, run) == {"gate_approved": 1}
        house.check_books(run)


def test_one_person_clicking_twice(house: House) -> None:
    """One vote."""
    for run in waiting(house, min_approvals=2):
        results = at_once(vote_of(house, run, ALICE), vote_of(house, run, ALICE))
        assert [type(each) for each in errors(results)] == [Conflict]
        assert house.status(run) == "WAITING"
        house.check_books(run)


def test_approve_against_reject(house: House) -> None:
    """Exactly one of them decides."""
    for run in waiting(house):
        results = at_once(vote_of(house, run, ALICE), vote_of(house, run, DAVE, Decision.REJECT))
        assert len(errors(results)) == 1
        ends = ends_of(house, run)
        assert ends.total() == 1
        assert house.all_steps(run)["ask"] == ("SUCCESS" if "gate_approved" in ends else "FAILED")
        house.check_books(run)


def test_approve_against_the_end_of_time(house: House) -> None:
    """The last vote and the sweep meet at the deadline: the gate ends once."""
    for run in waiting(house):
        with database.reading():
            (opened,) = gates.of_execution(run)
        began = house.clock.time

        def late(opened=opened) -> None:
            house.clock.time = opened.expires_at
            expire(house.rt, opened)

        at_once(vote_of(house, run, ALICE), late)
        ends = ends_of(house, run)
        assert ends.total() == 1
        assert house.all_steps(run)["ask"] == ("SUCCESS" if "gate_approved" in ends else "FAILED")
        house.check_books(run)
        house.clock.time = began


def test_two_sweeps_at_the_end_of_time(house: House) -> None:
    """Any number of sweepers is safe."""
    for run in waiting(house):
        with database.reading():
            (opened,) = gates.of_execution(run)
        house.clock.time = opened.expires_at
        assert errors(at_once(*[lambda opened=opened: expire(house.rt, opened)] * 3)) == []
        assert ends_of(house, run) == {"gate_expired": 1}
        house.check_books(run)
        house.clock.tick(-10 * MINUTE)


def test_approve_against_cancel(house: House) -> None:
    """Whoever is first, the run ends as CANCELLED, and the gate is closed once."""
    for run in waiting(house):
        results = at_once(vote_of(house, run, ALICE), lambda run=run: controls.cancel(house.rt, CAROL, run))
        assert all(isinstance(each, Conflict) for each in errors(results))
        assert house.status(run) == "CANCELLED"
        approved = ends_of(house, run)["gate_approved"]
        assert house.all_steps(run) == {"ask": "SUCCESS" if approved else "CANCELLED", "after": "CANCELLED"}
        house.check_books(run)


def test_two_cancels(house: House) -> None:
    """One is the cancel, the other is told."""
    for run in waiting(house):
        results = at_once(*[lambda run=run: controls.cancel(house.rt, CAROL, run)] * 2)
        assert len(errors(results)) == 1
        assert house.event_kinds(run).count("ended") == 1
        house.check_books(run)


GROUP = {"group": "shop", "limit": 1, "on_conflict": "queue"}


def test_the_end_of_a_run_against_the_cancel_of_the_queued(house: House) -> None:
    """A slot goes to a run that can use it: what was cancelled a moment ago gets none, and the group goes on."""
    house.publish(runbook("demo", gate("ask"), concurrency=GROUP))
    holder = house.start("demo")
    cancelled, third = (house.start("demo") for _ in range(2) if house.clock.tick(1))
    ending = threading.Thread(target=controls.cancel, args=(house.rt, CAROL, holder, "not needed"))
    with run_phases.change(house.rt, cancelled, "cancel") as transition:
        run_ending.cancel(transition, CAROL.user_id, "not needed")
        ending.start()
        _until_blocked()
    ending.join(20)
    slots = [house.execution(each).slot for each in (holder, cancelled, third)]
    assert slots == [None, None, "held"]
    assert house.run(third) == "WAITING"


def test_the_end_of_a_run_against_the_cancel_of_the_queued_whoever_is_first(house: House) -> None:
    """Round after round: in the end nobody has a slot."""
    house.publish(runbook("demo", gate("ask"), concurrency=GROUP))
    for _ in range(ROUNDS):
        runs = [house.start("demo") for _ in range(4)]
        at_once(*[lambda run=run: controls.cancel(house.rt, CAROL, run, "not needed") for run in runs])
        assert [(house.status(each), house.execution(each).slot) for each in runs] == [("CANCELLED", None)] * 4


def _until_blocked() -> None:
    """On PostgreSQL, until another connection waits for a row that this one holds."""
    deadline = time.monotonic() + 10
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    while database.is_postgresql() and not proxy.obj.execute_sql(waits).fetchone()[0]:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def test_two_branches_that_finish_together_start_their_join_once(house: House) -> None:
    """Without the execution's lock both would see the other still running, and nobody would start the join."""
    for run in each_round(house, http("a"), http("b", needs=[]), http("join", needs=["a", "b"])):
        a, b = house.claim(run), house.claim(run)
        results = at_once(lambda a=a: house.record(a, Succeeded({})),
                          lambda b=b: house.record(b, Succeeded({})))  # fmt: skip
        assert errors(results) == []
        assert [claim.step.id for claim in results if claim] == ["join"]
        assert house.all_steps(run) == {"a": "SUCCESS", "b": "SUCCESS", "join": "RUNNING"}
        house.check_books(run)


def test_a_step_is_claimed_once(house: House) -> None:
    """Every hint may come five times."""
    others = [house.worker(f"w{number}") for number in range(2, 5)]
    for run in each_round(house, http("a")):
        results = at_once(*(lambda run=run, each=each: house.try_claim(run, each) for each in [house.runner, *others]))
        assert errors(results) == []
        assert len([claim for claim in results if claim]) == 1
        assert len(house.attempts(run, "a")) == 1
        house.check_books(run)


def test_a_run_ends_once_when_its_last_step_meets_a_cancel(house: House) -> None:
    """It is SUCCESS or CANCELLED, and told once."""
    for run in each_round(house, http("a")):
        claim = house.claim(run)
        at_once(lambda claim=claim: house.finish(claim), lambda run=run: controls.cancel(house.rt, CAROL, run))
        assert house.status(run) in ("SUCCESS", "CANCELLED")
        assert house.event_kinds(run).count("ended") == 1
        house.check_books(run)


def test_a_failure_and_a_join(house: House) -> None:
    """The join never starts, and the failing run ends once."""
    for run in each_round(house, http("a"), http("b", needs=[]), http("join", needs=["a", "b"])):
        a, b = house.claim(run), house.claim(run)
        at_once(lambda a=a: house.record(a, Failed("http_status", "500")),
                lambda b=b: house.record(b, Succeeded({})))  # fmt: skip
        assert house.all_steps(run) == {"a": "FAILED", "b": "SUCCESS", "join": "BLOCKED"}
        assert house.event_kinds(run).count("ended") == 1
        house.check_books(run)


def test_a_takeover_against_the_result(house: House) -> None:
    """Either the result came in time or the step was taken over: never both."""
    for number, run in enumerate(each_round(house, http("a", method="POST"))):
        slow = house.worker(f"slow-{number}")
        claim = house.claim(run, slow)
        house.alive.discard(f"slow-{number}")
        house.clock.tick(20_000)
        at_once(lambda claim=claim, slow=slow: house.finish(claim, runner=slow), lambda: house.sweep(work=False))
        late = house.event_kinds(run).count("late_result")
        assert house.all_steps(run) == {"a": "UNKNOWN" if late else "SUCCESS"}
        house.check_books(run)
        house.know_groups()


def test_an_approval_of_a_version_happens_once(house: House) -> None:
    """Two admins approve together: one does."""
    for number in range(ROUNDS):
        house.sync(demo=runbook("demo", http(f"a{number}")))
        version = number + 1
        results = at_once(
            *(lambda who=who, n=version: version_approval.approve(house.rt, who, "demo", n) for who in (ALICE, DAVE))
        )
        assert [type(each) for each in errors(results)] == [Conflict]


def test_a_start_against_a_deprecation(house: House) -> None:
    """Either the run was refused, or it was accepted and fails at its first claim: nothing of it runs."""
    for number in range(ROUNDS):
        house.publish(runbook(f"demo-{number}", http("a")))
        started, _ = at_once(
            lambda n=number: house.start(f"demo-{n}"),
            lambda n=number: version_approval.deprecate(house.rt, ALICE, f"demo-{n}"),
        )
        if isinstance(started, str):
            assert house.try_claim(started) is None
            assert house.status(started) == "FAILED"
        else:
            assert isinstance(started, EngineError)


@pytest.mark.slow
@pytest.mark.parametrize("race", [
    test_two_last_approvers, test_approve_against_the_end_of_time, test_approve_against_cancel,
    test_two_branches_that_finish_together_start_their_join_once, test_a_step_is_claimed_once,
])  # fmt: skip
def test_a_hundred_rounds(house: House, race, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, a hundred times."""
    monkeypatch.setitem(globals(), "ROUNDS", 100)
    race(house)
