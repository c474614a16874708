"""The Web API's rules, asked through Slack's own client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from practice import ALICE, BOB, BUTTONS, CAROL, CHANNEL, MODAL, Hands
from slack_sdk.errors import SlackApiError

from bot.simulator.web_api.methods import METHODS

DATA = Path(__file__).parents[3] / "shared" / "slack-data"


def refusal(hands: Hands, method: str, token: str | None = None, **args: Any) -> str:
    """The error of a call that must fail."""
    with pytest.raises(SlackApiError) as raised:
        hands.client(token).api_call(method, json=args)
    return str(raised.value.response["error"])


def test_methods_have_slacks_arguments() -> None:
    """Each method's arguments, body kinds and tier are those of Slack's reference."""
    if not (DATA / "methods.json").exists():
        pytest.skip("Slack's method reference is not beside this repository")
    theirs = json.loads((DATA / "methods.json").read_text())["methods"]
    for name, method in METHODS.items():
        ours, known = {*method.required, *method.optional}, theirs[name]
        assert ours - {"foo"} <= known["args"].keys() | {"attachments"}, name
        assert set(known["args"]) - ours <= {"token", "team_id"}, name
        assert method.json == known["json"], name
        assert set(method.required) == set(known["required"]), name
        assert f"t{method.tier}" == known["tier"] or (method.tier == 0 and known["tier"] == "t5"), name


@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("chat.postMessage", {"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C0PRIVATE", "text": "x"}, "not_in_channel"),
        ("chat.postMessage", {"channel": CHANNEL}, "no_text"),
        ("chat.postMessage", {"text": "x"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": CHANNEL, "text": "x", "color": "red"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": CHANNEL, "text": "x", "thread_ts": "1.0"}, "cannot_reply_to_message"),
        ("chat.postMessage", {"channel": CHANNEL, "blocks": "{"}, "invalid_blocks_format"),
        ("chat.postMessage", {"channel": CHANNEL, "blocks": [{"type": "x"}]}, "invalid_blocks"),
        ("chat.postMessage", {"channel": CHANNEL, "text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ("chat.postMessage", {"channel": CHANNEL, "text": "x", "metadata": {"a": 1}}, "invalid_metadata_format"),
        ("chat.update", {"channel": CHANNEL, "ts": "1.0", "text": "x"}, "message_not_found"),
        ("chat.delete", {"channel": CHANNEL, "ts": "1.0"}, "message_not_found"),
        ("chat.postEphemeral", {"channel": CHANNEL, "user": "U0GONE001", "text": "x"}, "user_not_in_channel"),
        ("chat.postEphemeral", {"channel": CHANNEL, "user": ALICE, "text": "x" * 4001}, "msg_too_long"),
        ("views.open", {"trigger_id": "1.2.3", "view": MODAL}, "invalid_trigger_id"),
        ("views.open", {"trigger_id": "1.2.3", "view": {"type": "modal"}}, "invalid_arguments"),
        ("views.update", {"view_id": "V0", "view": MODAL}, "not_found"),
        ("conversations.open", {"users": "U0NOBODY"}, "user_not_found"),
        ("conversations.history", {"channel": CHANNEL, "cursor": "?"}, "invalid_cursor"),
        ("chat.postMessage", {"channel": "C0VAULT01", "text": "hi"}, "channel_not_found"),
        ("reactions.add", {"channel": CHANNEL, "timestamp": "1.0", "name": "eyes"}, "message_not_found"),
        ("chat.frobnicate", {}, "unknown_method"),
    ],
)
def test_refusals_have_slacks_names(workspace: Hands, method: str, args: dict[str, Any], error: str) -> None:
    """What Slack refuses is refused under the same name, and is on record."""
    assert refusal(workspace, method, **args) == error
    (problem,) = workspace.get("problems")
    assert error in (problem.get("error"), problem["kind"])


def test_a_lookup_takes_no_json(workspace: Hands) -> None:
    """A method that takes forms only does not see what a JSON body says."""
    assert refusal(workspace, "users.info", user=ALICE) == "invalid_arguments"
    assert workspace.client().users_info(user=ALICE)["user"]["profile"]["email"] == "alice@example.com"


def test_tokens_are_checked(workspace: Hands) -> None:
    """No token, a wrong one and one of the wrong kind are refused, and a token in JSON is not read."""
    assert refusal(workspace, "auth.test", "xoxb-wrong") == "invalid_auth"
    assert refusal(workspace, "apps.connections.open") == "not_allowed_token_type"
    assert refusal(workspace, "auth.test", workspace.sim.config.app_token) == "not_allowed_token_type"
    url, token = f"{workspace.sim.api_url}auth.test", workspace.sim.config.bot_token
    assert httpx.post(url, json={"token": token}, trust_env=False).json()["error"] == "not_authed"
    assert httpx.post(url, data={"token": token}, trust_env=False).json()["ok"] is True


def test_bad_blocks_are_named_by_pointer_and_rule(workspace: Hands) -> None:
    """The answer to bad blocks says where and what."""
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    with pytest.raises(SlackApiError) as raised:
        workspace.client().chat_postMessage(channel=CHANNEL, text="t", blocks=blocks)
    (message,) = raised.value.response["response_metadata"]["messages"]
    assert "section.text.max_length" in message
    assert "[json-pointer:/blocks/0/text/text]" in message


def test_a_message_is_posted_changed_and_deleted(workspace: Hands) -> None:
    """Text without blocks removes the blocks, metadata left out is kept, and a deleted message is gone."""
    client = workspace.client()
    metadata = {"event_type": "run", "event_payload": {"id": 7}}
    ts = client.chat_postMessage(channel=CHANNEL, text="a", blocks=BUTTONS, metadata=metadata)["ts"]
    client.chat_update(channel=CHANNEL, ts=ts, text="b")
    (message,) = client.conversations_history(channel=CHANNEL)["messages"]
    assert (message["text"], message.get("blocks"), message["metadata"]) == ("b", None, metadata)
    client.chat_delete(channel=CHANNEL, ts=ts)
    assert client.conversations_history(channel=CHANNEL)["messages"] == []


def test_only_its_own_messages_are_the_bots(workspace: Hands) -> None:
    """A person's message can be neither changed nor deleted by the bot."""
    ts = workspace.post("say", user=ALICE, channel=CHANNEL, text="mine")["ts"]
    assert refusal(workspace, "chat.update", channel=CHANNEL, ts=ts, text="x") == "cant_update_message"
    assert refusal(workspace, "chat.delete", channel=CHANNEL, ts=ts) == "cant_delete_message"


