"""People and a real Bolt bot, in both modes: commands, clicks, forms, mentions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from practice import ALICE, BOB, BUTTONS, CAROL, CHANNEL, MODAL, OSCAR, Bot, wait_for
from slack_sdk.errors import SlackApiError

DATA = Path(__file__).parents[3] / "shared" / "slack-data"


def texts(bot: Bot, user: str = ALICE) -> list[str]:
    return [each["text"] for each in bot.hands.get("messages", channel=CHANNEL, user=user, thread_ts="*")]


def card(bot: Bot) -> str:
    """The ts of a message with buttons."""
    bot.hands.command("card")
    found = wait_for(lambda: [m for m in bot.hands.get("messages", channel=CHANNEL, user=ALICE) if m.get("blocks")])
    return str(found[-1]["ts"])


def form(bot: Bot, user: str = ALICE) -> str:
    """The id of an open form."""
    bot.hands.command("form", user)
    return str(bot.hands.get("views", user=user)[-1]["id"])


def test_the_text_of_an_ack_is_whispered(bot: Bot) -> None:
    """What a command's ack says is seen by the person who typed it, and by nobody else."""
    answer = bot.hands.command("ping")
    assert answer["ok"] is True
    assert [each["text"] for each in answer["ephemerals"]] == ["pong"]
    assert (texts(bot), texts(bot, BOB)) == (["pong"], [])


def test_a_late_ack_is_a_timeout(bot: Bot) -> None:
    """A bot that takes too long gets Slack's words shown to the person, and a problem on record."""
    answer = bot.hands.command("slow")
    assert (answer["ok"], answer["error"]) == (False, "operation_timeout")
    assert texts(bot) == ['/runbook failed with the error "operation_timeout"']
    assert [each["kind"] for each in bot.hands.get("problems")] == ["ack"]


def test_typed_text_arrives_as_slack_sends_it(bot: Bot) -> None:
    """Entities, people, channels and links are encoded on the way to the bot."""
    bot.hands.command("ping <!channel> @bob in #general & https://e.com/?a=1&b=2. x@bob")
    sent = "ping &lt;!channel&gt; <@U0BOB0001|bob> in <#C0GENERAL|general> &amp; <https://e.com/?a=1&amp;b=2>. x@bob"
    assert bot.heard[-1]["text"] == sent


def test_a_response_url_answers_five_times(bot: Bot) -> None:
    """The address in a command's payload shows five answers and refuses the sixth."""
    hands = bot.hands
    url = hands.command("ping", OSCAR)["response_url"]
    codes = [hands.http.post(url, json={"text": f"r{number}"}).status_code for number in range(6)]
    assert codes == [200] * 5 + [404]
    assert texts(bot, OSCAR)[1:] == [f"r{number}" for number in range(5)]
    assert texts(bot) == []


def test_respond_posts_in_the_channel(bot: Bot) -> None:
    """Bolt's respond reaches the channel through the response URL."""
    bot.hands.command("respond")
    assert wait_for(lambda: texts(bot, BOB)) == ["*done*"]


def test_a_click_reaches_the_bot_and_updates_the_message(bot: Bot) -> None:
    """A button's click carries its value, message and state, and the bot's update is seen."""
    ts = card(bot)
    answer = bot.hands.post("click", user=BOB, channel=CHANNEL, message_ts=ts, action_id="run.pause")
    assert (answer["ok"], answer["action_id"]) == (True, "run.pause:7")
    wait_for(lambda: texts(bot) == ["Paused"])
    payload = next(each for each in bot.heard if each.get("type") == "block_actions")
    assert payload["actions"][0]["value"] == "7"
    assert payload["message"]["ts"] == payload["container"]["message_ts"] == ts
    assert payload["user"]["id"] == BOB


def test_a_button_that_is_gone_can_still_be_clicked_late(bot: Bot) -> None:
    """A click that was under way while the message changed arrives with the element of then."""
    ts = card(bot)
    click = {"user": BOB, "channel": CHANNEL, "message_ts": ts, "action_id": "run.pause"}
    bot.hands.post("click", **click)
    wait_for(lambda: texts(bot) == ["Paused"])
    assert "has no run.pause" in bot.hands.post("click", **click)["error"]
    assert bot.hands.post("click", **click, stale=True)["ok"] is True


