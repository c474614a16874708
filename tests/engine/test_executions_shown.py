"""What is kept about showing runs: which cards are behind, who may show, and when there is nothing more to show."""

from __future__ import annotations

import itertools

import pytest
from house import CAROL, House, Target, http, runbook

from engine.orchestration import admission
from engine.queries import events, projection
from engine.runs import executions
from storage import audit, database

CHANNEL = {"channel": "C0INC0001"}
CASES = itertools.count(1)


def start(house: House, incident: dict[str, str] | None = CHANNEL) -> str:
    about = {**incident, "case": next(CASES)} if incident else None
    return executions.start(house.rt, CAROL, "demo", {}, trigger="test", incident=about).id


@pytest.fixture
def house(house: House, target: Target) -> House:
    house.publish(runbook("demo", http("a", target.url())))
    return house


def behind(house: House) -> list[str]:
    return [card.execution_id for card in projection.outdated_cards(house.rt)]


def test_a_card_is_behind_until_all_is_shown_and_told(house: House) -> None:
    """Then it is looked at no more, unless something happens."""
    run = start(house)
    seq = house.execution(run).event_seq
    assert behind(house) == [run]
    projection.mark_shown(house.rt, run, seq)
    assert behind(house) == [run]
    projection.mark_posted(house.rt, run, seq)
    assert behind(house) == []
    house.advance(run)
    assert behind(house) == [run]
    assert [each.seq for each in events.after(house.rt, run, seq)] == list(range(seq + 1, seq + 4))


def test_every_change_of_a_run_puts_its_card_behind(house: House) -> None:
    """Also a run out of time whose step still runs: the sequence grows with every change."""
    run = start(house)
    claim = house.claim(run)
    before = house.execution(run)
    house.clock.time = before.deadline_at or 0
    house.sweep(work=False)
    assert house.execution(run).pending_result == "FAILED"
    assert house.execution(run).event_seq > before.event_seq
    house.finish(claim)
    house.check_books(run)


def test_a_card_that_shows_its_runs_end_is_settled(house: House) -> None:
    """It is out of the way of every later look."""
    run = start(house)
    house.advance(run)
    seq = house.execution(run).event_seq
    projection.mark_shown(house.rt, run, seq - 1)
    projection.mark_posted(house.rt, run, seq)
    assert behind(house) == [run]
    projection.mark_shown(house.rt, run, seq)
    assert behind(house) == []


def test_the_card_shown_longest_ago_comes_first(house: House) -> None:
    """Fair to all."""
    first, second = start(house), start(house)
    projection.mark_shown(house.rt, first, 0)
    assert behind(house) == [second, first]
    house.clock.tick(1)
    projection.mark_shown(house.rt, second, 0)
    assert behind(house) == [first, second]


def test_a_run_without_a_channel_has_no_card(house: House) -> None:
    """From the command line, say."""
    run = start(house, None)
    assert behind(house) == []
    assert projection.card_of(house.rt, run) is None


def test_a_card_remembers_its_message(house: House) -> None:
    """So that it is updated and not posted again."""
    run = start(house)
    card = projection.card_of(house.rt, run)
    assert card is not None
    assert (card.channel, card.ts) == ("C0INC0001", None)
    projection.set_channel_ts(house.rt, run, "1700000000.000100")
    card = projection.card_of(house.rt, run)
    assert card is not None
    assert card.ts == "1700000000.000100"


def test_a_channel_that_can_not_be_written_to_is_given_up(house: House) -> None:
    """The run goes on unseen, and the audit log says why."""
    run = start(house)
    projection.give_up(house.rt, run, "channel_not_found")
    assert behind(house) == []
    house.advance(run)
    assert house.status(run) == "SUCCESS"
    assert behind(house) == []
    with database.reading():
        assert audit.of_thing(1, f"execution:{run}")[-1].action == "slack.give_up"


def test_a_channel_that_can_not_be_written_to_comes_last_until_it_can(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps no other run waiting, is tried again when somebody speaks there, and is given up after the end."""
    first, second = start(house), start(house)
    projection.note_unreachable(house.rt, executions.find(house.rt, first), "not_in_channel")
    assert [card.execution_id for card in projection.outdated_cards(house.rt)] == [second, first]
    projection.retry_channel(house.rt, "C0OTHER")
    assert [card.trouble for card in projection.outdated_cards(house.rt)] == ["", "not_in_channel"]
    projection.retry_channel(house.rt, "C0INC0001")
    assert [card.trouble for card in projection.outdated_cards(house.rt)] == ["", ""]
    house.advance(first)
    projection.note_unreachable(house.rt, executions.find(house.rt, first), "not_in_channel")
    assert first in behind(house)
    monkeypatch.setattr(projection, "UNREACHABLE_MS", 0)
    projection.note_unreachable(house.rt, executions.find(house.rt, first), "not_in_channel")
    assert first not in behind(house)


def test_a_post_is_kept_once_by_its_key(house: House) -> None:
    """Posted again, the newer message counts."""
    run = start(house)
    projection.add_post(house.rt, run, "gate:1", "C1", "1.1")
    projection.add_post(house.rt, run, "gate:1", "C1", "2.2")
    projection.add_post(house.rt, run, "gate:2", "C1", "3.3")
    projection.settle_post(house.rt, run, "gate:2")
    assert [(each.key, each.ts, each.settled) for each in projection.posts(house.rt, run)] == [
        ("gate:1", "2.2", False),
        ("gate:2", "3.3", True),
    ]


def test_one_process_shows_at_a_time(house: House) -> None:
    """The lease is renewed by its holder, and free once given back."""
    assert projection.hold_lease(house.rt, "a")
    assert not projection.hold_lease(house.rt, "b")
    projection.release_lease(house.rt, "a")
    assert projection.hold_lease(house.rt, "b")


def test_ids_are_drawn_again_when_taken_and_trouble_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken id is no error; a database that takes no id at all is one, and not an endless loop."""
    taken = start(house)
    letters = iter(taken.removeprefix("R-") + "ABCDEF")
    with monkeypatch.context() as patch:
        patch.setattr(admission.secrets, "choice", lambda _letters: next(letters))
        assert start(house) == "R-ABCDEF"
    with monkeypatch.context() as patch:
        endless = iter(taken.removeprefix("R-") * 50)
        patch.setattr(admission.secrets, "choice", lambda _letters: next(endless))
        with pytest.raises(database.IntegrityError):
            start(house)
