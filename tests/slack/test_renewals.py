"""Approvals in Slack that take several people or end: the card, its buttons, and what must not go by name alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from stage import ALICE, CAROL, CHANNEL, DAVE, Stage, is_private, ready, shown, stage, texts, wait_for

from bot.slack.client import web_client
from bot.slack.projector.pacing import Pace
from bot.slack.projector.poster import Poster
from bot.slack.projector.renewal_cards import RenewalCards
from engine.access import policy as access
from engine.access.policy import Actor
from engine.catalog import catalog, renewals, sync, version_approval
from storage import database
from storage.tables import RunbookVersion

DAY = 86_400_000


@pytest.fixture
def bot(tmp_path) -> Iterator[Stage]:
    with stage(tmp_path, socket_mode=False, shows=False) as running:
        ready(running)
        running.post("home", user=ALICE)
        running.post("home", user=DAVE)
        yield running


def settle_for(bot: Stage, **changes) -> None:
    """Go on with other settings, at every door."""
    rt = replace(bot.rt, settings=replace(bot.rt.settings, **changes))
    bot.rt, bot.door.ctx.rt = rt, rt


def aged(days: float, slug: str = "drain") -> None:
    """As if it had been approved so long ago."""
    with database.transaction():
        at = database.now() - round(days * DAY)
        RunbookVersion.update(decided_at=at).where(RunbookVersion.slug == slug).execute()


def last(bot: Stage, user: str) -> dict:
    return bot.private(user)[-1]


def test_two_admins_approve_what_is_of_high_risk(bot: Stage) -> None:
    """The first is told who is missing, the card says who has approved, the second lets it run."""
    settle_for(bot, definition_approvals=2)
    path = bot.rt.settings.runbooks_dir / "careful.yaml"
    path.write_text(path.read_text().replace("name: Restart with care", "name: Restart with more care"))
    sync.sync(bot.rt, access.SYSTEM)
    told = bot.say("admin approve careful", ALICE)
    assert "Nobody has approved it yet. It still needs 2 of 2 platform admins." in told
    bot.click("version.approve", ALICE, last(bot, ALICE)["ts"])
    wait_for(lambda: "It still needs 1 of 2 platform admins" in shown(last(bot, ALICE)))
    assert catalog.get(bot.rt, "careful").status == "DRAFT"
    assert "needs 1 of 2 platform admins" in bot.say("can admin approve careful", DAVE)
    assert f"Approved so far by <@{ALICE}>" in bot.say("admin approve careful", DAVE)
    bot.click("version.approve", DAVE, last(bot, DAVE)["ts"])
    wait_for(lambda: catalog.get(bot.rt, "careful").status == "APPROVED")


def asked_of_long_one(bot: Stage, steps: int) -> None:
    """A runbook of so many steps of 1,000 characters, approved too long ago, is to be renewed by its name."""
    settle_for(bot, approval_max_age=30 * DAY)
    listed = "".join(f"  - {{id: s{n}, type: message, with: {{text: '{'x' * 1000}'}}}}\n" for n in range(steps))
    (bot.rt.settings.runbooks_dir / "long.yaml").write_text(
        f"apiVersion: runbook/v1\nid: long\nname: Long\nsteps:\n{listed}"
    )
    sync.sync(bot.rt, access.SYSTEM)
    version_approval.approve(bot.rt, Actor(DAVE, standing="member"), "long", 1)
    aged(31, "long")
    assert "Review and renew" in bot.say("admin renew long@1", ALICE)


def test_what_no_message_holds_is_not_approved_by_its_name(bot: Stage) -> None:
    """It is shown in parts, and stays a draft until the button below the last one is pressed."""
    steps = "".join(f"  - {{id: s{n}, type: message, with: {{text: '{'x' * 1000}'}}}}\n" for n in range(12))
    text = f"apiVersion: runbook/v1\nid: long\nname: Long\nsteps:\n{steps}"
    (bot.rt.settings.runbooks_dir / "long.yaml").write_text(text)
    sync.sync(bot.rt, access.SYSTEM)
    told = bot.say("admin approve long@1", ALICE)
    assert "more characters are not shown here" in told
    assert "Review and approve" in told
    assert catalog.get(bot.rt, "long").status == "DRAFT"


def test_an_expired_approval_is_renewed_where_it_is_missed(bot: Stage) -> None:
    """`run` offers the button to who may; it shows the whole file, and renews that."""
    settle_for(bot, approval_max_age=30 * DAY)
    aged(31)
    assert "expired on" in bot.say("run drain service=basket", CAROL)
    assert "Renew…" not in bot.say("run drain service=basket", CAROL)
    assert "Renew…" in bot.say("run drain service=basket", ALICE)
    bot.click("version.renewal", ALICE, last(bot, ALICE)["ts"])
    wait_for(lambda: "Take it out" in shown(last(bot, ALICE)) and "Renew version 1" in shown(last(bot, ALICE)))
    bot.click("version.renew", ALICE, last(bot, ALICE)["ts"])
    wait_for(lambda: f"is renewed by <@{ALICE}>" in shown(last(bot, ALICE)))
    assert "too early" in bot.say("admin renew drain@1", DAVE)
    assert "Started" in bot.say("run drain service=basket", CAROL)
    assert "No approval is to be renewed" in bot.say("admin renew", DAVE)


def test_what_no_message_holds_is_read_in_parts_before_it_is_renewed(bot: Stage) -> None:
    """By name it is shown, not renewed; the button stands below the last part."""
    asked_of_long_one(bot, steps=120)
    bot.click("version.renewal_part", ALICE, last(bot, ALICE)["ts"])
    form = bot.form(ALICE)
    assert "Next part" in str(form)
    assert "Renew version 1" not in str(form)
    assert renewals.approval(bot.rt, catalog.version(bot.rt, "long")).expired


def test_what_one_form_holds_and_no_message_is_not_renewed_by_its_name(bot: Stage) -> None:
    """Longer than a message, shorter than two parts: whoever renews it has opened it."""
    asked_of_long_one(bot, steps=12)
    assert renewals.approval(bot.rt, catalog.version(bot.rt, "long")).expired
    bot.click("version.renewal_part", ALICE, last(bot, ALICE)["ts"])
    assert "Renew version 1" in str(bot.form(ALICE))


@pytest.mark.parametrize("channel", [CHANNEL, None])
def test_one_card_lists_what_is_to_be_renewed_and_is_kept_up(bot: Stage, channel: str | None) -> None:
    """In the admins' channel or with each admin; posted once, changed with what it lists, done when nothing is left."""
    settle_for(bot, approval_max_age=30 * DAY, admin_channel=channel)
    client = web_client(bot.rt.settings)
    place, who = (channel, CAROL) if channel else (f"D{ALICE[1:]}", ALICE)

    def look() -> list[dict]:
        RenewalCards(bot.rt, client, Poster(client, Pace(lambda: 0.0))).keep_up()
        return [
            m
            for m in bot.messages(who, place)
            if not is_private(m) and ("ends soon" in str(m) or "end soon" in str(m) or "to be renewed" in str(m))
        ]

    assert look() == []
    aged(24)
    (card,) = look()
    assert "drain@1" in shown(card)
    assert "careful@1" not in shown(card)
    aged(31)
    aged(24, "careful")
    (card,) = look()
    assert "starts nothing since" in shown(card)
    assert "careful@1" in shown(card)
    assert look() == [card]
    aged(0)
    aged(0, "careful")
    (card,) = look()
    assert "No approval is to be renewed" in shown(card)
    assert renewals.cards(bot.rt) == []