def test_a_button_for_some_is_hidden_from_the_rest(bot: Bot) -> None:
    """Nobody outside visible_to_user_ids can click a button."""
    ts = card(bot)
    answer = bot.hands.post("click", user=BOB, channel=CHANNEL, message_ts=ts, action_id="run.approve")
    assert answer["ok"] is False


def test_an_ephemeral_message_is_replaced_by_its_response_url(bot: Bot) -> None:
    """The one way to change an ephemeral message is the response URL of a click in it."""
    hands = bot.hands
    hands.client().chat_postEphemeral(channel=CHANNEL, user=ALICE, text="psst", blocks=BUTTONS)
    (shown,) = hands.get("messages", channel=CHANNEL, user=ALICE)
    hands.post("click", user=ALICE, ephemeral_id=shown["ephemeral_id"], action_id="run.approve")
    payload = wait_for(lambda: next((each for each in bot.heard if each.get("type") == "block_actions"), None))
    assert payload["container"]["is_ephemeral"] is True
    assert "message" not in payload
    hands.http.post(payload["response_url"], json={"replace_original": True, "text": "gone"})
    (after,) = hands.get("messages", channel=CHANNEL, user=ALICE)
    assert (after["text"], after["ephemeral_id"], after.get("blocks")) == ("gone", shown["ephemeral_id"], None)
    hands.http.post(payload["response_url"], json={"delete_original": True})
    assert hands.get("messages", channel=CHANNEL, user=ALICE) == []


def test_a_form_is_checked_by_slack_then_by_the_bot_then_sent(bot: Bot) -> None:
    """An empty required field never reaches the bot, the bot's errors come back by field, and a good form closes."""
    hands, view = bot.hands, form(bot)
    empty = hands.post("submit", user=ALICE, view_id=view, values={})
    assert (empty["ok"], empty["sent"], list(empty["errors"])) == (False, False, ["service"])
    high = hands.post("submit", user=ALICE, view_id=view, values={"Service": "api", "grace": 301})
    assert high["errors"] == {"grace": "Please enter a number of at most 300."}
    frozen = hands.post("submit", user=ALICE, view_id=view, values={"service": "web", "grace": None})
    assert (frozen["response_action"], frozen["errors"]) == ("errors", {"service": "web is frozen"})
    good = hands.post("submit", user=ALICE, view_id=view, values={"choice": "api", "Grace": 30})
    assert (good["ok"], good["response_action"]) == (True, None)
    assert hands.get("views", user=ALICE) == []
    sent = bot.heard[-1]["view"]["state"]["values"]
    assert sent["grace"]["seconds"] == {"type": "number_input", "value": "30"}
    assert sent["service"]["choice"]["selected_option"]["value"] == "api"


def test_wrong_names_and_choices_are_said(bot: Bot) -> None:
    """A test that fills in a field or option there is not is told so."""
    view = form(bot)
    unknown = bot.hands.post("submit", user=ALICE, view_id=view, values={"colour": "red"})
    assert unknown["error"] == "There is no input called colour."
    choice = bot.hands.post("submit", user=ALICE, view_id=view, values={"service": "db"})
    assert choice["error"] == "'db' is not one of the options of choice"


def test_triggers_are_single_use_and_short_lived(bot: Bot) -> None:
    """A trigger opens one view, and none after three seconds."""
    hands = bot.hands
    trigger = hands.command("ping")["trigger_id"]
    hands.client().views_open(trigger_id=trigger, view=MODAL)
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        hands.client().views_open(trigger_id=trigger, view=MODAL)


def test_views_are_stacked_three_high(bot: Bot) -> None:
    """Two views can be pushed onto the first, and closing goes back one at a time."""
    hands, view = bot.hands, form(bot)
    for _ in range(2):
        hands.client().views_push(trigger_id=hands.command("ping")["trigger_id"], view=MODAL)
    with pytest.raises(SlackApiError, match="push_limit_reached"):
        hands.client().views_push(trigger_id=hands.command("ping")["trigger_id"], view=MODAL)
    stack = hands.get("views", user=ALICE)
    assert [each["root_view_id"] for each in stack] == [view] * 3
    assert [each["previous_view_id"] for each in stack] == [None, view, stack[1]["id"]]
    hands.post("close", user=ALICE, view_id=stack[2]["id"])
    assert len(hands.get("views", user=ALICE)) == 2


