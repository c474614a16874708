"""Plans in Slack: shown to one person, whose button runs exactly that, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from stage import ALICE, BOB, CAROL, OSCAR, Stage, ready, shown, stage, wait_for

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


def test_who_may_not_run_it_is_told_who_may_and_has_no_button(bot: Stage) -> None:
    """Nor does anybody else's button work for them: what it keeps is another person's."""
    told = bot.say("plan note", OSCAR)
    assert "You cannot start it now" in told
    assert "Run exactly this" not in told
