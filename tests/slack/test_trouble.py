"""Slack in trouble: the run goes on, the card catches up, nobody is let in by mistake."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk import WebClient
from stage import ALICE, CAROL, CHANNEL, UNHEARD, Stage, in_thread, is_private, ready, shown, stage, wait_for

from bot.simulator.directory import BOT_USER_ID, CHANNELS, direct_channel_id
from bot.slack import directory
from bot.slack.client import web_client
from bot.slack.directory import Directory, read_person
from bot.slack.payload_values import PickForm, encode
from bot.slack.projector import timeline_pictures
from bot.slack.projector.pacing import Pace
from bot.slack.projector.poster import Mark, Poster
from bot.slack.projector.projector import Projector
from bot.slack.transport.http import Receiver
from bot.slack.verbs import commands
from bot.slack.views import thread as lines
from bot.slack.views.parts import said
from engine import health
from engine.queries import projection
from engine.runs import executions
from engine.runs.executions import ExecutionView
from storage import database, people
from storage.people_tables import Person
from storage.records import EventRecord


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in HTTP mode."""
    with stage(tmp_path_factory.mktemp("trouble"), socket_mode=False) as running:
        ready(running)
        yield running


@pytest.fixture(autouse=True)
def _no_faults_left(bot: Stage) -> Iterator[None]:
    yield
    bot.http.delete("faults")


def fault(bot: Stage, method: str, kind: str, times: int = 1, **more: Any) -> None:
    """Ask for trouble, once no earlier run has anything left to show that could run into it."""
    wait_for(lambda: not projection.outdated_cards(bot.rt, 200))
    answer = bot.post("faults", method=method, kind=kind, times=times, **more)
    assert answer["ok"], answer


def finished(bot: Stage, run: str) -> dict[str, Any]:
    return wait_for(lambda: (card := bot.card(run)) and "Succeeded" in shown(card) and card)


def test_a_busy_slack_is_left_alone_for_as_long_as_it_asks(bot: Stage) -> None:
    """After a 429 the method rests for its Retry-After, and then the card is posted, once."""
    fault(bot, "chat.postMessage", "429", retry_after=1)
    finished(bot, run := bot.start("run drain service=checkout"))
    cards = [m for m in bot.messages() if run in shown(m) and not is_private(m) and not in_thread(m)]
    assert len(cards) == 1


@pytest.mark.parametrize("kind", ["500", "error:internal_error", "reset", "reset_after_commit"])
def test_a_failing_update_is_tried_again(bot: Stage, kind: str) -> None:
    """An update that fails, or whose answer is lost, leaves the card behind for a while, not for good."""
    fault(bot, "chat.update", kind)
    finished(bot, bot.start("run drain service=checkout"))


def test_a_lost_answer_posts_nothing_twice(bot: Stage) -> None:
    """Where Slack took a message and its answer was lost, the bot finds its own message and goes on behind it."""
    fault(bot, "chat.postMessage", "reset_after_commit", times=2)
    run = bot.start("run careful reason=lost")
    card = wait_for(lambda: (found := bot.card(run)) and "Waiting for approval" in shown(found) and found)
    bot.gate(card["ts"])
    fault(bot, "chat.postMessage", "reset_after_commit")
    bot.say(f"cancel {run}")
    thread = wait_for(lambda: (told := bot.in_thread(card["ts"])) and "Cancelled" in told[-1] and told)
    assert len(thread) == len(set(thread)), thread
    assert len([m for m in bot.messages() if run in shown(m) and not is_private(m) and not in_thread(m)]) == 1


def test_another_projector_repeats_nothing(bot: Stage) -> None:
    """Whoever takes over finds what was posted and not noted: the card that this process does not know of."""
    run = bot.start("run careful reason=handed-over")
    card = bot.card(run)
    wait_for(lambda: "Waiting for approval" in shown(bot.card(run)))
    poster = Poster(web_client(bot.rt.settings), Pace(lambda: 30 * time.monotonic()))
    begun = executions.find(bot.rt, run).created_at
    assert poster.post(CHANNEL, lambda _: said("never"), Mark(run, "card", begun)) == card["ts"]
    assert poster.post(CHANNEL, lambda _: said("another part"), Mark(run, "event:99", begun)) != card["ts"]
    bot.say(f"cancel {run}")


