"""`token` in Slack: seen by nobody else, in a thread neither."""

from __future__ import annotations

import re

from stage import CAROL, OSCAR, Stage, shown, wait_for

from engine.access import tokens


def test_a_token_is_made_listed_and_ended(bot: Stage) -> None:
    """What is shown once works, until its owner ends it."""
    told = bot.say('token create "deploy job" scopes=read,approve expires=2d')
    (secret,) = re.findall(r"rbk_[\w-]+", told)
    token = tokens.authenticate(bot.rt, secret)
    assert (token.user_id, sorted(token.scopes), token.name) == (CAROL, ["approve", "read"], "deploy job")
    assert secret not in bot.say("token")
    assert token.id in bot.say("token list")
    assert "You have no token" in bot.say("token", OSCAR)
    assert "There is no token" in bot.say(f"token revoke {token.id}", OSCAR)
    assert "no longer works" in bot.say(f"token revoke {token.id}")
    assert "revoked" in bot.say("token")


def test_what_is_wrong_is_said(bot: Stage) -> None:
    """A word that is none of the three, a name that lacks, a scope there is not."""
    assert "not one of list, create, revoke" in bot.say("token give")
    assert "needs something more" in bot.say("token create")
    told = bot.say("token create x scopes=all")
    assert "The options of the token do not fit:" in told
    assert "one or more of read, run, approve, admin" in told


def test_a_mention_is_answered_in_private(bot: Stage) -> None:
    """Elsewhere an answer goes into the thread, for all to read."""
    before = len(bot.private())
    bot.post("mention", user=CAROL, channel="C0INC0001", text="@runbook token create mentioned")
    found = wait_for(lambda: [m for m in bot.private()[before:] if "rbk_" in shown(m)])
    assert len(found) == 1
    assert not any("rbk_" in shown(m) for m in bot.messages(OSCAR))
