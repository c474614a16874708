"""What the state machine, the crash points and the chaos have found, each as the shortest way to it."""

from __future__ import annotations

import invariants
import pytest
from harness import CAROL, Harness, Target, gate, http, runbook
from local_server import answer

from engine.errors import Conflict
from engine.orchestration import children
from engine.runs import controls, executions, incoming_events, skipping
from engine.steps.outcome import Failed, Succeeded
from engine.worker import worker_process
from storage.records import Filter


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


def test_a_run_that_has_not_begun_can_be_paused(harness: Harness, target: Target) -> None:
    """It begins when it is resumed."""
    run = harness.begin(http("a", target.url()))
    controls.pause(harness.rt, CAROL, run)
    harness.advance(run)
    assert (harness.status(run), target.hits) == ("PAUSED", [])
    controls.resume(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"


def test_a_paused_run_that_is_cancelled_cleans_up(harness: Harness, target: Target) -> None:
    """Nobody has to resume it for that."""
    run = harness.begin(gate("ask"), **{"finally": [http("tidy", target.url("/tidy"))]})
    harness.advance(run)
    controls.pause(harness.rt, CAROL, run)
    controls.cancel(harness.rt, CAROL, run, "enough")
    assert harness.run(run) == "CANCELLED"
    assert target.paths() == ["/tidy"]


def test_the_calls_of_a_cleanup_are_not_abandoned(harness: Harness, target: Target) -> None:
    """A cancel drops what main is calling; what cleans up after it runs to its end, unless that is ended by force."""
    run = harness.begin(gate("ask"), **{"finally": [http("tidy", target.url("/tidy"))]})
    harness.advance(run)
    controls.cancel(harness.rt, CAROL, run, "enough")
    claim = harness.claim(run)
    harness.runner.abandon_cancelled()
    assert not harness.runner._held.is_abandoned(claim.step_run)
    controls.cancel(harness.rt, CAROL, run, "now", force=True)
    harness.runner.abandon_cancelled()
    assert harness.runner._held.is_abandoned(claim.step_run)


def test_an_event_is_not_lost_between_keeping_and_giving_it(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever took it in died in between: the sweep gives it."""
    run = harness.begin({"id": "hear", "type": "wait", "with": {"key": "k"}}, http("after", target.url("/after")))
    harness.advance(run)

    def die(*_: object) -> bool:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(incoming_events, "give", die)
        with pytest.raises(Crash):
            incoming_events.deliver(harness.rt, "k", "e1", "ci", {})
    assert harness.status(run) == "WAITING"
    harness.sweep()
    assert harness.run(run) == "SUCCESS"


def test_a_delay_that_was_held_back_is_not_over_sooner(harness: Harness, target: Target) -> None:
    """A failure beside it and a retry do not shorten it."""
    wait = {"id": "calm", "type": "delay", "with": {"for": "10m"}, "needs": []}
    run = harness.begin(wait, http("call", target.url("/call"), needs=[]), http("after", target.url(), needs=["calm"]))
    harness.finish(harness.claim(run), Failed("http_status", "no"))
    assert harness.status(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    while (claim := harness.try_claim(run)) is not None:
        harness.finish(claim, Succeeded({}))
    assert harness.all_steps(run)["calm"] == "READY"
    harness.clock.tick(10 * 60_000)
    assert harness.run(run) == "SUCCESS"


def test_a_run_that_times_out_does_not_go_on_with_another_runbook(harness: Harness) -> None:
    """The step that was about to begin it ends with the run, and no child is begun."""
    harness.publish(runbook("child", http("only", "http://127.0.0.1:9/")))
    run = harness.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}}, timeout="1m")
    claim = harness.claim(run)
    harness.clock.tick(60_000)
    harness.sweep(work=False)
    harness.finish(claim, harness.act(claim))
    assert (harness.status(run), harness.all_steps(run)) == ("FAILED", {"sub": "CANCELLED"})
    assert "child_started" not in harness.event_kinds(run)
    invariants.check(run)


def test_a_child_is_cancelled_although_whoever_cancelled_its_parent_died(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep does it."""
    harness.publish(runbook("child", gate("ask")))
    run = harness.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}})
    harness.advance(run)
    (child,) = [each.id for each in executions.recent(harness.rt, Filter()) if each.id != run]
    harness.advance(child)

    def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(children, "cancel_orphans", die)
        with pytest.raises(Crash):
            controls.cancel(harness.rt, CAROL, run, "enough")
    assert (harness.status(run), harness.status(child)) == ("CANCELLED", "WAITING")
    harness.sweep()
    assert harness.status(child) == "CANCELLED"
    invariants.check_audit(harness.rt.workspace_id, child)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_cleanup_that_was_ended_by_force_is_not_begun_again_by_a_takeover(harness: Harness, method: str) -> None:
    """What a dead worker ran of it ends with it, and the run does."""
    run = harness.begin(gate("ask"), **{"finally": [http("tidy", method=method)]})
    harness.advance(run)
    controls.cancel(harness.rt, CAROL, run, "enough")
    harness.claim(run)
    controls.cancel(harness.rt, CAROL, run, "now", force=True)
    harness.alive.clear()
    worker_process.declare_dead("w1")
    harness.sweep(work=False)
    assert (harness.status(run), harness.all_steps(run)["tidy"]) == ("CANCELLED", "CANCELLED")
    invariants.check(run)


def test_what_main_has_left_is_not_skipped_while_the_run_cleans_up(harness: Harness, target: Target) -> None:
    """That would count as the end of the cleanup, before it has begun."""
    target.does["/b"] = [answer(b"no", "400 Bad Request")]
    undo = {"type": "http", "with": {"method": "DELETE", "url": target.url("/undo")}}
    run = harness.begin(
        {**http("a", target.url("/a")), "undo": undo}, http("b", target.url("/b")), http("c", target.url("/c"))
    )
    harness.finish(harness.claim(run))
    claim = harness.claim(run)
    harness.finish(claim, harness.act(claim))
    assert harness.execution(run).phase == "undo"
    with pytest.raises(Conflict, match="is over"):
        skipping.skip(harness.rt, CAROL, run, "c", "not today")
    invariants.check(run)
    assert harness.run(run) == "FAILED"
    assert target.paths() == ["/b", "/undo"]
    with pytest.raises(Conflict, match="is over"):
        skipping.skip(harness.rt, CAROL, run, "c", "not today")
