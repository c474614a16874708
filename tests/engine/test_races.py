"""Two at once, from one starting line, round after round: exactly one transition, whoever is first."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from harness import ALICE, CAROL, DAVE, MINUTE, Harness, at_once, errors, gate, http, runbook

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


def each_round(harness: Harness, *steps) -> list[str]:
    """So many runs of one runbook, all started."""
    harness.publish(runbook("demo", *steps))
    return [harness.start("demo") for _ in range(ROUNDS)]


def waiting(harness: Harness, **keys) -> list[str]:
    runs = each_round(harness, gate("ask", timeout="10m", **keys), http("after"))
    for run in runs:
        harness.advance(run)
    return runs


def vote_of(harness: Harness, run: str, who, decision=Decision.APPROVE):
    return lambda: voting.vote(harness.rt, who, run, None, decision, "as I see it")


def ends_of(harness: Harness, run: str) -> Counter[str]:
    """How often a gate's end was told."""
    return Counter(
        kind for kind in harness.event_kinds(run) if kind in ("gate_approved", "gate_rejected", "gate_expired")
    )


def test_two_last_approvers(harness: Harness) -> None:
    """Both votes are kept and the gate opens once: neither overlooks the other."""
    for run in waiting(harness, min_approvals=2):
        results = at_once(vote_of(harness, run, ALICE), vote_of(harness, run, DAVE))
        assert errors(results) == []
        assert harness.all_steps(run) == {"ask": "SUCCESS", "after": "READY"}
        assert ends_of(harness, run) == {"gate_approved": 1}
        assert harness.step(run, "ask").outputs["approvals"] == 2
        harness.check_books(run)


def test_two_single_approvers(harness: Harness) -> None:
    """One decides, the other is told that it is decided."""
    for run in waiting(harness):
        results = at_once(vote_of(harness, run, ALICE), vote_of(harness, run, DAVE))
        assert [type(each) for each in errors(results)] == [Conflict]
        assert ends_of(harness, run) == {"gate_approved": 1}
        harness.check_books(run)


def test_one_person_clicking_twice(harness: Harness) -> None:
    """One vote."""
    for run in waiting(harness, min_approvals=2):
        results = at_once(vote_of(harness, run, ALICE), vote_of(harness, run, ALICE))
        assert [type(each) for each in errors(results)] == [Conflict]
        assert harness.status(run) == "WAITING"
        harness.check_books(run)


def test_approve_against_reject(harness: Harness) -> None:
    """Exactly one of them decides."""
    for run in waiting(harness):
        results = at_once(vote_of(harness, run, ALICE), vote_of(harness, run, DAVE, Decision.REJECT))
        assert len(errors(results)) == 1
        ends = ends_of(harness, run)
        assert ends.total() == 1
        assert harness.all_steps(run)["ask"] == ("SUCCESS" if "gate_approved" in ends else "FAILED")
        harness.check_books(run)


def test_approve_against_the_end_of_time(harness: Harness) -> None:
    """The last vote and the sweep meet at the deadline: the gate ends once."""
    for run in waiting(harness):
        with database.reading():
            (opened,) = gates.of_execution(run)
        began = harness.clock.time

        def late(opened=opened) -> None:
            harness.clock.time = opened.expires_at
            expire(harness.rt, opened)

        at_once(vote_of(harness, run, ALICE), late)
        ends = ends_of(harness, run)
        assert ends.total() == 1
        assert harness.all_steps(run)["ask"] == ("SUCCESS" if "gate_approved" in ends else "FAILED")
        harness.check_books(run)
        harness.clock.time = began


def test_two_sweeps_at_the_end_of_time(harness: Harness) -> None:
    """Any number of sweepers is safe."""
    for run in waiting(harness):
        with database.reading():
            (opened,) = gates.of_execution(run)
        harness.clock.time = opened.expires_at
        assert errors(at_once(*[lambda opened=opened: expire(harness.rt, opened)] * 3)) == []
        assert ends_of(harness, run) == {"gate_expired": 1}
        harness.check_books(run)
        harness.clock.tick(-10 * MINUTE)


def test_approve_against_cancel(harness: Harness) -> None:
    """Whoever is first, the run ends as CANCELLED, and the gate is closed once."""
    for run in waiting(harness):
        results = at_once(vote_of(harness, run, ALICE), lambda run=run: controls.cancel(harness.rt, CAROL, run))
        assert all(isinstance(each, Conflict) for each in errors(results))
        assert harness.status(run) == "CANCELLED"
        approved = ends_of(harness, run)["gate_approved"]
        assert harness.all_steps(run) == {"ask": "SUCCESS" if approved else "CANCELLED", "after": "CANCELLED"}
        harness.check_books(run)


def test_two_cancels(harness: Harness) -> None:
    """One is the cancel, the other is told."""
    for run in waiting(harness):
        results = at_once(*[lambda run=run: controls.cancel(harness.rt, CAROL, run)] * 2)
        assert len(errors(results)) == 1
        assert harness.event_kinds(run).count("ended") == 1
        harness.check_books(run)


GROUP = {"group": "shop", "limit": 1, "on_conflict": "queue"}


def test_the_end_of_a_run_against_the_cancel_of_the_queued(harness: Harness) -> None:
    """A slot goes to a run that can use it: what was cancelled a moment ago gets none, and the group goes on."""
    harness.publish(runbook("demo", gate("ask"), concurrency=GROUP))
    holder = harness.start("demo")
    cancelled, third = (harness.start("demo") for _ in range(2) if harness.clock.tick(1))
    ending = threading.Thread(target=controls.cancel, args=(harness.rt, CAROL, holder, "not needed"))
    with run_phases.change(harness.rt, cancelled, "cancel") as transition:
        run_ending.cancel(transition, CAROL.user_id, "not needed")
        ending.start()
        _until_blocked()
    ending.join(20)
    slots = [harness.execution(each).slot for each in (holder, cancelled, third)]
    assert slots == [None, None, "held"]
    assert harness.run(third) == "WAITING"


