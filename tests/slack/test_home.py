"""The Home tab and the shortcuts: finding what waits, what runs and what can be run, and running it from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from stage import ALICE, BOB, CAROL, CHANNEL, DAVE, OSCAR, Stage, is_private, ready, shown, stage, texts, wait_for

from bot.simulator.directory import CHANNELS
from engine.orchestration import incidents

NOTE = """
apiVersion: runbook/v1
id: note
name: Note
team: payments
parameters: {type: object, properties: {what: {type: string, x-prefill: incident.title}}}
steps:
  - {id: say, type: message, with: {text: Hello}}
"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in HTTP mode, with a catalogue of two pages, most of it not approved."""
    with stage(tmp_path_factory.mktemp("home"), socket_mode=False) as running:
        for number in range(17):
            text = (
                f"apiVersion: runbook/v1\nid: spare-{number}\nname: Spare {number}\nteam: team-{number % 3}\n"
                f"tags: [tag-{number % 2}]\nsteps:\n  - {{id: say, type: message, with: {{text: Hello}}}}\n"
            )
            (running.rt.settings.runbooks_dir / f"spare-{number}.yaml").write_text(text)
        access = running.rt.settings.runbooks_dir / "_access.yaml"
        access.write_text(
            access.read_text() + "".join(f"  team-{n}: {{admins: [{BOB}], members: []}}\n" for n in range(3))
        )
        (running.rt.settings.runbooks_dir / "note.yaml").write_text(NOTE)
        ready(running)
        assert "is approved" in running.say("admin approve note@1", ALICE)
        yield running


def home(bot: Stage, user: str, *words: str) -> dict[str, Any]:
    """Somebody's Home tab, once it says all of these."""

    def drawn() -> dict[str, Any] | None:
        found: dict[str, Any] | None = bot.http.get("views", params={"user": user}).json()["home"]
        said = "\n".join(texts(found["blocks"])) if found else ""
        return found if found and all(word in said for word in words) else None

    return wait_for(drawn)


def opened(bot: Stage, user: str, *words: str) -> dict[str, Any]:
    bot.post("home", user=user)
    return home(bot, user, *words)


def said_by(view: dict[str, Any]) -> str:
    return "\n".join(texts(view["blocks"]))


def use(bot: Stage, user: str, view: dict[str, Any], action: str, **chosen: Any) -> None:
    answer = bot.post("click", user=user, view_id=view["id"], action_id=action, **chosen)
    assert answer["ok"], answer


def buttons(view: dict[str, Any], action: str) -> int:
    return str(view["blocks"]).count(f"'action_id': '{action}'")


def test_the_tab_shows_what_concerns_this_person(bot: Stage) -> None:
    """Gates for those who may decide them, runs for those who asked for them, the last hour for everybody."""
    run = bot.start("run careful reason=home")
    wait_for(lambda: "Waiting for approval" in shown(bot.card(run)))
    admin = said_by(opened(bot, ALICE, run))
    assert "✋ *sign-off* of `careful@1`" in admin
    assert "needs 2 more approvals" in admin
    assert "`spare-0@1` by an unknown author" in admin
    assert "More drafts wait: `/runbook admin approve`" in admin
    assert "You have started nothing lately." in admin
    mine = opened(bot, CAROL, run)
    assert "No gate and no draft waits for your decision." in said_by(mine)
    assert said_by(mine).count(run) == 2, "among my runs and those of the last hour"
    assert len(mine["blocks"]) <= 100
    bot.say(f"cancel {run}")


def test_the_catalogue_is_searched_and_turned(bot: Stage) -> None:
    """What this person may run comes first; filters narrow it down, words search it, pages turn."""
    view = opened(bot, CAROL, "1 to 15 of 20 runbooks")
    assert buttons(view, "runbook.form") == 3
    use(bot, CAROL, view, "home.page")
    view = home(bot, CAROL, "16 to 20 of 20 runbooks")
    use(bot, CAROL, view, "home.team", selected="team-1")
    view = home(bot, CAROL, "Spare 16")
    assert "Spare 0" not in said_by(view)
    use(bot, CAROL, view, "home.tag", selected="tag-1")
    view = wait_for(lambda: (v := home(bot, CAROL)) and "Spare 16" not in said_by(v) and v)
    assert "Spare 13" in said_by(view)
    use(bot, CAROL, view, "home.text", value="no such words")
    view = home(bot, CAROL, "No runbook fits.")
    use(bot, CAROL, view, "home.text", value="")
    use(bot, CAROL, home(bot, CAROL, "Spare 13"), "home.team", selected="*")
    use(bot, CAROL, home(bot, CAROL, "Spare 3", "Spare 5"), "home.tag", selected="*")
    use(bot, CAROL, home(bot, CAROL, "of 20 runbooks"), "home.status", selected="APPROVED")
    assert "Spare" not in said_by(wait_for(lambda: (v := home(bot, CAROL)) and "Spare" not in said_by(v) and v))