def test_threads_hang_on_their_parent(workspace: Hands) -> None:
    """Replies are read with their parent, stay out of the history, and cannot be replied to."""
    client = workspace.client()
    parent = client.chat_postMessage(channel=CHANNEL, text="parent")["ts"]
    reply = client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=parent)["ts"]
    texts = [each["text"] for each in client.conversations_replies(channel=CHANNEL, ts=parent)["messages"]]
    assert texts == ["parent", "reply"]
    (shown,) = client.conversations_history(channel=CHANNEL)["messages"]
    assert (shown["reply_count"], shown["latest_reply"]) == (1, reply)
    error = refusal(workspace, "chat.postMessage", channel=CHANNEL, text="x", thread_ts=reply)
    assert error == "cannot_reply_to_message"
    link = client.chat_getPermalink(channel=CHANNEL, message_ts=reply)["permalink"]
    assert f"thread_ts={parent}" in link
    with pytest.raises(SlackApiError, match="thread_not_found"):
        client.conversations_replies(channel=CHANNEL, ts="1.0")


def test_ephemeral_messages_are_for_one_person(workspace: Hands) -> None:
    """An ephemeral message is seen by its person only and cannot be updated or found in the history."""
    client = workspace.client()
    ts = client.chat_postEphemeral(channel=CHANNEL, user=ALICE, text="psst")["message_ts"]
    assert [each["text"] for each in workspace.get("messages", channel=CHANNEL, user=ALICE)] == ["psst"]
    assert workspace.get("messages", channel=CHANNEL, user=BOB) == []
    assert client.conversations_history(channel=CHANNEL)["messages"] == []
    assert refusal(workspace, "chat.update", channel=CHANNEL, ts=ts, text="x") == "message_not_found"