def test_a_view_keeps_what_was_typed_when_it_changes(bot: Bot) -> None:
    """An update keeps the entries of inputs that stay, and its hash guards against a second one."""
    hands, view = bot.hands, form(bot)
    hands.post("submit", user=ALICE, view_id=view, values={"service": "web", "grace": 5})
    old = hands.get("views", user=ALICE)[0]
    changed = MODAL | {"title": {"type": "plain_text", "text": "Again"}}
    client = hands.client()
    new = client.views_update(view_id=view, hash=old["hash"], view=changed)["view"]
    assert new["state"]["values"]["grace"]["seconds"]["value"] == "5"
    with pytest.raises(SlackApiError, match="hash_conflict"):
        client.views_update(view_id=view, hash=old["hash"], view=changed)


def test_a_mention_is_answered_in_its_thread(bot: Bot) -> None:
    """A mention reaches the bot as an event, and its answer hangs below."""
    answer = bot.hands.post("mention", user=CAROL, channel=CHANNEL, text="status")
    assert (answer["ok"], answer["heard"]) == (True, True)
    wait_for(lambda: texts(bot) == ["<@U0BOT0001> status", "You called?"])
    thread = bot.hands.get("messages", channel=CHANNEL, user=BOB, thread_ts=answer["ts"])
    assert [each["text"] for each in thread] == ["<@U0BOT0001> status", "You called?"]


def test_plain_talk_does_not_reach_the_bot(bot: Bot) -> None:
    """What people say to each other is not sent to a bot that did not subscribe to it."""
    assert bot.hands.post("say", user=CAROL, channel=CHANNEL, text="lunch?")["heard"] is False
    assert bot.hands.post("say", user=CAROL, channel="D0CAROL01", text="hello bot")["heard"] is True
    wait_for(lambda: bot.heard)
    assert [each["event"]["channel_type"] for each in bot.heard] == ["im"]


def test_the_home_tab_is_opened(bot: Bot) -> None:
    """Opening the app's Home tab lets the bot publish it."""
    assert bot.hands.post("home", user=OSCAR)["heard"] is True
    home = wait_for(lambda: bot.hands.http.get("views", params={"user": OSCAR}).json()["home"])
    assert home["blocks"][0]["block_id"] == "says"


@pytest.mark.parametrize("user", ["U0GONE001", "U0BOT0001", "U0NOBODY"])
def test_nobody_acts_as_those_who_cannot(bot: Bot, user: str) -> None:
    """Deactivated accounts, apps and strangers type nothing."""
    assert bot.hands.command("ping", user)["ok"] is False
    assert bot.heard == []


def strange_keys(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """The keys of ours that theirs do not have."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict) or not theirs:
        return []
    here = [f"{where}/{key}" for key in ours.keys() - theirs.keys()]
    return here + [
        each for key in ours.keys() & theirs.keys() for each in strange_keys(ours[key], theirs[key], f"{where}/{key}")
    ]


def test_payloads_have_no_keys_that_slacks_lack(bot: Bot) -> None:
    """Commands, clicks, submissions and events are shaped like recorded payloads of Slack's."""
    if not (DATA / "payload_keys.json").exists():
        pytest.skip("Slack's payload samples are not beside this repository")
    theirs = json.loads((DATA / "payload_keys.json").read_text())
    view = form(bot)
    bot.hands.post("submit", user=ALICE, view_id=view, values={"service": "api"})
    bot.hands.post("click", user=BOB, channel=CHANNEL, message_ts=card(bot), action_id="run.pause")
    bot.hands.post("home", user=ALICE)
    wait_for(lambda: any("event" in each for each in bot.heard))
    by_kind = {each.get("type", "slash"): each for each in bot.heard}
    # The samples leave these out; Slack's reference has them.
    newer = {"/response_urls", "/event_context", "/message/edited", "/view/blocks", "/event/view/blocks"}
    for ours, name in (
        ("slash", "slash"),
        ("block_actions",) * 2,
        ("view_submission",) * 2,
        ("event_callback", "app_home_opened"),
    ):
        assert set(strange_keys(by_kind[ours], theirs[name])) <= newer, name
