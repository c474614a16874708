"""People and the bot, through Slack as it is: commands, forms, cards, gates."""

from __future__ import annotations

from typing import Any

from stage import ALICE, BOB, CAROL, CHANNEL, DAVE, GUEST, OSCAR, UNHEARD, Stage, shown, wait_for

from engine.catalog import catalog


def test_a_run_from_a_command_is_shown_to_its_end(bot: Stage) -> None:
    """A command with everything in it starts a run, whose card and thread tell of its end."""
    run = bot.start("run drain service=checkout")
    card = wait_for(lambda: (c := bot.card(run)) and "Succeeded" in shown(c) and c)
    assert "Drain a service" in shown(card)
    assert "drain · Take it out" in shown(card)
    told = wait_for(lambda: (t := bot.in_thread(card["ts"])) and any("Succeeded" in line for line in t) and t)
    assert len(told) == 1, "a run without trouble is one card and one line"
    assert not [call for call in bot.get("calls", method="files.getUploadURLExternal") if run in str(call["args"])]


def test_missing_parameters_open_a_form(bot: Stage) -> None:
    """What is missing is asked for; what is wrong is said under its field; then the run starts."""
    assert bot.command("run drain grace=500")["ok"]
    form = bot.form()
    assert "must be at most 300" in str(form["blocks"])
    wrong = bot.post("submit", user=CAROL, view_id=form["id"], values={"Service": "basket", "grace": "900"})
    assert set(wrong["errors"]) == {"param:grace"}
    before = len(bot.private())
    right = bot.post("submit", user=CAROL, view_id=form["id"], values={"Service": "basket", "grace": "9"})
    assert not right.get("errors"), right
    told = shown(wait_for(lambda: bot.private()[before:])[0])
    assert "Started" in told
    run = "R-" + told.split("R-")[1][:6]
    assert "service=basket grace=9" in shown(bot.card(run))


def test_a_gate_takes_two_admins_and_nobody_else(bot: Stage) -> None:
    """Rights are checked at the click, votes count once, and the decided gate says who decided."""
    run = bot.start('run careful reason="it hangs <!here>"')
    card = bot.card(run)
    gate = bot.gate(card["ts"])
    assert "&lt;!channel&gt;" in shown(gate)
    for user, word in ((OSCAR, "Only platform admins"), (CAROL, "others have to decide"), (GUEST, "Guests may not")):
        before = len(bot.private(user))
        bot.click("gate.approve", user, gate["ts"])
        assert word in shown(wait_for(lambda user=user, before=before: bot.private(user)[before:])[0])
    bot.click("gate.approve", ALICE, gate["ts"])
    wait_for(lambda: "needs 2 approvals, has 1" in shown(bot.find(lambda m: m["ts"] == gate["ts"])))
    before = len(bot.private(ALICE))
    bot.click("gate.approve", ALICE, gate["ts"])
    assert "voted" in shown(wait_for(lambda: bot.private(ALICE)[before:])[0])
    bot.click("gate.approve", DAVE, gate["ts"])
    settled = wait_for(lambda: bot.find(lambda m: m["ts"] == gate["ts"] and "✅" in shown(m)))
    assert "<@U0ALICE01> approved" in shown(settled)
    assert "<@U0DAVE001> approved" in shown(settled)
    assert not [block for block in settled["blocks"] if block["type"] == "actions"]
    wait_for(lambda: "Succeeded" in shown(bot.card(run)))


def test_a_late_click_is_told_what_happened(bot: Stage) -> None:
    """A gate that was decided elsewhere refuses a click from an old message and keeps no buttons."""
    run = bot.start("run careful reason=late")
    card = bot.card(run)
    gate = bot.gate(card["ts"])
    assert "You rejected" in bot.say(f"reject {run} comment='not now'", DAVE)
    wait_for(lambda: "Rejected" in shown(bot.find(lambda m: m["ts"] == gate["ts"])))
    before = len(bot.private(ALICE))
    bot.click("gate.approve", ALICE, gate["ts"], stale=True)
    assert "rejected already" in shown(wait_for(lambda: bot.private(ALICE)[before:])[0])
    wait_for(lambda: "Failed" in shown(bot.card(run)))


