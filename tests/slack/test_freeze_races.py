"""Freezes, held requests and break-glass in Slack, twice at once, by the wrong people and on old buttons."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stage import ALICE, BOB, CAROL, DAVE, OSCAR, Stage, ready, shown, stage, wait_for

from engine.access.policy import SYSTEM
from engine.catalog import catalog, sync
from engine.runs import executions, held_requests
from storage.records import Filter

NOTE = """\
apiVersion: runbook/v1
id: note
name: Note
team: payments
parameters: {type: object, properties: {shop: {type: string, default: all}}}
steps:
  - {id: say, type: message, with: {text: "{{ params.shop }}"}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("races"), socket_mode=False) as started:
        (started.rt.settings.runbooks_dir / "note.yaml").write_text(NOTE)
        ready(started)
        assert "is approved" in started.say("admin approve note@1", ALICE)
        yield started


@pytest.fixture
def bot(running: Stage) -> Iterator[Stage]:
    """One that is frozen, and thawed again with its rules and runbooks as they were."""
    folder = running.rt.settings.runbooks_dir
    before = {path: path.read_text() for path in folder.glob("*.yaml")}
    assert "Frozen." in running.say("freeze note for=1h reason=night", BOB)
    yield running
    for path, text in before.items():
        path.write_text(text)
    sync.sync(running.rt, SYSTEM)
    running.say("unfreeze note", ALICE)
    newest = catalog.get(running.rt, "note")
    if newest.status == "DRAFT":
        assert "is approved" in running.say(f"admin approve note@{newest.current_number}", ALICE)


def runs(bot: Stage, shop: str) -> list[str]:
    return [each.id for each in executions.recent(bot.rt, Filter(), 200) if each.parameters.get("shop") == shop]


def at_once(*acts: Callable[[], Any]) -> None:
    line = threading.Barrier(len(acts))

    def act(number: int) -> None:
        line.wait(10)
        acts[number]()

    threads = [threading.Thread(target=act, args=(number,)) for number in range(len(acts))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)


def asked(bot: Stage, shop: str) -> dict[str, Any]:
    """The channel's notice of a break-glass that Carol asks for."""
    assert "a second person" in bot.say(f"run note shop={shop} break_glass=yes reason=down", CAROL)
    return wait_for(lambda: bot.find(lambda each: "has to agree" in shown(each) and shop in shown(each)))


def told(bot: Stage, user: str, words: str) -> None:
    wait_for(lambda: [each for each in bot.private(user) if words in shown(each)])


def test_of_several_who_agree_at_once_one_begins_one_run(bot: Stage) -> None:
    notice = asked(bot, "once")
    click = lambda user: lambda: bot.click("break_glass.agree", user, notice["ts"])  # noqa: E731
    at_once(click(BOB), click(BOB), click(DAVE), click(ALICE))
    wait_for(lambda: runs(bot, "once"))
    before = len(bot.private(DAVE))
    bot.click("break_glass.agree", DAVE, notice["ts"])
    wait_for(lambda: len(bot.private(DAVE)) > before)
    assert len(runs(bot, "once")) == 1


def test_who_may_not_run_it_and_who_asks_agree_to_nothing(bot: Stage) -> None:
    notice = asked(bot, "alone")
    bot.click("break_glass.agree", OSCAR, notice["ts"])
    told(bot, OSCAR, "no such role")
    bot.click("break_glass.agree", CAROL, notice["ts"])
    told(bot, CAROL, "You have asked for")
    assert runs(bot, "alone") == []


def test_an_edit_or_a_lost_role_between_asking_and_agreeing_begins_nothing(bot: Stage) -> None:
    """The old button shows what is not there any more, or speaks for somebody who may not ask any more."""
    folder = bot.rt.settings.runbooks_dir
    edited, lost = asked(bot, "edited"), asked(bot, "lost")
    (folder / "note.yaml").write_text(NOTE.replace("params.shop }}", "params.shop }}!"))
    sync.sync(bot.rt, SYSTEM)
    before = len(bot.private(BOB))
    bot.click("break_glass.agree", BOB, edited["ts"])
    wait_for(lambda: len(bot.private(BOB)) > before)
    (folder / "note.yaml").write_text(NOTE)
    access = folder / "_access.yaml"
    access.write_text(access.read_text().replace(CAROL, "U0NOBODY01"))
    sync.sync(bot.rt, SYSTEM)
    before = len(bot.private(BOB))
    bot.click("break_glass.agree", BOB, lost["ts"])
    wait_for(lambda: len(bot.private(BOB)) > before)
    assert runs(bot, "edited") == runs(bot, "lost") == []


def test_what_two_release_at_once_begins_once(bot: Stage) -> None:
    assert "Held as" in bot.say("run note shop=held hold=yes", CAROL)
    assert "not frozen" in bot.say("unfreeze note", BOB)
    at_once(*[lambda who=who: bot.say("release all", who) for who in (BOB, CAROL, DAVE, BOB)])
    wait_for(lambda: runs(bot, "held"))
    assert len(runs(bot, "held")) == 1
    assert held_requests.listing(bot.rt, SYSTEM) == []


def test_nobody_drops_or_releases_what_they_may_not_run(bot: Stage) -> None:
    kept = bot.say("run note shop=kept hold=yes", CAROL)
    name = next(word for word in kept.replace("`", " ").split() if word.startswith("H-"))
    assert "no such role" in bot.say(f"held drop {name}", OSCAR)
    assert "not frozen" in bot.say("unfreeze note", BOB)
    assert "no such role" in bot.say(f"release {name}", OSCAR)
    assert runs(bot, "kept") == []
    assert name in bot.say("held", OSCAR)
    assert "became" in bot.say(f"release {name}", BOB)
