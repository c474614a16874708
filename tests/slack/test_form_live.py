"""Forms as people fill them in, in a workspace that does with them what Slack does."""

from __future__ import annotations

from typing import Any

import pytest
from stage import ALICE, BOB, CAROL, CHANNEL, Stage, shown, wait_for

LONG = "\n".join(f"    p{number}: {{type: integer, default: {number}}}" for number in range(95))
BOOKS = {
    "everything": """
parameters:
  type: object
  required: [host]
  dependentRequired: {window: [approver]}
  properties:
    host: {type: string, enum: [HOSTS]}
    approver: {type: string, format: user}
    room: {type: string, format: channel}
    window: {type: string, format: date-time}
    labels: {type: object, additionalProperties: {type: string}}
steps:
  - {id: say, type: message, with: {text: "{{ params.host }}"}}
""".replace("HOSTS", ", ".join(f"host-{number}" for number in range(150))),
    "cleared": """
parameters:
  type: object
  required: [who]
  properties:
    who: {type: string}
    zones: {type: array, minItems: 1, default: [eu, us, ap], items: {enum: [eu, us, ap]}}
    note: {type: string, default: noted}
    size: {type: integer, default: 3}
    since: {type: string, format: date-time, default: "1970-01-01T00:00:00Z"}
    at: {type: string, format: time}
steps:
  - {id: say, type: message, with: {text: "n={{ params.note }} s={{ params.since }} a={{ params.at }}"}}
""",
    "long": f"""
risk: high
parameters:
  type: object
  required: [last]
  properties:
{LONG}
    last: {{type: string}}
steps:
  - {{id: say, type: message, with: {{text: "{{{{ params.p0 + params.p94 }}}} {{{{ params.last }}}}"}}}}
  - {{id: count, type: message, with: {{text: "{{{{ params | length }}}}"}}}}
""",
}


@pytest.fixture(scope="module", autouse=True)
def _books(bot: Stage) -> None:
    for slug, text in BOOKS.items():
        top = f"apiVersion: runbook/v1\nid: {slug}\nname: A runbook for {slug}\nteam: payments\n"
        (bot.rt.settings.runbooks_dir / f"{slug}.yaml").write_text(top + text)
    told = bot.say("admin sync", ALICE)
    assert "0 problems" in told, told
    for slug in BOOKS:
        assert "is approved" in bot.say(f"admin approve {slug}@1", ALICE)


def submit(bot: Stage, form: dict[str, Any], **values: Any) -> dict[str, Any]:
    return bot.post("submit", user=CAROL, view_id=form["id"], values=values)


def opened(bot: Stage, text: str) -> dict[str, Any]:
    assert bot.command(text)["ok"]
    return bot.form()


def card_of_next_run(bot: Stage, before: int) -> dict[str, Any]:
    told = shown(wait_for(lambda: bot.private()[before:])[0])
    assert "Started" in told, told
    return bot.card("R-" + told.split("R-")[1][:6])


def test_a_long_menu_is_searched(bot: Stage) -> None:
    """What is typed finds options; the chosen one is the parameter's value; a person is picked as one."""
    form = opened(bot, "run everything")
    found = bot.post("options", user=CAROL, view_id=form["id"], action_id="value", block_id="param:host", value="14")
    assert {each["text"]["text"] for each in found["options"]} >= {"host-14", "host-114", "host-149"}
    before = len(bot.private())
    chosen = next(each for each in found["options"] if each["text"]["text"] == "host-114")
    answer = submit(bot, form, **{"param:host": chosen["value"], "param:approver": BOB, "param:room": CHANNEL})
    assert answer["response_action"] is None, answer
    card = card_of_next_run(bot, before)
    assert "host=host-114" in shown(card)
    assert f"approver={BOB}" in shown(card)
    assert f"room={CHANNEL}" in shown(card)


def test_what_belongs_together_is_checked_when_sent(bot: Stage) -> None:
    """A field that another one asks for is missed by name, and broken JSON by its place."""
    form = opened(bot, "run everything host=host-x")
    wrong = submit(bot, form, **{"param:window": 1795000000, "param:host": "7"})
    assert wrong["errors"] == {"param:approver": "Is required when window is given"}
    wrong = submit(bot, form, **{"param:labels": '{"a" 1}', "param:approver": BOB})
    assert wrong["errors"] == {"param:labels": "Is not JSON: Expecting ':' delimiter in line 1, column 6"}
    bot.post("close", user=CAROL, view_id=form["id"])


def test_a_form_of_two_parts_keeps_what_was_filled_in(bot: Stage) -> None:
    """The first part is checked before the second opens; both together make the run."""
    first = opened(bot, "run long p94=6 reason=parts")
    assert first["submit"]["text"] == "Next"
    wrong = submit(bot, first, **{"param:p0": "1.5"})
    assert set(wrong["errors"]) == {"param:p0"}
    answer = submit(bot, first, **{"param:p0": "36"})
    assert answer["response_action"] == "update", answer
    second = bot.form()
    assert second["submit"]["text"] == "Run"
    values = {block["block_id"]: block["element"] for block in second["blocks"] if block["type"] == "input"}
    assert values["param:p94"]["initial_value"] == "6"
    assert values["reason"]["initial_value"] == "parts"
    before = len(bot.private())
    assert submit(bot, second, **{"param:last": "bye"})["response_action"] is None
    card = card_of_next_run(bot, before)
    wait_for(lambda: any("42 bye" in line for line in bot.in_thread(card["ts"])))


def test_what_was_cleared_never_comes_back(bot: Stage) -> None:
    """A list, a number and a text with defaults: empty where that is right, else refused beside its field."""
    form = opened(bot, "run cleared at=09:15:30+02:00")
    wrong = submit(bot, form, **{"param:who": "me", "param:zones": [], "param:size": "", "param:note": ""})
    assert set(wrong["errors"]) == {"param:size"}
    wrong = submit(bot, form, **{"param:size": "4"})
    assert set(wrong["errors"]) == {"param:zones"}
    before = len(bot.private())
    assert submit(bot, form, **{"param:zones": ["us"]})["response_action"] is None
    card = card_of_next_run(bot, before)
    wait_for(lambda: any("n= s=1970-01-01T00:00:00Z a=09:15:30+02:00" in line for line in bot.in_thread(card["ts"])))


def test_slack_found_nothing_to_complain_about(bot: Stage) -> None:
    """Over all that was done here, Slack refused no call and missed no ack."""
    assert bot.get("problems") == []
