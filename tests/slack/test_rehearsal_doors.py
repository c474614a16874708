"""With REQUIRE_REHEARSAL no door approves a version without a rehearsal that passes, and each does with one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from stage import ALICE, CHANNEL, Stage, shown, stage, wait_for
from test_doors import Rest

from engine.access.policy import SYSTEM
from engine.catalog import catalog, sync

BOOK = """\
apiVersion: runbook/v1
id: risky
name: Risky NUMBER
team: payments
risk: high
steps:
  - {id: ask, type: approval, with: {approvers: {roles: [platform_admin]}, form: {type: object, required: [slot],
      properties: {slot: {type: integer}}}}}
  - {id: swap, type: manual, with: {instructions: Swap it}}
  - {id: call, type: grpc, with: {target: "pay.example.com:443", service: shop.v1.Orders, method: Cancel}}
"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("rehearsed"), socket_mode=False, REQUIRE_REHEARSAL="high") as running:
        yield running


@pytest.fixture
def rest(bot: Stage) -> Iterator[Rest]:
    made = Rest(bot)
    yield made
    made.client.close()


def by_words(bot: Stage, _rest: Rest, number: int) -> bool:
    return "is approved" in bot.say(f"admin approve risky@{number}", ALICE)


def over_rest(_bot: Stage, rest: Rest, number: int) -> bool:
    return rest("POST /runbooks/risky/approve", ALICE, {"version": number}).status_code == 200


def on_the_command_line(_bot: Stage, rest: Rest, number: int) -> bool:
    return rest.typed(f"admin approve risky@{number}", ALICE) == 200


def rehearsal(*, passing: bool) -> str:
    answers = {"ask": {"approve": "U0DAVE001", "answers": {"slot": 3}}, "swap": {"done": "U0BOB0001"}}
    expect = {"outcome": "SUCCESS" if passing else "FAILED", "path": ["ask", "swap", "call"]}
    return json.dumps({"cases": [{"name": "a", "answers": answers, "stubs": {"call": {"json": {}}}, "expect": expect}]})


def synced(bot: Stage, number: int, said: str | None) -> int:
    """The number of the version that the folder comes to, with this rehearsal beside it."""
    folder = bot.rt.settings.runbooks_dir
    (folder / "risky.yaml").write_text(BOOK.replace("NUMBER", str(number)))
    beside = folder / "risky.rehearsal.yaml"
    beside.unlink(missing_ok=True)
    if said is not None:
        beside.write_text(said)
    report = sync.sync(bot.rt, SYSTEM)
    assert report.ok, report.problems
    return catalog.version(bot.rt, "risky").number


DOORS: list[Callable[[Stage, Rest, int], bool]] = [by_words, over_rest, on_the_command_line]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_opens_to_what_was_rehearsed_only(
    bot: Stage, rest: Rest, door: Callable[[Stage, Rest, int], bool]
) -> None:
    """Without one, with one that fails, and with one that passes."""
    place = DOORS.index(door)
    for said in (None, rehearsal(passing=False)):
        number = synced(bot, place, said)
        assert not door(bot, rest, number)
        assert catalog.version(bot.rt, "risky", number).status == "DRAFT"
    assert door(bot, rest, synced(bot, place, rehearsal(passing=True)))


def shown_change(bot: Stage) -> tuple[int, dict[str, str]]:
    """Where the change stands among what Alice is shown, and her click on its button."""
    place = len(bot.private(ALICE))
    bot.say("admin approve risky", ALICE)
    card = bot.private(ALICE)[place]
    assert "1 passed" in shown(card)
    return place, {"ephemeral_id": card["ephemeral_id"], "action_id": "version.approve"}


def test_the_button_goes_by_what_is_there_when_it_is_clicked(bot: Stage) -> None:
    """A card is no approval: the rehearsal that it was shown with may be gone by then."""
    number = synced(bot, 9, rehearsal(passing=True))
    place, click = shown_change(bot)
    synced(bot, 9, None)
    bot.post("click", user=ALICE, channel=CHANNEL, **click)
    wait_for(lambda: "without a rehearsal" in shown(bot.private(ALICE)[place]))
    assert catalog.version(bot.rt, "risky", number).status == "DRAFT"
    synced(bot, 9, rehearsal(passing=True))
    place, click = shown_change(bot)
    bot.post("click", user=ALICE, channel=CHANNEL, **click)
    wait_for(lambda: "is approved by" in shown(bot.private(ALICE)[place]))
    assert catalog.version(bot.rt, "risky", number).status == "APPROVED"