def test_the_end_of_a_run_against_the_cancel_of_the_queued_whoever_is_first(harness: Harness) -> None:
    """Round after round: in the end nobody has a slot."""
    harness.publish(runbook("demo", gate("ask"), concurrency=GROUP))
    for _ in range(ROUNDS):
        runs = [harness.start("demo") for _ in range(4)]
        at_once(*[lambda run=run: controls.cancel(harness.rt, CAROL, run, "not needed") for run in runs])
        assert [(harness.status(each), harness.execution(each).slot) for each in runs] == [("CANCELLED", None)] * 4


def _until_blocked() -> None:
    """On PostgreSQL, until another connection waits for a row that this one holds."""
    deadline = time.monotonic() + 10
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    while database.is_postgresql() and not proxy.obj.execute_sql(waits).fetchone()[0]:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def test_two_branches_that_finish_together_start_their_join_once(harness: Harness) -> None:
    """Without the execution's lock both would see the other still running, and nobody would start the join."""
    for run in each_round(harness, http("a"), http("b", needs=[]), http("join", needs=["a", "b"])):
        a, b = harness.claim(run), harness.claim(run)
        results = at_once(lambda a=a: harness.record(a, Succeeded({})),
                          lambda b=b: harness.record(b, Succeeded({})))  # fmt: skip
        assert errors(results) == []
        assert [claim.step.id for claim in results if claim] == ["join"]
        assert harness.all_steps(run) == {"a": "SUCCESS", "b": "SUCCESS", "join": "RUNNING"}
        harness.check_books(run)


def test_a_step_is_claimed_once(harness: Harness) -> None:
    """Every hint may come five times."""
    others = [harness.worker(f"w{number}") for number in range(2, 5)]
    for run in each_round(harness, http("a")):
        results = at_once(
            *(lambda run=run, each=each: harness.try_claim(run, each) for each in [harness.runner, *others])
        )
        assert errors(results) == []
        assert len([claim for claim in results if claim]) == 1
        assert len(harness.attempts(run, "a")) == 1
        harness.check_books(run)


def test_a_run_ends_once_when_its_last_step_meets_a_cancel(harness: Harness) -> None:
    """It is SUCCESS or CANCELLED, and told once."""
    for run in each_round(harness, http("a")):
        claim = harness.claim(run)
        at_once(lambda claim=claim: harness.finish(claim), lambda run=run: controls.cancel(harness.rt, CAROL, run))
        assert harness.status(run) in ("SUCCESS", "CANCELLED")
        assert harness.event_kinds(run).count("ended") == 1
        harness.check_books(run)


def test_a_failure_and_a_join(harness: Harness) -> None:
    """The join never starts, and the failing run ends once."""
    for run in each_round(harness, http("a"), http("b", needs=[]), http("join", needs=["a", "b"])):
        a, b = harness.claim(run), harness.claim(run)
        at_once(lambda a=a: harness.record(a, Failed("http_status", "500")),
                lambda b=b: harness.record(b, Succeeded({})))  # fmt: skip
        assert harness.all_steps(run) == {"a": "FAILED", "b": "SUCCESS", "join": "BLOCKED"}
        assert harness.event_kinds(run).count("ended") == 1
        harness.check_books(run)


def test_a_takeover_against_the_result(harness: Harness) -> None:
    """Either the result came in time or the step was taken over: never both."""
    for number, run in enumerate(each_round(harness, http("a", method="POST"))):
        slow = harness.worker(f"slow-{number}")
        claim = harness.claim(run, slow)
        harness.alive.discard(f"slow-{number}")
        harness.clock.tick(20_000)
        at_once(lambda claim=claim, slow=slow: harness.finish(claim, runner=slow), lambda: harness.sweep(work=False))
        late = harness.event_kinds(run).count("late_result")
        assert harness.all_steps(run) == {"a": "UNKNOWN" if late else "SUCCESS"}
        harness.check_books(run)
        harness.know_groups()


def test_an_approval_of_a_version_happens_once(harness: Harness) -> None:
    """Two admins approve together: one does."""
    for number in range(ROUNDS):
        harness.sync(demo=runbook("demo", http(f"a{number}")))
        version = number + 1
        results = at_once(
            *(lambda who=who, n=version: version_approval.approve(harness.rt, who, "demo", n) for who in (ALICE, DAVE))
        )
        assert [type(each) for each in errors(results)] == [Conflict]


def test_a_start_against_a_deprecation(harness: Harness) -> None:
    """Either the run was refused, or it was accepted and fails at its first claim: nothing of it runs."""
    for number in range(ROUNDS):
        harness.publish(runbook(f"demo-{number}", http("a")))
        started, _ = at_once(
            lambda n=number: harness.start(f"demo-{n}"),
            lambda n=number: version_approval.deprecate(harness.rt, ALICE, f"demo-{n}"),
        )
        if isinstance(started, str):
            assert harness.try_claim(started) is None
            assert harness.status(started) == "FAILED"
        else:
            assert isinstance(started, EngineError)


@pytest.mark.slow
@pytest.mark.parametrize("race", [
    test_two_last_approvers, test_approve_against_the_end_of_time, test_approve_against_cancel,
    test_two_branches_that_finish_together_start_their_join_once, test_a_step_is_claimed_once,
])  # fmt: skip
def test_a_hundred_rounds(harness: Harness, race, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, a hundred times."""
    monkeypatch.setitem(globals(), "ROUNDS", 100)
    race(harness)
