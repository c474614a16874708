"""Races that are lost: whoever comes second changes nothing, whatever it brings and however the run stands by then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from house import ALICE, CAROL, MINUTE, SECOND, House, at_once, errors, gate, http, runbook
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
from storage.records import StepRunRecord
from storage.states import Decision
from storage.tables import Audit, WaitFor, WaitTaken

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


def books(house: House, run: str) -> Any:
    """All that is on record of a run, but how many events there are."""
    found = replace(house.execution(run), event_seq=0)
    with database.reading():
        tries = {each.path: attempts.of_step(each.id) for each in steps.of_execution(run)}
        beside = [list(table.select().order_by(table.id).dicts()) for table in (WaitFor, WaitTaken, Audit)]
        audited = [{key: row[key] for key in row if key not in ("seq", "hash")} for row in beside.pop()]
        return found, house.step_runs(run), tries, approvals.of_execution(run), beside, audited


def bring_into(state: str, house: House, run: str, other: Any) -> None:
    if state == "cancelled":
        controls.cancel(house.rt, CAROL, run, "not needed")
    if state == "failed":
        house.finish(other, Failed("bad", "it is bad"))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda each: type(each).__name__)
def test_what_is_brought_too_late_changes_nothing(house: House, outcome: Outcome, state: str) -> None:
    """Another worker has the step by now; that a result was dropped is told, and nothing else."""
    run = house.begin(http("a", retry={"max_attempts": 3}), http("b", needs=[]), http("c"))
    slow = house.worker("w2")
    stale, other = house.claim(run, slow), house.claim(run)
    lose(house)
    house.sweep(work=False)
    taken = house.claim(run)
    assert (taken.step_run.path, taken.step_run.fence) == ("a", stale.step_run.fence + 2)
    bring_into(state, house, run, other)
    before, told = books(house, run), house.event_kinds(run)
    assert house.record(stale, outcome, slow) is None
    assert books(house, run) == before
    assert house.event_kinds(run) == [*told, "late_result"]
    house.check_books(run)


TAKEN_OVER: dict[str, tuple[str, dict[str, Any]]] = {
    "again": ("going on", {}),
    "once too often": ("going on", {"recoveries": retry_backoff.MAX_RECOVERIES}),
    "to be decided": ("going on", {"idempotent": False}),
    "unwanted": ("cancelled", {}),
    "while the run fails": ("failed", {}),
}


@pytest.mark.parametrize("case", TAKEN_OVER)
def test_a_step_is_not_taken_over_from_whoever_has_it_by_now(house: House, case: str) -> None:
    """However it would have been settled."""
    state, fields = TAKEN_OVER[case]
    run = house.begin(http("a"), http("b", needs=[]))
    stale, other = house.claim(run), house.claim(run)
    bring_into(state, house, run, other)
    before, told = books(house, run), house.event_kinds(run)
    seen: StepRunRecord = replace(stale.step_run, fence=stale.step_run.fence - 1, **fields)
    with change(house.rt, run, "test") as transition:
        assert not recording.take_over(transition, seen)
    assert (books(house, run), house.event_kinds(run)) == (before, told)


def _expired(house: House) -> Saw:
    run = _at_gate(house)
    house.clock.tick(10 * MINUTE)
    (seen,) = _looked(lambda: approvals.expired(house.clock.time, 9))
    return run, lambda: voting.expire(house.rt, seen)


def _to_remind(house: House) -> Saw:
    run = _at_gate(house)
    house.clock.tick(9 * MINUTE)
    (seen,) = _looked(lambda: approvals.to_remind(house.clock.time, 9))
    return run, lambda: voting.remind(house.rt, seen)


def _at_gate(house: House) -> str:
    run = house.begin(gate("ask", timeout="10m"))
    house.advance(run)
    return run


def _waiting(house: House) -> str:
    run = house.begin({"id": "hear", "type": "wait", "with": {"key": "k"}, "timeout": "10m"})
    house.advance(run)
    return run


def _served(house: House) -> Saw:
    run = _waiting(house)
    with database.transaction():
        waits.receive(house.rt.workspace_id, "k", "e1", "ci", {})
    (seen,) = _looked(lambda: waits.served(house.clock.time, 9))
    return run, lambda: incoming_events.give(house.rt, *seen)


def _over(house: House) -> Saw:
    run = _waiting(house)
    house.clock.tick(10 * MINUTE)
    (seen,) = _looked(lambda: waits.overdue(house.clock.time, 9))
    return run, lambda: _sweeper(house)._expire_wait(seen)


def _overdue(house: House) -> Saw:
    run = house.begin(http("a"), timeout="1m")
    house.claim(run)
    house.clock.tick(MINUTE)
    (seen,) = _looked(lambda: executions.overdue(house.clock.time, 9))
    return run, lambda: _sweeper(house)._time_out(seen)


def _over_limit(house: House) -> Saw:
    inner = [http("in")]
    run = house.begin({"id": "each", "type": "loop", "timeout": "1m", "with": {"items": [1], "steps": inner}})
    house.claim(run)
    house.clock.tick(MINUTE)
    (seen,) = _looked(lambda: steps.past_deadline(house.clock.time, 9))
    return run, lambda: _sweeper(house)._end_past_deadline(seen)


def _cleanup(house: House) -> Saw:
    run = house.begin(http("a"), **{"finally": [http("tidy")]})
    house.finish(house.claim(run), Failed("bad", "it is bad"))
    house.claim(run)
    house.clock.tick(2 * 60 * MINUTE)
    (seen,) = _looked(lambda: executions.cleanup_overdue(house.clock.time, 9))
    return run, lambda: _sweeper(house)._end_cleanup(seen)


def _orphan(house: House) -> Saw:
    run = house.begin(http("a"))
    house.claim(run, house.worker("w2"))
    lose(house)
    (seen,) = _looked(lambda: list(orphans.orphaned(house.clock.time)))
    return run, lambda: _sweeper(house)._take_over(seen)


def _looked(look: Callable[[], list[Any]]) -> list[Any]:
    with database.reading():
        return look()


def _sweeper(house: House) -> Sweeper:
    return Sweeper(house.rt, lambda _ids: None)


SEEN = [_expired, _to_remind, _served, _over, _overdue, _over_limit, _cleanup, _orphan]


@pytest.mark.parametrize("seen", SEEN, ids=lambda each: each.__name__.strip("_"))
def test_what_two_sweeps_saw_is_done_once(house: House, seen: Callable[[House], Saw]) -> None:
    """The second finds it done, whether it comes a moment later or at the same one."""
    run, act = seen(house)
    before, told = books(house, run), house.event_kinds(run)
    act()
    after, then_told = books(house, run), house.event_kinds(run)
    assert (after, then_told) != (before, told)
    act()
    assert (books(house, run), house.event_kinds(run)) == (after, then_told)
    house.check_books(run)


@pytest.mark.parametrize("seen", SEEN, ids=lambda each: each.__name__.strip("_"))
def test_what_two_sweeps_saw_is_done_once_at_once(house: House, seen: Callable[[House], Saw]) -> None:
    """From one starting line."""
    run, act = seen(house)
    before, told = books(house, run), house.event_kinds(run)
    assert errors(at_once(act, act)) == []
    assert books(house, run) != before
    new = house.event_kinds(run)[len(told) :]
    assert len(new) == len(set(new)), new
    house.check_books(run)


@pytest.mark.parametrize("seen", SEEN, ids=lambda each: each.__name__.strip("_"))
def test_what_a_sweep_saw_is_over_where_the_run_was_ended_by_force(house: House, seen: Callable[[House], Saw]) -> None:
    """A person was faster; what a call under way that is given up comes to is all that is left."""
    run, act = seen(house)
    house.know_groups()
    for force in (False, True):
        with suppress(Conflict):
            controls.cancel(house.rt, CAROL, run, "not needed", force=force)
    act()
    told = house.event_kinds(run)
    act()
    assert house.event_kinds(run) == told
    assert told[-1] in ("cancel_requested", "cleanup_ended", "ended"), told
    house.check_books(run)


def test_an_end_by_force_is_told_once(house: House) -> None:
    """However often a sweep looks before the call under way is given up."""
    run = house.begin(http("a"))
    house.claim(run)
    controls.cancel(house.rt, CAROL, run, "not needed", force=True)
    told = house.event_kinds(run)
    for _ in range(3):
        house.clock.tick(SECOND)
        house.sweep(work=False)
    assert house.event_kinds(run) == told


def test_a_gate_that_was_decided_meanwhile_is_neither_expired_nor_reminded_of(house: House) -> None:
    """Whatever a sweep saw before."""
    run, remind = _to_remind(house)
    with database.reading():
        (seen,) = approvals.of_execution(run)
    voting.vote(house.rt, ALICE, run, None, Decision.APPROVE)
    before, told = books(house, run), house.event_kinds(run)
    remind()
    house.clock.tick(10 * MINUTE)
    voting.expire(house.rt, seen)
    assert (books(house, run), house.event_kinds(run)) == (before, told)


def test_a_database_that_goes_away_in_a_sweep_ends_the_round(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is tried with it; the next round does all of it."""
    house.publish(runbook("demo", gate("ask", timeout="1m")))
    runs = [house.start("demo") for _ in range(3)]
    for run in runs:
        house.advance(run)
    house.clock.tick(MINUTE)
    expire, tried = voting.expire, []

    def away_at_second(rt: Any, seen: Any) -> None:
        tried.append(seen)
        if len(tried) == 2:
            raise database.OperationalError("gone")
        expire(rt, seen)

    monkeypatch.setattr(voting, "expire", away_at_second)
    with pytest.raises(database.OperationalError):
        house.sweep()
    assert (len(tried), [house.status(run) for run in runs].count("FAILED")) == (2, 1)
    house.sweep()
    assert [house.status(run) for run in runs] == ["FAILED"] * 3
