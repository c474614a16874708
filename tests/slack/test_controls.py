"""Steering runs from Slack: buttons and words, and what card and thread tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from stage import (
    ALICE,
    CAROL,
    CHANNEL,
    DAVE,
    OSCAR,
    OTHER_CHANNEL,
    UNHEARD,
    Stage,
    in_thread,
    ready_with,
    shown,
    stage,
    until,
    wait_for,
)

from engine.runs import executions

BOOKS = {
    "fragile": """
parameters: {type: object, properties: {service: {type: string, default: nothing}}}
steps:
  - {id: look, type: http, with: {url: "TARGET/hosts/health/{{ params.service }}"}}
  - {id: after, type: message, with: {text: "Looked at {{ params.service }}."}}
""",
    "unsure": """
steps:
  - {id: restart, type: http, timeout: 1s, with: {method: POST, url: "TARGET/hosts/restart/checkout"}}
  - {id: after, type: message, with: {text: It goes on.}}
""",
    "talk": f"""
steps:
  - {{id: first, type: message, with: {{text: "One *bold* <!channel>"}}}}
  - {{id: second, type: message, with: {{text: Two, thread: false}}}}
  - {{id: third, type: message, with: {{text: Three, channel: {OTHER_CHANNEL}}}}}
  - {{id: fourth, type: message, with: {{text: Four, channel: {UNHEARD}}}}}
  - {{id: fifth, type: message, with: {{text: Five}}}}
""",
    "tidy": """
steps:
  - id: rounds
    type: loop
    with:
      items: [a, b]
      steps:
        - {id: say, type: message, with: {text: "Round {{ item }}"}}
  - {id: hear, type: wait, with: {key: "go-{{ execution.id }}"}}
on_failure:
  - {id: warn, type: message, with: {text: It ended badly.}}
finally:
  - {id: unlock, type: message, with: {text: Unlocked.}}
  - {id: really, type: approval, with: {approvers: {roles: [platform_admin]}, message: Really over?}}
""",
    "single": """
concurrency: {group: only-one}
parameters: {type: object, properties: {n: {type: integer, default: 1}}}
steps:
  - {id: ask, type: approval, with: {approvers: {roles: [platform_admin]}, message: Go?}}
""",
    "parent": """
steps:
  - {id: sub, type: runbook, with: {id: single, params: {n: 9}}}
""",
}


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in HTTP mode, with a runbook for each thing that can be steered."""
    with stage(tmp_path_factory.mktemp("controls"), socket_mode=False) as running:
        ready_with(running, BOOKS)
        yield running


def told(bot: Stage, ts: str, *words: str) -> list[str]:
    """The thread, once it says all of these."""
    return wait_for(lambda: (t := bot.in_thread(ts)) and all(word in "\n".join(t) for word in words) and t)


def offered(card: dict[str, Any]) -> list[str]:
    rows = [block["elements"] for block in card["blocks"] if block["type"] == "actions"]
    return [button["action_id"] for row in rows for button in row]


def clicked(bot: Stage, action: str, user: str, ts: str, **more: Any) -> str:
    """Click, and what the person is told of it in private."""
    before = len(bot.private(user))
    bot.click(action, user, ts, **more)
    return shown(wait_for(lambda: bot.private(user)[before:])[0])


def test_pause_and_resume_by_button(bot: Stage) -> None:
    """The button becomes its counterpart; what is decided meanwhile goes on at the resume."""
    run = bot.start("run careful reason=x")
    card = until(bot, run, "Waiting for approval")
    assert "Only members" in clicked(bot, "run.pause", OSCAR, card["ts"])
    assert "is paused" in clicked(bot, "run.pause", CAROL, card["ts"])
    paused = until(bot, run, "· Paused")
    assert "run.resume" in offered(paused)
    assert "run.pause" not in offered(paused)
    assert "is paused already" in bot.say(f"pause {run}")
    for admin in (ALICE, DAVE):
        assert "You approved" in bot.say(f"approve {run}", admin)
    assert "goes on" in clicked(bot, "run.resume", CAROL, card["ts"])
    until(bot, run, "Succeeded")
    told(bot, card["ts"], "<@U0CAROL01> paused this run.", "<@U0CAROL01> resumed this run.")


def test_the_same_run_is_shown_instead_of_started_twice(bot: Stage) -> None:
    """Force and a reason start another; force without a reason asks for one in a form."""
    run = bot.start("run careful reason=x")
    assert f"running already: `{run}`" in bot.say("run careful reason=y")
    assert bot.command("run careful force=yes")["ok"]
    form = bot.form()
    before = len(bot.private())
    bot.post("submit", user=CAROL, view_id=form["id"], values={"reason": "two hosts hang"})
    said = shown(wait_for(lambda: bot.private()[before:])[0])
    assert "Started" in said
    other = "R-" + said.split("R-")[1][:6]
    assert other != run
    for each in (run, other):
        assert "is being cancelled" in bot.say(f"cancel {each}")
        until(bot, each, "Cancelled")