@pytest.mark.parametrize("kind", ["error:token_revoked", "error:not_in_channel", "slow"])
def test_the_run_goes_on_whatever_slack_does(bot: Stage, kind: str) -> None:
    """With a revoked token, outside the channel or while Slack takes its time, the run ends as it would."""
    fault(bot, "chat.postMessage", kind, retry_after=1)
    told = bot.say("run drain service=checkout reason=anyway")
    run = "R-" + told.split("R-")[1][:6]
    wait_for(lambda: executions.find(bot.rt, run).status.ended)
    finished(bot, run)


def test_a_slack_that_lets_nobody_in_is_asked_again_soon_and_then_less_often() -> None:
    """Two seconds at first, twice as long each time, a minute at most."""
    poster = Poster(WebClient(), Pace(lambda: 0.0))
    assert [poster.pause_locked_out() for _ in range(7)] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert poster.is_paused("chat.postMessage")


def test_a_thread_goes_on_behind_what_cannot_be_told(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a line nor a picture that fails, every time, keeps the end of a run from being told."""
    real = lines.line

    def failing(event: EventRecord, view: ExecutionView) -> str | None:
        if event.kind == "paused":
            raise ValueError("cannot be drawn")
        return real(event, view)

    monkeypatch.setattr(lines, "line", failing)
    monkeypatch.setattr(timeline_pictures, "worth_drawing", lambda _: True)
    monkeypatch.setattr(timeline_pictures, "timeline", lambda *_: 1 / 0)
    monkeypatch.setattr(Projector, "_back_off", lambda *_: 0.0)
    run = bot.start("run careful reason=undrawable")
    card = bot.card(run)
    bot.gate(card["ts"])
    bot.say(f"pause {run}")
    bot.say(f"cancel {run}")
    wait_for(lambda: any("Cancelled after" in line for line in bot.in_thread(card["ts"])))
    wait_for(lambda: not projection.outdated_cards(bot.rt, 200))


def test_readiness_says_that_slack_lags(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not shown for a while fails the check by name, and keeps nobody from sending work."""
    fault(bot, "chat.postMessage", "429", times=50, retry_after=20)
    run = bot.start("run drain service=basket")
    wait_for(lambda: executions.find(bot.rt, run).status.ended)
    monkeypatch.setattr(health, "MAX_UNSHOWN_AGE_MS", 1)
    lagging = next(check for check in health.checks(bot.rt) if check.name == "slack")
    assert (lagging.ok, lagging.vital) == (False, False)
    assert "the oldest event that is not shown is 0 s old" in lagging.detail
    bot.http.delete("faults")
    finished(bot, run)
    wait_for(lambda: next(check.ok for check in health.checks(bot.rt) if check.name == "slack"))


def test_plan_blocks_that_are_refused_become_sections(bot: Stage) -> None:
    """Where Slack does not take plan blocks, the card says the same in sections."""
    fault(bot, "chat.postMessage", "error:invalid_blocks")
    card = finished(bot, bot.start("run drain service=checkout"))
    assert "plan" not in [block["type"] for block in card["blocks"]]
    assert "`drain · Take it out` done" in shown(card)


def test_a_card_that_was_deleted_comes_back(bot: Stage) -> None:
    """When an update finds no message, the card is posted anew."""
    run = bot.start("run careful reason=x")
    first = bot.card(run)
    wait_for(lambda: "Waiting for approval" in shown(bot.card(run)))
    fault(bot, "chat.update", "error:message_not_found")
    bot.say(f"cancel {run}")
    again = wait_for(
        lambda: bot.find(lambda m: m["ts"] != first["ts"] and not in_thread(m) and f"{run} · Cancelled" in shown(m))
    )
    assert again["ts"] > first["ts"]


@contextmanager
def without_the_bot() -> Iterator[None]:
    """The channel while somebody has removed the bot from it."""
    channel = CHANNELS[CHANNEL]
    members = tuple(each for each in channel.members if each != BOT_USER_ID)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CHANNELS, CHANNEL, replace(channel, members=members))
        yield


