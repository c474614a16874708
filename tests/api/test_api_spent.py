"""How long a run and its steps took: tries, waits and pauses apart, in the same words at every door."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from api_client import Api
from harness import BOB, CAROL, MINUTE, SECOND, Harness, Target, gate, http, runbook
from hypothesis import given
from hypothesis import strategies as st
from local_server import answer

from bot.cli import show, show_history
from bot.duration_text import parts_words, run_parts, step_took
from bot.page import story as page
from bot.slack.views import card, thread
from bot.slack.views.timeline import alt_text
from engine.runs import controls, executions
from engine.runs.time_spent import Spent, of_step, pauses, with_spent
from storage.records import EventRecord, StepRunRecord
from storage.states import StepStatus

FINE = answer(b"{}", "200 OK", "Content-Type: application/json")
BROKEN = answer(b"no", "503 Broken")


def slow(harness: Harness, target: Target, *does: Any) -> None:
    """Each call takes four seconds."""
    target.does["/go"] = list(does)
    target.on_request = lambda _path: harness.clock.tick(4 * SECOND) and None  # type: ignore[assignment,func-returns-value]


def finished(api: Api, target: Target) -> str:
    """One failed try, a pause of two minutes while the next is waited for, then a gate of a minute."""
    harness = api.harness
    slow(harness, target, BROKEN, FINE)
    retry = {"max_attempts": 2, "delay": "30s", "backoff": 1, "max_delay": "30s"}
    harness.publish(
        runbook("slow", http("go", target.url("/go"), retry=retry), gate("sign-off", needs=["go"], allow_self=True,
                approvers={"users": [CAROL.user_id]}))
    )  # fmt: skip
    run = harness.start("slow")
    harness.advance(run)
    controls.pause(harness.rt, CAROL, run, "")
    harness.pass_time(2 * MINUTE)
    controls.resume(harness.rt, CAROL, run)
    assert harness.run(run) == "WAITING"
    harness.pass_time(MINUTE)
    assert api.post(f"/executions/{run}/steps/sign-off/approve", CAROL).status_code == 200
    assert harness.run(run) == "SUCCESS"
    return run


def test_tries_waits_and_pauses_are_told_apart_at_every_door(api: Api, target: Target) -> None:
    """Card, thread, picture, page and command line say of the same run and step the same."""
    run = finished(api, target)
    found = api.get(f"/executions/{run}", CAROL)
    step = found["steps"][0]
    assert (step["tried_ms"], step["paused_ms"]) == (8 * SECOND, 2 * MINUTE)
    whole = datetime.fromisoformat(step["ended_at"]) - datetime.fromisoformat(step["started_at"])
    assert step["tried_ms"] + step["waited_ms"] + step["paused_ms"] == whole.total_seconds() * 1000
    view = with_spent(executions.view(api.harness.rt, run))
    took = step_took("http", *(step[name] for name in ("tried_ms", "waited_ms", "paused_ms")))
    assert took.endswith("8 s running, 2 min paused)")
    (event,) = [each for each in api.harness.events(run) if each.kind == "ended"]
    summary = thread.line(event, view)
    logs = api.get(f"/executions/{run}/logs", CAROL)
    assert f"`go` {took}" in summary
    assert f"go done {took}, 2 tries" in alt_text(view)
    assert page.story(api.harness.rt, run).steps[0].took == took
    assert f"try 2, {took}" in show.run_lines(found)[1]
    assert any(f"try 2, {took}" in line for line in show_history.log_lines(logs))
    of_run = dict(page.story(api.harness.rt, run).facts)["Took"]
    assert "1 min waiting, 2 min paused)" in str(of_run)
    for text in (summary, str(card.card(view).blocks), show.run_lines(found)[-1]):
        assert str(of_run) in text
    sign_off = found["steps"][1]
    assert (sign_off["tried_ms"], sign_off["waited_ms"]) == (0, MINUTE)
    assert ", 1 min" in show.run_lines(found)[2]
    assert "running" not in show.run_lines(found)[2]


def test_what_lay_before_a_retry_is_told_by_itself(api: Api, target: Target) -> None:
    """Nobody takes the hour in which a run stood failed for time in which it ran."""
    harness = api.harness
    slow(harness, target, BROKEN, FINE)
    harness.publish(runbook("slow", http("go", target.url("/go"), retry={"max_attempts": 1})))
    run = harness.start("slow")
    assert harness.run(run) == "FAILED"
    harness.pass_time(60 * MINUTE)
    controls.retry(harness.rt, BOB, run)
    assert harness.run(run) == "SUCCESS"
    found = api.get(f"/executions/{run}", CAROL)
    assert "(4 s running, 1 h until its last retry)" in show.run_lines(found)[-1]
    assert "(8 s running, 1 h waiting)" in show.run_lines(found)[1]


def test_what_is_under_way_counts_on_where_it_is(api: Api, target: Target) -> None:
    """Redrawn a while after the answer, the time since belongs to what the step does."""
    harness = api.harness
    harness.publish(runbook("slow", gate("sign-off", allow_self=True, approvers={"users": [CAROL.user_id]})))
    run = harness.start("slow")
    harness.run(run)
    controls.pause(harness.rt, CAROL, run, "")
    harness.pass_time(MINUTE)
    found = api.get(f"/executions/{run}", CAROL)
    later = harness.clock.time / 1000 + 60
    assert "2 min (2 min paused)" in show.run_lines(found, later)[2]
    assert "2 min (1 min waiting, 1 min paused)" in show.run_lines({**found, "status": "WAITING"}, later)[2]


STEP = StepRunRecord(
    id=1, execution_id="R-7K2M9Q", path="a", step_id="a", position=0, kind="http", status=StepStatus.SUCCESS, fence=1,
    blocked=0, due_at=None, deadline_at=None, attempts=1, failures=0, recoveries=0, idempotent=True,
    worker_id="w", started_at=1_000, ended_at=100_000, outputs=None, error=None, note="",
)  # fmt: skip
SPANS = st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 200_000)), max_size=6)


@given(SPANS, SPANS, st.sampled_from(["http", "approval", "branch", "loop"]), st.booleans())
def test_the_parts_make_up_the_whole(
    tries: list[tuple[int, int]], rests: list[tuple[int, int]], kind: str, ended: bool
) -> None:
    """However tries and pauses overlap."""
    step = replace(STEP, kind=kind, ended_at=STEP.ended_at if ended else None)
    found = of_step(step, tries, rests, 150_000)
    assert found is not None
    assert found.whole == (99_000 if ended else 149_000)
    assert min(found.tried, found.waited, found.paused) >= 0


def test_a_try_goes_on_in_a_pause() -> None:
    """What ran is not said to have stood still; a branch stands still with its run."""
    assert of_step(STEP, [(1_000, 50_000)], [(40_000, 60_000)], 0) == Spent(49_000, 40_000, 10_000)
    assert of_step(replace(STEP, kind="branch"), [], [(40_000, 60_000)], 0) == Spent(79_000, 0, 20_000)
    assert of_step(replace(STEP, started_at=None), [], [], 0) is None
    told = [EventRecord("R-7K2M9Q", 1, at, kind, None, None, {}) for at, kind in ((1, "paused"), (5, "resumed"))]
    assert pauses([*told, replace(told[0], at=7)], 9) == [(1, 5), (7, 9)]


@pytest.mark.parametrize(
    ("kind", "spent", "words"),
    [
        ("http", (4_000, 300, 0), "4 s"),
        ("http", (4_000, 31_000, 0), "35 s (4 s running, 31 s waiting)"),
        ("http", (100, 31_000, 0), "31 s (31 s waiting)"),
        ("approval", (0, 60_000, 0), "1 min"),
        ("approval", (0, 60_000, 60_000), "2 min (1 min waiting, 1 min paused)"),
        ("http", (0, 0, 0), "less than 0.1 s"),
    ],
)
def test_the_words_of_a_step(kind: str, spent: tuple[int, int, int], words: str) -> None:
    """What a step of its kind does anyway needs no word."""
    assert step_took(kind, *spent) == words


def test_the_words_of_a_run() -> None:
    """Only where it did nothing but run there is nothing to tell apart; a queue is told too."""
    assert parts_words(run_parts(0, 0, 5_000, 5_000, 0, 0), "running") == ""
    assert parts_words(run_parts(0, 0, 60_000, 500, 59_500, 0), "running") == "59 s waiting"
    queued = parts_words(run_parts(0, 20_000, 25_000, 5_000, 0, 0), "running")
    assert queued == "5 s running, 20 s before it began"
    assert parts_words(run_parts(0, None, 9_000, 0, 0, 0), "running") == ""
