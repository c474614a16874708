"""Every word, button, form, menu, shortcut and tab × standing: only a member gets anything, and no form opens first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from stage import ALICE, CAROL, CHANNEL, DAVE, OSCAR, Stage, ready, stage, wait_for

from bot.cli import connect, people
from bot.cli.options import Options
from bot.grammar import parse
from bot.help_text import example_of
from bot.page import signed_links
from bot.simulator.directory import PEOPLE
from bot.slack.forms import actions
from bot.slack.ids import Action, Form, Shortcut
from bot.slack.payload_values import GatePage, GateRef, RunRef, StepRef, VersionPage, VersionRef, encode
from bot.verbs import VERBS
from engine.access import people as known
from engine.access import tokens
from engine.access.policy import SYSTEM
from engine.catalog import catalog
from engine.config.settings import secret_key
from engine.runs import executions
from storage import database
from storage.people_records import PersonRecord
from storage.people_tables import Person

SENTENCES = {
    "guest": "Guests may not",
    "deleted": "This account is deactivated",
    "bot": "Bots may not",
    "stranger": "People of other workspaces may not",
    "unknown": "Slack could not say who you are",
}
OPENING = {
    Action.SKIP, Action.REJECT, Action.REVIEW, Action.RETRY, Action.MARK_DONE, Action.MARK_FAILED, Action.DEPRECATE,
    Action.OPEN_FORM, Action.REVIEW_PAGE, Action.VERSION_PAGE,
}  # fmt: skip
"""The buttons that open a form which is of use only to who may do what it is for."""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("standing"), socket_mode=False, pages=True) as running:
        ready(running)
        yield running


@pytest.fixture(scope="module")
def run(bot: Stage) -> str:
    """A run that waits at its gate."""
    started = bot.start('run careful reason="standing"', DAVE)
    wait_for(lambda: executions.find(bot.rt, started).status == "WAITING")
    return started


@pytest.fixture(params=SENTENCES)
def oscar(bot: Stage, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What is said to Oscar, who is no member, or of whom Slack cannot say what he is."""
    how = str(request.param)
    if how == "stranger":
        monkeypatch.delitem(PEOPLE, OSCAR)
    elif how != "unknown":
        monkeypatch.setitem(PEOPLE, OSCAR, replace(PEOPLE[OSCAR], **{how: True}))
    forget(bot)
    if how == "unknown":
        bot.post("faults", method="users.info", kind="error:internal_error", times=10_000)
    else:
        bot.door.ctx.directory.identify(OSCAR)
    yield SENTENCES[how]
    bot.http.delete("faults")
    forget(bot)


def forget(bot: Stage) -> None:
    bot.door.ctx.directory._known.clear()
    with database.transaction():
        Person.delete().where(Person.user_id == OSCAR).execute()


def calls(bot: Stage, since: int, *methods: str) -> list[dict[str, Any]]:
    return [each for each in bot.sim.workspace.journal.calls[since:] if each["method"] in methods]


def refused(bot: Stage, payloads: list[dict[str, Any]], sentence: str) -> None:
    """Each of these is answered with the sentence, and nothing opens."""
    since = len(bot.sim.workspace.journal.calls)
    for payload in payloads:
        bot.door.dispatch(payload, None)
    telling = ("chat.postEphemeral", "chat.postMessage")

    def told() -> list[dict[str, Any]]:
        return [each for each in calls(bot, since, *telling) if sentence in str(each)]

    wait_for(lambda: len(told()) >= len(payloads))
    assert calls(bot, since, "views.open", "views.push", "views.update", "views.publish") == []


def typed(text: str, user: str = OSCAR) -> dict[str, Any]:
    return {"command": "/runbook", "text": text, "user_id": user, "channel_id": CHANNEL, "trigger_id": "1.1"}


def clicked(action: str, value: str, user: str = OSCAR) -> dict[str, Any]:
    return {
        "type": "block_actions", "user": {"id": user}, "channel": {"id": CHANNEL}, "trigger_id": "1.1",
        "actions": [{"type": "button", "action_id": action, "block_id": "b", "value": value}],
    }  # fmt: skip


def test_no_word_is_for_who_is_no_member(bot: Stage, run: str, oscar: str) -> None:
    """Every verb, as it is typed and as it is said to the bot; help and one's own tokens included."""
    refused(bot, [typed(example_of(verb)) for verb in VERBS], oscar)
    mention = {"type": "app_mention", "user": OSCAR, "text": "<@U0BOT0001> list", "channel": CHANNEL, "ts": "1.1"}
    refused(bot, [{"type": "event_callback", "event": mention}], oscar)


def test_no_button_is_for_who_is_no_member(bot: Stage, oscar: str) -> None:
    """Every one there is, those of the Home tab included."""
    assert set(actions._CLICKS) == set(Action)
    refused(bot, [clicked(action, "") for action in Action], oscar)


def test_no_shortcut_and_no_tab_is_for_who_is_no_member(bot: Stage, oscar: str) -> None:
    """Neither opens."""
    shortcuts = [
        {"type": kind, "callback_id": chosen, "user": {"id": OSCAR}, "channel": {"id": CHANNEL}, "trigger_id": "1.1"}
        for chosen, kind in zip(Shortcut, ("shortcut", "message_action"), strict=True)
    ]
    refused(bot, shortcuts, oscar)
    opened = {"type": "app_home_opened", "user": OSCAR, "tab": "home", "channel": "D0OSCAR01"}
    refused(bot, [{"type": "event_callback", "event": opened}], oscar)


