"""What people are asked besides a vote: to agree to a skip, to take a run over, to look at a gate once more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from stage import ALICE, BOB, CAROL, CHANNEL, DAVE, OSCAR, Stage, ready_with, shown, stage, texts, until, wait_for

from engine.runs import executions

PAYMENTS = "C0PAYMENTS"
"""A channel without a platform admin in it."""
SECRET = "C0SECRET1"
"""A private channel with Carol and Alice in it."""
GATE = "{id: ok, type: approval, with: {min_approvals: MIN, approvers: {roles: [platform_admin]}, message: Go?}}"
BOOKS = {
    "guarded": f"""
parameters: {{type: object, properties: {{service: {{type: string, default: nothing}}}}}}
steps:
  - {GATE.replace("MIN", "1")}
  - {{id: backup, type: http, with: {{url: "TARGET/hosts/health/{{{{ params.service }}}}"}}}}
  - {{id: act, type: message, with: {{text: Done.}}}}
""",
    "double": f"""
parameters: {{type: object, properties: {{n: {{type: integer, default: 1}}}}}}
steps:
  - {GATE.replace("MIN", "2")}
  - {{id: backup, type: http, with: {{url: "TARGET/hosts/health/checkout"}}}}
  - {{id: act, type: message, with: {{text: Done.}}}}
""",
    "long": f"""
steps:
  - {GATE.replace("MIN", "1")}
  - {{id: sql, type: http, with: {{url: "TARGET/hosts/health/a", method: POST, json: "{"SELECT 1; " * 130}DROP me"}}}}
""",
    "held": """
steps:
  - {id: hear, type: wait, with: {key: "go-{{ execution.id }}"}}
  - {id: firm, type: http, skippable: false, with: {url: "TARGET/hosts/health/checkout"}}
  - {id: free, type: message, with: {text: Free.}}
  - {id: sub, type: runbook, with: {id: guarded}}
  - {id: inner, type: runbook, with: {id: plain}}
""",
    "plain": """
steps:
  - {id: say, type: message, with: {text: Plain.}}
""",
}


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in HTTP mode, so that every click is a signed request."""
    with stage(tmp_path_factory.mktemp("asked"), socket_mode=False) as running:
        ready_with(running, BOOKS)
        yield running


def post(bot: Stage, card_ts: str, *words: str) -> dict[str, Any]:
    """The message in a card's thread that says all of these, once it does."""

    def wanted(message: dict[str, Any]) -> bool:
        return message.get("thread_ts") == card_ts and all(word in everything(message) for word in words)

    return wait_for(lambda: bot.find(wanted))


def everything(message: dict[str, Any]) -> str:
    return "\n".join(texts(message.get("blocks") or []))


def buttons(message: dict[str, Any]) -> list[str]:
    rows = [block["elements"] for block in message["blocks"] if block["type"] == "actions"]
    return [button["action_id"] for row in rows for button in row]


def clicked(bot: Stage, action: str, user: str, ts: str, **more: Any) -> dict[str, Any]:
    """Click, and the private message that the person gets for it."""
    before = len(bot.private(user))
    assert bot.click(action, user, ts, **more)["ok"]
    return wait_for(lambda: bot.private(user)[before:])[0]


def failed_behind_its_gate(bot: Stage) -> tuple[str, dict[str, Any]]:
    """A run whose gate Alice has decided and whose next step has failed, and its card."""
    run = bot.start("run guarded force=yes reason=x")
    until(bot, run, "Waiting for approval")
    assert "You approved" in bot.say(f"approve {run}", ALICE)
    return run, until(bot, run, "· Failed")


# Skips


