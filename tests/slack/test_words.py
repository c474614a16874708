"""The words of the incident channel, typed and clicked, in both modes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from stage import ALICE, BOB, CAROL, CHANNEL, DAVE, GUEST, OSCAR, Stage, ready, shown, stage, wait_for

from engine.queries import evidence
from engine.runs import executions
from storage.records import Filter

TOP = "apiVersion: runbook/v1\nid: {0}\nname: A runbook for {0}\nteam: payments\n"
BOOKS = {
    "asks": """
parameters:
  type: object
  required: [service]
  properties:
    service: {type: string, enum: [checkout, basket], x-prefill: incident.service}
    note: {type: string}
steps:
  - {id: ask, type: approval, with: {approvers: {roles: [platform_admin]}, message: "Go <!here>?"}, timeout: 10m}
""",
    "breaks": """
parameters: {type: object, properties: {n: {type: integer, default: 1}}}
steps:
  - {id: look, type: http, with: {url: "TARGET/hosts/health/nothing"}, retry: {max_attempts: 1}}
""",
    "talks": """
steps:
  - id: rounds
    type: loop
    with:
      items: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
      steps:
        - id: say
          type: http
          with: {url: "TARGET/hosts/health/nothing"}
          retry: {max_attempts: 1}
          continue_on_error: true
""",
}


@pytest.fixture(scope="module", params=["http", pytest.param("socket", marks=pytest.mark.slow)])
def bot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in each mode, with runbooks that ask, break and have much to tell."""
    with stage(tmp_path_factory.mktemp("words"), socket_mode=request.param == "socket") as running:
        for slug, text in BOOKS.items():
            whole = TOP.format(slug) + text.replace("TARGET", str(running.sim.target_url))
            (running.rt.settings.runbooks_dir / f"{slug}.yaml").write_text(whole)
        ready(running)
        for slug in BOOKS:
            assert "is approved" in running.say(f"admin approve {slug}@1", ALICE)
        yield running


@pytest.fixture(autouse=True)
def quiet(bot: Stage) -> Iterator[None]:
    """Each test leaves no run open behind it."""
    yield
    from engine.access.policy import Actor
    from engine.runs import controls

    for run in executions.recent(bot.rt, Filter(open=True), 50):
        controls.cancel(bot.rt, Actor(ALICE, standing="member"), run.id)
        wait_for(lambda run=run: executions.find(bot.rt, run.id).status.ended)


def asking(bot: Stage, text: str = "run asks service=checkout", user: str = CAROL) -> str:
    """A run that waits at its gate."""
    run = bot.start(text, user)
    wait_for(lambda: "Waiting for approval" in shown(bot.card(run)))
    return run


def broken(bot: Stage, text: str = "run breaks") -> str:
    run = bot.start(text)
    wait_for(lambda: "Failed" in shown(bot.card(run)))
    return run


def clicked(bot: Stage, action: str, user: str, label: str = "", **more: Any) -> str:
    """Click a button of the last private message, and what is told then, in its place or after it."""
    last = bot.private(user)[-1]
    blocks = [block for block in last["blocks"] if action in str(block)]
    block_id = next(
        block["block_id"]
        for block in blocks
        for element in [*block.get("elements", []), block.get("accessory", {})]
        if element.get("action_id") == action and label in element["text"]["text"]
    )
    before = [shown(message) for message in bot.private(user)]
    place = {"ephemeral_id": last["ephemeral_id"], "action_id": action, "block_id": block_id}
    assert bot.post("click", user=user, channel=CHANNEL, **place, **more)["ok"]
    return wait_for(lambda: next((s for s in (shown(m) for m in reversed(bot.private(user))) if s not in before), None))


def files(bot: Stage, user: str) -> list[dict[str, Any]]:
    """What the bot has given somebody in their messages with it."""
    direct = bot.sim.workspace.open_direct(user)
    return [file for m in bot.messages(user, direct.id) for file in m.get("files", [])]