def directly(bot: Stage, user: str, run: str) -> list[str]:
    """What a person was told of a run by direct message."""
    direct = direct_channel_id(user)
    opened = bot.sim.workspace.channel(direct) is not None
    return [shown(m) for m in bot.messages(user, direct) if run in shown(m)] if opened else []


def slack_check(bot: Stage) -> health.Check:
    return next(check for check in health.checks(bot.rt) if check.name == "slack")


def test_a_run_that_its_channel_does_not_show_is_not_lost(bot: Stage) -> None:
    """Whom it concerns is told directly, readiness names it, and once the bot is invited all appears, once."""
    fault(bot, "chat.postMessage", "429", retry_after=1)
    run = bot.start("run careful reason=unheard")
    with without_the_bot():
        told = wait_for(lambda: directly(bot, CAROL, run))
        assert "/invite" in told[0]
        assert "this bot is not in it" in told[0]
        wait_for(lambda: any("A decision is asked of you" in each for each in directly(bot, ALICE, run)))
        lagging = wait_for(lambda: (found := slack_check(bot)) and not found.ok and found)
        assert not lagging.vital
        assert f"{run} in {CHANNEL} (not_in_channel)" in lagging.detail
        bot.command(f"status {run}")
    bot.say(f"status {run}")
    card = bot.card(run)
    bot.gate(card["ts"])
    wait_for(lambda: slack_check(bot).ok)
    assert len([m for m in bot.messages() if run in shown(m) and not is_private(m) and not in_thread(m)]) == 1
    assert len([text for text in bot.in_thread(card["ts"]) if "Waiting for approval" in text]) == 1
    assert len([each for each in directly(bot, CAROL, run) if "/invite" in each]) == 1
    assert len([each for each in directly(bot, ALICE, run) if "A decision is asked" in each]) == 1
    bot.say(f"cancel {run}")