def test_a_skip_behind_a_decided_gate_is_asked_for_and_agreed_to(bot: Stage) -> None:
    """By one of the gate's approvers who chose nothing: not by who asks, nor by somebody without the role."""
    run, card = failed_behind_its_gate(bot)
    told = bot.say(f'skip {run} backup reason="the disk is <!channel> full"')
    assert f"`backup` of `{run}` is not skipped yet: `ok` has released it" in told
    assert "<!subteam^S0PLATFORM>" in told
    until(bot, run, "failed · asked by ", " to be skipped: the disk is ‹!channel› full")
    asked = post(bot, card["ts"], "asks to skip *backup*", "may agree: platform admins")
    assert buttons(asked) == ["skip.agree"]
    why = bot.say(f"why {run}", OSCAR)
    assert "<@U0CAROL01> asks to skip *backup*" in why
    assert f"agree {run} backup" in why
    assert "✅ Yes: You may `agree` to skipping backup" in bot.say(f"can agree {run}", DAVE)
    assert "⛔ No" in bot.say(f"can agree {run}", BOB)
    for user, word in ((CAROL, "You asked for this yourself"), (BOB, "Only platform admins"), (OSCAR, "Only platform")):
        assert word in shown(clicked(bot, "skip.agree", user, asked["ts"]))
    assert "You agreed. `backup` of" in shown(clicked(bot, "skip.agree", DAVE, asked["ts"]))
    until(bot, run, "Succeeded")
    over = post(bot, card["ts"], "asks to skip *backup*", "<@U0DAVE001> agreed. It is skipped.")
    assert buttons(over) == []
    post(bot, card["ts"], "<@U0DAVE001> agreed that *backup* is skipped, as <@U0CAROL01> asked.")
    assert "Nobody asks to skip" in shown(clicked(bot, "skip.agree", ALICE, asked["ts"], stale=True))


def test_of_two_who_agree_at_once_one_does_and_the_other_is_told(bot: Stage) -> None:
    """Both have clicked the same button."""
    run, card = failed_behind_its_gate(bot)
    bot.say(f"skip {run} backup reason=x")
    asked = post(bot, card["ts"], "asks to skip *backup*")
    answers: dict[str, str] = {}
    clicks = [
        threading.Thread(
            target=lambda who=who: answers.update({who: shown(clicked(bot, "skip.agree", who, asked["ts"]))})
        )
        for who in (ALICE, DAVE)
    ]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    assert sorted(("You agreed" in told, "Nobody asks" in told) for told in answers.values()) == [
        (False, True), (True, False),
    ]  # fmt: skip
    until(bot, run, "Succeeded")


def test_what_was_asked_before_is_not_agreed_to(bot: Stage) -> None:
    """Asked anew for another reason, the old button says so, and its message too."""
    run, card = failed_behind_its_gate(bot)
    bot.say(f"skip {run} backup reason=first")
    first = post(bot, card["ts"], "asks to skip *backup*: first")
    bot.say(f"skip {run} backup reason=second", BOB)
    post(bot, card["ts"], "asks to skip *backup*: second")
    wait_for(lambda: "asked anew" in everything(bot.find(lambda m: m["ts"] == first["ts"])))
    assert "is not what you were shown" in shown(clicked(bot, "skip.agree", ALICE, first["ts"], stale=True))
    assert "You agreed" in bot.say(f"agree {run}", ALICE)
    until(bot, run, "Succeeded")


def test_who_may_agree_and_is_elsewhere_is_called(bot: Stage) -> None:
    """By direct message, which says what to type and in the end what came of it."""
    told = bot.say("run guarded", CAROL, PAYMENTS)
    run = "R-" + told.split("R-")[1][:6]
    wait_for(lambda: "Waiting for approval" in shown(bot.card(run, PAYMENTS)))
    bot.say(f"approve {run}", ALICE, f"D{ALICE[1:]}")
    wait_for(lambda: "· Failed" in shown(bot.card(run, PAYMENTS)))
    bot.say(f"skip {run} backup reason=x", CAROL, PAYMENTS)

    def called() -> list[str]:
        calls = [everything(each) for each in bot.messages(DAVE, f"D{DAVE[1:]}")]
        return [each for each in calls if run in each and "asks to skip" in each]

    assert f"/runbook agree {run} backup" in wait_for(called)[0]
    assert "You agreed" in bot.say(f"agree {run} backup", ALICE, f"D{ALICE[1:]}")
    wait_for(lambda: "<@U0ALICE01> agreed. It is skipped." in called()[0])
    assert len(called()) == 1


