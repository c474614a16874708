"""The pure rules: counters, status, time and pauses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definition.model import Retry
from engine.orchestration import retry_backoff, run_status
from storage.records import ExecutionRecord
from storage.states import ExecutionStatus, Phase, StepStatus

S = StepStatus
RUN = ExecutionRecord(
    id="R-AAAAAA", workspace_id=1, runbook_id=1, version_id=1, slug="demo", number=1, digest="", team=None,
    status=ExecutionStatus.PENDING, pending_result=None, parameters={}, trigger="test", requester="U0CAROL01",
    reason="",
    incident={}, result=None, error=None, created_at=0, started_at=None, ended_at=None, timeout_ms=60_000,
    running_ms=0, running_since=None, deadline_at=None, max_concurrent=5, live=0, running=0, waiting_steps=0,
    unfinished=0,
    event_seq=0, paused_reason=None,
)  # fmt: skip

ENDINGS = [ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED]
retries = st.builds(
    Retry,
    max_attempts=st.integers(1, 20),
    delay_ms=st.integers(1, 60_000),
    backoff=st.floats(1, 10),
    max_delay_ms=st.integers(1, 600_000),
)


def counted(steps: list[StepStatus]) -> tuple[int, int, int, int]:
    live = sum(each in (S.READY, S.RUNNING) for each in steps)
    parked = sum(each in (S.WAITING, S.UNKNOWN) for each in steps)
    return live, steps.count(S.RUNNING), parked, live + parked + steps.count(S.BLOCKED)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(S)), max_size=30))
def test_counters_follow_every_move(moves: list[tuple[int, StepStatus]]) -> None:
    """Whatever moves where, the counters are what counting anew gives."""
    steps = [S.BLOCKED] * 5
    run = replace(RUN, unfinished=5)
    for number, to in moves:
        run = run_status.recount(run, steps[number], to)
        steps[number] = to
        assert (run.live, run.running, run.waiting_steps, run.unfinished) == counted(steps)


def test_many_may_move_at_once() -> None:
    """`count` of them, from one state to another."""
    run = run_status.recount(replace(RUN, live=3, unfinished=4), S.READY, S.CANCELLED, 3)
    assert (run.live, run.unfinished) == (0, 1)


@pytest.mark.parametrize(
    ("status", "live", "running", "parked", "expected"),
    [
        ("PENDING", 1, 0, 0, "PENDING"),
        ("RUNNING", 1, 1, 0, "RUNNING"),
        ("RUNNING", 1, 0, 1, "RUNNING"),
        ("RUNNING", 0, 0, 1, "WAITING"),
        ("WAITING", 1, 0, 0, "RUNNING"),
        ("PAUSED", 1, 0, 1, "PAUSED"),
    ],
)
@pytest.mark.parametrize("ending", [None, *ENDINGS])
def test_the_status_while_a_phase_is_left(
    ending: str | None, status: str, live: int, running: int, parked: int, expected: str
) -> None:
    """It waits when all that lives waits for somebody; a result that is fixed is its status only at the end."""
    run = replace(
        RUN, status=ExecutionStatus(status), pending_result=ending, live=live, running=running, waiting_steps=parked
    )
    assert run_status.status_of(run, over=False) == expected


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "WAITING", "PAUSED"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_status_at_the_end(status: str, ending: ExecutionStatus) -> None:
    """Whatever it was, it is what was fixed."""
    run = replace(RUN, status=ExecutionStatus(status), pending_result=ending, live=1, waiting_steps=1)
    assert run_status.status_of(run, over=True) is ending


@pytest.mark.parametrize(
    ("phase", "ending", "running", "parked", "failing", "over"),
    [
        ("main", None, 0, 0, False, False),
        ("main", "FAILED", 1, 0, False, False),
        ("main", "FAILED", 0, 1, False, False),
        ("main", "FAILED", 0, 0, False, True),
        ("main", "CANCELLED", 1, 0, False, False),
        ("main", "CANCELLED", 0, 1, False, True),
        ("finally", "CANCELLED", 0, 0, False, False),
        ("finally", "CANCELLED", 1, 0, True, False),
        ("finally", "CANCELLED", 0, 1, True, False),
        ("finally", "SUCCESS", 0, 0, True, True),
    ],
)
def test_when_a_phase_is_over(phase: str, ending: str, running: int, parked: int, failing: bool, over: bool) -> None:
    """A failing one waits for what runs and what is unknown, a cancelled main only for what runs."""
    fixed = ExecutionStatus(ending) if ending else None
    run = replace(RUN, phase=Phase(phase), pending_result=fixed, running=running, waiting_steps=parked, unfinished=9)
    assert run_status.phase_over(run, failing=failing) is over
    assert run_status.phase_over(replace(run, unfinished=0), failing=failing)


@given(st.lists(st.tuples(st.integers(0, 4_999), st.sampled_from(["RUNNING", "WAITING", "PAUSED"])), max_size=12))
def test_time_is_counted_by_what_it_was_spent_in(spells: list[tuple[int, str]]) -> None:
    """The deadline is as far away as running time is left, and none stands while the clock does."""
    run, at = replace(RUN, status_since=1_000), 1_000
    spent = {"PENDING": 0, "RUNNING": 0, "WAITING": 0, "PAUSED": 0}
    for length, status in spells:
        run = run_status.add_time_spent(replace(run, status=ExecutionStatus(status)), run.status, at)
        if status == "RUNNING":
            assert run.deadline_at is not None
            assert run.running_since is not None
            assert run.deadline_at == run.running_since + run.timeout_ms - run.running_ms
            assert run.deadline_at == at + run.timeout_ms - spent["RUNNING"]
        else:
            assert (run.running_since, run.deadline_at) == (None, None)
        spent[status] += length
        at += length
    run = run_status.add_time_spent(replace(run, status=ExecutionStatus.PENDING), run.status, at)
    assert (run.running_ms, run.waiting_ms, run.paused_ms) == (spent["RUNNING"], spent["WAITING"], spent["PAUSED"])


def test_a_run_that_is_ending_has_no_deadline() -> None:
    """It can't time out of its own end."""
    run = run_status.add_time_spent(replace(RUN, status=ExecutionStatus.RUNNING), ExecutionStatus.PENDING, 1_000)
    assert run.deadline_at == 61_000
    assert (
        run_status.add_time_spent(replace(run, pending_result=ExecutionStatus.FAILED), run.status, 2_000).deadline_at
        is None
    )


