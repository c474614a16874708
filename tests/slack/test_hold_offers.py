"""Wherever in Slack a freeze refuses a start, what was wanted can be held; and what is held was really asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from stage import ALICE, BOB, CAROL, CHANNEL, OSCAR, Stage, ready, shown, stage, texts, wait_for

from bot.slack.payload_values import RunForm, encode
from engine.access.policy import Actor
from engine.runs import executions, held_requests

NOTE = """
apiVersion: runbook/v1
id: note
name: Note
team: payments
parameters:
  type: object
  required: [shop]
  properties: {shop: {type: string}, often: {type: [integer, string]}}
steps:
  - {id: say, type: message, with: {text: Hello}}
"""
GRIP = """
apiVersion: runbook/v1
id: grip
name: Grip
team: payments
parameters:
  type: object
  properties: {hold: {type: string}, break_glass: {type: string}}
steps:
  - {id: say, type: message, with: {text: "{{ params.hold }}"}}
"""
FAILS = """
apiVersion: runbook/v1
id: fails
name: Fails
team: payments
steps:
  - {id: call, type: http, with: {method: GET, url: "TARGET/no-such-page"}}
"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("holds"), socket_mode=False) as running:
        folder = running.rt.settings.runbooks_dir
        target = re.search(r"http://[^/]+(?=/lb)", (folder / "drain.yaml").read_text())
        (folder / "note.yaml").write_text(NOTE)
        (folder / "grip.yaml").write_text(GRIP)
        (folder / "fails.yaml").write_text(FAILS.replace("TARGET", target[0]))
        ready(running)
        for slug in ("note", "fails", "grip"):
            assert "is approved" in running.say(f"admin approve {slug}@1", ALICE)
        yield running


@pytest.fixture
def frozen(bot: Stage) -> Iterator[None]:
    """The team is frozen, and nothing is held."""
    bot.say('freeze team:payments for=1h reason="release night"', BOB)
    yield
    bot.say("unfreeze team:payments", BOB)
    for view in held(bot):
        held_requests.drop(bot.rt, Actor(ALICE, standing="member"), view.held.id)


def held(bot: Stage) -> list[held_requests.HeldView]:
    return held_requests.listing(bot.rt, Actor(ALICE, standing="member"))


def the_held(bot: Stage) -> Any:
    wait_for(lambda: held(bot))
    (view,) = held(bot)
    return view.held


def submit(bot: Stage, user: str = CAROL, **values: Any) -> None:
    answer = bot.post("submit", user=user, view_id=bot.form(user)["id"], values=values)
    assert answer["response_action"] is None, answer


def newest(bot: Stage, word: str, user: str = CAROL) -> dict[str, Any]:
    """The newest private message, once it says this."""
    return wait_for(lambda: next((m for m in bot.private(user)[-1:] if word in shown(m)), None))


@pytest.mark.usefixtures("frozen")
def test_words_that_lack_something_open_the_form_that_holds(bot: Stage) -> None:
    """`hold=yes` without a required parameter; what is filled in is held, not begun."""
    bot.command("run note hold=yes often=3", CAROL)
    form = bot.form()
    assert form["submit"]["text"] == "Hold"
    assert "is held until the freeze ends" in "\n".join(texts(form["blocks"]))
    submit(bot, **{"param:shop": "main street", "param:often": "3"})
    assert the_held(bot).parameters["shop"] == "main street"


@pytest.mark.usefixtures("frozen")
def test_break_glass_without_its_reason_opens_the_form(bot: Stage) -> None:
    """It asks for the reason, and refuses to go without."""
    bot.command("run note shop=x break_glass=yes", CAROL)
    form = bot.form()
    assert form["submit"]["text"] == "Ask for it"
    lacking = bot.post("submit", user=CAROL, view_id=form["id"], values={"param:shop": "x"})
    assert lacking["response_action"] == "errors" or "reason" in str(lacking)
    submit(bot, **{"param:shop": "x", "reason": "the shop is down"})
    newest(bot, "Asked for as")
    assert held(bot) == []


