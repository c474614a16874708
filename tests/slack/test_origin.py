"""Payloads that Slack sends for another workspace, enterprise or app: they are answered, and have no effect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from stage import ALICE, CAROL, CHANNEL, Stage, shown, wait_for

from bot.simulator.delivery import payloads
from bot.simulator.directory import APP_ID, CHANNELS, OTHER_TEAM_ID, TEAM_ID
from engine.runs import executions
from storage.records import Filter

OURS = "http://127.0.0.1:9/none"


@pytest.mark.parametrize(
    ("name", "value"), [("team_id", OTHER_TEAM_ID), ("enterprise_id", "E0OTHER01"), ("api_app_id", "A0OTHER001")]
)
def test_a_command_of_another_workspace_or_app_has_no_effect(bot: Stage, name: str, value: str) -> None:
    """It is answered with a sentence, and nothing is started."""
    words = "run drain service=basket reason=forged"
    sent = payloads.slash(CAROL, CHANNELS[CHANNEL], "/runbook", words, "1.2.x", OURS) | {name: value}
    before = len(bot.get("calls"))
    answer = bot.post("deliver", kind="slash_commands", payload=sent)
    assert "another workspace or another app" in json.dumps(answer["body"])
    assert bot.get("calls")[before:] == []
    assert not [each for each in executions.recent(bot.rt, Filter(), 50) if each.reason == "forged"]


@pytest.mark.parametrize(
    "forged",
    [
        {"team": {"id": OTHER_TEAM_ID, "domain": "partner"}},
        {"enterprise": {"id": "E0OTHER01", "name": "Other"}},
        {"api_app_id": "A0OTHER001"},
        {"user": {"id": CAROL, "team_id": OTHER_TEAM_ID}},
        {"user": {"id": CAROL, "team_id": 7}},
    ],
)
def test_clicks_forms_menus_and_shortcuts_of_others_have_no_effect(bot: Stage, forged: dict[str, Any]) -> None:
    """Whatever part of the payload says so: a gate stays undecided, a form is refused, a menu stays empty."""
    run = bot.start("run careful reason=forged")
    gate = bot.gate(bot.card(run)["ts"])
    buttons = [each for block in gate["blocks"] for each in block.get("elements", [])]
    button = next(each for each in buttons if each.get("action_id", "").startswith("gate.approve"))
    action = {"type": "button", "action_id": button["action_id"], "block_id": "b", "value": button["value"]}
    click = payloads.message_action(ALICE, CHANNELS[CHANNEL], gate, action, {}, ephemeral=False)
    view = {"id": "V1", "type": "modal", "callback_id": "form.reject", "private_metadata": button["value"], "state": {}}
    where = {"container": {"type": "view", "view_id": "V1"}, "view": view | {"callback_id": "form.pick"}}
    before = len(bot.get("calls", method="views.open"))
    sent = [
        click,
        payloads.view_submission(ALICE, view),
        payloads.suggestion(ALICE, where, "b", "value", "value"),
        payloads.global_shortcut(ALICE, "run_runbook"),
    ]
    answers = [bot.post("deliver", kind="interactive", payload=each | forged) for each in sent]
    assert all(each["ok"] for each in answers)
    assert "another workspace or another app" in json.dumps(answers[1]["body"])
    assert answers[2]["body"] == {"options": []}
    assert len(bot.get("calls", method="views.open")) == before
    assert [each.votes for each in executions.view(bot.rt, run).gates] == [()]
    bot.say(f"cancel {run}")


@pytest.mark.parametrize("forged", [{"team_id": OTHER_TEAM_ID}, {"api_app_id": "A0OTHER001"}, {"event": OTHER_TEAM_ID}])
def test_events_of_others_have_no_effect(bot: Stage, forged: dict[str, Any]) -> None:
    """A mention by somebody of another workspace starts nothing and is not answered."""
    inner = {"type": "app_mention", "user": CAROL, "text": "<@U0BOT0001> list", "channel": CHANNEL, "ts": "1.2"}
    if "event" in forged:
        inner["user_team"], forged = str(forged["event"]), {}
    before = len(bot.get("calls"))
    assert bot.post("deliver", kind="events_api", payload=payloads.event(inner) | forged)["ok"]
    assert bot.say("list")
    assert not [call for call in bot.get("calls")[before:] if call["args"].get("thread_ts") == "1.2"]


def test_what_is_ours_passes(bot: Stage) -> None:
    """A payload that names this team and app, or names none, is taken."""
    whole = payloads.slash(CAROL, CHANNELS[CHANNEL], "/runbook", "list", "1.2.x", OURS)
    assert (whole["team_id"], whole["api_app_id"]) == (TEAM_ID, APP_ID)
    for left_out in ((), ("team_id", "api_app_id")):
        sent = {key: value for key, value in whole.items() if key not in left_out}
        answer = bot.post("deliver", kind="slash_commands", payload=sent)
        assert "another workspace" not in json.dumps(answer["body"])


def test_an_edit_runs_nothing(bot: Stage) -> None:
    """An edited mention arrives anew, with an event id of its own: it was answered when it was said."""
    inner = {"type": "app_mention", "user": CAROL, "channel": CHANNEL}
    edited = {"ts": "11.2", "text": "<@U0BOT0001> list", "edited": {"user": CAROL, "ts": "12.2"}}
    before = len(bot.private())
    assert bot.post("deliver", kind="events_api", payload=payloads.event(inner | edited))["ok"]
    said = {"ts": "13.2", "text": "<@U0BOT0001> help run"}
    assert bot.post("deliver", kind="events_api", payload=payloads.event(inner | said))["ok"]
    wait_for(lambda: bot.private()[before:])
    last = bot.say("help show")
    told = [shown(each) for each in bot.private()[before:]]
    assert len(told) == 2
    assert "run ID" in told[0]
    assert told[1] == last
