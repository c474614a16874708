"""What people ask for at once, or while the database goes away: one of them does it, once and whole, or nobody does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from house import ALICE, BOB, CAROL, House, Target, at_once, errors, gate, http
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


def begin(house: House, *steps: dict[str, Any], **top: Any) -> str:
    """A run of a new runbook: one that is known already is not published twice."""
    return house.begin(*steps, slug=f"demo-{next(_numbers)}", **top)


def going_on(house: House) -> str:
    run = begin(house, http("a"), http("b", needs=[]))
    house.finish(house.claim(run))
    return run


def paused(house: House) -> str:
    run = going_on(house)
    controls.pause(house.rt, CAROL, run)
    return run


def failed(house: House) -> str:
    run = begin(house, http("a"), http("b"))
    house.finish(house.claim(run), Failed("bad", "it is bad"))
    assert house.status(run) == "FAILED"
    return run


def unknown(house: House) -> str:
    run = begin(house, http("a", method="POST"), http("b"))
    house.finish(house.claim(run), Unknown("timeout", "nobody saw it"))
    return run


def asked(house: House) -> str:
    run = begin(house, gate("ask"), http("b"))
    house.advance(run)
    return run


Deed = Callable[[House, str], Any]
DEEDS: dict[str, tuple[Callable[[House], str], Deed, str]] = {
    "pause": (going_on, lambda house, run: controls.pause(house.rt, CAROL, run), "paused"),
    "resume": (paused, lambda house, run: controls.resume(house.rt, CAROL, run), "resumed"),
    "cancel": (going_on, lambda house, run: controls.cancel(house.rt, CAROL, run), "cancel_requested"),
    "retry": (failed, lambda house, run: controls.retry(house.rt, CAROL, run), "step_retried"),
    "resolve": (unknown, lambda house, run: controls.resolve(house.rt, CAROL, run, None, "done", "x"), "step_resolved"),
    "skip": (failed, lambda house, run: skipping.skip(house.rt, CAROL, run, "a", "by hand"), "step_skipped"),
    "vote": (asked, lambda house, run: voting.vote(house.rt, ALICE, run, None, Decision.APPROVE), "vote"),
}  # fmt: skip
"""A run that a deed fits, the deed, and how the story of the run calls it."""


@pytest.mark.parametrize("name", DEEDS)
def test_of_two_at_once_one_does_it(house: House, name: str) -> None:
    """The other is told; the deed stands once in the story and in the audit."""
    before, deed, kind = DEEDS[name]
    for _ in range(ROUNDS):
        run = before(house)
        results = at_once(lambda run=run: deed(house, run), lambda run=run: deed(house, run))
        assert [type(each) for each in errors(results)] == [Conflict]
        assert house.event_kinds(run).count(kind) == 1
        house.check_books(run)


@pytest.mark.parametrize("name", DEEDS)
def test_a_database_that_goes_away_before_the_commit_leaves_all_as_it_was(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is hinted of anything, and the same may be asked once more."""
    before, deed, kind = DEEDS[name]
    run = before(house)
    was, told = books(house, run), house.event_kinds(run)
    house.hinted.clear()
    with monkeypatch.context() as patch:
        away(patch, f"{name}.before")
        with pytest.raises(database.OperationalError):
            deed(house, run)
    assert (books(house, run), house.event_kinds(run), house.hinted) == (was, told, [])
    deed(house, run)
    assert house.event_kinds(run).count(kind) == 1
    house.check_books(run)