def test_a_step_that_is_not_reached_is_skipped_in_its_turn(bot: Stage) -> None:
    """That is what is said, at the command, on the card and in the thread."""
    run = bot.start("run guarded force=yes reason=x")
    card = until(bot, run, "Waiting for approval")
    assert "is skipped when its turn comes" in bot.say(f"skip {run} backup reason='no need'", BOB)
    until(bot, run, "not started · to be skipped by ", ": no need")
    post(bot, card["ts"], "<@U0BOB0001> wants *backup* skipped, which is done when its turn comes: no need")
    assert "You approved" in bot.say(f"approve {run}", ALICE)
    until(bot, run, "Succeeded")
    post(bot, card["ts"], "<@U0BOB0001> skipped *backup*: no need")


def test_the_form_offers_what_may_be_skipped(bot: Stage) -> None:
    """Neither what its runbook keeps from it nor another runbook that has a gate."""
    run = bot.start("run held")
    card = until(bot, run, "Waiting for an event")
    bot.click("run.skip", CAROL, card["ts"])
    (select,) = [block["element"] for block in bot.form()["blocks"] if block.get("block_id") == "step"]
    assert [option["value"] for option in select["options"]] == ["hear", "free", "inner"]
    bot.post("submit", user=CAROL, view_id=bot.form()["id"], values={"step": "free", "reason": "quiet"})
    wait_for(lambda: "is skipped when its turn comes" in shown(bot.private()[-1]))
    assert "skippable: false" in bot.say(f"skip {run} firm reason=x")
    assert "holds a gate" in bot.say(f"skip {run} sub reason=x")
    bot.say(f"cancel {run}")
    until(bot, run, "· Cancelled")


# Gates that ask something else


def test_a_gate_that_asks_something_else_is_looked_at_again(bot: Stage) -> None:
    """Its votes are void, its message shows what is left, and an old button shows that instead of counting."""
    run = bot.start("run double n=2")
    card = until(bot, run, "Waiting for approval")
    gate = bot.gate(card["ts"])
    assert "You approved" in shown(clicked(bot, "gate.approve", ALICE, gate["ts"]))
    bot.say(f"skip {run} backup reason='no need'", BOB)
    post(bot, card["ts"], "What *ok* asks has changed; the vote of <@U0ALICE01> is void. Please look again.")
    post(bot, card["ts"], "Not done, or not done again:", "`backup`: skipped by <@U0BOB0001>: no need")

    def redrawn_gate() -> dict[str, Any] | None:
        found = bot.find(lambda m: m["ts"] == gate["ts"])
        return found if found and "`backup`: skipped by <@U0BOB0001>: no need" in everything(found) else None

    redrawn = wait_for(redrawn_gate)
    assert "needs 2 approvals, has 0" in everything(redrawn)
    assert "nor <@U0BOB0001>, who had a step of it skipped" in everything(redrawn)
    for action in ("gate.approve", "gate.reject"):
        told = clicked(bot, action, DAVE, gate["ts"], stale=True)
        assert "This is not what you were shown" in shown(told)
        assert "skipped by <@U0BOB0001>: no need" in everything(told)
        assert bot.get("views", user=DAVE) == []
    bot.post("click", user=DAVE, channel=CHANNEL, ephemeral_id=told["ephemeral_id"], action_id="gate.approve")
    wait_for(lambda: "has 1" in everything(bot.find(lambda m: m["ts"] == gate["ts"])))
    assert "You approved" in shown(clicked(bot, "gate.approve", ALICE, gate["ts"]))
    until(bot, run, "Succeeded")


