"""What everybody should know is told to everybody: incidents in their channel, drafts to platform admins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import ALICE, CAROL, CHANNEL, DAVE, OSCAR, Stage, is_private, ready, shown, stage, wait_for

from engine.access import policy as access
from engine.catalog import sync

NOTE = """
apiVersion: runbook/v1
id: note
name: Note
steps:
  - {id: say, type: message, with: {text: TEXT}}
"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("told"), socket_mode=False) as running:
        ready(running)
        running.post("home", user=ALICE)
        running.post("home", user=DAVE)
        yield running


def public(bot: Stage, needle: str) -> str:
    """The message for all of the channel that says this, once it is there."""
    return shown(wait_for(lambda: bot.find(lambda m: not is_private(m) and needle in shown(m))))


def direct(bot: Stage, user: str, needle: str) -> dict[str, object]:
    """The direct message to somebody that says this, once it is there."""

    return wait_for(lambda: next((m for m in bot.messages(user, f"D{user[1:]}") if needle in shown(m)), None))


def test_an_incident_is_told_in_its_channel(bot: Stage) -> None:
    """Its beginning with what is known, its change with what is new, its end with why."""
    bot.say("incident open Nothing is known yet")
    assert "dropped" not in public(bot, "Nothing is known yet")
    bot.say("incident close")
    bot.say("incident open Checkout is slow severity=sev1 service=checkout")
    told = public(bot, "Incident opened by <@U0CAROL01>:* Checkout is slow")
    assert "sev1" in told
    assert "checkout" in told
    bot.say("incident set severity=sev2")
    assert "sev2" in public(bot, "Incident changed by <@U0CAROL01>")
    bot.say('incident close reason="warm again"')
    assert "Incident closed by <@U0CAROL01>" in public(bot, "Reason: warm again")


def test_a_draft_is_told_to_admins_once_a_sync_and_offered_where_it_is_missed(bot: Stage) -> None:
    """By direct message with a Review button; by the refusal of `run` to those who may approve it, to no one else."""
    books = bot.rt.settings.runbooks_dir
    for name in ("note", "memo"):
        (books / f"{name}.yaml").write_text(NOTE.replace("note", name).replace("TEXT", "one"))
    sync.sync(bot.rt, access.SYSTEM)
    told = direct(bot, ALICE, "`memo@1` by an unknown author")
    assert "2 runbooks wait for approval" in shown(told)
    assert str(told).count("version.review") == 2
    assert "out of service" not in shown(told)
    direct(bot, DAVE, "`memo@1`")

    again = bot.say("admin sync", ALICE)
    assert "by the bot, which watches the folder" in again
    assert "`note@1` new" in again

    assert "Review" not in str(bot.private(OSCAR))
    bot.say("run note", ALICE)
    refusal = bot.private(ALICE)[-1]
    assert "a platform admin has to approve it first" in shown(refusal)
    assert "version.review" in str(refusal)
    bot.say("run note", CAROL)
    assert "version.review" not in str(bot.private(CAROL)[-1])
    assert "`note@1`" in bot.say("admin approve", ALICE)

    for name in ("note", "memo"):
        assert "is approved" in bot.say(f"admin approve {name}@1", ALICE)
    assert "Nothing waits for your approval." in bot.say("admin approve", ALICE)
    (books / "note.yaml").write_text(NOTE.replace("TEXT", "two"))
    sync.sync(bot.rt, access.SYSTEM)
    assert "⚠️ out of service until then" in shown(direct(bot, ALICE, "`note@2`"))


def test_deprecating_asks_what_and_why(bot: Stage) -> None:
    """Typed without a reason, or where versions differ, the form is opened; all versions can be chosen in it."""
    assert "is approved" in bot.say("admin approve note@2", ALICE)
    bot.command("admin deprecate note successor=memo", ALICE)
    form = bot.form(ALICE)
    assert "Version 2" in str(form)
    before = len(bot.private(ALICE))
    values = {"scope": "all", "reason": "the memo has it", "runbook": "memo"}
    assert bot.post("submit", user=ALICE, view_id=form["id"], values=values)["ok"]
    told = shown(wait_for(lambda: bot.private(ALICE)[before:])[0])
    assert "`note@2`" in told
    assert "the memo has it" in told
    assert "memo" in told
    assert bot.say("run note", CAROL, CHANNEL).count("memo") >= 1
