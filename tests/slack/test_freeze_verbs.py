"""Freezes, held requests and break-glass as people meet them in Slack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import ALICE, BOB, CAROL, DAVE, OSCAR, Stage, ready, shown, stage, texts, wait_for

NOTE = """
apiVersion: runbook/v1
id: note
name: Note
team: payments
parameters: {type: object, properties: {shop: {type: string}}}
steps:
  - {id: say, type: message, with: {text: Hello}}
"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("freezes"), socket_mode=False) as running:
        (running.rt.settings.runbooks_dir / "note.yaml").write_text(NOTE)
        ready(running)
        assert "is approved" in running.say("admin approve note@1", ALICE)
        yield running


def test_a_freeze_by_words_and_what_is_held_because_of_it(bot: Stage) -> None:
    """Refused, held, listed, released; each for whoever may."""
    assert "Only platform admins may freeze everything" in bot.say("freeze everything for=1h reason=x", BOB)
    assert "Frozen." in bot.say('freeze note for=1h reason="release night"', BOB)
    refused = bot.say("run note", CAROL)
    assert f"(set by <@{BOB}>)" in refused
    assert "release night" in refused
    assert "Only admins of team payments and platform admins may lift it" in refused
    assert "Held as" in bot.say("run note hold=yes", CAROL)
    listed = bot.say("held", OSCAR)
    assert "H-" in listed
    assert "note@1" in listed
    assert "is not released" in bot.say("release all", BOB)
    assert "runbook:note" in bot.say("freezes", OSCAR)
    assert "not frozen" in bot.say("unfreeze note", BOB)
    assert "became" in bot.say("release all", BOB)
    assert "No request is held" in bot.say("held", OSCAR)


def test_what_is_wrong_says_what_to_type(bot: Stage) -> None:
    assert "say when it ends" in bot.say("freeze note reason=x", BOB)
    assert "Did you mean runbook:note" in bot.say("freeze noet for=1h reason=x", ALICE)
    assert "not both" in bot.say("run note hold=yes break_glass=yes", CAROL)
    assert "Nothing forbids a run of note" in bot.say("run note break_glass=yes reason=x", CAROL)
    assert "There is no break-glass" in bot.say("agree B-NOTHING", BOB)
    assert "No break-glass is asked for" in bot.say("reviews", OSCAR)


def test_no_is_said_in_as_many_words_as_yes(bot: Stage) -> None:
    """An option that is declined is no parameter, and the run begins as if it had not been named."""
    assert "Started" in bot.say("run note shop=declined hold=no break_glass=off force=0 reuse_within=1m", CAROL)
    assert "hold=yes or hold=no, not “perhaps”" in bot.say("run note hold=perhaps", CAROL)


def test_platform_admins_have_the_switch_on_their_home_tab(bot: Stage) -> None:
    def drawn(user: str) -> str:
        bot.post("home", user=user)
        found = wait_for(lambda: bot.http.get("views", params={"user": user}).json()["home"])
        return "\n".join(texts(found["blocks"]))

    assert "Stop everything" in drawn(DAVE)
    assert "Stop everything" not in drawn(CAROL)


def test_two_people_break_the_glass_in_the_channel(bot: Stage) -> None:
    """Asked for by words, told to the channel with a button, agreed to by somebody else, and reviewed."""
    assert "Frozen." in bot.say('freeze note for=1h reason="release night"', BOB)
    asked = bot.say('run note shop=main-street break_glass=yes reason="the shop is down"', CAROL)
    assert "a second person" in asked
    notice = wait_for(lambda: bot.find(lambda m: "a second person has to agree" in shown(m) and "🚨" in shown(m)))
    assert "`shop=main-street`" in shown(notice)
    bot.click("break_glass.agree", CAROL, notice["ts"])
    wait_for(lambda: [m for m in bot.private(CAROL) if "You have asked for" in shown(m)])
    bot.click("break_glass.agree", BOB, notice["ts"])
    wait_for(lambda: [m for m in bot.private(BOB) if "Started" in shown(m)])
    listed = bot.say("reviews", OSCAR)
    assert "its review is open" in listed
    run = next(word for word in listed.replace("`", " ").split() if word.startswith("R-"))
    assert "because: break-glass B-" in bot.say(f"why {run}", OSCAR)
    name = next(word for word in listed.replace("`", " ").split() if word.startswith("B-"))
    assert "Only a platform admin may review" in bot.say(f"review {name} note=x", BOB)
    assert "is closed" in bot.say(f'review {name} note="the disk was full"', ALICE)
    assert "not frozen" in bot.say("unfreeze note", BOB)