def test_a_changed_target_is_shown_and_approved_again(bot: Stage) -> None:
    """The card says what each target stands for; a button that showed another one approves nothing."""
    folder = bot.rt.settings.runbooks_dir

    def place(host: str) -> None:
        (folder / "_targets.yaml").write_text(f"targets: {{alerts: {{url: 'https://{host}'}}}}")
        sync.sync(bot.rt, access.SYSTEM)

    steps = "steps:\n  - {id: a, type: http, with: {target: alerts, path: /x}}\n"
    (folder / "hush.yaml").write_text(f"apiVersion: runbook/v1\nid: hush\nname: Hush\n{steps}")
    place("one.example.com")
    assert "target alerts: https://one.example.com" in bot.say("admin approve hush", ALICE)
    stale = last(bot, ALICE)["ts"]
    place("two.example.com")
    bot.click("version.approve", ALICE, stale)
    wait_for(lambda: "is not what you were shown" in shown(last(bot, ALICE)))
    assert "https://two.example.com" in bot.say("admin approve hush", ALICE)
    bot.click("version.approve", ALICE, last(bot, ALICE)["ts"])
    wait_for(lambda: catalog.get(bot.rt, "hush").status == "APPROVED")
    place("three.example.com")
    assert "What `alerts` in _targets.yaml stands for has changed" in bot.say("run hush", CAROL)
    assert "its targets have changed" in bot.say("admin renew", ALICE)
    assert "target alerts: https://three.example.com" in bot.say("admin renew hush", ALICE)
    bot.click("version.renew", ALICE, last(bot, ALICE)["ts"])
    wait_for(lambda: f"is renewed by <@{ALICE}>" in shown(last(bot, ALICE)))
    assert "No approval is to be renewed" in bot.say("admin renew", DAVE)