def test_a_review_that_was_open_shows_what_is_asked_now(bot: Stage) -> None:
    """In the same window; what was read before it changed is not voted on."""
    run = bot.start("run double n=3")
    until(bot, run, "Waiting for approval")
    bot.post("home", user=DAVE)

    def drawn() -> dict[str, Any] | None:
        found: dict[str, Any] | None = bot.http.get("views", params={"user": DAVE}).json()["home"]
        return found if found and run in "\n".join(texts(found["blocks"])) else None

    view = wait_for(drawn)
    bot.post("click", user=DAVE, view_id=view["id"], action_id="gate.review", block_id=_block_of(view, run))
    review = bot.form(DAVE)
    bot.say(f"skip {run} backup reason='no need'", BOB)
    bot.post("click", user=DAVE, view_id=review["id"], action_id="gate.approve")
    again = wait_for(lambda: (f := bot.form(DAVE)) and "This is not what you were shown" in "\n".join(texts(f)) and f)
    assert "skipped by <@U0BOB0001>" in "\n".join(texts(again))
    assert [vote for each in executions.view(bot.rt, run).gates for vote in each.votes] == []
    bot.post("click", user=DAVE, view_id=again["id"], action_id="gate.approve")
    wait_for(lambda: executions.view(bot.rt, run).gates[0].votes)
    bot.post("close", user=DAVE, view_id=again["id"])
    bot.say(f"cancel {run}")


def _block_of(view: dict[str, Any], run: str) -> str:
    blocks = [each for each in view["blocks"] if run in "\n".join(texts(each)) and each.get("accessory")]
    return str(blocks[0]["block_id"])


def test_who_was_called_is_shown_what_is_asked_now(bot: Stage) -> None:
    """In the same direct message."""
    told = bot.say("run double n=4", CAROL, PAYMENTS)
    run = "R-" + told.split("R-")[1][:6]

    def calls(word: str) -> list[str]:
        direct = [everything(each) for each in bot.messages(DAVE, f"D{DAVE[1:]}")]
        return [each for each in direct if run in each and word in each]

    wait_for(lambda: calls("/hosts/health/checkout"))
    bot.say(f"skip {run} backup reason='no need'", BOB, PAYMENTS)
    wait_for(lambda: calls("skipped by <@U0BOB0001>: no need"))
    assert len(calls(run)) == 1
    bot.say(f"cancel {run}", CAROL, PAYMENTS)


def test_a_retry_says_that_gates_are_asked_again_and_who_rejected_before(bot: Stage) -> None:
    """With other parameters those that were passed; one that was rejected names who did."""
    run, _ = failed_behind_its_gate(bot)
    assert "Before that a gate is asked again." in bot.say(f"retry {run} service=checkout")
    card = until(bot, run, "Waiting for approval")
    assert "You rejected" in bot.say(f"reject {run} comment='not <!here> now'", DAVE)
    until(bot, run, "· Failed")
    bot.say(f"retry {run}")
    post(bot, card["ts"], "Waiting for approval", "rejected before by <@U0DAVE001>: “not &lt;!here&gt; now”")
    assert "Rejected before by <@U0DAVE001>." in bot.say(f"why {run}")
    bot.say(f"approve {run}", DAVE)
    until(bot, run, "Succeeded")
    told = bot.say(f"replay {run} from=act reason=x")
    assert "Before that a gate is asked again." in told
    bot.say(f"cancel R-{told.split('R-')[1][:6]}")


# Handing over