def content(file: dict[str, Any]) -> bytes:
    return httpx.get(file["url_private"], trust_env=False).content


def test_why_says_what_a_run_waits_for_and_what_to_type(bot: Stage) -> None:
    """By word and by button; text from people stays text."""
    run = asking(bot)
    for told in (bot.say("why"), bot.say(f"explain {run}", OSCAR)):
        assert "waits for 1 more approval" in told
        assert "then the run fails" in told
        assert "<!subteam^S0PLATFORM> can" in told
        assert f"`/runbook approve {run} ask`" in told
        assert "Go &lt;!here&gt;?" in told
    failed = broken(bot)
    told = bot.say(f"why {failed}")
    assert "*look* failed" in told
    assert "The answer was `404`" in told
    assert f"`/runbook retry {failed} look`" in told


def test_a_card_offers_why_and_logs(bot: Stage) -> None:
    """Anybody may look, in private."""
    failed = broken(bot, "run breaks n=7")
    ts = bot.card(failed)["ts"]
    for action, needle in (("run.why", "There is no service nothing"), ("run.logs", "try 1")):
        before = len(bot.private(OSCAR))
        bot.click(action, OSCAR, ts)
        assert needle in shown(wait_for(lambda before=before: bot.private(OSCAR)[before:])[0])


def test_can_says_the_rule_and_whom_to_ask(bot: Stage) -> None:
    """For oneself and for others."""
    assert "✅ Yes: You may `run` asks." in bot.say("can run asks")
    told = bot.say("can @oscar run asks", BOB)
    assert "⛔ No: <@U0OSCAR01> may not `run` asks." in told
    assert "Only members and admins of team payments" in told
    assert "Those who may: <@U0BOB0001>, <!subteam^S0PAYMENTS>." in told
    assert "You may not `admin approve` asks@1" in bot.say("can admin approve asks")
    assert "Did you mean" in bot.say("can rnu asks")
    told = bot.say("can fly")
    assert "“fly” is nothing that can be asked about. It is one of list, show" in told
    assert "`/runbook can run ID`" in told
    assert "mention the person" in bot.say("can @nobody-there run asks")


