"""Timelines and words of a run's page, from records."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.event_text import told
from bot.page.states import SIGNS, Look, attempt_look, attempt_words, execution_look, look_of
from bot.page.timeline import Scale, timeline
from storage.records import AttemptRecord, EventRecord, ExecutionRecord, StepRunRecord
from storage.states import AttemptStatus, ExecutionStatus, StepStatus

START = 1_800_000_000_000
RUN = ExecutionRecord(
    id="R-7K2M9Q", workspace_id=1, runbook_id=1, version_id=1, slug="x", number=1, digest="", team=None,
    status=ExecutionStatus.RUNNING, pending_result=None, parameters={}, trigger="slack", requester="U0CAROL01",
    reason="",
    incident={}, result=None, error=None, created_at=START, started_at=START, ended_at=None, timeout_ms=0,
    running_ms=0, running_since=None, deadline_at=None, max_concurrent=1, live=0, running=0, waiting_steps=0,
    unfinished=0,
    event_seq=0, paused_reason=None,
)  # fmt: skip
STEP = StepRunRecord(
    id=1, execution_id=RUN.id, path="a", step_id="a", position=0, kind="http", status=StepStatus.RUNNING, fence=1,
    blocked=0, due_at=None, deadline_at=None, attempts=1, failures=0, recoveries=0, idempotent=True,
    worker_id="w", started_at=START + 1_000, ended_at=None, outputs=None, error=None, note="",
)  # fmt: skip


def attempt(number: int, begun: int, ended: int | None, status: AttemptStatus) -> AttemptRecord:
    return AttemptRecord(
        number, 1, number, status, "w", START + begun, START + ended if ended else None, None, None, None
    )


def event(kind: str, at: int) -> EventRecord:
    return EventRecord(RUN.id, 1, START + at, kind, None, None, {})


def test_tries_waits_and_pauses_are_told_apart() -> None:
    """Two tries with the time between them, a gate that only waits, a pause that still lasts."""
    tries = {1: [attempt(1, 1_000, 2_000, AttemptStatus.FAILED), attempt(2, 6_000, None, AttemptStatus.RUNNING)]}
    gate = replace(STEP, id=2, path="gate", kind="approval", status=StepStatus.WAITING)
    unborn = replace(STEP, id=3, path="later", status=StepStatus.BLOCKED, started_at=None)
    pauses = [event("paused", 2_000), event("resumed", 4_000), event("paused", 8_000)]
    found = timeline(RUN, [STEP, gate, unborn], tries, pauses, START + 10_000)
    assert [row.path for row in found.rows] == ["a", "gate"]
    first, second = found.rows
    assert [(bar.look, bar.left, bar.width) for bar in first.bars] == [
        ("span", 10.0, 90.0), ("bad", 10.0, 10.0), ("busy", 60.0, 40.0),
    ]  # fmt: skip
    assert first.says == "9 s, 2 tries"
    assert [(bar.look, bar.says) for bar in second.bars] == [("pending", "waiting for approval: 9 s in all")]
    assert [(bar.left, bar.width) for bar in found.pauses] == [(20.0, 20.0), (80.0, 20.0)]
    assert found.ticks[:2] == ((0.0, "0"), (20.0, "2 s"))


@given(st.integers(0, 10**11), st.integers(0, 10**11), st.integers(0, 10**11))
def test_every_bar_is_on_the_scale_and_can_be_seen(length: int, begun: int, took: int) -> None:
    """Also of clocks that disagree."""
    bar = Scale(START, START + length).bar(START + begun, START + begun + took, "good", "")
    assert 0 <= bar.left < 100
    assert 0.29 < bar.width <= 100
    assert bar.left + bar.width <= 100.001


@given(st.integers(0, 10**12))
def test_there_are_a_few_ticks_whatever_the_time(length: int) -> None:
    """The first is the start."""
    ticks = Scale(START, START + length).ticks()
    assert 1 <= len(ticks) <= 40
    assert ticks[0] == (0.0, "0")
    assert all(0 <= at < 100.001 for at, _ in ticks)


def test_every_state_has_its_look_and_its_sign() -> None:
    """Nobody has to know a colour."""
    assert set(SIGNS) == set(Look)
    assert len(set(SIGNS.values())) == len(Look)
    assert {look_of(replace(STEP, status=status)) for status in StepStatus} <= set(Look)
    assert {execution_look(status) for status in ExecutionStatus} <= set(Look)
    tries = [attempt(1, 0, 1, status) for status in AttemptStatus]
    assert {attempt_look(each) for each in tries} <= set(Look)
    assert len({attempt_words(each) for each in tries}) == len(AttemptStatus)


def test_a_poll_that_has_to_ask_again_has_not_failed() -> None:
    """Its tries before the last are recorded as failed, with that reason."""
    early = replace(attempt(1, 0, 1, AttemptStatus.FAILED), error={"code": "not_yet", "message": "not ready"})
    assert (attempt_look(early), attempt_words(early)) == (Look.LEFT, "not yet")


def test_events_are_told_in_words() -> None:
    """With who did it and why; one without words of its own is told by its name."""
    assert told("paused", None, "Carol", {"reason": "let me look"}) == "Carol paused this run: let me look"
    assert told("vote", "gate", "Alice", {"decision": "APPROVE", "approvals": 1, "needed": 2, "comment": ""}) == (
        "Alice approved gate (1 of 2)"
    )
    assert told("step_retrying", "a", "", {"attempt": 1, "delay_ms": 2_000, "message": "503"}) == (
        "a failed once; next try in 2 s: 503"
    )
    assert told("ended", None, "", {"status": "FAILED", "error": {"message": "no"}}) == "the run ended: FAILED: no"
    assert told("something_new", "a", "Bob", None) == "a something new (Bob)"


@given(
    st.sampled_from(["vote", "queued", "ended", "step_retrying", "step_resolved", "paused"]), st.none() | st.just({})
)
def test_an_event_of_an_older_release_is_told_all_the_same(kind: str, data: dict[str, object] | None) -> None:
    """Whatever it lacks."""
    assert told(kind, None, "", data)


def test_every_kind_of_event_that_the_engine_tells_has_words() -> None:
    """A new one is noticed here."""
    import re
    from pathlib import Path

    from bot import event_text

    engine = Path(__file__).parents[2] / "engine"
    source = "".join(path.read_text() for path in engine.rglob("*.py"))
    kinds = set(re.findall(r"\.record_event\(\s*\"([a-z_]+)\"", source))
    assert len(kinds) > 20
    assert kinds - set(event_text._SAID) == set()