def test_no_form_and_no_menu_is_for_who_is_no_member(bot: Stage, oscar: str) -> None:
    """A form says so in its own place; a menu is empty. Of whom Slack says nothing, nothing is taken for granted."""
    unknown = oscar == SENTENCES["unknown"]
    for form in Form:
        view = {
            "type": "modal",
            "callback_id": form,
            "private_metadata": "",
            "state": {"values": {}},
        }
        body = {"type": "view_submission", "user": {"id": OSCAR}, "view": view}
        answer = str(bot.door.dispatch(body, None).body)
        assert oscar in answer or (unknown and "is from an older version" in answer), (form, answer)
        asked = {"type": "block_suggestion", "user": {"id": OSCAR}, "view": view, "action_id": "value", "value": ""}
        assert '"options": []' in str(bot.door.dispatch({**asked, "block_id": "b"}, None).body).replace('":[', '": [')


def test_no_page_is_for_who_is_no_member(bot: Stage, run: str, oscar: str) -> None:
    """A link that was given to a member opens nothing any more, and leaves no cookie."""
    key = secret_key(bot.rt.settings)
    with httpx.Client(base_url=bot.url, trust_env=False, timeout=20) as browser:
        answer = browser.get(signed_links.link("", key, OSCAR, run))
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert oscar in answer.text
        kept = signed_links.sign(key, signed_links.Purpose.COOKIE, signed_links.Pass(OSCAR, run, 2**40))
        for path in (f"/executions/{run}", f"/executions/{run}/events", "/runbooks"):
            answer = browser.get(path, headers={"Cookie": f"runbook_page={kept}"})
            assert answer.status_code == 403
            assert oscar in answer.text


def test_no_word_on_the_command_line_is_for_who_is_no_member(bot: Stage, run: str, oscar: str) -> None:
    """Though the host made a token for them; one that was there before is worth nothing either."""
    _, secret = tokens.create(bot.rt, SYSTEM, "standing", scopes="read,run,approve,admin", person=OSCAR)
    with connect.to_server(bot.url, secret) as api:
        for name in people.VERBS:
            line = {"token": "token list"}.get(name, example_of(next(each for each in VERBS if each.name == name)))
            with pytest.raises(connect.Refused) as raised:
                people.answer(api, parse(line.replace("R-7K2M9Q", run)), Options(wait=False, channel=CHANNEL))
            assert (raised.value.status, raised.value.code) == (403, "not_allowed"), name
            assert oscar in str(raised.value)


def test_no_form_opens_for_who_may_not_do_what_it_is_for(bot: Stage, run: str) -> None:
    """Oscar is a member who may look; a form would only tell him afterwards that it was for nothing."""
    bot.door.ctx.directory.identify(OSCAR)
    gate = executions.view(bot.rt, run).gates[0].approval
    shown = catalog.version(bot.rt, "drain")
    refs = {
        Action.SKIP: RunRef(run), Action.REJECT: GateRef(run, gate.path, gate.digest),
        Action.REVIEW: GateRef(run, gate.path, gate.digest), Action.DEPRECATE: VersionRef("drain", 1, shown.digest),
        Action.OPEN_FORM: VersionRef("drain", 1, shown.digest),
        Action.REVIEW_PAGE: GatePage(run, gate.path, gate.digest, 0),
        Action.VERSION_PAGE: VersionPage("drain", 1, "", 0),
    }  # fmt: skip
    values = {action: encode(refs.get(action, StepRef(run, "restart", 1))) for action in OPENING}
    refused(bot, [clicked(action, value) for action, value in values.items()], "Only ")


def test_who_matters_is_heard_of_though_they_are_not_here(bot: Stage, run: str) -> None:
    """Whoever is named, has voted or owns a token: what Slack says of them is never older than it needs to be."""
    directory = bot.door.ctx.directory
    directory.refresh_groups(0)
    with database.transaction():
        Person.update(fetched_at=1).execute()
        Person.delete().where(Person.user_id == ALICE).execute()
    assert known.as_known(bot.rt, ALICE).standing == known.as_known(bot.rt, CAROL).standing == "unknown"
    assert known.due_for_refresh(bot.rt, 1, 1) == [ALICE]  # of whom nothing was ever heard
    assert directory.refresh_people() is False
    assert known.as_known(bot.rt, ALICE).standing == known.as_known(bot.rt, CAROL).standing == "member"
    assert known.due_for_refresh(bot.rt, 60_000, 10) == []
    bot.say("help", OSCAR)


def test_a_member_that_slack_knows_no_more_is_one_no_longer(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept of them does not stand in for what Slack says now."""
    known.remember(bot.rt, PersonRecord(OSCAR, "oscar", None, "member", None, known.now()))
    bot.door.ctx.directory._known.clear()
    monkeypatch.delitem(PEOPLE, OSCAR)
    assert bot.door.ctx.directory.identify(OSCAR).standing == "stranger"
    assert known.as_known(bot.rt, OSCAR).standing == "stranger"
    forget(bot)