def test_a_refusal_names_whom_to_ask_and_no_id_of_the_log(bot: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing broke, so there is nothing to look up; mentions in a private message ring nobody."""
    with caplog.at_level("INFO", logger="bot.slack"):
        told = bot.say("run asks service=checkout", OSCAR)
    assert "Ask <@U0BOB0001>, <!subteam^S0PAYMENTS>." in told
    assert "In the log" not in told
    assert any("was refused: Only members" in record.getMessage() for record in caplog.records)
    assert bot.private(OSCAR)[-1].get("is_ephemeral") or bot.private(OSCAR)[-1].get("ephemeral")


def test_a_short_log_is_shown_and_a_long_one_is_a_file_for_who_asked(bot: Stage) -> None:
    """With what was sent and what came back, and no secret in it."""
    failed = broken(bot)
    told = bot.say(f"logs {failed} look")
    assert "try 1" in told
    assert "GET http" in told
    assert "&lt; 404" in told
    run = bot.start("run talks")
    card = wait_for(lambda: (c := bot.card(run)) and "Succeeded" in shown(c) and c)
    assert "is a file in your messages with this bot" in bot.say(f"logs {run}")
    file = wait_for(lambda: next((f for f in files(bot, CAROL) if f["name"] == f"{run}.log"), None))
    assert not [m for m in bot.messages(thread_ts=card["ts"]) if m.get("files")]
    text = content(file).decode()
    assert text.count("try 1") >= 12
    assert "rounds[11].say" in text
    assert "Did you mean" in bot.say(f"logs {run} rouns")


def test_evidence_is_one_file_that_can_be_checked(bot: Stage) -> None:
    """Whoever asked is in it."""
    failed = broken(bot, "run breaks n=2")
    told = bot.say(f"evidence {failed}", OSCAR)
    assert "in your messages with this bot" in told
    file = wait_for(lambda: next((f for f in files(bot, OSCAR) if "evidence" in f["name"]), None))
    found = json.loads(content(file))
    assert evidence.check(found) == []
    assert found["digest"] in told
    assert (found["made_by"], found["run"]["id"]) == (OSCAR, failed)


def test_a_run_that_is_left_out_is_asked_for(bot: Stage) -> None:
    """With one it is that; with several each has a button, and the one that is clicked is meant."""
    first = asking(bot, "run asks service=checkout note=one")
    assert "is paused" in bot.say("pause")
    assert "goes on" in bot.say("resume")
    second = asking(bot, "run asks service=checkout note=two")
    told = bot.say('pause reason="look & see"')
    assert "Which run?" in told
    assert first in told
    assert second in told
    assert f"`{second}` is paused" in clicked(bot, "run.pick", CAROL, second)
    from engine.runs import executions

    assert executions.find(bot.rt, second).paused_reason == "look & see"
    assert executions.find(bot.rt, first).status == "WAITING"
    bot.say("why", OSCAR)
    assert f"{first}" in clicked(bot, "run.pick", OSCAR, first)
    bot.say("cancel", OSCAR)
    assert "Only members" in clicked(bot, "run.pick", OSCAR, first)


def test_in_a_runs_thread_it_is_that_run(bot: Stage) -> None:
    """A mention there needs no id, whatever else is open."""
    first = asking(bot, "run asks service=checkout note=thread")
    asking(bot, "run asks service=basket")
    ts = bot.card(first)["ts"]
    bot.post("mention", user=CAROL, channel=CHANNEL, text="why", thread_ts=ts)
    wait_for(lambda: any(first in line and "1 more approval" in line for line in bot.in_thread(ts)))


def test_ended_runs_are_meant_by_verbs_about_them(bot: Stage) -> None:
    """retry takes the one that failed lately; with several, one is asked for."""
    failed = broken(bot, "run breaks n=3")
    told = bot.say("retry look")
    assert failed in told
    bot.say("replay")
    assert "Which run?" in shown(bot.private()[-1])


def test_runs_are_narrowed(bot: Stage) -> None:
    """By state, runbook, person and time; a wrong word is answered with the nearest."""
    failed, waiting = broken(bot, "run breaks n=4"), asking(bot)
    told = bot.say("runs here status=failed runbook=breaks since=1h")
    assert failed in told
    assert waiting not in told
    assert waiting in bot.say("runs status=open")
    assert "No runs." in bot.say("runs all by=@dave")
    assert "Did you mean “failed”" in bot.say("runs status=faild")
    assert "is not a duration" in bot.say("runs since=yesterday")


def test_the_same_run_that_succeeded_lately_is_taken_instead(bot: Stage) -> None:
    """Where that was asked for, by words."""
    run = bot.start("run talks")
    wait_for(lambda: "Succeeded" in shown(bot.card(run)))
    told = bot.say("run talks reuse_within=10m")
    assert "Nothing was started" in told
    assert run in told
    assert "is not a duration" in bot.say("run talks reuse_within=lately")


def test_a_run_is_handed_over(bot: Stage) -> None:
    """Once they take it over, the new owner stands on its card."""
    run = asking(bot)
    ts = bot.card(run)["ts"]
    assert "is offered to <@U0BOB0001>" in bot.say('handover @bob reason="end of shift"')
    wait_for(lambda: any("offers this run to <@U0BOB0001>: end of shift" in line for line in bot.in_thread(ts)))
    assert "is yours now" in bot.say(f"takeover {run}", BOB)
    wait_for(lambda: any("<@U0BOB0001> took this run over from" in line for line in bot.in_thread(ts)))
    wait_for(lambda: "now with <@U0BOB0001>" in shown(bot.card(run)))
    assert "cannot be handed to" in bot.say(f"handover {run} @oscar")
    assert run in bot.say("runs mine", BOB)


def test_an_incident_fills_parameters_and_is_closed_twice(bot: Stage) -> None:
    """Its facts fill runs and forms; a latecomer gets the story; closing with open runs is asked again."""
    assert "inc-4711" in bot.say("incident") or "Checkout answers" in bot.say("incident")
    assert "Only responders" in bot.say("incident set severity=sev1", OSCAR)
    told = bot.say('incident set title="It is <!channel> slow" severity=sev1 service=basket')
    assert "service=basket" in told
    assert "It is &lt;!channel&gt; slow" in told or "‹!channel›" in told
    bot.say("incident set service=mail")
    before = len(bot.private())
    bot.post("mention", user=CAROL, channel=CHANNEL, text="run asks")
    assert "(it was filled in from the incident)" in shown(wait_for(lambda: bot.private()[before:])[0])
    bot.say("incident set service=basket", BOB)
    run = asking(bot, "run asks")
    assert "service=basket" in shown(bot.card(run))
    assert executions.find(bot.rt, run).chosen_by == [CAROL, BOB]  # who set the fact does not decide either
    bot.command("run breaks n=x")
    assert bot.form()["callback_id"] == "form.run"
    story = bot.say("catchup", OSCAR)
    for part in (run, "waits for 1 more approval", "started", "severity=sev1"):
        assert part in story
    assert "1 run is open" in bot.say("incident close reason=over")
    assert "is closed after" in clicked(bot, "incident.close", CAROL)
    assert "is no incident now" in bot.say("incident close")
    assert "closed" in bot.say("incident")
    assert bot.command("run asks")["ok"]
    wait_for(lambda: "A runbook for asks" in str(bot.form()))
    assert "not in a direct message" in bot.say("incident open x", CAROL, f"D{CAROL[1:]}")
    assert "It is slow again" in bot.say("incident open It is slow again service=checkout", BOB)


def test_help_shows_what_this_person_may_do(bot: Stage) -> None:
    """Everything with `help all`; nothing of admins' for others."""
    outsider, responder, admin = (bot.say("help", user) for user in (OSCAR, CAROL, ALICE))
    assert "*See how it goes*\n`status`" in outsider
    assert "`run`" not in outsider
    assert "*Find a runbook and run it*\n`list`" in responder
    assert "`run`" in responder
    assert "`admin sync`" not in responder
    assert "`admin sync`" in admin
    assert "`admin sync`" in bot.say("help all", OSCAR)
    assert len(admin) < 3_500, "short enough to be read"
    assert "/runbook run ID" in bot.say("help run", OSCAR)
    assert "Guests may not" in bot.say("help", GUEST)


def test_admins_see_history_and_check_the_chain(bot: Stage) -> None:
    """Who did what with a runbook; and that nobody changed what was written."""
    told = bot.say("admin history breaks", DAVE)
    assert "<@U0ALICE01> approved `breaks@1`" in told
    assert "holds from the first to the last" in bot.say("admin verify", ALICE)
    assert "Only a platform admin" in bot.say("admin verify", CAROL)


def test_a_deprecated_runbook_suggests_its_successor(bot: Stage) -> None:
    """And comes back."""
    assert "use `asks` instead" in bot.say("admin deprecate talks successor=asks reason=old", ALICE)
    assert "Use `/runbook run asks` instead" in bot.say("run talks")
    assert "no runbook" in bot.say("admin deprecate breaks successor=nothing reason=old", ALICE)
    bot.say("admin rollback talks", ALICE)
    assert "is approved" in bot.say("admin approve talks@1", ALICE)


def test_slack_found_nothing_to_complain_about(bot: Stage) -> None:
    """Over all that was done here."""
    assert bot.get("problems") == []