def test_a_run_is_offered_and_taken_over_by_button(bot: Stage) -> None:
    """By whom it is offered to and nobody else; once, also where they click twice at once."""
    run = bot.start("run double n=5")
    card = until(bot, run, "Waiting for approval")
    told = bot.say(f'handover {run} @bob reason="end of <!channel> shift"')
    assert "is offered to <@U0BOB0001>" in told
    assert "Until then it is <@U0CAROL01>'s." in told
    offer = post(bot, card["ts"], "<@U0CAROL01> offers this run to <@U0BOB0001>: end of &lt;!channel&gt; shift")
    assert buttons(offer) == ["run.takeover"]
    until(bot, run, "offered to <@U0BOB0001>")
    assert "who has not taken it over yet" in bot.say(f"why {run}")
    for user, word in ((ALICE, "is not offered to you"), (CAROL, "is not offered to you"), (OSCAR, "Only members")):
        assert word in shown(clicked(bot, "run.takeover", user, offer["ts"]))
    before = len(bot.private(BOB))
    clicks = [threading.Thread(target=bot.click, args=("run.takeover", BOB, offer["ts"])) for _ in range(2)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    wait_for(lambda: len(bot.private(BOB)) == before + 2)
    answers = [shown(each) for each in bot.private(BOB)[before:]]
    assert sorted("is yours now" in each for each in answers) == [False, True]
    until(bot, run, "now with <@U0BOB0001>")
    over = post(bot, card["ts"], "offers this run to", "<@U0BOB0001> took it over.")
    assert buttons(over) == []
    post(bot, card["ts"], "<@U0BOB0001> took this run over from <@U0CAROL01>.")
    assert "is not offered to you" in shown(clicked(bot, "run.takeover", BOB, offer["ts"], stale=True))
    bot.say(f"cancel {run}")


def test_an_offer_is_taken_back_and_an_approver_who_takes_over_has_no_vote(bot: Stage) -> None:
    """By offering it to whom it is; and by word as by button."""
    run = bot.start("run double n=6")
    card = until(bot, run, "Waiting for approval")
    bot.say(f"handover {run} @bob")
    first = post(bot, card["ts"], "offers this run to <@U0BOB0001>")
    assert "The offer is taken back" in bot.say(f"handover {run} @carol")
    post(bot, card["ts"], "<@U0CAROL01> took back the offer of this run.")
    wait_for(lambda: buttons(bot.find(lambda m: m["ts"] == first["ts"])) == [])
    assert "You approved" in bot.say(f"approve {run}", ALICE)
    assert "is yours now" in bot.say(f"handover {run} @alice", ALICE)
    post(bot, card["ts"], "<@U0ALICE01> took their vote on *ok* back.")
    assert "You took this run over, so others have to decide" in bot.say(f"approve {run}", ALICE)
    bot.say(f"handover {run} @carol", ALICE)
    assert "✅ Yes" in bot.say(f"can takeover {run}", CAROL)
    assert "But: " in bot.say(f"can takeover {run}", BOB)
    assert "is yours now" in bot.say(f"takeover {run}", CAROL)
    assert "is not offered to you" in bot.say(f"takeover {run}", CAROL)
    bot.say(f"cancel {run}")


def test_slack_found_nothing_to_complain_about(bot: Stage) -> None:
    """Over all that was done here, Slack refused no call and missed no ack."""
    assert bot.get("problems") == []


def test_a_long_gate_is_opened_before_it_is_decided(bot: Stage) -> None:
    """Its message has no vote and says how much is missing; the window behind it shows the end, and decides."""
    run = bot.start("run long")
    gate = wait_for(lambda: bot.find(lambda message: "not shown here" in shown(message) and run in shown(message)))
    assert "DROP me" not in shown(gate)
    assert "gate.approve" not in str(gate["blocks"])
    bot.click("gate.review", DAVE, gate["ts"])
    window = bot.form(DAVE)
    assert "DROP me" in "\n".join(texts(window["blocks"]))
    bot.post("click", user=DAVE, view_id=window["id"], action_id="gate.approve")
    wait_for(lambda: executions.view(bot.rt, run).gates[0].votes)


def test_who_is_not_in_a_private_channel_gets_no_link_into_it(bot: Stage) -> None:
    """They are asked by direct message all the same, at a gate and with an offer, and told what to type there."""
    told = bot.say("run guarded force=yes reason=private", CAROL, SECRET)
    run = "R-" + told.split("R-")[1][:6]
    bot.say(f"handover {run} <@{BOB}>", CAROL, SECRET)
    for who in (DAVE, BOB):
        here = f"D{who[1:]}"
        (call,) = wait_for(lambda here=here, who=who: [each for each in bot.messages(who, here) if run in shown(each)])
        assert SECRET not in json.dumps(call)
        assert "Type `/runbook " in shown(call)
