"""Every door and every kind of channel: the bot speaks where who asks is, and nowhere outside of the workspace."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import httpx
import pytest
import stage as on_stage
from stage import ALICE, CAROL, CHANNEL, DAVE, Stage, ready, shown, stage, wait_for

from bot.cli import connect, people
from bot.cli.options import Options
from bot.grammar import parse
from bot.simulator.directory import CHANNELS
from engine.access import tokens
from engine.access.policy import SYSTEM
from engine.runs import executions
from storage.records import ExecutionRecord, Filter

PAYMENTS, SECRET, VAULT, GROUP, SHARED, PENDING = (
    "C0PAYMENTS", "C0SECRET1", "C0VAULT01", "C0GROUP01", "C0SHARED1", "C0PENDING",
)  # fmt: skip
PAULA = "U0PAULA01"
KINDS = {
    "public, a member": (CAROL, CHANNEL, 202),
    "public, no member": (ALICE, PAYMENTS, 403),
    "private, a member": (CAROL, SECRET, 202),
    "private, no member": (DAVE, SECRET, 403),
    "private, without the bot": (CAROL, VAULT, 403),
    "a group, a member": (CAROL, GROUP, 202),
    "a group, no member": (DAVE, GROUP, 403),
    "one's own direct message": (CAROL, "D0CAROL01", 202),
    "somebody else's": (DAVE, "D0CAROL01", 403),
    "shared with another workspace": (CAROL, SHARED, 403),
    "to be shared": (CAROL, PENDING, 403),
    "none there is": (CAROL, "C0NOWHERE", 403),
}
TOP = "apiVersion: runbook/v1\nid: {0}\nname: A runbook for {0}\n"
TALK = """
parameters: {type: object, properties: {room: {type: string, default: C0INC0001}, text: {type: string}}}
steps:
  - {id: say, type: message, with: {text: "{{ params.text | default('hello') }}", channel: CHANNEL, thread: false}}
"""


@pytest.fixture(scope="module", params=["http", pytest.param("socket", marks=pytest.mark.slow)])
def bot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot, with runbooks that speak in a channel of a parameter's and in some that are written down."""
    books = {"value": "'{{ params.room }}'", "secret": SECRET, "shared": SHARED, "pending": PENDING}
    with stage(tmp_path_factory.mktemp(request.param), socket_mode=request.param == "socket") as running:
        for slug, channel in books.items():
            text = TOP.format(slug) + TALK.replace("CHANNEL", channel)
            (running.rt.settings.runbooks_dir / f"{slug}.yaml").write_text(text)
        ready(running)
        for slug in books:
            assert "is approved" in running.say(f"admin approve {slug}@1", ALICE)
        running.sim.workspace.open_direct(CAROL)
        yield running


@pytest.fixture(autouse=True)
def calm(bot: Stage) -> Iterator[None]:
    """No trouble is left over, and nothing that Slack said in an earlier test is still taken for true."""
    yield
    bot.http.delete("faults")
    on_stage.CHANNELS_LATER[0] += 3_600.0


def in_trouble(bot: Stage, method: str, kind: str) -> None:
    """From now on Slack fails at one method; what the bot heard from it a moment ago, for a card, is old."""
    bot.post("faults", method=method, kind=kind, times=500, retry_after=1)
    on_stage.CHANNELS_LATER[0] += 3_600.0


def secret_of(bot: Stage, who: str) -> str:
    return tokens.create(bot.rt, SYSTEM, "channels", scopes="read,run,approve,admin", person=who)[1]


def rest(bot: Stage, method: str, path: str, who: str, body: Any = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret_of(bot, who)}"}
    return httpx.request(method, f"{bot.url}/api/v1{path}", json=body, headers=headers, trust_env=False, timeout=20)


def start(bot: Stage, who: str, channel: str, text: str) -> httpx.Response:
    body = {"parameters": {"text": text}, "incident": {"channel": channel}}
    return rest(bot, "POST", "/runbooks/value/execute", who, body)