def test_history_comes_in_pages(workspace: Hands) -> None:
    """The newest messages come first, a page at a time, each exactly once."""
    client = workspace.client()
    for number in range(5):
        client.chat_postMessage(channel=CHANNEL, text=f"m{number}")
    pages, cursor = [], None
    while cursor != "":
        page = client.conversations_history(channel=CHANNEL, limit=2, cursor=cursor)
        pages.append([each["text"] for each in page["messages"]])
        cursor = page["response_metadata"]["next_cursor"]
    assert pages == [["m4", "m3"], ["m2", "m1"], ["m0"]]


def test_a_user_id_posts_to_the_direct_message(workspace: Hands) -> None:
    """Posting to a person opens a direct message; updating needs its D id."""
    client = workspace.client()
    posted = client.chat_postMessage(channel=CAROL, text="hello")
    assert posted["channel"] == client.conversations_open(users=CAROL)["channel"]["id"] == "D0CAROL01"
    assert refusal(workspace, "chat.update", channel=CAROL, ts=posted["ts"], text="x") == "channel_not_found"
    client.chat_update(channel="D0CAROL01", ts=posted["ts"], text="hi")
    assert workspace.get("messages", channel="D0CAROL01", user=CAROL)[0]["text"] == "hi"


def test_people_and_groups_can_be_looked_up(workspace: Hands) -> None:
    """Guests, deactivated accounts, groups and their members are shown as Slack shows them."""
    client = workspace.client()
    members = {each["id"]: each for each in client.users_list()["members"]}
    assert members["U0GONE001"]["deleted"] is True
    assert members["U0GUEST01"]["is_restricted"] is True
    assert members["U0BOT0001"]["is_bot"] is True
    assert client.users_lookupByEmail(email="bob@example.com")["user"]["id"] == BOB
    with pytest.raises(SlackApiError, match="users_not_found"):
        client.users_lookupByEmail(email="gone@example.com")
    groups = {each["handle"]: each["users"] for each in client.usergroups_list(include_users=True)["usergroups"]}
    assert groups == {"platform": [ALICE, "U0DAVE001"], "oncall": [CAROL], "payments": [CAROL, BOB]}
    assert client.usergroups_users_list(usergroup="S0ONCALL")["users"] == [CAROL]
    assert client.conversations_info(channel="C0PRIVATE")["channel"]["is_member"] is False
    assert client.conversations_info(channel="C0SECRET1")["channel"]["is_private"] is True
    assert client.conversations_info(channel="C0SHARED1")["channel"]["is_ext_shared"] is True
    assert client.conversations_info(channel="C0PENDING")["channel"]["is_pending_ext_shared"] is True
    for look in (client.conversations_info, client.conversations_members):
        with pytest.raises(SlackApiError, match="channel_not_found"):
            look(channel="C0VAULT01")
    assert "C0VAULT01" not in {each["id"] for each in client.conversations_list()["channels"]}
    assert client.users_info(user="U0PAULA01")["user"]["team_id"] == "T0PARTNER1"
    assert "U0GUEST01" not in client.conversations_members(channel="C0GENERAL")["members"]


def test_files_are_uploaded_and_shared(workspace: Hands) -> None:
    """An upload in two steps ends as a message with a file that can be fetched."""
    workspace.client().files_upload_v2(channel=CHANNEL, content="log line", filename="run.log", title="The log")
    (message,) = workspace.get("messages", channel=CHANNEL, user=ALICE)
    (file,) = message["files"]
    assert file["title"] == "The log"
    answer = httpx.get(file["url_private"], trust_env=False)
    assert (answer.text, answer.headers["x-content-type-options"]) == ("log line", "nosniff")


def test_a_home_tab_is_published_and_guarded_by_its_hash(workspace: Hands) -> None:
    """A Home tab is set for one person, and a stale hash does not overwrite it."""
    client = workspace.client()
    home = {"type": "home", "blocks": BUTTONS[:1]}
    old = client.views_publish(user_id=ALICE, view=home)["view"]
    client.views_publish(user_id=ALICE, view=home, hash=old["hash"])
    assert refusal(workspace, "views.publish", user_id=ALICE, view=home, hash=old["hash"]) == "hash_conflict"


def test_blocks_without_text_are_noted(workspace: Hands) -> None:
    """Slack takes blocks without text, but the workspace says that screen readers get nothing."""
    workspace.client().api_call("chat.postMessage", json={"channel": CHANNEL, "blocks": BUTTONS})
    assert [each["kind"] for each in workspace.get("problems")] == ["missing_text"]