def test_a_late_click_redraws_no_other_message(bot: Stage) -> None:
    """From the card it is told in private; only the gate's own message is drawn anew by who clicks there."""
    run = bot.start("run careful reason=elsewhere")
    card = bot.card(run)
    gate = bot.gate(card["ts"])
    wait_for(lambda: "gate.approve" in str(bot.card(run)["blocks"]))
    assert "You rejected" in bot.say(f"reject {run} comment='not now'", DAVE)
    wait_for(lambda: "Rejected" in shown(bot.find(lambda m: m["ts"] == gate["ts"])))
    wait_for(lambda: "Failed" in shown(bot.card(run)) and "gate.approve" not in str(bot.card(run)["blocks"]))
    for ts, times in ((card["ts"], 0), (gate["ts"], 1)):
        drawn, before = _drawn(bot, gate["ts"]), len(bot.private(ALICE))
        bot.click("gate.approve", ALICE, ts, stale=True)
        assert "rejected already" in shown(wait_for(lambda before=before: bot.private(ALICE)[before:])[0])
        assert _drawn(bot, gate["ts"]) == drawn + times


def _drawn(bot: Stage, ts: str) -> int:
    return len([call for call in bot.get("calls", method="chat.update") if call["args"].get("ts") == ts])


def test_reject_by_button_asks_why(bot: Stage) -> None:
    """The Reject button opens a form; without a reason it stays open, with one the run fails."""
    run = bot.start("run careful reason=no")
    card = bot.card(run)
    wait_for(lambda: "Waiting for approval" in shown(bot.card(run)))
    bot.click("gate.reject", ALICE, card["ts"])
    form = bot.form(ALICE)
    assert form["callback_id"] == "form.reject"
    assert bot.post("submit", user=ALICE, view_id=form["id"], values={"reason": "   "})["errors"].keys() == {"reason"}
    bot.post("submit", user=ALICE, view_id=form["id"], values={"reason": "too risky"})
    wait_for(lambda: "Failed" in shown(bot.card(run)))
    wait_for(lambda: any("too risky" in line for line in bot.in_thread(card["ts"])))


def test_cancel_by_button_and_by_word(bot: Stage) -> None:
    """Both ways end a run as cancelled; a second cancel is told so."""
    run = bot.start("run careful reason=x")
    card = bot.card(run)
    bot.click("run.cancel", CAROL, card["ts"])
    wait_for(lambda: "Cancelled" in shown(bot.card(run)))
    assert "ended already" in bot.say(f"cancel {run}")
    again = bot.start("run careful reason=y")
    assert "is being cancelled" in bot.say("cancel reason='wrong one'")
    wait_for(lambda: "Cancelled" in shown(bot.card(again)))


def test_refusals_are_private_sentences(bot: Stage) -> None:
    """Outsiders, unknown names, unheard channels and mistyped words each get a sentence that helps."""
    assert "Only members" in bot.say("run drain service=checkout", OSCAR)
    assert "Did you mean drain" in bot.say("run drian")
    assert "/invite" in bot.say("run drain service=checkout", ALICE, UNHEARD)
    assert "Did you mean “start”" in bot.say("strat drain")
    assert "Type `/runbook run ID" in bot.say("run")
    assert "Only a platform admin" in bot.say("admin sync", BOB)
    assert "Guests may not" in bot.say("list", GUEST)