def test_a_failed_step_is_tried_again_with_other_parameters(bot: Stage) -> None:
    """By button as it was, by word with what was wrong put right."""
    run = bot.start("run fragile")
    card = until(bot, run, "· Failed")
    assert offered(card) == ["run.retry", "run.why", "run.logs", "run.skip"]
    assert "goes on from" in clicked(bot, "run.retry", CAROL, card["ts"])
    told(bot, card["ts"], "had *look* tried again.")
    until(bot, run, "· Failed")
    said = wait_for(lambda: (s := bot.say(f"retry {run} service=checkout reason=typo")) and "FAILED" not in s and s)
    assert "goes on from its failed step." in said
    assert "gates" not in said, "it has none"
    until(bot, run, "Succeeded", "service=checkout")
    told(bot, card["ts"], "with other parameters", "Looked at checkout.")


def test_a_button_of_an_earlier_failure_has_nothing_tried_again(bot: Stage) -> None:
    """Carol's retry has failed as well when Alice clicks what she saw before it."""
    run = bot.start("run fragile")
    card = until(bot, run, "· Failed")
    (old,) = [
        each["value"]
        for row in card["blocks"]
        for each in row.get("elements", [])
        if each.get("action_id") == "run.retry"
    ]
    assert "goes on from" in clicked(bot, "run.retry", CAROL, card["ts"])

    def failed_again() -> bool:
        view = executions.view(bot.rt, run)
        return view.execution.status == "FAILED" and max(step.attempts for step in view.steps) == 2

    wait_for(failed_again)
    before = len(bot.private(ALICE))
    bot.door.dispatch(
        {
            "type": "block_actions", "user": {"id": ALICE}, "channel": {"id": CHANNEL}, "trigger_id": "1.1",
            "actions": [{"type": "button", "action_id": "run.retry", "block_id": "b", "value": old}],
        },
        None,
    )  # fmt: skip
    assert "was tried again meanwhile" in shown(wait_for(lambda: bot.private(ALICE)[before:])[0])
    assert failed_again()


def test_a_step_is_skipped_by_form_and_by_word(bot: Stage) -> None:
    """The form offers the steps that can be skipped and wants a reason; a gate is not among them."""
    run = bot.start("run fragile service=nowhere")
    card = until(bot, run, "· Failed")
    bot.click("run.skip", CAROL, card["ts"])
    form = bot.form()
    assert bot.post("submit", user=CAROL, view_id=form["id"], values={"reason": " "})["errors"].keys() == {"reason"}
    bot.post("submit", user=CAROL, view_id=form["id"], values={"step": "look", "reason": "done by hand"})
    until(bot, run, "Succeeded")
    told(bot, card["ts"], "<@U0CAROL01> skipped *look*: done by hand")
    gated = bot.start("run careful reason=x")
    until(bot, gated, "Waiting for approval")
    assert "nobody skips it" in bot.say(f"skip {gated} sign-off reason=hurry")
    assert "needs a reason" in bot.say(f"skip {gated} restart")
    assert "is skipped" in bot.say(f"skip {gated} restart reason=later")
    assert "is being cancelled" in bot.say(f"cancel {gated}")
    until(bot, gated, "Cancelled")


@pytest.mark.parametrize(
    ("button", "did", "end"),
    [
        ("step.retry", "had it tried again", "Succeeded"),
        ("step.done", "marked it done", "Succeeded"),
        ("step.failed", "marked it failed", "Failed"),
    ],
)
def test_an_outcome_that_nobody_saw_is_settled_by_form(bot: Stage, button: str, did: str, end: str) -> None:
    """The card asks, the form wants to know what was seen, and the run goes on as was said."""
    late = {"path": "/hosts/restart/checkout", "delay_ms": 3_000, "times": 1}
    httpx.post(f"{bot.sim.target_url}/faults", json=late, trust_env=False).raise_for_status()
    run = bot.start("run unsure")
    card = until(bot, run, "outcome unknown")
    bot.click(button, CAROL, card["ts"])
    form = bot.form()
    assert bot.post("submit", user=CAROL, view_id=form["id"], values={"reason": " "})["errors"].keys() == {"reason"}
    before = len(bot.private())
    bot.post("submit", user=CAROL, view_id=form["id"], values={"reason": "looked at the host"})
    assert "Noted: `restart`" in shown(wait_for(lambda: bot.private()[before:])[0])
    until(bot, run, f"· {end}")
    goes_on = ["It goes on."] if end == "Succeeded" else []
    thread = told(bot, card["ts"], f"<@U0CAROL01> {did}: looked at the host", f"{end} after", *goes_on)
    assert [line for line in thread if "goes on" in line] == goes_on
    found = executions.view(bot.rt, run).steps[0]
    assert found.attempts == (2 if button == "step.retry" else 1)
    assert "has no step restart whose outcome is unknown" in bot.say(f"resolve {run} restart done note=again")


