"""The audit in Slack: searched, exported, reported on, told in its channel, and the reason that buttons ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import ALICE, BOB, CAROL, OTHER_CHANNEL, Stage, ready, shown, stage, wait_for

from engine.catalog import notices
from storage import audit, database


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("audit"), socket_mode=False) as running:
        ready(running)
        yield running


@pytest.fixture
def strict(bot: Stage) -> Iterator[Stage]:
    """Every control action has to name a change."""
    object.__setattr__(bot.rt.settings, "reason_pattern", "CHG-[0-9]+")
    object.__setattr__(bot.rt.settings, "reason_hint", "the change's number")
    yield bot
    object.__setattr__(bot.rt.settings, "reason_pattern", None)


def test_admins_search_it_and_nobody_else_does(bot: Stage) -> None:
    """By any of the filters; a filter that fits nothing says so, and one that is wrong what would be right."""
    told = bot.say("audit action=runbook.approve", ALICE)
    assert "runbook.approve" in told
    assert "runbook:drain@1" in told
    assert "No row of the audit fits" in bot.say("audit thing=runbook:nothing", ALICE)
    assert "severity is one of info" in bot.say("audit severity=loud", ALICE)
    assert "write a date" in bot.say("audit since=someday", ALICE)
    assert "Only a platform admin may" in bot.say("audit", BOB)
    assert "Only a platform admin may" in bot.say("audit export", BOB)


def test_an_export_and_a_report_are_files_of_who_asked(bot: Stage) -> None:
    """A team's admin has the report of that team alone."""
    assert "rows of the audit is a file" in bot.say("audit export format=cef", ALICE)
    assert "Compliance report of team payments" in bot.say("report team=payments from=1d format=html", BOB)
    assert "platform admins may report on everything" in bot.say("report", BOB)
    assert "format is one of csv, html" in bot.say("report format=pdf", ALICE)


def test_the_channel_of_the_audit_is_told_its_head_and_each_month(bot: Stage) -> None:
    """As `runbook audit verify --anchor` takes it, and as a file below a message."""
    object.__setattr__(bot.rt.settings, "audit_channel", OTHER_CHANNEL)
    with database.transaction():
        notices.of_head(bot.rt, {"at": "2027-01-31T09:00:00Z", "seq": 7, "hash": "aa", "mac": "bb", "key": "one"})
        notices.of_report(bot.rt, 1_796_083_200_000, 1_798_761_600_000)
    head = wait_for(lambda: bot.find(lambda each: "The audit has 7 rows" in shown(each), OTHER_CHANNEL))
    assert '"mac": "bb"' in shown(head)
    wait_for(lambda: bot.find(lambda each: "Compliance report, 2026-12-01 to 2026-12-31" in shown(each), OTHER_CHANNEL))
    wait_for(lambda: not notices.pending(bot.rt))
    object.__setattr__(bot.rt.settings, "audit_channel", None)


def test_a_button_asks_why_and_does_nothing_without_it(strict: Stage) -> None:
    """A reason that lacks what is wanted stays in the form; the one that has it is in the audit."""
    run = strict.start('run careful reason="for CHG-1"')
    card = strict.card(run)
    wait_for(lambda: "Waiting" in shown(strict.card(run)))
    strict.click("run.pause", CAROL, card["ts"])
    form = strict.form(CAROL)
    assert form["callback_id"] == "form.why"
    kept = strict.post("submit", user=CAROL, view_id=form["id"], values={"reason": "because"})
    assert "the change's number" in str(kept)
    strict.post("submit", user=CAROL, view_id=form["id"], values={"reason": "as CHG-7 says"})
    wait_for(lambda: "aused" in shown(strict.card(run)))
    with database.reading():
        row = audit.of_thing(strict.rt.workspace_id, f"execution:{run}")[-1]
    assert (row.action, row.detail["reason"]) == ("execution.pause", "as CHG-7 says")
    assert "the change's number" in strict.say(f"cancel {run} reason=enough")
    assert "is being cancelled" in strict.say(f'cancel {run} reason="enough, CHG-8"')
