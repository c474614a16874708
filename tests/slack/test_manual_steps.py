"""Manual steps, and gates with a form, as people meet them: what is shown and asked, and what is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from stage import ALICE, BOB, CAROL, CHANNEL, Stage, ready_with, shown, stage, wait_for

SWAP = """\
parameters:
  type: object
  properties: {host: {type: string, default: "<@U0BOB0001> web1"}}
steps:
  - id: swap
    type: manual
    with:
      instructions: "Swap *the disk* of {{ params.host }}."
      form:
        type: object
        required: [slot]
        properties: {slot: {type: integer, minimum: 1, maximum: 24}}
  - id: tell
    type: message
    with: {text: "slot {{ steps.swap.outputs.slot }}"}
"""

PICK = """\
steps:
  - id: ask
    type: approval
    with:
      approvers: {roles: [platform_admin]}
      form: {type: object, required: [region], properties: {region: {type: string, enum: [eu, us]}}}
  - id: tell
    type: message
    with: {text: "in {{ steps.ask.outputs.region }}"}
"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in HTTP mode, with a runbook that has a manual step."""
    with stage(tmp_path_factory.mktemp("manual"), socket_mode=False) as running:
        ready_with(running, {"swap": SWAP, "pick": PICK})
        yield running


def asked(bot: Stage, why: str) -> tuple[str, dict[str, Any]]:
    """A run at its manual step, and the message that asks for it in the thread."""
    told = bot.say(f"run swap reason={why} force=yes", CAROL)
    run = "R-" + told.split("R-")[1][:6]
    wait_for(lambda: (c := bot.card(run)) and "To be done by hand" in shown(c))
    return run, wait_for(lambda: bot.find(lambda m: is_asking(m, run)))


def is_asking(message: dict[str, Any], run: str) -> bool:
    return message.get("thread_ts") not in (None, message["ts"]) and f"swap in {run}" in message["text"]


def test_who_asked_for_the_run_does_it(bot: Stage) -> None:
    """The form asks for a note and for what the step's form wants; what is wrong is told under its input."""
    run, message = asked(bot, "first")
    assert "Swap *the disk* of &lt;@U0BOB0001&gt; web1." in shown(message)
    bot.click("task.done", CAROL, message["ts"])
    form = wait_for(lambda: bot.form(CAROL))
    wrong = bot.post("submit", user=CAROL, view_id=form["id"], values={"param:slot": "99"})
    assert wrong["errors"].keys() == {"param:slot"}
    bot.post("submit", user=CAROL, view_id=form["id"], values={"param:slot": "7", "reason": "new one is in"})
    card = shown(wait_for(lambda: "Succeeded" in shown(c := bot.card(run)) and c))
    assert f"by: {CAROL}" not in card
    assert "slot: 7" in card
    over = wait_for(lambda: (m := bot.find(lambda m: is_asking(m, run))) and "Done by" in shown(m) and m)
    assert "new one is in" in shown(over)
    assert "slot=7" in shown(over)
    assert not [block for block in over["blocks"] if block["type"] == "actions"]


def test_could_not_needs_a_note_and_fails_it(bot: Stage) -> None:
    run, message = asked(bot, "second")
    bot.click("task.failed", BOB, message["ts"])
    form = wait_for(lambda: bot.form(BOB))
    assert bot.post("submit", user=BOB, view_id=form["id"], values={"reason": " "})["errors"].keys() == {"reason"}
    bot.post("submit", user=BOB, view_id=form["id"], values={"reason": "no spare part"})
    card = wait_for(lambda: "Failed" in shown(bot.card(run)) and bot.card(run))
    assert "no spare part" in shown(card)


def test_a_form_that_is_open_when_it_ends_changes_nothing(bot: Stage) -> None:
    """Another one was quicker; whoever comes late is told who."""
    run, message = asked(bot, "third")
    bot.click("task.failed", BOB, message["ts"])
    form = wait_for(lambda: bot.form(BOB))
    assert "is done" in bot.say(f"done {run} swap slot=3", ALICE)
    bot.post("submit", user=BOB, view_id=form["id"], values={"reason": "too late"})
    wait_for(lambda: any("done already" in shown(each) for each in bot.private(BOB)))
    wait_for(lambda: "Succeeded" in shown(bot.card(run)))


def test_words_do_as_well(bot: Stage) -> None:
    """Answers are read by the form; somebody without a role may not say so."""
    run, _ = asked(bot, "fourth")
    told = bot.say(f"done {run} swap", CAROL)
    assert "The answers do not fit:" in told
    assert "slot" in told
    assert "may" in bot.say(f"done {run} swap slot=3", "U0OSCAR01")
    assert "by hand" in bot.say(f"why {run}", CAROL)
    assert "could not be done" in bot.say(f'could-not {run} note="it is locked"', CAROL, CHANNEL)


def test_who_approves_answers_the_gate(bot: Stage) -> None:
    """The button opens its form; who may not decide gets none, and by word the answers are typed."""
    run = bot.start("run pick", CAROL)
    card = wait_for(lambda: (c := bot.card(run)) and "Waiting for approval" in shown(c) and c)
    message = bot.gate(card["ts"])
    assert not bot.click("gate.approve", BOB, message["ts"]).get("view")
    assert "region" in bot.say(f"approve {run}", ALICE)
    bot.click("gate.approve", ALICE, message["ts"])
    form = wait_for(lambda: bot.form(ALICE))
    assert form["callback_id"] == "form.approve"
    bot.post("submit", user=ALICE, view_id=form["id"], values={"param:region": "0", "reason": "the other is full"})
    card = wait_for(lambda: "Succeeded" in shown(bot.card(run)) and bot.card(run))
    over = wait_for(lambda: (m := bot.find(lambda m: m["ts"] == message["ts"])) and "Approved" in shown(m) and m)
    assert "region=" in shown(over)
    assert "the other is full" in shown(over)