@given(retries, st.integers(1, 25), st.floats(0, 1, exclude_max=True), st.integers(0, 900_000))
def test_a_pause_has_its_bounds(retry: Retry, failures: int, jitter: float, wish: int) -> None:
    """At least what the runbook says, at most half as much again, and never less than the server asked for."""
    base = min(retry.delay_ms * retry.backoff ** (failures - 1), retry.max_delay_ms)
    pause = retry_backoff.backoff_ms(retry, failures, jitter)
    assert int(base) <= pause <= base * 1.5
    assert retry_backoff.backoff_ms(retry, failures, jitter, wish) == max(pause, wish)


@pytest.mark.parametrize(("failures", "pause"), [(1, 1_000), (2, 2_000), (3, 4_000), (6, 30_000), (500, 30_000)])
def test_pauses_grow_up_to_their_limit(failures: int, pause: int) -> None:
    """As the model says: `delay * backoff ** (n - 1)`, at most `max_delay`."""
    assert retry_backoff.backoff_ms(Retry(), failures, 0.0) == pause


@given(retries)
def test_the_first_try_counts(retry: Retry) -> None:
    """Exactly `max_attempts` tries are made."""
    tries = next(failures for failures in range(1, 30) if not retry_backoff.may_retry(retry, failures))
    assert tries == retry.max_attempts
