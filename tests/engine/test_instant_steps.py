"""Steps that reach nothing outside are done in the commit that makes them ready."""

from __future__ import annotations

from typing import Any

import pytest
from harness import CAROL, Harness, Target, gate, http

from engine.runs import controls
from engine.worker import runner
from storage import attempts, database


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


def say(name: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "type": "message", "with": {"text": f"this is {name}"}, **keys}


def commits(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with every transaction from here."""
    original, counted = database.transaction, []
    monkeypatch.setattr(database, "transaction", lambda: counted.append(1) or original())
    return counted


def test_messages_share_the_commit_of_what_they_follow(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of four messages round a call is two commits: one before the call and one after it."""
    run = harness.begin(say("a"), say("b"), http("call", target.url()), say("c"), say("d"))
    made = commits(harness, monkeypatch)
    harness.advance(run)
    assert (harness.status(run), len(made)) == ("SUCCESS", 2)
    assert harness.event_kinds(run).count("message") == 4
    with database.reading():
        tries = [attempts.of_step(step.id) for step in harness.step_runs(run)]
    assert [[(each.number, each.status) for each in made] for made in tries] == [[(1, "SUCCESS")]] * 5
    harness.check_books(run)


def test_many_are_done_in_several_commits(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit bounds how long the run is locked; what is left is gone on with at once, without a hint."""
    monkeypatch.setattr(runner, "MAX_STEPS_PER_COMMIT", 4)
    run = harness.begin(*(say(f"s{number}", needs=[]) for number in range(10)))
    made = commits(harness, monkeypatch)
    harness.advance(run)
    assert (harness.status(run), len(made)) == ("SUCCESS", 3)
    harness.check_books(run)


def test_a_failure_among_them_holds_back_the_rest(harness: Harness) -> None:
    """As it does for calls."""
    bad = {"id": "bad", "type": "message", "with": {"text": "{{ params.note }}"}, "needs": []}
    note = {"type": "object", "properties": {"note": {"type": "string"}}}
    run = harness.begin(say("a", needs=[]), bad, say("c"), say("d", needs=[]), parameters=note)
    harness.advance(run)
    assert harness.status(run) == "FAILED"
    assert harness.all_steps(run) == {"a": "SUCCESS", "bad": "FAILED", "c": "BLOCKED", "d": "BLOCKED"}
    harness.check_books(run)


def test_a_crash_before_the_commit_leaves_nothing_of_them(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next worker does them, and each is told once."""
    run = harness.begin(say("a"), say("b"))
    claim_first = runner.Runner._claim_first

    def then_die(*given: Any) -> Any:
        claim_first(*given)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(runner.Runner, "_claim_first", then_die)
        with pytest.raises(Crash):
            harness.advance(run)
    assert harness.all_steps(run) == {"a": "READY", "b": "BLOCKED"}
    assert harness.run(run) == "SUCCESS"
    assert harness.event_kinds(run).count("message") == 2
    harness.check_books(run)


def test_the_cleanup_goes_on_where_main_has_ended_at_once(harness: Harness) -> None:
    """No hint and no sweep is needed for it."""
    run = harness.begin(say("a"), **{"finally": [say("tidy"), say("bye")]})
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert harness.event_kinds(run).count("message") == 3


def test_a_paused_run_does_none_of_them(harness: Harness) -> None:
    """They wait for the resume like any step."""
    run = harness.begin(gate("ask", needs=[]), say("a", needs=[]))
    controls.pause(harness.rt, CAROL, run)
    harness.advance(run)
    assert harness.all_steps(run) == {"ask": "READY", "a": "READY"}
    controls.resume(harness.rt, CAROL, run)
    harness.advance(run)
    assert harness.all_steps(run) == {"ask": "WAITING", "a": "SUCCESS"}
