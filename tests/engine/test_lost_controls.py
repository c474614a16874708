"""What people ask for at once, or while the database goes away: one of them does it, once and whole, or nobody does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, Harness, Target, at_once, errors, gate, http
from local_server import answer
from test_lost_races import books

from engine import failpoints
from engine.errors import Conflict
from engine.orchestration import admission
from engine.runs import controls, executions, replay_run, skipping, voting
from engine.steps.outcome import Failed, Succeeded, Unknown
from storage import audit, database, idempotency
from storage.records import Filter
from storage.states import Decision

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")
FINE = answer(b'{"ok":true}', "200 OK", "Content-Type: application/json")
ROUNDS = 4
_numbers = itertools.count()


def begin(harness: Harness, *steps: dict[str, Any], **top: Any) -> str:
    """A run of a new runbook: one that is known already is not published twice."""
    return harness.begin(*steps, slug=f"demo-{next(_numbers)}", **top)


def going_on(harness: Harness) -> str:
    run = begin(harness, http("a"), http("b", needs=[]))
    harness.finish(harness.claim(run))
    return run


def paused(harness: Harness) -> str:
    run = going_on(harness)
    controls.pause(harness.rt, CAROL, run)
    return run


def failed(harness: Harness) -> str:
    run = begin(harness, http("a"), http("b"))
    harness.finish(harness.claim(run), Failed("bad", "it is bad"))
    assert harness.status(run) == "FAILED"
    return run


def unknown(harness: Harness) -> str:
    run = begin(harness, http("a", method="POST"), http("b"))
    harness.finish(harness.claim(run), Unknown("timeout", "nobody saw it"))
    return run


def asked(harness: Harness) -> str:
    run = begin(harness, gate("ask"), http("b"))
    harness.advance(run)
    return run


ControlCall = Callable[[Harness, str], Any]
CONTROL_CALLS: dict[str, tuple[Callable[[Harness], str], ControlCall, str]] = {
    "pause": (going_on, lambda harness, run: controls.pause(harness.rt, CAROL, run), "paused"),
    "resume": (paused, lambda harness, run: controls.resume(harness.rt, CAROL, run), "resumed"),
    "cancel": (going_on, lambda harness, run: controls.cancel(harness.rt, CAROL, run), "cancel_requested"),
    "retry": (failed, lambda harness, run: controls.retry(harness.rt, CAROL, run), "step_retried"),
    "resolve": (
        unknown, lambda harness, run: controls.resolve(harness.rt, CAROL, run, None, "done", "x"), "step_resolved"
    ),
    "skip": (failed, lambda harness, run: skipping.skip(harness.rt, CAROL, run, "a", "by hand"), "step_skipped"),
    "vote": (asked, lambda harness, run: voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE), "vote"),
}  # fmt: skip
"""A run that a call fits, the call, and how the story of the run calls it."""


@pytest.mark.parametrize("name", CONTROL_CALLS)
def test_of_two_at_once_one_does_it(harness: Harness, name: str) -> None:
    """The other is told; the deed stands once in the story and in the audit."""
    before, deed, kind = CONTROL_CALLS[name]
    for _ in range(ROUNDS):
        run = before(harness)
        results = at_once(lambda run=run: deed(harness, run), lambda run=run: deed(harness, run))
        assert [type(each) for each in errors(results)] == [Conflict]
        assert harness.event_kinds(run).count(kind) == 1
        harness.check_books(run)


@pytest.mark.parametrize("name", CONTROL_CALLS)
def test_a_database_that_goes_away_before_the_commit_leaves_all_as_it_was(
    harness: Harness, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is hinted of anything, and the same may be asked once more."""
    before, deed, kind = CONTROL_CALLS[name]
    run = before(harness)
    was, told = books(harness, run), harness.event_kinds(run)
    harness.hinted.clear()
    with monkeypatch.context() as patch:
        away(patch, f"{name}.before")
        with pytest.raises(database.OperationalError):
            deed(harness, run)
    assert (books(harness, run), harness.event_kinds(run), harness.hinted) == (was, told, [])
    deed(harness, run)
    assert harness.event_kinds(run).count(kind) == 1
    harness.check_books(run)


