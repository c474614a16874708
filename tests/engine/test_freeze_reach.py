"""What a freeze reaches: callers and what they call, older versions and drafts, and a retry at the same moment."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from harness import ALICE, BOB, CAROL, Harness, Target, gate, http, runbook

from engine.errors import EngineError, Frozen, NotAllowed, NotApproved
from engine.orchestration import retry_failed_run
from engine.orchestration.admission import Wanted
from engine.runs import controls, freezing, handover, held_requests
from storage.database import is_postgresql

CALL = {"id": "c", "type": "runbook", "with": {"id": "drop"}}


def freeze(harness: Harness, scope: str, **keys) -> str:
    return freezing.freeze(harness.rt, ALICE, scope, "release night", lasting="6h", **keys).freeze.id


def refuse(target: Target, path: str) -> None:
    target.does[path] = [lambda conn, _: conn.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")]


def sweep(harness: Harness) -> None:
    for _ in range(10):
        harness.clock.tick(60_000)
        harness.sweep()


@pytest.mark.parametrize("deep", [False, True])
def test_what_calls_a_frozen_runbook_does_not_begin(harness: Harness, target: Target, deep: bool) -> None:
    harness.publish(runbook("drop", http("a", target.url("/drop")), tags=["db"]))
    harness.publish(runbook("wrap", CALL))
    harness.publish(runbook("outer", {**CALL, "with": {"id": "wrap"}}))
    frozen = freeze(harness, "tag:db")
    with pytest.raises(Frozen, match=f"{frozen} freezes tag:db"):
        harness.start("outer" if deep else "wrap")
    assert held_requests.hold(harness.rt, CAROL, Wanted("wrap", {}, "test")).frozen


def test_runbooks_that_call_each_other_are_looked_at_once(harness: Harness) -> None:
    harness.publish(
        runbook("drop", {**CALL, "with": {"id": "wrap"}}), runbook("wrap", CALL), runbook("other", http("a"))
    )
    freeze(harness, "other")
    assert harness.start("wrap")


def test_a_retry_of_a_caller_begins_no_frozen_runbook(harness: Harness, target: Target) -> None:
    refuse(target, "/drop")
    harness.publish(runbook("drop", http("a", target.url("/drop")), tags=["db"]))
    harness.publish(runbook("wrap", CALL))
    run = harness.start("wrap")
    harness.run(run)
    harness.run(harness.step(run, "c").child)
    assert harness.run(run) == "FAILED"
    harness.know_groups()
    freeze(harness, "tag:db")
    with pytest.raises(Frozen):
        controls.retry(harness.rt, CAROL, run)
    assert target.paths() == ["/drop"]


def test_a_hold_pauses_the_runbooks_that_a_held_run_calls(harness: Harness, target: Target) -> None:
    wait = {"id": "w", "type": "delay", "with": {"for": "1m"}, "needs": ["a"]}
    harness.publish(runbook("inner", http("a", target.url("/one")), wait, http("b", target.url("/two"), needs=["w"])))
    harness.publish(runbook("outer", {**CALL, "with": {"id": "inner"}}))
    run = harness.start("outer")
    harness.advance(run)
    for _ in range(5):
        harness.sweep()
    assert target.paths() == ["/one"]
    freeze(harness, "outer", hold_running=True)
    sweep(harness)
    assert target.paths() == ["/one"]
    with pytest.raises(Frozen):
        controls.resume(harness.rt, CAROL, harness.step(run, "c").child)


@pytest.mark.parametrize("dropped", [False, True])
def test_a_draft_leads_no_older_run_out_of_a_freeze(harness: Harness, target: Target, dropped: bool) -> None:
    """The approved version has the tag; neither the run's version nor the draft has."""
    refuse(target, "/a")
    run = harness.begin(http("a", target.url("/a")), slug="pay")
    assert harness.run(run) == "FAILED"
    harness.publish(runbook("pay", http("a", target.url("/a")), tags=["db"]))
    freeze(harness, "tag:db")
    if dropped:
        harness.sync(pay=runbook("pay", http("a", target.url("/a"))))
    with pytest.raises(Frozen):
        controls.retry(harness.rt, CAROL, run)


def test_a_draft_lets_no_held_run_go_on(harness: Harness, target: Target) -> None:
    run = harness.begin(gate("g"), http("a", target.url("/a"), needs=["g"]), slug="pay")
    harness.run(run)
    harness.publish(runbook("pay", http("a", target.url("/b")), tags=["db"]))
    freeze(harness, "tag:db", hold_running=True)
    assert harness.status(run) == "PAUSED"
    harness.sync(pay=runbook("pay", http("a", target.url("/b"))))
    with pytest.raises(Frozen):
        controls.resume(harness.rt, CAROL, run)


@pytest.mark.parametrize("on_edit", ["keep", "stop"])
@pytest.mark.parametrize("scope", ["tag:db", "team:infra"])
def test_what_only_the_approved_version_names_can_be_frozen(harness: Harness, scope: str, on_edit: str) -> None:
    harness.settle_for(on_edit=on_edit)
    harness.publish(runbook("pay", http("a"), tags=["db"], team="infra"))
    harness.sync(pay=runbook("pay", http("a")))
    freeze(harness, scope)
    with pytest.raises((Frozen, NotApproved)):
        harness.start("pay", ALICE)


def test_a_draft_does_not_make_its_team_the_one_that_lifts(harness: Harness) -> None:
    harness.settle_for(on_edit="keep")
    harness.publish(runbook("glob", http("a"), team=None))
    frozen = freeze(harness, "glob")
    harness.sync(glob=runbook("glob", http("a"), team="payments"))
    with pytest.raises(NotAllowed):
        freezing.unfreeze(harness.rt, BOB, frozen)


def test_a_run_under_way_is_handed_over_inside_a_freeze(harness: Harness) -> None:
    run = harness.begin(gate("ask"), http("a", needs=["ask"]))
    harness.run(run)
    freeze(harness, "demo")
    handover.offer(harness.rt, CAROL, run, BOB, "the shift is over")
    assert handover.accept(harness.rt, BOB, run).owner == BOB.user_id


def test_a_freeze_waits_for_a_retry_that_was_let_through(harness: Harness, target: Target, monkeypatch) -> None:
    if not is_postgresql():
        pytest.skip("SQLite has one writer at a time")
    refuse(target, "/a")
    run = harness.begin(http("a", target.url("/a")), slug="pay")
    assert harness.run(run) == "FAILED"
    told, before = threading.Event(), retry_failed_run.reopen

    def set_freeze() -> None:
        freeze(harness, "pay")
        told.set()

    setting = threading.Thread(target=set_freeze)

    def reopen(*args) -> None:
        setting.start()
        assert not told.wait(1), "the freeze was in force before the retry was committed"
        before(*args)

    monkeypatch.setattr(retry_failed_run, "reopen", reopen)
    controls.retry(harness.rt, CAROL, run)
    setting.join(20)
    assert told.is_set()
    with suppress(EngineError):
        harness.run(run)
    with pytest.raises(Frozen):
        controls.retry(harness.rt, CAROL, run)