def test_a_word_for_a_version_is_taken_back(bot: Stage) -> None:
    """By the button below it and by word; an old button takes nothing back that others have completed."""
    settle_for(bot, definition_approvals=2)
    path = bot.rt.settings.runbooks_dir / "careful.yaml"
    path.write_text(path.read_text().replace("name: Restart with care", "name: Restart with more care"))
    sync.sync(bot.rt, access.SYSTEM)
    digest = catalog.version(bot.rt, "careful").digest
    assert "not what you were shown" in bot.say("admin approve careful digest=sha256:other", ALICE)
    assert "It still needs 1 of 2" in bot.say(f"admin approve careful digest={digest}", ALICE)
    button = last(bot, ALICE)["ts"]
    bot.click("version.withdraw", ALICE, button)
    wait_for(lambda: "is withdrawn. It needs 2 of 2 platform admins." in shown(last(bot, ALICE)))
    assert "It still needs 1 of 2" in bot.say("admin approve careful@2", ALICE)
    old = last(bot, ALICE)["ts"]
    assert "is withdrawn" in bot.say("admin withdraw careful", ALICE)
    assert "It still needs 1 of 2" in bot.say("admin approve careful@2", ALICE)
    bot.click("version.withdraw", ALICE, old)
    wait_for(lambda: any("is decided or taken back" in shown(each) for each in bot.private(ALICE)))
    assert "is withdrawn" in bot.say("admin withdraw careful", ALICE)
    assert "none to withdraw" in bot.say("admin withdraw careful", DAVE)
    assert "Only a platform admin" in bot.say("admin withdraw careful", CAROL)
    bot.say("admin approve careful@2", ALICE)
    stale = last(bot, ALICE)["ts"]
    bot.say("admin approve careful@2", DAVE)
    bot.click("version.withdraw", ALICE, stale)
    wait_for(lambda: "none to withdraw" in shown(last(bot, ALICE)))
    assert catalog.get(bot.rt, "careful").status == "APPROVED"


def test_what_ends_is_in_a_list_and_on_the_home_tab(bot: Stage) -> None:
    """The list is for everybody; the tab has it for who may renew it, and no longer once they have."""
    settle_for(bot, approval_max_age=30 * DAY)
    assert "No runbook" in bot.say("list status=expiring", CAROL)
    aged(25)
    listed = bot.say("list status=expiring", CAROL)
    assert "drain" in listed
    assert "careful" not in listed
    assert "is one of draft, approved, deprecated, expiring" in bot.say("list status=ending", CAROL)
    aged(31)
    assert "drain" in bot.say("list status=expiring", CAROL)
    bot.post("home", user=ALICE)
    wait_for(lambda: "Renew…" in tab_text(bot, ALICE))
    bot.post("home", user=CAROL)
    wait_for(lambda: tab_text(bot, CAROL))
    assert "Renew…" not in tab_text(bot, CAROL)
    assert "is renewed" in bot.say("admin renew drain@1", ALICE)
    bot.post("home", user=ALICE)
    wait_for(lambda: "Renew…" not in tab_text(bot, ALICE))


def tab_text(bot: Stage, user: str) -> str:
    home = bot.http.get("views", params={"user": user}).json()["home"]
    return "\n".join(texts(home["blocks"])) if home else ""
