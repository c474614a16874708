"""What the state machine, the crash points and the chaos have found, each as the shortest way to it."""

from __future__ import annotations

import books
import pytest
from house import CAROL, House, Target, gate, http, runbook
from local_server import answer

from engine.errors import Conflict
from engine.orchestration import children
from engine.runs import controls, executions, incoming_events, skipping
from engine.steps.outcome import Failed, Succeeded
from engine.worker import worker_process
from storage.records import Filter


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


def test_a_run_that_has_not_begun_can_be_paused(house: House, target: Target) -> None:
    """It begins when it is resumed."""
    run = house.begin(http("a", target.url()))
    controls.pause(house.rt, CAROL, run)
    house.advance(run)
    assert (house.status(run), target.hits) == ("PAUSED", [])
    controls.resume(house.rt, CAROL, run)
    assert house.run(run) == "SUCCESS"


def test_a_paused_run_that_is_cancelled_cleans_up(house: House, target: Target) -> None:
    """Nobody has to resume it for that."""
    run = house.begin(gate("ask"), **{"finally": [http("tidy", target.url("/tidy"))]})
    house.advance(run)
    controls.pause(house.rt, CAROL, run)
    controls.cancel(house.rt, CAROL, run, "enough")
    assert house.run(run) == "CANCELLED"
    assert target.paths() == ["/tidy"]


def test_the_calls_of_a_cleanup_are_not_abandoned(house: House, target: Target) -> None:
    """A cancel drops what main is calling; what cleans up after it runs to its end, unless that is ended by force."""
    run = house.begin(gate("ask"), **{"finally": [http("tidy", target.url("/tidy"))]})
    house.advance(run)
    controls.cancel(house.rt, CAROL, run, "enough")
    claim = house.claim(run)
    house.runner.abandon_cancelled()
    assert not house.runner._held.is_abandoned(claim.step_run)
    controls.cancel(house.rt, CAROL, run, "now", force=True)
    house.runner.abandon_cancelled()
    assert house.runner._held.is_abandoned(claim.step_run)


def test_an_event_is_not_lost_between_keeping_and_giving_it(
    house: House, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever took it in died in between: the sweep gives it."""
    run = house.begin({"id": "hear", "type": "wait", "with": {"key": "k"}}, http("after", target.url("/after")))
    house.advance(run)

    def die(*_: object) -> bool:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(incoming_events, "give", die)
        with pytest.raises(Crash):
            incoming_events.deliver(house.rt, "k", "e1", "ci", {})
    assert house.status(run) == "WAITING"
    house.sweep()
    assert house.run(run) == "SUCCESS"


def test_a_delay_that_was_held_back_is_not_over_sooner(house: House, target: Target) -> None:
    """A failure beside it and a retry do not shorten it."""
    wait = {"id": "calm", "type": "delay", "with": {"for": "10m"}, "needs": []}
    run = house.begin(wait, http("call", target.url("/call"), needs=[]), http("after", target.url(), needs=["calm"]))
    house.finish(house.claim(run), Failed("http_status", "no"))
    assert house.status(run) == "FAILED"
    controls.retry(house.rt, CAROL, run)
    while (claim := house.try_claim(run)) is not None:
        house.finish(claim, Succeeded({}))
    assert house.all_steps(run)["calm"] == "READY"
    house.clock.tick(10 * 60_000)
    assert house.run(run) == "SUCCESS"


def test_a_run_that_times_out_does_not_go_on_with_another_runbook(house: House) -> None:
    """The step that was about to begin it ends with the run, and no child is begun."""
    house.publish(runbook("child", http("only", "http://127.0.0.1:9/")))
    run = house.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}}, timeout="1m")
    claim = house.claim(run)
    house.clock.tick(60_000)
    house.sweep(work=False)
    house.finish(claim, house.act(claim))
    assert (house.status(run), house.all_steps(run)) == ("FAILED", {"sub": "CANCELLED"})
    assert "child_started" not in house.event_kinds(run)
    books.check(run)


def test_a_child_is_cancelled_although_whoever_cancelled_its_parent_died(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep does it."""
    house.publish(runbook("child", gate("ask")))
    run = house.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}})
    house.advance(run)
    (child,) = [each.id for each in executions.recent(house.rt, Filter()) if each.id != run]
    house.advance(child)

    def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(children, "cancel_orphans", die)
        with pytest.raises(Crash):
            controls.cancel(house.rt, CAROL, run, "enough")
    assert (house.status(run), house.status(child)) == ("CANCELLED", "WAITING")
    house.sweep()
    assert house.status(child) == "CANCELLED"
    books.check_audit(house.rt.workspace_id, child)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_cleanup_that_was_ended_by_force_is_not_begun_again_by_a_takeover(house: House, method: str) -> None:
    """What a dead worker ran of it ends with it, and the run does."""
    run = house.begin(gate("ask"), **{"finally": [http("tidy", method=method)]})
    house.advance(run)
    controls.cancel(house.rt, CAROL, run, "enough")
    house.claim(run)
    controls.cancel(house.rt, CAROL, run, "now", force=True)
    house.alive.clear()
    worker_process.declare_dead("w1")
    house.sweep(work=False)
    assert (house.status(run), house.all_steps(run)["tidy"]) == ("CANCELLED", "CANCELLED")
    books.check(run)


def test_what_main_has_left_is_not_skipped_while_the_run_cleans_up(house: House, target: Target) -> None:
    """That would count as the end of the cleanup, before it has begun."""
    target.does["/b"] = [answer(b"no", "400 Bad Request")]
    undo = {"type": "http", "with": {"method": "DELETE", "url": target.url("/undo")}}
    run = house.begin(
        {**http("a", target.url("/a")), "undo": undo}, http("b", target.url("/b")), http("c", target.url("/c"))
    )
    house.finish(house.claim(run))
    claim = house.claim(run)
    house.finish(claim, house.act(claim))
    assert house.execution(run).phase == "undo"
    with pytest.raises(Conflict, match="is over"):
        skipping.skip(house.rt, CAROL, run, "c", "not today")
    books.check(run)
    assert house.run(run) == "FAILED"
    assert target.paths() == ["/b", "/undo"]
    with pytest.raises(Conflict, match="is over"):
        skipping.skip(house.rt, CAROL, run, "c", "not today")
