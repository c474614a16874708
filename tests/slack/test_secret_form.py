"""`secret` in Slack: set in a form, seen by the setter alone, and never typed."""

from __future__ import annotations

import json
import logging

import pytest
from stage import ALICE, CAROL, CHANNEL, OSCAR, Stage, shown, texts, wait_for

from engine.queries import secrets as views
from engine.text.redaction import Redactor
from storage import database
from storage.columns import dicts
from storage.tables import ALL

VALUE = "x8-typed-into-a-form-\nand-2-lines"
TYPED = "x9-typed-behind-the-name"


def submit(bot: Stage, value: str, user: str = ALICE) -> dict[str, object]:
    view = bot.form(user)
    return bot.post("submit", user=user, view_id=view["id"], values={"secret": value})


def value_of(bot: Stage, name: str) -> str:
    return bot.rt.secrets(Redactor()).resolve(name)


def everywhere(bot: Stage) -> str:
    """What anybody can see in the workspace and everything that the bot keeps."""
    seen = [bot.messages(user, channel) for user in (ALICE, CAROL, OSCAR) for channel in (CHANNEL, user)]
    with database.reading():
        kept = [str(row) for table in ALL for row in dicts(table.select())]
    return json.dumps([seen, bot.sim.workspace.journal.calls, bot.sim.workspace.journal.problems]) + "\n".join(kept)


def test_a_secret_is_set_in_a_form(bot: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Only the setter is answered, and the value is nowhere that anybody looks."""
    caplog.set_level(logging.DEBUG, "bot")
    bot.command("secret set form_token", ALICE)
    view = bot.form(ALICE)
    assert "secrets.form_token" in "\n".join(texts(view))
    before = len(bot.private(ALICE))
    assert submit(bot, VALUE)["ok"]
    told = shown(wait_for(lambda: bot.private(ALICE)[before:])[0])
    assert "form_token" in told
    assert "version 1" in told
    assert value_of(bot, "form_token") == VALUE
    assert "from store" in bot.say("secret list", ALICE)
    assert "version 1" in bot.say("secret list form_token", ALICE)
    for part in VALUE.split("\n"):
        assert part not in everywhere(bot)
        assert part not in caplog.text
    assert not any("form_token" in shown(message) for message in bot.messages(OSCAR))
    assert "erased" in bot.say("secret delete form_token", ALICE)
    assert "no stored secret" in bot.say("secret delete form_token", ALICE)


@pytest.mark.parametrize(
    "words",
    [
        f"secret set lb_token {TYPED}", f"secret set lb_token={TYPED}", f'secret set lb_token "{TYPED}',
        f"secret set {TYPED}", f"secret set lb_token value={TYPED} value={TYPED}", f"Secret  SET lb_token --v {TYPED}",
    ],
)  # fmt: skip
def test_a_typed_value_is_refused_and_not_repeated(bot: Stage, words: str) -> None:
    """Whoever typed it is told that Slack has seen it; nothing is set and no form opens."""
    for user in (ALICE, OSCAR):
        told = bot.say(words, user)
        assert "Slack has now seen" in told
        assert "replace it" in told
        assert TYPED not in told
        assert not bot.get("views", user=user)
    assert views.listing(bot.rt, bot.door.ctx.directory.identify(ALICE))[0].stored is None


@pytest.mark.parametrize("words", [f"secrets set x {TYPED}", f"secret {TYPED}", f'secret put x "{TYPED}',
                                   f"secret list x {TYPED}", f"secret delete {TYPED}"])  # fmt: skip
def test_a_misspelt_command_is_not_repeated_either(bot: Stage, words: str) -> None:
    """Whatever else is wrong with what was typed."""
    assert TYPED not in bot.say(words, ALICE)


def test_a_mention_opens_no_form(bot: Stage) -> None:
    """It says what to type instead; a value in it was seen by the channel."""
    for text, part in (("secret set lb_token", "only the slash command"), (f"secret set lb_token {TYPED}", "has now")):
        before = len(bot.private(ALICE))
        bot.post("mention", user=ALICE, channel=CHANNEL, text=f"@runbook {text}")
        told = shown(wait_for(lambda before=before: bot.private(ALICE)[before:])[0])
        assert part in told
        assert TYPED not in told


@pytest.mark.parametrize("who", [CAROL, OSCAR])
def test_others_get_no_form(bot: Stage, who: str) -> None:
    """The refusal names who may."""
    told = bot.say("secret set lb_token", who)
    assert "Only a platform admin may set secrets" in told
    assert not bot.get("views", user=who)


def test_what_cannot_be_kept_is_said_in_the_form(bot: Stage) -> None:
    """Slack's own form refuses the shortest; the rest is judged before it closes."""
    bot.command("secret set other_token", ALICE)
    done = submit(bot, "   \n")
    assert not done["ok"]


def test_who_lost_the_role_while_the_form_was_open_sets_nothing(bot: Stage) -> None:
    """A form is no right."""
    bot.command("secret set late_token", ALICE)
    view = bot.form(ALICE)
    access = bot.rt.settings.runbooks_dir / "_access.yaml"
    before = access.read_text()
    try:
        access.write_text("platform_admins: [U0NOBODY1]\n")
        from engine.access.policy import SYSTEM
        from engine.catalog.sync import sync

        sync(bot.rt, SYSTEM)
        seen = len(bot.private(ALICE))
        bot.post("submit", user=ALICE, view_id=view["id"], values={"secret": VALUE})
        assert "Only a platform admin" in shown(wait_for(lambda: bot.private(ALICE)[seen:])[0])
    finally:
        access.write_text(before)
        sync(bot.rt, SYSTEM)
    with pytest.raises(Exception, match="no secret late_token"):
        value_of(bot, "late_token")
