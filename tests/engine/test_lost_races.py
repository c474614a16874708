"""Races that are lost: whoever comes second changes nothing, whatever it brings and however the run stands by then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from harness import ALICE, CAROL, MINUTE, SECOND, Harness, at_once, errors, gate, http, runbook
from test_recovery import lose

from engine.errors import Conflict
from engine.orchestration import recording, retry_backoff
from engine.orchestration.run_phases import change
from engine.runs import controls, incoming_events
from engine.runs import voting as voting
from engine.steps.outcome import (
    Abandoned,
    Again,
    Begun,
    Failed,
    Later,
    Opened,
    Outcome,
    Posted,
    Succeeded,
    Unknown,
    Waiting,
)
from engine.worker.sweeper import Sweeper
from storage import approvals, attempts, database, executions, orphans, steps, waits
from storage.audit_tables import Audit
from storage.records import StepRunRecord
from storage.states import Decision
from storage.tables import WaitFor, WaitTaken

Saw = tuple[str, Callable[[], Any]]
"""A run, and what a sweep does about what it saw of it."""

OUTCOMES: list[Outcome] = [
    Succeeded({"x": 1}),
    Failed("bad", "it is bad"),
    Failed("busy", "come again", retryable=True),
    Again(1_000, "not yet"),
    Unknown("timeout", "nobody saw it"),
    Abandoned("not wanted"),
    Opened(1, {"roles": ["platform_admin"]}, "Go on?", [], "digest", 60_000, "fail"),
    Later(1_000, {}),
    Posted("hello", None, True),
    Waiting("k", 60_000),
    Begun("demo", {}),
]
STATES = ("going on", "cancelled", "failed")


def books(harness: Harness, run: str) -> Any:
    """All that is on record of a run, but how many events there are."""
    found = replace(harness.execution(run), event_seq=0)
    with database.reading():
        tries = {each.path: attempts.of_step(each.id) for each in steps.of_execution(run)}
        beside = [list(table.select().order_by(table.id).dicts()) for table in (WaitFor, WaitTaken, Audit)]
        audited = [{key: row[key] for key in row if key not in ("seq", "hash")} for row in beside.pop()]
        return found, harness.step_runs(run), tries, approvals.of_execution(run), beside, audited


def bring_into(state: str, harness: Harness, run: str, other: Any) -> None:
    if state == "cancelled":
        controls.cancel(harness.rt, CAROL, run, "not needed")
    if state == "failed":
        harness.finish(other, Failed("bad", "it is bad"))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda each: type(each).__name__)
def test_what_is_brought_too_late_changes_nothing(harness: Harness, outcome: Outcome, state: str) -> None:
    """Another worker has the step by now; that a result was dropped is told, and nothing else."""
    run = harness.begin(http("a", retry={"max_attempts": 3}), http("b", needs=[]), http("c"))
    slow = harness.worker("w2")
    stale, other = harness.claim(run, slow), harness.claim(run)
    lose(harness)
    harness.sweep(work=False)
    taken = harness.claim(run)
    assert (taken.step_run.path, taken.step_run.fence) == ("a", stale.step_run.fence + 2)
    bring_into(state, harness, run, other)
    before, told = books(harness, run), harness.event_kinds(run)
    assert harness.record(stale, outcome, slow) is None
    assert books(harness, run) == before
    assert harness.event_kinds(run) == [*told, "late_result"]
    harness.check_books(run)


TAKEN_OVER: dict[str, tuple[str, dict[str, Any]]] = {
    "again": ("going on", {}),
    "once too often": ("going on", {"recoveries": retry_backoff.MAX_RECOVERIES}),
    "to be decided": ("going on", {"idempotent": False}),
    "unwanted": ("cancelled", {}),
    "while the run fails": ("failed", {}),
}


@pytest.mark.parametrize("case", TAKEN_OVER)
def test_a_step_is_not_taken_over_from_whoever_has_it_by_now(harness: Harness, case: str) -> None:
    """However it would have been settled."""
    state, fields = TAKEN_OVER[case]
    run = harness.begin(http("a"), http("b", needs=[]))
    stale, other = harness.claim(run), harness.claim(run)
    bring_into(state, harness, run, other)
    before, told = books(harness, run), harness.event_kinds(run)
    seen: StepRunRecord = replace(stale.step_run, fence=stale.step_run.fence - 1, **fields)
    with change(harness.rt, run, "test") as transition:
        assert not recording.take_over(transition, seen)
    assert (books(harness, run), harness.event_kinds(run)) == (before, told)


def _expired(harness: Harness) -> Saw:
    run = _at_gate(harness)
    harness.clock.tick(10 * MINUTE)
    (seen,) = _looked(lambda: approvals.expired(harness.clock.time, 9))
    return run, lambda: voting.expire(harness.rt, seen)


def _to_remind(harness: Harness) -> Saw:
    run = _at_gate(harness)
    harness.clock.tick(9 * MINUTE)
    (seen,) = _looked(lambda: approvals.to_remind(harness.clock.time, 9))
    return run, lambda: voting.remind(harness.rt, seen)


def _at_gate(harness: Harness) -> str:
    run = harness.begin(gate("ask", timeout="10m"))
    harness.advance(run)
    return run


def _waiting(harness: Harness) -> str:
    run = harness.begin({"id": "hear", "type": "wait", "with": {"key": "k"}, "timeout": "10m"})
    harness.advance(run)
    return run


def _served(harness: Harness) -> Saw:
    run = _waiting(harness)
    with database.transaction():
        waits.receive(harness.rt.workspace_id, "k", "e1", "ci", {})
    (seen,) = _looked(lambda: waits.served(harness.clock.time, 9))
    return run, lambda: incoming_events.give(harness.rt, *seen)


def _over(harness: Harness) -> Saw:
    run = _waiting(harness)
    harness.clock.tick(10 * MINUTE)
    (seen,) = _looked(lambda: waits.overdue(harness.clock.time, 9))
    return run, lambda: _sweeper(harness)._expire_wait(seen)


def _overdue(harness: Harness) -> Saw:
    run = harness.begin(http("a"), timeout="1m")
    harness.claim(run)
    harness.clock.tick(MINUTE)
    (seen,) = _looked(lambda: executions.overdue(harness.clock.time, 9))
    return run, lambda: _sweeper(harness)._time_out(seen)


def _over_limit(harness: Harness) -> Saw:
    inner = [http("in")]
    run = harness.begin({"id": "each", "type": "loop", "timeout": "1m", "with": {"items": [1], "steps": inner}})
    harness.claim(run)
    harness.clock.tick(MINUTE)
    (seen,) = _looked(lambda: steps.past_deadline(harness.clock.time, 9))
    return run, lambda: _sweeper(harness)._end_past_deadline(seen)


def _cleanup(harness: Harness) -> Saw:
    run = harness.begin(http("a"), **{"finally": [http("tidy")]})
    harness.finish(harness.claim(run), Failed("bad", "it is bad"))
    harness.claim(run)
    harness.clock.tick(2 * 60 * MINUTE)
    (seen,) = _looked(lambda: executions.cleanup_overdue(harness.clock.time, 9))
    return run, lambda: _sweeper(harness)._end_cleanup(seen)


def _orphan(harness: Harness) -> Saw:
    run = harness.begin(http("a"))
    harness.claim(run, harness.worker("w2"))
    lose(harness)
    (seen,) = _looked(lambda: list(orphans.orphaned(harness.clock.time)))
    return run, lambda: _sweeper(harness)._take_over(seen)


def _looked(look: Callable[[], list[Any]]) -> list[Any]:
    with database.reading():
        return look()


def _sweeper(harness: Harness) -> Sweeper:
    return Sweeper(harness.rt, lambda _ids: None)


SEEN = [_expired, _to_remind, _served, _over, _overdue, _over_limit, _cleanup, _orphan]


@pytest.mark.parametrize("seen", SEEN, ids=lambda each: each.__name__.strip("_"))
def test_what_two_sweeps_saw_is_done_once(harness: Harness, seen: Callable[[Harness], Saw]) -> None:
    """The second finds it done, whether it comes a moment later or at the same one."""
    run, act = seen(harness)
    before, told = books(harness, run), harness.event_kinds(run)
    act()
    after, then_told = books(harness, run), harness.event_kinds(run)
    assert (after, then_told) != (before, told)
    act()
    assert (books(harness, run), harness.event_kinds(run)) == (after, then_told)
    harness.check_books(run)


@pytest.mark.parametrize("seen", SEEN, ids=lambda each: each.__name__.strip("_"))
def test_what_two_sweeps_saw_is_done_once_at_once(harness: Harness, seen: Callable[[Harness], Saw]) -> None:
    """From one starting line."""
    run, act = seen(harness)
    before, told = books(harness, run), harness.event_kinds(run)
    assert errors(at_once(act, act)) == []
    assert books(harness, run) != before
    new = harness.event_kinds(run)[len(told) :]
    assert len(new) == len(set(new)), new
    harness.check_books(run)


@pytest.mark.parametrize("seen", SEEN, ids=lambda each: each.__name__.strip("_"))
def test_what_a_sweep_saw_is_over_where_the_run_was_ended_by_force(
    harness: Harness, seen: Callable[[Harness], Saw]
) -> None:
    """A person was faster; what a call under way that is given up comes to is all that is left."""
    run, act = seen(harness)
    harness.know_groups()
    for force in (False, True):
        with suppress(Conflict):
            controls.cancel(harness.rt, CAROL, run, "not needed", force=force)
    act()
    told = harness.event_kinds(run)
    act()
    assert harness.event_kinds(run) == told
    assert told[-1] in ("cancel_requested", "cleanup_ended", "ended"), told
    harness.check_books(run)


def test_an_end_by_force_is_told_once(harness: Harness) -> None:
    """However often a sweep looks before the call under way is given up."""
    run = harness.begin(http("a"))
    harness.claim(run)
    controls.cancel(harness.rt, CAROL, run, "not needed", force=True)
    told = harness.event_kinds(run)
    for _ in range(3):
        harness.clock.tick(SECOND)
        harness.sweep(work=False)
    assert harness.event_kinds(run) == told


def test_a_gate_that_was_decided_meanwhile_is_neither_expired_nor_reminded_of(harness: Harness) -> None:
    """Whatever a sweep saw before."""
    run, remind = _to_remind(harness)
    with database.reading():
        (seen,) = approvals.of_execution(run)
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    before, told = books(harness, run), harness.event_kinds(run)
    remind()
    harness.clock.tick(10 * MINUTE)
    voting.expire(harness.rt, seen)
    assert (books(harness, run), harness.event_kinds(run)) == (before, told)


def test_a_database_that_goes_away_in_a_sweep_ends_the_round(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is tried with it; the next round does all of it."""
    harness.publish(runbook("demo", gate("ask", timeout="1m")))
    runs = [harness.start("demo") for _ in range(3)]
    for run in runs:
        harness.advance(run)
    harness.clock.tick(MINUTE)
    expire, tried = voting.expire, []

    def away_at_second(rt: Any, seen: Any) -> None:
        tried.append(seen)
        if len(tried) == 2:
            raise database.OperationalError("gone")
        expire(rt, seen)

    monkeypatch.setattr(voting, "expire", away_at_second)
    with pytest.raises(database.OperationalError):
        harness.sweep()
    assert (len(tried), [harness.status(run) for run in runs].count("FAILED")) == (2, 1)
    harness.sweep()
    assert [harness.status(run) for run in runs] == ["FAILED"] * 3
