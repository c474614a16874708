"""Plans in Slack: shown to one person, whose button runs exactly that, once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from stage import ALICE, BOB, CAROL, CHANNEL, OSCAR, Stage, ready, shown, stage, wait_for

from bot.slack.ids import Action
from bot.slack.reply import ReplyTo
from bot.slack.verbs import plans
from engine.errors import Conflict
from engine.runs import executions
from storage.records import Filter

NOTE = """
apiVersion: runbook/v1
id: note
name: Note
team: payments
parameters: {type: object, properties: {shop: {type: string, default: here}}}
steps:
  - {id: say, type: message, with: {text: "Hello WORD {{ params.shop }}"}}
"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("plans"), socket_mode=False) as running:
        (running.rt.settings.runbooks_dir / "note.yaml").write_text(NOTE)
        ready(running)
        assert "is approved" in running.say("admin approve note@1", ALICE)
        yield running


def runs(bot: Stage) -> list[Any]:
    return executions.recent(bot.rt, Filter(slug="note"))


def newest(bot: Stage, word: str, user: str = CAROL) -> dict[str, Any]:
    """The newest private message, once it says this."""
    return wait_for(lambda: next((m for m in bot.private(user)[-1:] if word in shown(m)), None))


def test_the_button_runs_exactly_what_was_shown_and_once(bot: Stage) -> None:
    bot.command("plan note shop=there", CAROL)
    card = newest(bot, "Run exactly this")
    assert "Hello WORD there" in shown(card)
    assert runs(bot) == []
    bot.click("plan.run", CAROL, card["ts"])
    newest(bot, "Started")
    (run,) = runs(bot)
    assert (run.parameters, run.requester) == ({"shop": "there"}, CAROL)


def test_an_edit_changes_the_plan_and_starts_nothing(bot: Stage) -> None:
    before = len(runs(bot))
    bot.command("plan note shop=edited", CAROL)
    card = newest(bot, "Run exactly this")
    (bot.rt.settings.runbooks_dir / "note.yaml").write_text(NOTE.replace("WORD", "new"))
    bot.say("admin sync", ALICE)
    assert "is approved" in bot.say("admin approve note@2", ALICE)
    bot.click("plan.run", CAROL, card["ts"])
    told = newest(bot, "the version is 2 now, not 1")
    assert "Hello new edited" in shown(told)
    assert len(runs(bot)) == before


def test_a_freeze_leaves_no_button(bot: Stage) -> None:
    bot.say('freeze team:payments for=1h reason="release night"', BOB)
    try:
        bot.command("plan note shop=frozen", CAROL)
        told = newest(bot, "release night")
        assert "Run exactly this" not in shown(told)
    finally:
        bot.say("unfreeze team:payments", BOB)


def test_the_button_is_of_use_to_who_asked_alone(bot: Stage) -> None:
    """What it keeps is that person's, and nobody else's click finds it, whoever they are."""
    bot.command("plan note shop=mine", CAROL)
    card = newest(bot, "Run exactly this")
    before = len(runs(bot))
    ref = next(each for block in card["blocks"] for each in block.get("elements", ()) if "value" in each)["value"]
    reply = SimpleNamespace(reply_to=ReplyTo(ALICE, CHANNEL), instead=lambda _: None)
    with pytest.raises(Conflict, match="left open for too long"):
        plans.click(bot.door.ctx, Action.RUN_PLAN, ref, reply)  # type: ignore[arg-type]
    assert len(runs(bot)) == before


def test_words_can_name_the_plan_too(bot: Stage) -> None:
    digest = re.search(r"P\d+-[0-9a-f-]+", bot.say("plan note shop=words", CAROL))
    assert digest is not None
    assert "the parameters differ" in bot.say(f"run note shop=others plan={digest[0]}", CAROL)
    assert "does not go with hold=yes" in bot.say(f"run note shop=words hold=yes plan={digest[0]}", CAROL)
    assert "Started" in bot.say(f"run note shop=words plan={digest[0]}", CAROL)


def test_who_may_not_run_it_is_told_who_may_and_has_no_button(bot: Stage) -> None:
    told = bot.say("plan note", OSCAR)
    assert "You cannot start it now" in told
    assert "Run exactly this" not in told