def test_a_channel_that_stays_gone_is_given_up_in_the_end(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends as it would; long after that showing it is given up, and that is on record."""
    monkeypatch.setattr(projection, "UNREACHABLE_MS", 0)
    fault(bot, "chat.postMessage", "429", retry_after=1)
    run = bot.start("run drain service=checkout")
    with without_the_bot():
        wait_for(lambda: executions.find(bot.rt, run).status.ended)
        wait_for(lambda: run not in [card.execution_id for card in projection.outdated_cards(bot.rt, 200)])
        wait_for(lambda: directly(bot, CAROL, run))
    card = projection.card_of(bot.rt, run)
    assert card is not None
    assert (card.ts, card.trouble) == (None, "not_in_channel")


def test_an_answer_that_cannot_be_given_here_comes_as_a_direct_message(bot: Stage) -> None:
    """Without a response_url, in a channel where the bot is not, the person still hears."""
    body = {"command": "/runbook", "text": "help", "user_id": CAROL, "channel_id": UNHEARD}
    assert bot.door.dispatch(body, None).status == 200

    def heard() -> bool:
        return any(call["args"].get("channel") == CAROL for call in bot.get("calls", method="chat.postMessage"))

    wait_for(heard)


def test_nobody_is_let_in_while_slack_cannot_say_who_they_are(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With users.info failing and nothing recent known, the standing is unknown; with it recent, it holds."""
    Directory(bot.rt, web_client(bot.rt.settings)).identify(CAROL)
    fresh = Directory(bot.rt, web_client(bot.rt.settings))
    fault(bot, "users.info", "500", times=50)
    assert fresh.identify(CAROL).standing == "member"
    monkeypatch.setattr(directory, "PERSON_STALE_MS", -1)
    assert fresh.identify(CAROL).standing == "unknown"
    bot.http.delete("faults")
    assert fresh.identify(CAROL).standing == "member"
    assert fresh.identify("U0NOBODY99").standing == "stranger"


def menu(user: str) -> dict[str, Any]:
    """What Slack sends as somebody types into the menu of runbooks."""
    view = {"type": "modal", "callback_id": "form.pick", "private_metadata": encode(PickForm(CHANNEL, "", ""))}
    about = {"user": {"id": user}, "team": {"id": "T0PRACTICE"}, "view": view}
    return {"type": "block_suggestion", "action_id": "value", "block_id": "runbook", "value": "drain", **about}


def chosen(user: str) -> dict[str, Any]:
    """What Slack sends as somebody has chosen a runbook and presses Next."""
    state = {"values": {"runbook": {"value": {"type": "external_select", "selected_option": {"value": "drain"}}}}}
    body = menu(user)
    return {
        "type": "view_submission",
        "user": body["user"],
        "team": body["team"],
        "view": {**body["view"], "state": state},
    }


@pytest.mark.parametrize("before", ["known", "new"])
def test_menus_hold_no_ack_up_while_slack_is_slow(bot: Stage, before: str) -> None:
    """Whoever was heard of lately gets what they look for at once; others as soon as Slack has said who they are."""
    bot.say("help")
    with bot.door.ctx.directory._lock:
        bot.door.ctx.directory._known.clear()
    if before == "new":
        with database.transaction():
            Person.delete().execute()
    fault(bot, "users.info", "slow", times=20, retry_after=3)
    answers: list[Any] = []
    bodies = [menu(CAROL)] * 5 + [chosen(CAROL)] * 5
    asking = [threading.Thread(target=lambda b=b: answers.append(bot.door.dispatch(b, None).body)) for b in bodies]
    begun = time.monotonic()
    for each in asking:
        each.start()
    assert bot.command("help")["ok"]
    for each in asking:
        each.join()
    assert time.monotonic() - begun < 1.0
    told = "".join(answers)
    assert ("Drain a service" in told, "who you are" in told) == (before == "known", before == "new")
    bot.http.delete("faults")
    wait_for(lambda: "Drain a service" in bot.door.dispatch(menu(CAROL), None).body)
    assert '"response_action": "update"' in bot.door.dispatch(chosen(CAROL), None).body


@pytest.mark.parametrize(
    ("user", "standing"),
    [
        ({}, "member"),
        ({"deleted": True, "is_bot": True}, "deleted"),
        ({"is_bot": True}, "bot"),
        ({"is_restricted": True}, "guest"),
        ({"is_ultra_restricted": True, "is_restricted": True}, "guest"),
        ({"is_stranger": True}, "stranger"),
        ({"team_id": "T0OTHER"}, "stranger"),
    ],
)
def test_standing_is_read_from_what_slack_says(user: dict[str, Any], standing: str) -> None:
    """Guests, bots, strangers and the deactivated are told from members."""
    assert read_person("U0X", {"id": "U0X", "team_id": "T0PRACTICE", **user}, "T0PRACTICE").standing == standing


def heard_of_groups(bot: Stage) -> int:
    """When that was, by the database's clock."""
    with database.reading():
        return min(group.fetched_at for group in people.groups(bot.rt.workspace_id))


def test_groups_are_asked_for_when_they_are_old(bot: Stage) -> None:
    """Only groups that roles name are kept; a failing Slack leaves what is known as it is."""
    fresh = Directory(bot.rt, web_client(bot.rt.settings))
    fresh.refresh_groups()
    heard = heard_of_groups(bot)
    assert database.now() - heard < 5_000
    before = len(bot.get("calls", method="usergroups.list"))
    fresh.refresh_groups()
    assert len(bot.get("calls", method="usergroups.list")) == before
    fault(bot, "usergroups.list", "error:fatal_error", times=2)
    fresh.refresh_groups(older_than_s=0)
    assert heard_of_groups(bot) == heard


def test_a_replayed_command_runs_once(bot: Stage) -> None:
    """The same signed bytes, sent five times, are answered five times and done once."""
    body = (
        "command=%2Frunbook&text=run+drain+service%3Dcheckout+grace%3D77&user_id=U0CAROL01"
        f"&channel_id={CHANNEL}&team_id=T0PRACTICE"
    )
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = bot.post("send_raw", body=body, times=5, headers=kind)["answers"]
    assert [answer["status"] for answer in answers] == [200] * 5

    def cards() -> list[dict[str, Any]]:
        return [m for m in bot.messages() if "grace=77" in shown(m) and not is_private(m) and not in_thread(m)]

    wait_for(cards)
    finished(bot, "grace=77")
    assert len(cards()) == 1


def test_an_event_that_comes_again_is_answered_once(bot: Stage) -> None:
    """A retried event has a new signature and the same event_id."""
    event = {"type": "app_mention", "user": CAROL, "text": "<@U0BOT0001> list drain", "channel": CHANNEL}
    said = bot.post("say", user=CAROL, channel=CHANNEL, text="hello")
    ts = said.get("ts") or said["message"]["ts"]
    before = len(bot.private())
    body = {"type": "event_callback", "event_id": "EvTwice", "team_id": "T0PRACTICE", "event": {**event, "ts": ts}}
    for attempt in range(3):
        headers = {"Content-Type": "application/json", "X-Slack-Retry-Num": str(attempt)}
        padded = json.dumps(body) + " " * attempt
        assert bot.post("send_raw", body=padded, headers=headers)["answers"][0]["status"] == 200
    wait_for(lambda: bot.private()[before:])
    told = bot.say("runs")
    assert [shown(each) for each in bot.private()[before + 1 :]] == [told]


def test_twenty_commands_at_once_are_all_acked(bot: Stage) -> None:
    """A Slack that takes its time over the work behind twenty commands keeps none of them from its ack."""
    fault(bot, "conversations.info", "slow", times=20, retry_after=1)
    before = len(bot.private())
    outcomes: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(bot.command("run drain service=checkout"))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [outcome["ok"] for outcome in outcomes] == [True] * 20
    wait_for(lambda: len(bot.private()) == before + 20)


def test_trouble_behind_the_ack_leaves_the_ack(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks behind a command, it was acknowledged, and the person is told an id that the log has."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("this was asked for")

    monkeypatch.setattr(commands, "answer", broken)
    before = len(bot.private())
    assert bot.command("help")["ok"]
    assert "Something went wrong here" in shown(wait_for(lambda: bot.private()[before:])[0])


def test_a_database_that_is_away_is_told_as_that(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """No id to look up in a log, but what is wrong and what to do."""

    def away(*_: Any, **__: Any) -> None:
        raise database.OperationalError("gone")

    monkeypatch.setattr(commands, "answer", away)
    before = len(bot.private())
    assert bot.command("help")["ok"]
    told = shown(wait_for(lambda: bot.private()[before:])[0])
    assert "The bot's database does not answer. Ask again in a minute" in told


def test_an_unknown_button_or_form_is_acked(bot: Stage) -> None:
    """What an older version of the bot drew gets an answer, not an error sign."""
    dispatch = bot.door.dispatch
    click = {"type": "block_actions", "actions": [{"action_id": "old.button", "value": "x"}], "user": {"id": CAROL}}
    assert dispatch(click, None).status == 200
    stale = {
        "type": "block_actions",
        "user": {"id": CAROL},
        "channel": {"id": CHANNEL},
        "container": {"channel_id": CHANNEL},
        "actions": [{"action_id": "gate.approve", "value": "[1]", "block_id": "b", "type": "button"}],
    }
    before = len(bot.private())
    assert dispatch(stale, None).status == 200
    assert "older version" in shown(wait_for(lambda: bot.private()[before:])[0])
    form = {
        "type": "view_submission",
        "user": {"id": CAROL},
        "view": {"type": "modal", "callback_id": "form.old"},
    }
    answer = dispatch(form, None)
    assert json.loads(answer.body)["response_action"] == "update"


def test_the_receiver_and_the_door_fit(bot: Stage) -> None:
    """A signed request travels through the receiver into the door and comes back as HTTP."""
    receiver = Receiver(bot.door.dispatch, "secret", clock=lambda: 1_795_000_000.0)
    assert receiver.receive({}, b"x")[0] == 401
