"""Why a run is where it is, asked at every place where one can stand still."""

from __future__ import annotations

from harness import ALICE, BOB, CAROL, DAVE, MINUTE, Harness, Target, gate, hang_up, http, poll, runbook
from local_server import answer

from engine.queries import explain
from engine.queries.explain import Reason
from engine.runs import controls, voting
from storage.states import Decision

BROKEN = answer(b"out of disk", "503 Service Unavailable")


def why(harness: Harness, run: str) -> list[Reason]:
    return list(explain.explain(harness.rt, run).reasons)


def the_reason(harness: Harness, run: str, kind: str) -> Reason:
    (found,) = [each for each in why(harness, run) if each.kind == kind]
    return found


def test_a_gate_says_who_is_missing_and_until_when(harness: Harness) -> None:
    """Who has voted is not asked again, nor who asked for the run."""
    run = harness.begin(gate("ask", min_approvals=2, approvers={"users": [ALICE.user_id, DAVE.user_id, CAROL.user_id]}))
    harness.advance(run)
    opened = harness.clock.time
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    reason = the_reason(harness, run, "gate")
    assert (reason.path, reason.since, reason.until) == ("ask", opened, opened + 15 * MINUTE)
    assert reason.who == (DAVE.user_id,)
    assert (reason.message, reason.verbs) == ("Go on?", ("approve", "reject"))
    assert (reason.facts["needed"], reason.facts["missing"], reason.facts["then"]) == (2, 1, "fail")


def test_an_unknown_outcome_is_for_those_who_may_settle_it(harness: Harness, target: Target) -> None:
    """The team of the runbook, by people and groups as the access file names them."""
    target.does["/x"] = [hang_up]
    run = harness.begin(http("call", target.url("/x"), method="POST"))
    harness.advance(run)
    reason = the_reason(harness, run, "unknown")
    assert reason.path == "call"
    assert reason.who == (BOB.user_id, "S0PAYMENTS")
    assert "resolve" in reason.verbs


def test_a_back_off_says_until_when_and_what_was_said(harness: Harness, target: Target) -> None:
    """The next try and the last answer."""
    target.does["/x"] = [BROKEN]
    run = harness.begin(http("call", target.url("/x"), retry={"max_attempts": 3, "delay": "30s"}))
    harness.advance(run)
    reason = the_reason(harness, run, "retrying")
    assert reason.until == harness.step(run, "call").due_at
    assert "503" in reason.message
    assert reason.facts["tries"] == 1


def test_a_failure_says_what_the_other_side_answered_and_what_can_be_done(harness: Harness, target: Target) -> None:
    """Status and body of the last try; and retry, skip and replay."""
    target.does["/x"] = [BROKEN]
    run = harness.begin(http("call", target.url("/x"), retry={"max_attempts": 1}))
    harness.run(run)
    reason = the_reason(harness, run, "failed")
    assert reason.facts["response"]["status"] == 503
    assert "out of disk" in reason.facts["response"]["body"]
    assert reason.verbs == ("retry", "skip", "replay")


def test_what_was_undone_can_only_be_replayed(harness: Harness, target: Target) -> None:
    """A retry would go on from what is not there any more."""
    target.does["/x"] = [BROKEN]
    first = {**http("first", target.url("/a")), "undo": {"type": "http", "with": {"url": target.url("/u")}}}
    run = harness.begin(first, http("call", target.url("/x"), retry={"max_attempts": 1}))
    harness.run(run)
    assert the_reason(harness, run, "failed").verbs == ("replay",)


def test_a_queued_run_says_behind_which(harness: Harness) -> None:
    """Who holds the slot, and who comes before in the queue."""
    harness.publish(runbook("one", gate("ask"), concurrency={"group": "only"}))
    first, second, third = (harness.start("one") for _ in range(3) if harness.clock.tick(1))
    harness.advance(first)
    reason = the_reason(harness, third, "queued")
    assert reason.facts == {"group": "only", "holders": [first], "queued_before": [second]}


def test_a_paused_run_says_by_whom_and_still_names_its_gate(harness: Harness) -> None:
    """Votes are recorded meanwhile."""
    run = harness.begin(gate("ask"))
    harness.advance(run)
    controls.pause(harness.rt, CAROL, run, "let me look")
    assert [each.kind for each in why(harness, run)] == ["paused", "gate"]
    reason = the_reason(harness, run, "paused")
    assert (reason.message, reason.facts["by"]) == ("let me look", CAROL.user_id)


def test_waits_polls_and_delays_say_what_for_and_until_when(harness: Harness, target: Target) -> None:
    """An event's key, the next look, the end of a delay."""
    target.does["/p"] = [answer(b'{"ok":false}', "200 OK", "Content-Type: application/json")]
    run = harness.begin(
        {"id": "hear", "type": "wait", "with": {"key": "go-1"}, "timeout": "10m", "needs": []},
        {"id": "rest", "type": "delay", "with": {"for": "5m"}, "needs": []},
        {**poll("look", target.url("/p"), "response.json.ok"), "timeout": "10m", "needs": []},
    )
    harness.advance(run)
    began = harness.clock.time
    found = {each.kind: each for each in why(harness, run)}
    assert set(found) == {"event", "delayed", "checking"}
    assert (found["event"].facts["key"], found["event"].until) == ("go-1", began + 10 * MINUTE)
    assert found["delayed"].until == began + 5 * MINUTE
    assert found["checking"].facts["next"] == began + 1_000


def test_nothing_running_is_about_to_start_unless_no_worker_is_there(harness: Harness) -> None:
    """What the operator has to know comes first."""
    run = harness.begin(http("call"))
    assert [each.kind for each in why(harness, run)] == ["starting"]
    harness.clock.tick(60_000)
    assert [each.kind for each in why(harness, run)] == ["no_worker", "starting"]


def test_a_running_step_says_since_when(harness: Harness) -> None:
    """From its claim on."""
    run = harness.begin(http("call"))
    claim = harness.claim(run)
    began = harness.clock.time
    harness.clock.tick(2_000)
    assert (the_reason(harness, run, "running").path, the_reason(harness, run, "running").since) == ("call", began)
    harness.finish(claim)
    (told,) = why(harness, run)
    assert (told.kind, told.since, told.facts) == ("succeeded", harness.clock.time, {"result": {}})


def test_a_cancelled_run_says_by_whom(harness: Harness) -> None:
    """And why."""
    run = harness.begin(gate("ask"))
    harness.advance(run)
    controls.cancel(harness.rt, CAROL, run, "wrong service")
    harness.advance(run)
    reason = the_reason(harness, run, "cancelled")
    assert (reason.facts["by"], reason.message, reason.verbs) == (CAROL.user_id, "wrong service", ("replay",))


def test_a_cleanup_says_what_it_leads_to(harness: Harness) -> None:
    """The result that is fixed, the phase, and how to end it at once."""
    run = harness.begin(gate("ask"), **{"finally": [gate("sure")]})
    harness.advance(run)
    controls.cancel(harness.rt, CAROL, run, "")
    harness.advance(run)
    reason = the_reason(harness, run, "ending")
    assert reason.facts == {"result": "CANCELLED", "phase": "finally"}
    assert reason.verbs == ("cancel force=yes",)