def typed(bot: Stage, words: str, who: str, channel: str | None) -> int:
    """The status with which the command line is answered."""
    with connect.to_server(bot.url, secret_of(bot, who)) as api, redirect_stdout(io.StringIO()):
        try:
            people.answer(api, parse(words), Options(wait=False, channel=channel))
        except connect.Refused as error:
            return error.status
    return 202


def ended(bot: Stage, run: str) -> ExecutionRecord:
    return wait_for(lambda: (found := executions.find(bot.rt, run)) and found.status.ended and found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_shown_where_who_asks_is(bot: Stage, kind: str) -> None:
    """Over REST and on the command line; a refusal names the channel, and nothing appears there."""
    who, channel, status = KINDS[kind]
    answer = start(bot, who, channel, f"rest {kind}")
    assert answer.status_code == status, answer.text
    assert typed(bot, f'run value text="cli {kind}"', who, channel) == status
    if status == 403:
        assert (answer.json()["code"], channel in answer.json()["detail"]) == ("channel_not_allowed", True)
        calls = bot.get("calls", method="chat.postMessage")
        assert not [call for call in calls if call["args"]["channel"] == channel and kind in str(call)]
        return
    run = answer.json()["execution"]["id"]
    ended(bot, run)
    wait_for(lambda: [call for call in bot.get("calls") if run in str(call) and call["args"]["channel"] == channel])


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_to_a_channel_of_a_parameter(bot: Stage, kind: str) -> None:
    """The same of what a run says: where its requester is not, the step fails."""
    who, channel, status = KINDS[kind]
    text = f"said in: {kind}"
    told = bot.say(f'run value room={channel} text="{text}"', who)
    run = ended(bot, "R-" + told.split("R-")[1][:6])
    if status == 403:
        assert (run.status, run.error["code"]) == ("FAILED", "channel_not_allowed")
        assert channel in run.error["message"]
        assert not said_in(bot, channel, text)
        return
    assert run.status == "SUCCESS"
    wait_for(lambda: said_in(bot, channel, text))


def said_in(bot: Stage, channel: str, text: str) -> list[dict[str, Any]]:
    calls = bot.get("calls", method="chat.postMessage")
    return [call for call in calls if call["args"]["channel"] == channel and text in str(call["args"].get("text"))]


def test_what_an_author_wrote_down_is_said_there(bot: Stage) -> None:
    """Whoever runs it; but nothing is said where other workspaces are, which the thread tells."""
    run = ended(bot, bot.start('run secret text="for the vault"', DAVE))
    assert run.status == "SUCCESS"
    wait_for(lambda: said_in(bot, SECRET, "for the vault"))
    for slug, channel in (("shared", SHARED), ("pending", PENDING)):
        run = ended(bot, bot.start(f'run {slug} text="for {slug}"', CAROL))
        card = bot.card(run.id)
        wait_for(lambda card=card: "Slack Connect" in "".join(bot.in_thread(card["ts"])))
        assert f"for {slug}" in "".join(bot.in_thread(card["ts"]))
        assert not said_in(bot, channel, f"for {slug}")


def test_a_shared_channel_gets_a_refusal_and_nothing_else(bot: Stage) -> None:
    """For words, for a mention, for a button that stands there; an access file may allow it."""
    for channel in (SHARED, PENDING):
        assert "Slack Connect" in bot.say("run drain service=checkout", CAROL, channel)
        assert "Slack Connect" in bot.say("incident open Partners", CAROL, channel)
        seen = len(bot.private(CAROL, channel))
        bot.post("mention", user=CAROL, channel=channel, text="list")
        wait_for(lambda seen=seen, channel=channel: len(bot.private(CAROL, channel)) > seen)
        assert "Slack Connect" in shown(bot.private(CAROL, channel)[-1])
        assert said_in(bot, channel, "") == []
    path = bot.rt.settings.runbooks_dir / "_access.yaml"
    path.write_text(f"{on_stage.ACCESS}external_channels: [{SHARED}]\n")
    bot.say("admin sync", ALICE)
    told = bot.say("run careful reason=allowed", CAROL, SHARED)
    run = "R-" + told.split("R-")[1][:6]
    assert "Slack Connect" in bot.say("run careful reason=x", CAROL, PENDING)
    card = wait_for(lambda: next((m for m in bot.messages(CAROL, SHARED) if f"{run} · Waiting" in shown(m)), None))
    asked = {"user": PAULA, "channel": SHARED, "message_ts": card["ts"], "action_id": "run.cancel"}
    assert bot.post("click", **asked)["ok"]
    assert bot.private(PAULA, SHARED) == []
    assert executions.find(bot.rt, run).pending_result is None
    assert "cancelled" in bot.say(f"cancel {run}", CAROL, SHARED)
    ended(bot, run)
    path.write_text(on_stage.ACCESS)
    bot.say("admin sync", ALICE)


def test_a_card_is_not_shown_where_its_channel_was_shared_meanwhile(
    bot: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on; who started it is told directly why it is not seen."""
    run = bot.start("run careful reason=shared-meanwhile")
    card = bot.card(run)
    on_stage.CHANNELS_LATER[0] += 3_600.0
    monkeypatch.setitem(CHANNELS, CHANNEL, replace(CHANNELS[CHANNEL], shared=True))
    body = {"reason": "over"}
    assert rest(bot, "POST", f"/executions/{run}/cancel", CAROL, body).status_code == 200
    wait_for(lambda: any("shared with another workspace" in shown(m) for m in bot.messages(CAROL, "D0CAROL01")))
    assert ended(bot, run).status == "CANCELLED"
    assert "Cancelled" not in shown(bot.find(lambda m: m["ts"] == card["ts"]) or {})
    monkeypatch.undo()
    on_stage.CHANNELS_LATER[0] += 3_600.0
    bot.say("help")
    wait_for(lambda: "Cancelled" in shown(bot.card(run)), 30)


def test_who_has_left_is_refused_a_minute_later(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start(bot, CAROL, SECRET, "here").status_code == 202
    channel = CHANNELS[SECRET]
    monkeypatch.setitem(CHANNELS, SECRET, replace(channel, members=tuple({*channel.members} - {CAROL})))
    on_stage.CHANNELS_LATER[0] += 61.0
    assert start(bot, CAROL, SECRET, "gone").status_code == 403


def test_the_last_of_many_members_is_found(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = CHANNELS[SECRET]
    others = tuple(f"U0MANY{n:04}" for n in range(2_500))
    monkeypatch.setitem(CHANNELS, SECRET, replace(channel, members=(*others, *channel.members)))
    assert start(bot, CAROL, SECRET, "crowded").status_code == 202
    assert start(bot, DAVE, SECRET, "crowded").status_code == 403
    assert len(bot.get("calls", method="conversations.members")) >= 3


@pytest.mark.parametrize(
    ("method", "kind", "words"),
    [
        ("conversations.members", "error:missing_scope", "slack/manifest.yaml"),
        ("conversations.members", "429", "asks for patience"),
        ("conversations.info", "500", "Slack"),
        ("conversations.info", "reset", "does not answer"),
    ],
)
def test_where_slack_does_not_say_nothing_is_named(bot: Stage, method: str, kind: str, words: str) -> None:
    """The refusal says what to do. Without a channel, and by a command typed in one, runs start as ever."""
    in_trouble(bot, method, kind)
    answer = start(bot, CAROL, SECRET, f"{method} {kind}")
    assert (answer.status_code, answer.json()["code"]) == (503, "channel_unknown"), answer.text
    assert words in answer.json()["detail"]
    assert typed(bot, f'run value text="no channel, {method} {kind}"', CAROL, None) == 202
    assert "Started" in bot.say(f'run value text="typed, {method} {kind}"', CAROL)
    assert rest(bot, "GET", "/incidents", CAROL).json() == [] or method == "conversations.members"


def test_a_message_is_kept_while_slack_does_not_say_who_is_there(bot: Stage) -> None:
    """The step is done, its note says why nothing was posted, and the thread has the text."""
    in_trouble(bot, "conversations.members", "error:missing_scope")
    run = ended(bot, bot.start(f'run value room={SECRET} text="kept for later"', CAROL))
    assert run.status == "SUCCESS"
    card = bot.card(run.id)
    thread = wait_for(lambda: (t := "".join(bot.in_thread(card["ts"]))) and "Slack did not say" in t and t)
    assert "kept for later" in thread
    assert "not posted: Slack did not say who is in C0SECRET1" in executions.view(bot.rt, run.id).steps[0].note
    assert not said_in(bot, SECRET, "kept for later")


def test_a_form_asks_for_a_channel_of_ones_own(bot: Stage) -> None:
    """Chosen in a form, a channel proves nothing: Slack is asked."""
    for channel in (PAYMENTS, CHANNEL):
        assert bot.post("shortcut", user=DAVE, callback_id="run_runbook")["ok"]
        pick = wait_for(lambda: (f := bot.form(DAVE)) and f["callback_id"] == "form.pick" and f)
        bot.post("submit", user=DAVE, view_id=pick["id"], values={"runbook": "value"})
        form = bot.form(DAVE)
        values = {"channel": channel, "param:text": f"by a form in {channel}"}
        direct = len(bot.messages(DAVE, "D0DAVE001")) if bot.sim.workspace.channel("D0DAVE001") else 0
        assert bot.post("submit", user=DAVE, view_id=form["id"], values=values)["response_action"] is None
        if channel == CHANNEL:
            wait_for(lambda: bot.find(lambda m: "by a form in C0INC0001" in shown(m)))
        else:
            told = wait_for(
                lambda direct=direct: (
                    bot.sim.workspace.channel("D0DAVE001") and (bot.messages(DAVE, "D0DAVE001")[direct:])
                )
            )
            assert "is not in C0PAYMENTS" in shown(told[-1])
    assert not [each for each in executions.recent(bot.rt, Filter(), 50) if "C0PAYMENTS" in str(each.incident)]


def test_a_card_shown_elsewhere_links_to_no_private_message(bot: Stage) -> None:
    """Who may see a run sees its card by `status`; the link to the message it is about is for the channel's members."""
    ts = bot.post("say", user=CAROL, channel=SECRET, text="the keys are out")["ts"]
    wish = {"callback_id": "run_about_message", "channel": SECRET, "message_ts": ts}
    assert bot.post("shortcut", user=CAROL, **wish)["ok"]
    pick = wait_for(lambda: (f := bot.form()) and f["callback_id"] == "form.pick" and f)
    bot.post("submit", user=CAROL, view_id=pick["id"], values={"runbook": "value"})
    bot.post("submit", user=CAROL, view_id=bot.form()["id"], values={"param:text": "about the keys"})
    run = wait_for(
        lambda: [each for each in executions.recent(bot.rt, Filter(channel=SECRET)) if "about the keys" in str(each)]
    )
    for who, sees in ((ALICE, True), (DAVE, False)):
        before = len(bot.private(who))
        bot.command(f"status {run[0].id}", who)
        card = wait_for(lambda who=who, before=before: bot.private(who)[before:])[0]
        assert ("archives/C0SECRET1" in json.dumps(card)) is sees
    for question in ("evidence", "status"):
        before = len(bot.private(ALICE))
        bot.post("mention", user=ALICE, channel=CHANNEL, text=f"{question} {run[0].id}")
        wait_for(lambda before=before: bot.private(ALICE)[before:])
    assert "archives/C0SECRET1" not in json.dumps(bot.messages(DAVE))
