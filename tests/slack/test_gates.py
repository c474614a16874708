"""Gates as people meet them: who is called, who is reminded, and what is left when they are decided."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image
from stage import ALICE, BOB, CAROL, DAVE, Stage, in_thread, ready, shown, stage, wait_for

from bot.slack.views import timeline as drawn
from engine.runs import executions
from storage import approvals, database

PAYMENTS = "C0PAYMENTS"
"""A channel without a platform admin in it."""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in HTTP mode."""
    with stage(tmp_path_factory.mktemp("gates"), socket_mode=False) as running:
        ready(running)
        yield running


def direct(bot: Stage, user: str, run: str) -> list[dict[str, Any]]:
    """What the bot has told somebody of a run by direct message."""
    messages = bot.messages(user, f"D{user[1:]}")
    return [message for message in messages if run in shown(message)]


def at_gate(bot: Stage, reason: str, channel: str = PAYMENTS) -> tuple[str, dict[str, Any]]:
    """A run that waits for two admins, and its card."""
    told = bot.say(f"run careful reason={reason}", CAROL, channel)
    run = "R-" + told.split("R-")[1][:6]
    card = wait_for(lambda: (c := bot.card(run, channel)) and "Waiting for approval" in shown(c) and c)
    return run, card


def test_admins_outside_the_channel_are_called(bot: Stage) -> None:
    """Each gets one direct message that says what is asked and links back; what was decided takes its place."""
    run, card = at_gate(bot, "called")
    for admin in (ALICE, DAVE):
        (call,) = wait_for(lambda admin=admin: direct(bot, admin, run))
        told = shown(call)
        for part in (
            "A decision is asked of you",
            "POST",
            "/hosts/restart/checkout",
            f"/runbook approve {run} sign-off",
        ):
            assert part in told
        assert f"/archives/{PAYMENTS}/p" in told
        assert not [block for block in call["blocks"] if block["type"] == "actions"]
    assert not direct(bot, BOB, run)
    assert "You rejected" in bot.say(f"reject {run} sign-off comment=no", ALICE, f"D{ALICE[1:]}")
    wait_for(lambda: "Rejected" in shown(direct(bot, DAVE, run)[0]))
    assert "Go to the gate, or" not in shown(direct(bot, DAVE, run)[0])
    assert len(direct(bot, DAVE, run)) == 1
    wait_for(lambda: "Failed" in shown(bot.card(run, PAYMENTS)))
    assert card["ts"]


def test_nobody_in_the_channel_is_called(bot: Stage) -> None:
    """Who sees the gate in its channel is not told again elsewhere."""
    run, card = at_gate(bot, "here", "C0INC0001")
    bot.gate(card["ts"])
    assert not [call for call in bot.get("calls", method="conversations.open") if call["args"].get("users") == BOB]
    assert not direct(bot, ALICE, run)
    bot.say(f"cancel {run}")


def test_a_reminder_says_who_is_missing(bot: Stage) -> None:
    """The thread is told how many are missing and until when, and those who were called are told directly."""
    run, card = at_gate(bot, "slow")
    assert "You approved" in bot.say(f"approve {run}", ALICE, f"D{ALICE[1:]}")
    wait_for(lambda: direct(bot, DAVE, run))
    (gate,) = executions.view(bot.rt, run).gates
    with database.transaction():
        assert approvals.reminded(gate.approval, database.now() - 1)
    lines = wait_for(lambda: [line for line in bot.in_thread(card["ts"], PAYMENTS) if "⏰" in line])
    assert "*sign-off* still needs 1 more approval of platform admins" in lines[0]
    assert "it fails the run" in lines[0]
    assert "<!date^" in lines[0]
    told = wait_for(lambda: [m for m in direct(bot, DAVE, run) if "⏰" in shown(m)])
    assert "still waits for you" in shown(told[0])
    assert not [m for m in direct(bot, ALICE, run) if "⏰" in shown(m)]
    bot.say(f"approve {run}", DAVE, f"D{DAVE[1:]}")
    wait_for(lambda: "Succeeded" in shown(bot.card(run, PAYMENTS)))
    assert len([line for line in bot.in_thread(card["ts"], PAYMENTS) if "⏰" in line]) == 1


def test_a_run_ends_with_a_summary_and_one_picture(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the summary of a longer run stands a picture with a bar a step; screen readers get it in words."""
    monkeypatch.setattr(drawn, "WORTH_DRAWING_MS", 0)
    run, card = at_gate(bot, "drawn")
    for admin in (ALICE, DAVE):
        bot.say(f"approve {run}", admin, f"D{admin[1:]}")

    def files() -> list[dict[str, Any]]:
        thread = bot.messages(channel=PAYMENTS, thread_ts=card["ts"])
        return [file for message in thread if in_thread(message) for file in message.get("files", [])]

    (file,) = wait_for(files)
    assert file["title"] == f"{run} step by step"
    picture = Image.open(BytesIO(httpx.get(file["url_private"], trust_env=False).content))
    assert (picture.format, picture.width) == ("PNG", 1560)
    (call,) = [c for c in bot.get("calls", method="files.getUploadURLExternal") if run in c["args"]["filename"]]
    assert "sign-off done" in call["args"]["alt_txt"]
    assert any("✅ Succeeded after" in line for line in bot.in_thread(card["ts"], PAYMENTS))


def test_slack_found_nothing_to_complain_about(bot: Stage) -> None:
    """Over all that was done here, Slack refused no call and missed no ack."""
    assert bot.get("problems") == []