def test_the_list_is_narrowed_by_team_and_status(bot: Stage) -> None:
    """As on Home; a status that there is not is a sentence."""
    drain = catalog.get(bot.rt, "drain")
    assert "drain" in bot.say(f"list drain team={drain.team} status={drain.status.lower()}")
    assert "No runbook fits" in bot.say("list drain team=nobodys")
    assert "No runbook fits" in bot.say("list drain status=deprecated")
    assert "draft, approved, deprecated" in bot.say("list status=odd")


def test_questions_are_answered(bot: Stage) -> None:
    """help, list, show, diff, runs and status say what they promise."""
    assert "`run` Run a runbook" in bot.say("help")
    assert "Drain a service" in bot.say("list drain")
    assert "No runbook fits" in bot.say("list nothing-like-this")
    assert "one of checkout, basket" in bot.say("show drain")
    assert "Nothing changed" in bot.say("diff drain@1") or "apiVersion" in bot.say("diff drain@1")
    run = bot.start("run drain service=checkout")
    wait_for(lambda: "Succeeded" in shown(bot.card(run)))
    assert run in bot.say("runs")
    assert run in bot.say(f"status {run}")


def test_a_mention_takes_the_same_words(bot: Stage) -> None:
    """What somebody wants to know is answered to them alone, in a thread too; nobody else reads of it."""
    ts = bot.post("say", user=CAROL, channel=CHANNEL, text="it hangs")["ts"]
    bot.post("say", user=CAROL, channel=CHANNEL, text="again", thread_ts=ts)
    for question in ("list drain", "help", "status", "runs", "why", "logs", "show drain"):
        for thread in (None, ts):
            before, public = len(bot.private()), len(bot.messages(OSCAR))
            place = {"thread_ts": thread} if thread else {}
            bot.post("mention", user=CAROL, channel=CHANNEL, text=f"@runbook {question}", **place)
            answer = wait_for(lambda before=before: bot.private()[before:])[0]
            assert answer.get("thread_ts") == thread, question
            assert len(bot.messages(OSCAR)) == public + 1, question
    assert "Drain a service" in bot.say("list drain")


def test_words_before_a_mention_are_for_people(bot: Stage) -> None:
    """They are ignored, and what is hinted at begins with the mention, since a thread takes no slash command."""
    before = len(bot.private())
    bot.post("mention", user=CAROL, channel=CHANNEL, text="please look, run this: @runbook list drain")
    assert "Drain a service" in shown(wait_for(lambda: bot.private()[before:])[0])
    before = len(bot.private())
    bot.post("mention", user=CAROL, channel=CHANNEL, text="and @runbook show")
    assert "Type `@runbook show ID" in shown(wait_for(lambda: bot.private()[before:])[0])


def test_a_list_offers_only_what_this_person_may_run(bot: Stage) -> None:
    """A button for those who may run it, none for the others."""
    for user, offered in ((CAROL, True), (OSCAR, False)):
        before = len(bot.private(user))
        bot.say("list drain", user)
        assert ("run.form" in str(bot.private(user)[before]) or "Run…" in str(bot.private(user)[before])) == offered


def test_a_withdrawn_runbook_comes_back(bot: Stage) -> None:
    """What was withdrawn and stopped is named, `show` says why, and a rollback and an approval bring it back."""
    run = bot.start('run careful reason="it hangs"')
    wait_for(lambda: "Waiting for approval" in shown(bot.card(run)))
    told = bot.say('admin deprecate careful reason="wrong host"', ALICE)
    for part in ("`careful@1`", run, "wrong host", "`/runbook admin rollback careful`"):
        assert part in told
    assert "wrong host" in bot.say("show careful")
    assert "`/runbook admin rollback careful`" in bot.say("admin approve careful", ALICE)
    bot.say(f"cancel {run}", ALICE)
    card = wait_for(lambda: (c := bot.card(run)) and "never started" in str(c) and c)
    assert "Failed" not in shown(card)
    assert "is a draft again" in bot.say("admin rollback careful", ALICE)
    assert "First version: the whole file" in bot.say("admin approve careful", ALICE)
    assert "is approved" in bot.say("admin approve careful@1", ALICE)
    assert "already approved" in bot.say("admin approve careful", ALICE)