def test_a_run_from_the_tab_asks_for_its_channel(bot: Stage) -> None:
    """Its Run button opens the form, which also asks where the card belongs."""
    view = opened(bot, CAROL, "Drain a service")
    use(bot, CAROL, view, "home.text", value="drain a service")
    view = wait_for(lambda: (v := home(bot, CAROL)) and buttons(v, "runbook.form") == 1 and v)
    use(bot, CAROL, view, "runbook.form")
    form = bot.form()
    values = {"param:service": "checkout", "channel": CHANNEL}
    assert bot.post("submit", user=CAROL, view_id=form["id"], values=values)["response_action"] is None
    card = wait_for(lambda: bot.find(lambda m: not is_private(m) and "Drain a service" in shown(m)))
    assert "service=checkout" in shown(card)


def test_a_gate_is_reviewed_and_decided_from_the_tab(bot: Stage) -> None:
    """Review shows what would happen; the vote is shown in its place, and a rejection asks why on top of it."""
    run = bot.start("run careful reason=review")
    view = opened(bot, ALICE, run)
    use(bot, ALICE, view, "gate.review")
    review = bot.form(ALICE)
    assert "/hosts/restart/checkout" in said_by(review)
    use(bot, ALICE, review, "gate.approve")
    wait_for(lambda: "needs 2 approvals, has 1" in said_by(bot.form(ALICE)))
    wait_for(lambda: (v := home(bot, ALICE)) and "gate.review" not in str(v) and v)
    use(bot, DAVE, opened(bot, DAVE, run), "gate.review")
    use(bot, DAVE, bot.form(DAVE), "gate.reject")
    asked = wait_for(lambda: (f := bot.form(DAVE)) and f["callback_id"] == "form.reject" and f)
    answer = bot.post("submit", user=DAVE, view_id=asked["id"], values={"reason": "not today"})
    assert answer["response_action"] == "clear"
    wait_for(lambda: "Failed" in shown(bot.card(run)))
    assert bot.get("views", user=DAVE) == []


def test_the_global_shortcut_offers_what_may_be_run(bot: Stage) -> None:
    """A menu of runbooks that this person may run, then the form of the one that was chosen."""
    assert bot.post("shortcut", user=CAROL, callback_id="run_runbook")["ok"]
    pick = wait_for(lambda: (f := bot.form()) and f["callback_id"] == "form.pick" and f)
    found = bot.post("options", user=CAROL, view_id=pick["id"], action_id="value", value="a service")["options"]
    assert [each["text"]["text"] for each in found] == ["Drain a service (drain)"]
    answer = bot.post("submit", user=CAROL, view_id=pick["id"], values={"runbook": "drain"})
    assert answer["response_action"] == "update"
    form = bot.form()
    assert form["callback_id"] == "form.run"
    missing = bot.post("submit", user=CAROL, view_id=form["id"], values={"param:service": "basket"})
    assert set(missing["errors"]) == {"channel"}
    bot.post("close", user=CAROL, view_id=form["id"])


def test_a_run_about_a_message_links_to_it(bot: Stage) -> None:
    """The message's own address is on the card and in the record."""
    ts = bot.post("say", user=CAROL, channel=CHANNEL, text="basket answers 5xx")["ts"]
    wish = {"callback_id": "run_about_message", "channel": CHANNEL, "message_ts": ts}
    assert bot.post("shortcut", user=CAROL, **wish)["ok"]
    pick = wait_for(lambda: (f := bot.form()) and f["callback_id"] == "form.pick" and f)
    bot.post("submit", user=CAROL, view_id=pick["id"], values={"runbook": "drain"})
    form = bot.form()
    answer = bot.post("submit", user=CAROL, view_id=form["id"], values={"param:service": "basket"})
    assert answer["response_action"] is None, answer
    link = f"/archives/{CHANNEL}/p{ts.replace('.', '')}"
    card = wait_for(lambda: bot.find(lambda m: not is_private(m) and f"{link}|this message>" in shown(m)))
    assert "service=basket" in shown(card)


def test_a_shortcut_without_anything_to_run_says_so(bot: Stage) -> None:
    """Somebody without a role is told, and no empty menu opens."""
    before = len(bot.messages(OSCAR, f"D{OSCAR[1:]}"))
    assert bot.post("shortcut", user=OSCAR, callback_id="run_runbook")["ok"]
    told = wait_for(lambda: bot.messages(OSCAR, f"D{OSCAR[1:]}")[before:])
    assert "no runbook that you may run" in shown(told[0])
    assert bot.get("views", user=OSCAR) == []


def test_the_first_word_in_an_incident_can_be_a_shortcut(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time a runbook is chosen the channel's incident is known, and fills the form."""
    calm, channel = CHANNELS["C0PAYMENTS"], "C0PAYMENTS"
    monkeypatch.setitem(CHANNELS, channel, replace(calm, name="inc-5-mail", topic="Mail is late"))
    assert incidents.latest(bot.rt, channel) is None
    ts = bot.post("say", user=CAROL, channel=channel, text="no mail since nine")["ts"]
    assert bot.post("shortcut", user=CAROL, callback_id="run_about_message", channel=channel, message_ts=ts)["ok"]
    pick = wait_for(lambda: (f := bot.form()) and f["callback_id"] == "form.pick" and f)
    bot.post("submit", user=CAROL, view_id=pick["id"], values={"runbook": "note"})
    form = bot.form()
    assert "Mail is late" in str(form["blocks"])
    bot.post("close", user=CAROL, view_id=form["id"])


def test_slack_found_nothing_to_complain_about(bot: Stage) -> None:
    """Over all that was done here, Slack refused no call and missed no ack."""
    assert bot.get("problems") == []