def test_a_run_is_replayed(bot: Stage) -> None:
    """Once more with the same parameters, from the start or from a step; an open run is not."""
    run = bot.start("run drain service=basket grace=7")
    assert "has not ended" in bot.say(f"replay {run}")
    until(bot, run, "Succeeded")
    said = bot.say(f"rerun {run} from=drain reason='once more'")
    assert "once more" in said
    new = said.split("Started `")[1][:8]
    until(bot, new, "Succeeded", f"replays `{run}`", "grace=7")
    assert "needs a reason" in bot.say(f"replay {run} from=drain")
    assert "no main step nothing" in bot.say(f"replay {run} from=nothing reason=x")
    assert "version=latest or version=same" in bot.say(f"replay {run} version=2")


def test_a_vote_is_taken_back(bot: Stage) -> None:
    """The gate counts anew, and the thread tells of it."""
    run = bot.start("run careful reason=x")
    card = until(bot, run, "Waiting for approval")
    gate = bot.gate(card["ts"])
    bot.say(f"approve {run}", ALICE)
    wait_for(lambda: "needs 2 approvals, has 1" in shown(bot.find(lambda m: m["ts"] == gate["ts"])))
    told(bot, card["ts"], "<@U0ALICE01> approved *sign-off* (1 of 2)")
    assert "is withdrawn. 2 more needed." in bot.say(f"withdraw {run}", ALICE)
    wait_for(lambda: "needs 2 approvals, has 0" in shown(bot.find(lambda m: m["ts"] == gate["ts"])))
    assert "have not voted" in bot.say(f"withdraw {run}", ALICE)
    told(bot, card["ts"], "<@U0ALICE01> took their vote on *sign-off* back.")
    bot.say(f"cancel {run}")
    until(bot, run, "Cancelled")


def test_message_steps_are_posted_once_and_in_order(bot: Stage) -> None:
    """In the thread, in the channel, in another one; where the bot is not, the thread has it."""
    run = bot.start("run talk")
    card = until(bot, run, "Succeeded")
    thread = told(bot, card["ts"], "Succeeded after")
    assert [line for line in thread if line.startswith(("One", "⚠️", "Five"))] == [
        "One *bold* <!channel>",
        f"⚠️ *fourth* could not be posted in <#{UNHEARD}>: this bot is not there. It says:\nFour",
        "Five",
    ]
    for channel, text in ((CHANNEL, "Two"), (OTHER_CHANNEL, "Three")):
        found = [m for m in bot.messages(channel=channel) if shown(m) == text and not in_thread(m)]
        assert len(found) == 1


def test_cleanup_is_shown_and_can_be_ended(bot: Stage) -> None:
    """Inner steps stand under their path; a cancelled run tells its phases; End leaves out the rest."""
    run = bot.start("run tidy")
    card = until(bot, run, "Waiting for an event", "say · b", "waiting for the event go-")
    assert "is being cancelled" in clicked(bot, "run.cancel", CAROL, card["ts"])
    card = until(bot, run, "Cancelling, finishing", "Finally: really", "Finally: unlock", "On failure: warn")
    assert "run.end" in offered(card)
    assert "is cleaning up" in bot.say(f"cancel {run}")
    assert "ends now" in clicked(bot, "run.end", CAROL, card["ts"])
    until(bot, run, "· Cancelled")
    thread = told(bot, card["ts"], "ended the cleanup", "Cancelled after")
    order = ("Round a", "Round b", "Running the steps for a failure", "It ended badly.", "that always run", "Unlocked.")
    places = [next(n for n, line in enumerate(thread) if word in line) for word in order]
    assert places == sorted(places)


def test_a_queued_run_says_behind_whom_it_is(bot: Stage) -> None:
    """And starts when the slot is free."""
    first = bot.start("run single n=1")
    card = until(bot, first, "Waiting for approval")
    second = bot.start("run single n=2")
    until(bot, second, "· Queued", f"*Queued* for `only-one`, behind `{first}`.")
    bot.click("gate.approve", ALICE, card["ts"])
    until(bot, first, "Succeeded")
    bot.click("gate.approve", ALICE, until(bot, second, "Waiting for approval")["ts"])
    until(bot, second, "Succeeded")


def test_a_run_that_a_step_starts_has_its_own_card(bot: Stage) -> None:
    """So its gate is asked where the people are."""
    run = bot.start("run parent")
    card = until(bot, run, "its run is under way")
    line = next(line for line in told(bot, card["ts"], "*sub* started") if "*sub* started" in line)
    child = line.split("`")[1]
    bot.click("gate.approve", ALICE, until(bot, child, "Waiting for approval")["ts"])
    until(bot, child, "Succeeded")
    until(bot, run, "Succeeded")


def test_slack_found_nothing_to_complain_about(bot: Stage) -> None:
    """Over all that was done here, Slack refused no call and missed no ack."""
    problems = [each for each in bot.get("problems") if "not_in_channel" not in str(each)]
    assert problems == []
