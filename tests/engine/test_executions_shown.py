"""What is kept about showing runs: which cards are behind, who may show, and when there is nothing more to show."""

from __future__ import annotations

import itertools

import pytest
from harness import CAROL, Harness, Target, http, runbook

from engine.orchestration import admission
from engine.queries import events, projection
from engine.runs import executions
from storage import audit, database

CHANNEL = {"channel": "C0INC0001"}
CASES = itertools.count(1)


def start(harness: Harness, incident: dict[str, str] | None = CHANNEL) -> str:
    about = {**incident, "case": next(CASES)} if incident else None
    return executions.start(harness.rt, CAROL, "demo", {}, trigger="test", incident=about).id


@pytest.fixture
def harness(harness: Harness, target: Target) -> Harness:
    harness.publish(runbook("demo", http("a", target.url())))
    return harness


def behind(harness: Harness) -> list[str]:
    return [card.execution_id for card in projection.outdated_cards(harness.rt)]


def test_a_card_is_behind_until_all_is_shown_and_told(harness: Harness) -> None:
    """Then it is looked at no more, unless something happens."""
    run = start(harness)
    seq = harness.execution(run).event_seq
    assert behind(harness) == [run]
    projection.mark_shown(harness.rt, run, seq)
    assert behind(harness) == [run]
    projection.mark_posted(harness.rt, run, seq)
    assert behind(harness) == []
    harness.advance(run)
    assert behind(harness) == [run]
    assert [each.seq for each in events.after(harness.rt, run, seq)] == list(range(seq + 1, seq + 4))


def test_every_change_of_a_run_puts_its_card_behind(harness: Harness) -> None:
    """Also a run out of time whose step still runs: the sequence grows with every change."""
    run = start(harness)
    claim = harness.claim(run)
    before = harness.execution(run)
    harness.clock.time = before.deadline_at or 0
    harness.sweep(work=False)
    assert harness.execution(run).pending_result == "FAILED"
    assert harness.execution(run).event_seq > before.event_seq
    harness.finish(claim)
    harness.check_books(run)


def test_a_card_that_shows_its_runs_end_is_settled(harness: Harness) -> None:
    """It is out of the way of every later look."""
    run = start(harness)
    harness.advance(run)
    seq = harness.execution(run).event_seq
    projection.mark_shown(harness.rt, run, seq - 1)
    projection.mark_posted(harness.rt, run, seq)
    assert behind(harness) == [run]
    projection.mark_shown(harness.rt, run, seq)
    assert behind(harness) == []


def test_the_card_shown_longest_ago_comes_first(harness: Harness) -> None:
    """Fair to all."""
    first, second = start(harness), start(harness)
    projection.mark_shown(harness.rt, first, 0)
    assert behind(harness) == [second, first]
    harness.clock.tick(1)
    projection.mark_shown(harness.rt, second, 0)
    assert behind(harness) == [first, second]


def test_a_run_without_a_channel_has_no_card(harness: Harness) -> None:
    """From the command line, say."""
    run = start(harness, None)
    assert behind(harness) == []
    assert projection.card_of(harness.rt, run) is None


def test_a_card_remembers_its_message(harness: Harness) -> None:
    """So that it is updated and not posted again."""
    run = start(harness)
    card = projection.card_of(harness.rt, run)
    assert card is not None
    assert (card.channel, card.ts) == ("C0INC0001", None)
    projection.set_channel_ts(harness.rt, run, "1700000000.000100")
    card = projection.card_of(harness.rt, run)
    assert card is not None
    assert card.ts == "1700000000.000100"


def test_a_channel_that_can_not_be_written_to_is_given_up(harness: Harness) -> None:
    """The run goes on unseen, and the audit log says why."""
    run = start(harness)
    projection.give_up(harness.rt, run, "channel_not_found")
    assert behind(harness) == []
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert behind(harness) == []
    with database.reading():
        assert audit.of_thing(1, f"execution:{run}")[-1].action == "slack.give_up"


def test_a_channel_that_can_not_be_written_to_comes_last_until_it_can(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps no other run waiting, is tried again when somebody speaks there, and is given up after the end."""
    first, second = start(harness), start(harness)
    projection.note_unreachable(harness.rt, executions.find(harness.rt, first), "not_in_channel")
    assert [card.execution_id for card in projection.outdated_cards(harness.rt)] == [second, first]
    projection.retry_channel(harness.rt, "C0OTHER")
    assert [card.trouble for card in projection.outdated_cards(harness.rt)] == ["", "not_in_channel"]
    projection.retry_channel(harness.rt, "C0INC0001")
    assert [card.trouble for card in projection.outdated_cards(harness.rt)] == ["", ""]
    harness.advance(first)
    projection.note_unreachable(harness.rt, executions.find(harness.rt, first), "not_in_channel")
    assert first in behind(harness)
    monkeypatch.setattr(projection, "UNREACHABLE_MS", 0)
    projection.note_unreachable(harness.rt, executions.find(harness.rt, first), "not_in_channel")
    assert first not in behind(harness)


def test_a_post_is_kept_once_by_its_key(harness: Harness) -> None:
    """Posted again, the newer message counts."""
    run = start(harness)
    projection.add_post(harness.rt, run, "gate:1", "C1", "1.1")
    projection.add_post(harness.rt, run, "gate:1", "C1", "2.2")
    projection.add_post(harness.rt, run, "gate:2", "C1", "3.3")
    projection.settle_post(harness.rt, run, "gate:2")
    assert [(each.key, each.ts, each.settled) for each in projection.posts(harness.rt, run)] == [
        ("gate:1", "2.2", False),
        ("gate:2", "3.3", True),
    ]


def test_one_process_shows_at_a_time(harness: Harness) -> None:
    """The lease is renewed by its holder, and free once given back."""
    assert projection.hold_lease(harness.rt, "a")
    assert not projection.hold_lease(harness.rt, "b")
    projection.release_lease(harness.rt, "a")
    assert projection.hold_lease(harness.rt, "b")


def test_ids_are_drawn_again_when_taken_and_trouble_ends(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken id is no error; a database that takes no id at all is one, and not an endless loop."""
    taken = start(harness)
    letters = iter(taken.removeprefix("R-") + "ABCDEF")
    with monkeypatch.context() as patch:
        patch.setattr(admission.secrets, "choice", lambda _letters: next(letters))
        assert start(harness) == "R-ABCDEF"
    with monkeypatch.context() as patch:
        endless = iter(taken.removeprefix("R-") * 50)
        patch.setattr(admission.secrets, "choice", lambda _letters: next(endless))
        with pytest.raises(database.IntegrityError):
            start(harness)