def test_help_is_about_one_verb(bot: Stage) -> None:
    """Its usage, its parts and an example; other words are answered with the nearest verb."""
    told = bot.say("help run")
    assert "For example: `/runbook run restart-checkout" in told
    assert "/runbook runs" not in told
    assert "no verb “resolv”. Did you mean “resolve”" in bot.say("help resolv")


def test_home_shows_runs_and_runbooks(bot: Stage) -> None:
    """Opening the Home tab draws it."""
    bot.post("home", user=CAROL)
    home = wait_for(lambda: bot.http.get("views", params={"user": CAROL}).json()["home"])
    assert "Drain a service" in str(home)


def test_an_admin_sees_the_change_and_approves_it(bot: Stage) -> None:
    """An edited file becomes a draft that does not run until an admin has seen its diff and clicked Approve."""
    path = bot.rt.settings.runbooks_dir / "drain.yaml"
    path.write_text(path.read_text().replace("Drain a service", "Drain one service"))
    assert "drain@2" in bot.say("admin sync", ALICE)
    assert "DRAFT" in bot.say("run drain service=checkout")
    before = len(bot.private(ALICE))
    told = bot.say("admin approve drain", ALICE)
    assert "-name: Drain a service" in told
    assert "+name: Drain one service" in told
    message = bot.private(ALICE)[before]
    bot.post("click", user=ALICE, channel=CHANNEL, ephemeral_id=message["ephemeral_id"], action_id="version.approve")
    wait_for(lambda: "is approved by" in shown(bot.private(ALICE)[before]))
    bot.start("run drain service=checkout")


def test_an_admin_deprecates_and_brings_back_by_buttons(bot: Stage) -> None:
    """`show` offers what an admin can do next; the form asks why, and for a successor among the approved ones."""

    def offered(slug: str, user: str = ALICE) -> dict[str, Any]:
        before = len(bot.private(user))
        bot.say(f"show {slug}", user)
        return bot.private(user)[before]

    def click(message: dict[str, Any], action: str) -> str:
        before = len(bot.private(ALICE))
        wish = {"ephemeral_id": message["ephemeral_id"], "action_id": action}
        assert bot.post("click", user=ALICE, channel=CHANNEL, **wish)["ok"]
        return shown(wait_for(lambda: bot.private(ALICE)[before:])[0]) if action != "version.deprecate" else ""

    assert "version.deprecate" not in str(offered("careful", CAROL))
    shown_now = offered("careful")
    assert "Who did what" in click(shown_now, "version.history")
    click(shown_now, "version.deprecate")
    form = bot.form(ALICE)
    found = bot.post("options", user=ALICE, view_id=form["id"], action_id="value", block_id="runbook", value="drain")
    assert [each["value"] for each in found["options"]] == ["drain"]
    missing = bot.post("submit", user=ALICE, view_id=form["id"], values={"reason": " "})
    assert set(missing["errors"]) == {"reason"}
    before = len(bot.private(ALICE))
    values = {"reason": "replaced", "runbook": "drain"}
    assert bot.post("submit", user=ALICE, view_id=form["id"], values=values)["response_action"] is None
    told = shown(wait_for(lambda: bot.private(ALICE)[before:])[0])
    assert "`careful@1` is deprecated" in told
    assert "drain" in bot.say("run careful reason=x")
    assert "is a draft again" in click(offered("careful"), "version.rollback")
    review = click(offered("careful"), "version.review")
    assert "First version: the whole file" in review
    assert "is approved" in bot.say("admin approve careful@1", ALICE)


def test_slack_found_nothing_to_complain_about(bot: Stage) -> None:
    """Over all that was done here, Slack refused no call and missed no ack."""
    problems = [each for each in bot.get("problems") if "not_in_channel" not in str(each)]
    assert problems == []