@pytest.mark.parametrize("name", CONTROL_CALLS)
def test_a_database_that_goes_away_after_the_commit_has_it_done_once(
    harness: Harness, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks again because nobody answered changes nothing, and what follows needs no hint."""
    before, deed, kind = CONTROL_CALLS[name]
    run = before(harness)
    with monkeypatch.context() as patch:
        away(patch, f"{name}.after")
        with pytest.raises(database.OperationalError):
            deed(harness, run)
    done = books(harness, run)
    with pytest.raises(Conflict):
        deed(harness, run)
    assert books(harness, run) == done
    assert harness.event_kinds(run).count(kind) == 1
    harness.check_books(run)


def away(patch: pytest.MonkeyPatch, point: str) -> None:
    """Lose the connection at this point of a commit."""

    def failpoint(name: str) -> None:
        if name == point:
            raise database.OperationalError("the connection is lost")

    patch.setattr(failpoints, "failpoint", failpoint)


def test_cancel_against_retry(harness: Harness) -> None:
    """A run that has ended is not cancelled; one that goes on is. Either way it ends once more, or stays ended."""
    for _ in range(ROUNDS):
        run = failed(harness)
        results = at_once(
            lambda run=run: controls.cancel(harness.rt, CAROL, run),
            lambda run=run: controls.retry(harness.rt, CAROL, run),
        )
        assert isinstance(results[1], executions.ExecutionRecord), results
        if errors(results):
            assert isinstance(results[0], Conflict)
            assert (harness.status(run), harness.all_steps(run)["a"]) == ("RUNNING", "READY")
        else:
            assert harness.status(run) == "CANCELLED"
        harness.check_books(run)


def test_skip_against_the_end_of_the_step(harness: Harness) -> None:
    """The step is SKIPPED or done, and what needs it is made ready once."""
    for _ in range(ROUNDS):
        run = begin(harness, http("a", method="POST"), http("b", needs=["a"]))
        claim = harness.claim(run)
        harness.finish(claim, Unknown("timeout", "nobody saw it"))
        results = at_once(
            lambda run=run: skipping.skip(harness.rt, CAROL, run, "a", "by hand"),
            lambda run=run: controls.resolve(harness.rt, BOB, run, "a", "done", "I saw it"),
        )
        assert [type(each) for each in errors(results)] == [Conflict]
        skipped = isinstance(results[1], Conflict)
        assert harness.all_steps(run) == {"a": "SKIPPED" if skipped else "SUCCESS", "b": "READY"}
        assert harness.step(run, "b").blocked == 0
        harness.check_books(run)


def test_a_skip_of_what_runs_finds_it_done(harness: Harness) -> None:
    """A step that runs is not skipped, nor one that has just ended."""
    for _ in range(ROUNDS):
        run = begin(harness, http("a"), http("b"))
        claim = harness.claim(run)
        results = at_once(
            lambda run=run: skipping.skip(harness.rt, CAROL, run, "a", "by hand"),
            lambda claim=claim: harness.finish(claim, Succeeded({})),
        )
        assert [type(each) for each in errors(results)] == [Conflict]
        assert harness.all_steps(run) == {"a": "SUCCESS", "b": "READY"}
        harness.check_books(run)


def test_pause_against_the_last_result(harness: Harness) -> None:
    """A run that has ended is not paused, one that was paused first ends all the same: what runs finishes."""
    for _ in range(ROUNDS):
        run = begin(harness, http("a"))
        claim = harness.claim(run)
        results = at_once(
            lambda run=run: controls.pause(harness.rt, CAROL, run), lambda claim=claim: harness.finish(claim)
        )
        assert all(isinstance(each, Conflict) for each in errors(results))
        assert harness.all_steps(run) == {"a": "SUCCESS"}
        assert harness.event_kinds(run).count("ended") == (harness.status(run) == "SUCCESS")
        harness.check_books(run)


def test_a_retry_is_refused_where_another_run_took_the_slot_meanwhile(harness: Harness, target: Target) -> None:
    """It never waits for one: nothing of the run has changed, and it may be asked for again."""
    target.does["/a"] = [BROKEN, FINE]
    group = {"group": "g", "limit": 1}
    run = begin(harness, http("a", target.url("/a")), concurrency=group)
    assert harness.run(run) == "FAILED"
    other = begin(harness, gate("ask"), concurrency=group)
    harness.advance(other)
    before, told = books(harness, run), harness.event_kinds(run)
    with pytest.raises(Conflict, match="all are taken"):
        controls.retry(harness.rt, CAROL, run)
    assert (books(harness, run), harness.event_kinds(run)) == (before, told)
    controls.cancel(harness.rt, CAROL, other)
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"


def drawing(patch: pytest.MonkeyPatch, *ids: str) -> None:
    """The ids that are drawn from here on."""
    letters = iter("".join(each.removeprefix("R-") for each in ids))
    patch.setattr(admission.secrets, "choice", lambda _letters: next(letters))


def ended(harness: Harness) -> str:
    run = begin(harness, http("a"))
    harness.finish(harness.claim(run))
    assert harness.status(run) == "SUCCESS"
    return run


def starts(harness: Harness, run: str) -> list[str]:
    """The runs that replay this one."""
    return [each.id for each in executions.recent(harness.rt, Filter(), 50) if each.trigger == f"replay:{run}"]


def test_a_replay_whose_id_is_taken_draws_another(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is there once."""
    old = ended(harness)
    drawing(monkeypatch, old, old, "R-ABCDEF")
    assert replay_run.replay(harness.rt, CAROL, old, key="k").id == "R-ABCDEF"
    assert starts(harness, old) == ["R-ABCDEF"]
    assert harness.hinted[-1] == "R-ABCDEF"


def test_replays_at_once_with_one_key_are_one(harness: Harness) -> None:
    """Everybody is given the same run; another key is another run."""
    for number in range(ROUNDS):
        old = ended(harness)
        found = at_once(*[lambda old=old, n=number: replay_run.replay(harness.rt, CAROL, old, key=f"k{n}")] * 4)
        assert errors(found) == []
        assert {each.id for each in found} == set(starts(harness, old))
        assert len(starts(harness, old)) == 1
        replay_run.replay(harness.rt, CAROL, old, key=f"other{number}")
        assert len(starts(harness, old)) == 2


def overlooked(patch: pytest.MonkeyPatch) -> None:
    """The key was used by another connection a moment after this one looked."""
    recall, seen = idempotency.recall, []

    def late(*given: Any) -> Any:
        seen.append(given)
        return recall(*given) if len(seen) > 1 else None

    patch.setattr(idempotency, "recall", late)


def test_a_key_that_is_used_between_look_and_commit_gives_the_run_of_whoever_was_first(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay, or a start: nothing of a second run is left over."""
    old = ended(harness)
    first = replay_run.replay(harness.rt, CAROL, old, key="k").id
    with monkeypatch.context() as patch:
        overlooked(patch)
        assert replay_run.replay(harness.rt, CAROL, old, key="k").id == first
    assert starts(harness, old) == [first]
    wanted = admission.Wanted(harness.execution(old).slug, {}, trigger="test", incident={"case": "x"})
    started = executions.request(harness.rt, CAROL, wanted, key="s").execution.id
    harness.finish(harness.claim(started))
    with monkeypatch.context() as patch:
        overlooked(patch)
        again = executions.request(harness.rt, CAROL, wanted, key="s")
    assert again.execution.id == started
    with database.reading():
        rows = [row for row in audit.recent(harness.rt.workspace_id, 50) if row.action == "execution.start"]
    assert len(rows) == 3, "the first, its replay and the start"


def test_a_key_of_a_replay_is_no_key_for_another_request(harness: Harness) -> None:
    """Neither from another step nor of another run."""
    old, other = ended(harness), ended(harness)
    replay_run.replay(harness.rt, CAROL, old, key="k")
    with pytest.raises(Conflict, match="used for another request"):
        replay_run.replay(harness.rt, CAROL, other, key="k")
    with pytest.raises(Conflict, match="used for another request"):
        replay_run.replay(harness.rt, CAROL, old, start_from="a", reason="again", key="k")
    assert starts(harness, other) == []


def test_a_replay_whose_commit_fails_leaves_nothing(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the commit there is no run and no key; after it whoever asks again is given the run that is there."""
    old = ended(harness)
    harness.hinted.clear()
    with monkeypatch.context() as patch:
        away(patch, "replay.before")
        with pytest.raises(database.OperationalError):
            replay_run.replay(harness.rt, CAROL, old, key="k")
    assert (starts(harness, old), harness.hinted) == ([], [])
    with monkeypatch.context() as patch:
        away(patch, "replay.after")
        with pytest.raises(database.OperationalError):
            replay_run.replay(harness.rt, CAROL, old, key="k")
    (there,) = starts(harness, old)
    assert replay_run.replay(harness.rt, CAROL, old, key="k").id == there
    assert starts(harness, old) == [there]


def test_a_start_whose_commit_fails_leaves_nothing(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a replay."""
    slug = harness.execution(ended(harness)).slug
    wanted = admission.Wanted(slug, {}, trigger="lost", incident={"case": "x"})

    def found() -> list[str]:
        return [each.id for each in executions.recent(harness.rt, Filter(), 50) if each.trigger == "lost"]

    for point, left in (("accept.before", 0), ("accept.after", 1)):
        harness.hinted.clear()
        with monkeypatch.context() as patch:
            away(patch, point)
            with pytest.raises(database.OperationalError):
                executions.request(harness.rt, CAROL, wanted, key="k")
        assert (len(found()), harness.hinted) == (left, [])
    assert executions.request(harness.rt, CAROL, wanted, key="k").execution.id == found()[0]
    assert len(found()) == 1