@pytest.mark.parametrize("name", DEEDS)
def test_a_database_that_goes_away_after_the_commit_has_it_done_once(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks again because nobody answered changes nothing, and what follows needs no hint."""
    before, deed, kind = DEEDS[name]
    run = before(house)
    with monkeypatch.context() as patch:
        away(patch, f"{name}.after")
        with pytest.raises(database.OperationalError):
            deed(house, run)
    done = books(house, run)
    with pytest.raises(Conflict):
        deed(house, run)
    assert books(house, run) == done
    assert house.event_kinds(run).count(kind) == 1
    house.check_books(run)


def away(patch: pytest.MonkeyPatch, point: str) -> None:
    """Lose the connection at this point of a commit."""

    def failpoint(name: str) -> None:
        if name == point:
            raise database.OperationalError("the connection is lost")

    patch.setattr(failpoints, "failpoint", failpoint)


def test_cancel_against_retry(house: House) -> None:
    """A run that has ended is not cancelled; one that goes on is. Either way it ends once more, or stays ended."""
    for _ in range(ROUNDS):
        run = failed(house)
        results = at_once(
            lambda run=run: controls.cancel(house.rt, CAROL, run), lambda run=run: controls.retry(house.rt, CAROL, run)
        )
        assert isinstance(results[1], executions.ExecutionRecord), results
        if errors(results):
            assert isinstance(results[0], Conflict)
            assert (house.status(run), house.all_steps(run)["a"]) == ("RUNNING", "READY")
        else:
            assert house.status(run) == "CANCELLED"
        house.check_books(run)


def test_skip_against_the_end_of_the_step(house: House) -> None:
    """The step is SKIPPED or done, and what needs it is let on once."""
    for _ in range(ROUNDS):
        run = begin(house, http("a", method="POST"), http("b", needs=["a"]))
        claim = house.claim(run)
        house.finish(claim, Unknown("timeout", "nobody saw it"))
        results = at_once(
            lambda run=run: skipping.skip(house.rt, CAROL, run, "a", "by hand"),
            lambda run=run: controls.resolve(house.rt, BOB, run, "a", "done", "I saw it"),
        )
        assert [type(each) for each in errors(results)] == [Conflict]
        skipped = isinstance(results[1], Conflict)
        assert house.all_steps(run) == {"a": "SKIPPED" if skipped else "SUCCESS", "b": "READY"}
        assert house.step(run, "b").blocked == 0
        house.check_books(run)


def test_a_skip_of_what_runs_finds_it_done(house: House) -> None:
    """A step that runs is not skipped, nor one that has just ended."""
    for _ in range(ROUNDS):
        run = begin(house, http("a"), http("b"))
        claim = house.claim(run)
        results = at_once(
            lambda run=run: skipping.skip(house.rt, CAROL, run, "a", "by hand"),
            lambda claim=claim: house.finish(claim, Succeeded({})),
        )
        assert [type(each) for each in errors(results)] == [Conflict]
        assert house.all_steps(run) == {"a": "SUCCESS", "b": "READY"}
        house.check_books(run)


def test_pause_against_the_last_result(house: House) -> None:
    """A run that has ended is not paused, one that was paused first ends all the same: what runs finishes."""
    for _ in range(ROUNDS):
        run = begin(house, http("a"))
        claim = house.claim(run)
        results = at_once(lambda run=run: controls.pause(house.rt, CAROL, run), lambda claim=claim: house.finish(claim))
        assert all(isinstance(each, Conflict) for each in errors(results))
        assert house.all_steps(run) == {"a": "SUCCESS"}
        assert house.event_kinds(run).count("ended") == (house.status(run) == "SUCCESS")
        house.check_books(run)


def test_a_retry_is_refused_where_another_run_took_the_slot_meanwhile(house: House, target: Target) -> None:
    """It never waits for one: nothing of the run has changed, and it may be asked for again."""
    target.does["/a"] = [BROKEN, FINE]
    group = {"group": "g", "limit": 1}
    run = begin(house, http("a", target.url("/a")), concurrency=group)
    assert house.run(run) == "FAILED"
    other = begin(house, gate("ask"), concurrency=group)
    house.advance(other)
    before, told = books(house, run), house.event_kinds(run)
    with pytest.raises(Conflict, match="all are taken"):
        controls.retry(house.rt, CAROL, run)
    assert (books(house, run), house.event_kinds(run)) == (before, told)
    controls.cancel(house.rt, CAROL, other)
    controls.retry(house.rt, CAROL, run)
    assert house.run(run) == "SUCCESS"


def drawing(patch: pytest.MonkeyPatch, *ids: str) -> None:
    """The ids that are drawn from here on."""
    letters = iter("".join(each.removeprefix("R-") for each in ids))
    patch.setattr(admission.secrets, "choice", lambda _letters: next(letters))


def ended(house: House) -> str:
    run = begin(house, http("a"))
    house.finish(house.claim(run))
    assert house.status(run) == "SUCCESS"
    return run


def starts(house: House, run: str) -> list[str]:
    """The runs that replay this one."""
    return [each.id for each in executions.recent(house.rt, Filter(), 50) if each.trigger == f"replay:{run}"]


def test_a_replay_whose_id_is_taken_draws_another(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is there once."""
    old = ended(house)
    drawing(monkeypatch, old, old, "R-ABCDEF")
    assert replay_run.replay(house.rt, CAROL, old, key="k").id == "R-ABCDEF"
    assert starts(house, old) == ["R-ABCDEF"]
    assert house.hinted[-1] == "R-ABCDEF"


def test_replays_at_once_with_one_key_are_one(house: House) -> None:
    """Everybody is given the same run; another key is another run."""
    for number in range(ROUNDS):
        old = ended(house)
        found = at_once(*[lambda old=old, n=number: replay_run.replay(house.rt, CAROL, old, key=f"k{n}")] * 4)
        assert errors(found) == []
        assert {each.id for each in found} == set(starts(house, old))
        assert len(starts(house, old)) == 1
        replay_run.replay(house.rt, CAROL, old, key=f"other{number}")
        assert len(starts(house, old)) == 2


def overlooked(patch: pytest.MonkeyPatch) -> None:
    """The key was used by another connection a moment after this one looked."""
    recall, seen = idempotency.recall, []

    def late(*given: Any) -> Any:
        seen.append(given)
        return recall(*given) if len(seen) > 1 else None

    patch.setattr(idempotency, "recall", late)


def test_a_key_that_is_used_between_look_and_commit_gives_the_run_of_whoever_was_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay, or a start: nothing of a second run is left over."""
    old = ended(house)
    first = replay_run.replay(house.rt, CAROL, old, key="k").id
    with monkeypatch.context() as patch:
        overlooked(patch)
        assert replay_run.replay(house.rt, CAROL, old, key="k").id == first
    assert starts(house, old) == [first]
    wanted = admission.Wanted(house.execution(old).slug, {}, trigger="test", incident={"case": "x"})
    started = executions.request(house.rt, CAROL, wanted, key="s").execution.id
    house.finish(house.claim(started))
    with monkeypatch.context() as patch:
        overlooked(patch)
        again = executions.request(house.rt, CAROL, wanted, key="s")
    assert again.execution.id == started
    with database.reading():
        rows = [row for row in audit.recent(house.rt.workspace_id, 50) if row.action == "execution.start"]
    assert len(rows) == 3, "the first, its replay and the start"


def test_a_key_of_a_replay_is_no_key_for_another_request(house: House) -> None:
    """Neither from another step nor of another run."""
    old, other = ended(house), ended(house)
    replay_run.replay(house.rt, CAROL, old, key="k")
    with pytest.raises(Conflict, match="used for another request"):
        replay_run.replay(house.rt, CAROL, other, key="k")
    with pytest.raises(Conflict, match="used for another request"):
        replay_run.replay(house.rt, CAROL, old, start_from="a", reason="again", key="k")
    assert starts(house, other) == []


def test_a_replay_whose_commit_fails_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the commit there is no run and no key; after it whoever asks again is given the run that is there."""
    old = ended(house)
    house.hinted.clear()
    with monkeypatch.context() as patch:
        away(patch, "replay.before")
        with pytest.raises(database.OperationalError):
            replay_run.replay(house.rt, CAROL, old, key="k")
    assert (starts(house, old), house.hinted) == ([], [])
    with monkeypatch.context() as patch:
        away(patch, "replay.after")
        with pytest.raises(database.OperationalError):
            replay_run.replay(house.rt, CAROL, old, key="k")
    (there,) = starts(house, old)
    assert replay_run.replay(house.rt, CAROL, old, key="k").id == there
    assert starts(house, old) == [there]


def test_a_start_whose_commit_fails_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a replay."""
    slug = house.execution(ended(house)).slug
    wanted = admission.Wanted(slug, {}, trigger="lost", incident={"case": "x"})

    def found() -> list[str]:
        return [each.id for each in executions.recent(house.rt, Filter(), 50) if each.trigger == "lost"]

    for point, left in (("accept.before", 0), ("accept.after", 1)):
        house.hinted.clear()
        with monkeypatch.context() as patch:
            away(patch, point)
            with pytest.raises(database.OperationalError):
                executions.request(house.rt, CAROL, wanted, key="k")
        assert (len(found()), house.hinted) == (left, [])
    assert executions.request(house.rt, CAROL, wanted, key="k").execution.id == found()[0]
    assert len(found()) == 1