def test_what_is_held_is_checked_when_the_form_comes_in(bot: Stage) -> None:
    """A freeze that is over by then holds nothing, and nothing begins."""
    bot.say('freeze team:payments for=1h reason="release night"', BOB)
    bot.command("run note hold=yes", CAROL)
    bot.form()
    bot.say("unfreeze team:payments", BOB)
    submit(bot, **{"param:shop": "x"})
    newest(bot, "Nothing freezes note")
    assert held(bot) == []


def test_a_freeze_that_comes_while_the_form_is_open_offers_to_hold_it(bot: Stage) -> None:
    """By a button that holds exactly what was filled in, for whoever filled it in."""
    bot.command("run note", CAROL)
    bot.form()
    bot.say('freeze team:payments for=1h reason="release night"', BOB)
    submit(bot, **{"param:shop": "7", "param:often": "7"})
    offer = newest(bot, "Hold until the freeze ends")
    assert "release night" in shown(offer)
    bot.click("request.hold_filled", CAROL, offer["ts"])
    kept = the_held(bot)
    assert kept.parameters["shop"] == "7"
    assert kept.incident["channel"] == CHANNEL
    assert kept.requester == CAROL
    bot.say("unfreeze team:payments", BOB)
    held_requests.drop(bot.rt, Actor(ALICE, standing="member"), kept.id)


@pytest.mark.usefixtures("frozen")
def test_the_shortcut_and_the_home_tab_open_a_form_that_holds(bot: Stage) -> None:
    """With the freeze's sentence above what is to be filled in."""
    bot.post("shortcut", user=CAROL, callback_id="run_about_message", channel=CHANNEL, message_ts=a_message(bot))
    bot.post("submit", user=CAROL, view_id=bot.form()["id"], values={"runbook": "note"})
    form = wait_for(lambda: next((v for v in [bot.form()] if v["submit"]["text"] == "Hold"), None))
    assert "release night" in "\n".join(texts(form["blocks"]))
    submit(bot, **{"param:shop": "x"})
    assert the_held(bot).slug == "note"


@pytest.mark.parametrize("door", ["retry", "replay"])
def test_a_retry_and_a_replay_offer_to_hold_a_new_run(bot: Stage, door: str) -> None:
    """Which has the parameters and the version of the old one; its choosers stay its choosers."""
    run = bot.start('run fails force=yes reason="once more"', CAROL)
    wait_for(lambda: "Failed" in shown(bot.card(run)))
    bot.say('freeze team:payments for=1h reason="release night"', BOB)
    told = bot.say(f"{door} {run}", BOB)
    assert "from its start" in told
    bot.click("request.hold_again", BOB, newest(bot, "from its start", BOB)["ts"])
    kept = the_held(bot)
    assert (kept.slug, kept.number, kept.requester) == ("fails", 1, BOB)
    assert CAROL in kept.chosen_by
    assert "Only members" in bot.say(f"{door} {run}", OSCAR)
    assert executions.find(bot.rt, run).status == "FAILED"
    bot.say("unfreeze team:payments", BOB)
    held_requests.drop(bot.rt, Actor(ALICE, standing="member"), kept.id)


@pytest.mark.usefixtures("frozen")
def test_the_button_of_another_persons_refusal_holds_nothing(bot: Stage) -> None:
    """What was filled in is kept for who did so; who may not run it holds nothing either."""
    stolen = encode(RunForm("note", 1, CHANNEL, "", draft=1, keep="hold"))
    bot.say("run note shop=x", CAROL)
    offer = newest(bot, "Hold until the freeze ends")
    for user in (BOB, OSCAR):
        bot.click("request.hold_filled", user, offer["ts"], value=stolen)
    assert held(bot) == []


def test_a_parameter_called_hold_is_meant_by_that_word(bot: Stage) -> None:
    """As on the command line: nothing is kept, and where it is frozen no button says the option by that word."""
    run = bot.start("run grip hold=yes break_glass=yes reason=both")
    assert executions.find(bot.rt, run).parameters == {"hold": "yes", "break_glass": "yes"}
    bot.say('freeze team:payments for=1h reason="release night"', BOB)
    before = len(bot.private())
    assert "release night" in bot.say("run grip hold=no")
    assert "request.hold" not in str(bot.private()[before:])
    assert held(bot) == []
    bot.say("unfreeze team:payments", BOB)


def a_message(bot: Stage) -> str:
    return next(m["ts"] for m in bot.messages() if not m.get("is_ephemeral"))
