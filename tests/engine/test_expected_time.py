"""Runs that take longer than expected: told once, whatever happens, by the time that counts."""

from __future__ import annotations

from harness import ALICE, CAROL, MINUTE, Harness, gate, http, poll

from bot import event_text
from engine.definition.load import examine
from engine.orchestration import expected_time
from engine.runs import controls, voting
from storage.states import Decision

TOLD = "longer_than_expected"


def slow(harness: Harness, *before: dict[str, object]) -> str:
    """A run that waits for its answer longer than the five minutes that are expected."""
    step = poll("wait", "http://127.0.0.1:9/x", "response.json.ok", timeout="50m")
    return harness.begin(*before, step, expected="5m")  # type: ignore[arg-type]


def test_it_is_told_once(harness: Harness) -> None:
    """Not a moment early, whoever sweeps, and however often; a second look at it changes nothing."""
    run = slow(harness)
    harness.claim(run)
    harness.pass_time(5 * MINUTE - 1)
    harness.sweep(work=False)
    assert TOLD not in harness.event_kinds(run)
    harness.pass_time(1)
    harness.sweep(work=False)
    harness.sweep(work=False)
    expected_time.tell(harness.rt, run)
    assert harness.event_kinds(run).count(TOLD) == 1
    assert harness.execution(run).overran_at == harness.clock.time
    (event,) = [each for each in harness.events(run) if each.kind == TOLD]
    words = event_text.told(event.kind, event.path, event.actor, event.data)
    assert words == f"this run of {CAROL.user_id} takes longer than expected, which is at most 5 min"


def test_neither_a_gate_nor_a_pause_counts(harness: Harness) -> None:
    run = slow(harness, gate("ask", timeout="20h"))
    harness.advance(run)
    harness.pass_time(60 * MINUTE)
    harness.sweep(work=False)
    harness.know_groups()
    controls.pause(harness.rt, CAROL, run)
    harness.pass_time(60 * MINUTE)
    harness.know_groups()
    controls.resume(harness.rt, CAROL, run)
    voting.vote(harness.rt, ALICE, run, "ask", Decision.APPROVE)
    harness.claim(run)
    harness.pass_time(4 * MINUTE)
    harness.sweep(work=False)
    assert TOLD not in harness.event_kinds(run)
    harness.pass_time(MINUTE)
    harness.sweep(work=False)
    assert harness.event_kinds(run).count(TOLD) == 1


def test_what_has_ended_or_expects_nothing_is_not_told(harness: Harness, target: object) -> None:
    quick = harness.begin(http("call", harness_url(target)), expected="5m", slug="quick")
    assert harness.run(quick) == "SUCCESS"
    silent = harness.begin(poll("wait", "http://127.0.0.1:9/x", "response.json.ok", timeout="50m"), slug="silent")
    harness.claim(silent)
    harness.pass_time(30 * MINUTE)
    harness.sweep(work=False)
    for run in (quick, silent):
        expected_time.tell(harness.rt, run)
        assert TOLD not in harness.event_kinds(run)


def harness_url(target: object) -> str:
    return target.url("/call")  # type: ignore[attr-defined,no-any-return]


def test_it_is_shorter_than_the_timeout() -> None:
    text = "apiVersion: runbook/v1\nid: a\nname: A\nexpected: {}\nsteps: [{{id: d, type: delay, with: {{for: 1s}}}}]\n"
    (found,) = examine(text.format("1h").encode(), "a.yaml").problems
    assert (found.line, found.message) == (4, "`expected` must be shorter than `timeout`, which is 1h")
    (found,) = examine(text.format("soon").encode(), "a.yaml").problems
    assert "is not a duration" in found.message
    runbook = examine(text.format("59m").encode(), "a.yaml").runbook
    assert runbook is not None
    assert runbook.expected_ms == 59 * MINUTE
