"""Menus whose choices a system offers, in a workspace that asks for them as Slack does."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stage import CAROL, OSCAR, Stage, ready_with, shown, stage, wait_for

from bot.slack.forms import modals
from engine.errors import NotAllowed
from engine.option_cache import OptionCache

sys.path.append(str(Path(__file__).parents[1] / "engine"))
from local_server import LocalServer, answer

LONG = "long-" + "x" * 300
FORM = """
parameters:
  type: object
  required: [service]
  properties:
    service:
      type: string
      x-options:
        {target: inventory, path: /services, value: "{{ item.id }}", label: "{{ item.name }}", cache: 1s}
    hosts: {type: array, items: {type: string}, maxItems: 3, x-options: {target: inventory, path: /hosts, search: q}}
steps:
  - {id: say, type: message, with: {text: "on {{ params.service }} and {{ params.hosts | default([]) | length }}"}}
"""
SERVICES = [
    {"id": "api", "name": "The *API* <!channel>"},
    {"id": LONG, "name": "Long one"},
    {"id": "web", "name": "w" * 90},
    {"id": "wob", "name": "w" * 90},
]


class Inventory:
    """A system that offers `services` and hosts, or none at all while it is `away`. An answer `takes_s` seconds."""

    def __init__(self) -> None:
        self.away = False
        self.services = SERVICES
        self.takes_s = 0.0
        self.asked: list[str] = []
        self.server = LocalServer(self._behave)

    def _behave(self, conn: Any, request: bytes) -> None:
        path = request.split(b" ")[1].decode()
        self.asked.append(path)
        typed = path.partition("q=")[2]
        hosts = [f"host-{number}" for number in range(500) if typed in f"host-{number}"]
        time.sleep(self.takes_s)
        said: Any = self.services if path.startswith("/services") else hosts
        status = "503 Service Unavailable" if self.away else "200 OK"
        answer(json.dumps(said).encode(), status, "Content-Type: application/json")(conn, request)


@pytest.fixture
def inventory() -> Iterator[Inventory]:
    found = Inventory()
    yield found
    found.server.close()


@pytest.fixture(params=["http", pytest.param("socket", marks=pytest.mark.slow)])
def there(request: pytest.FixtureRequest, tmp_path: Path, inventory: Inventory) -> Iterator[Stage]:
    with stage(tmp_path, socket_mode=request.param == "socket") as running:
        url = inventory.server.url().rstrip("/")
        opened = f"inventory: {{url: '{url}', allow_private: true}}"
        (running.rt.settings.runbooks_dir / "_targets.yaml").write_text(f"targets: {{{opened}}}")
        ready_with(running, {"pick": FORM, "grave": f"risk: high\n{FORM}"})
        yield running


def opened(bot: Stage) -> dict[str, Any]:
    assert bot.command("run pick")["ok"]
    return bot.form()


def options(bot: Stage, form: dict[str, Any], name: str, typed: str = "", user: str = CAROL) -> list[dict[str, Any]]:
    block = next(each for each in form["blocks"] if each.get("label", {}).get("text") == name)
    asked = {"view_id": form["id"], "block_id": block["block_id"], "action_id": block["element"]["action_id"]}
    return bot.post("options", user=user, value=typed, **asked)["options"]


def texts(found: list[dict[str, Any]]) -> list[str]:
    return [each["text"]["text"] for each in found]


def forget(bot: Stage) -> None:
    """As a process does that was started anew."""
    object.__setattr__(bot.rt, "options", OptionCache())


def submit(bot: Stage, form: dict[str, Any], **values: Any) -> str:
    before = len(bot.private())
    answered = bot.post("submit", user=CAROL, view_id=form["id"], values=values)
    assert answered["ok"], answered
    return shown(wait_for(lambda: bot.private()[before:])[0])


def test_a_menu_is_searched_and_its_choice_runs(there: Stage, inventory: Inventory) -> None:
    form = opened(there)
    found = options(there, form, "service")
    assert found[0]["text"]["type"] == "plain_text"
    assert len(found) == 4
    assert len(set(texts(found))) == 4
    assert texts(options(there, form, "service", "long")) == ["Long one"]
    assert texts(options(there, form, "hosts", "host-49"))[:2] == ["host-49", "host-490"]
    assert len(options(there, form, "hosts")) == 100
    several = [each["value"] for each in options(there, form, "hosts", "host-49")[:2]]
    told = submit(there, form, service=found[0]["value"], hosts=several)
    assert "Started" in told, told
    run = "R-" + told.split("R-")[1][:6]
    wait_for(lambda: "on api and 2" in "\n".join(there.in_thread(there.card(run)["ts"])))


def test_a_long_value_is_found_again_after_everything_was_forgotten(there: Stage, inventory: Inventory) -> None:
    """The option carries a hash: the process that reads the form asks the system which value that is."""
    form = opened(there)
    (found,) = options(there, form, "service", "long")
    assert len(found["value"]) <= 150
    forget(there)
    assert "Started" in submit(there, form, service=found["value"])


def test_what_came_last_is_offered_while_the_system_is_away(there: Stage, inventory: Inventory) -> None:
    """With its time above it; without any, what was typed is the one choice, and the thread says nobody checked it."""
    form = opened(there)
    assert len(options(there, form, "service")) == 4
    inventory.away = True
    time.sleep(1.05)
    assert len(options(there, form, "service")) == 4
    block = next(each for each in form["blocks"] if each.get("label", {}).get("text") == "service")
    body = {"view": form, "user": {"id": CAROL}, "block_id": block["block_id"], "value": "api"}
    (group,) = modals.suggest(there.door.ctx, body)["option_groups"]
    assert group["label"]["text"].startswith("As of ")
    assert texts(group["options"]) == ["The *API* ‹!channel›"]
    asked = {"view_id": form["id"], "block_id": block["block_id"], "action_id": block["element"]["action_id"]}
    assert there.post("options", user=CAROL, value="api", **asked)["headings"] == [group["label"]["text"]]
    forget(there)
    (note,) = options(there, form, "service")
    refused = there.post("submit", user=CAROL, view_id=form["id"], values={"service": note["value"]})
    assert "type the value" in json.dumps(refused)
    (typed,) = options(there, form, "service", "by-hand")
    assert typed["text"]["text"] == "by-hand"
    told = submit(there, form, service=typed["value"])
    run = "R-" + told.split("R-")[1][:6]
    wait_for(lambda: "unchecked" in "\n".join(there.in_thread(there.card(run)["ts"])))


def test_at_high_risk_nothing_typed_is_offered(there: Stage, inventory: Inventory) -> None:
    """The menu says that it would be refused and why nothing is there, and the form says so again."""
    inventory.away = True
    assert there.command("run grave")["ok"]
    form = there.form()
    for typed in ("", "by-hand"):
        assert texts(options(there, form, "service", typed)) == [
            "High risk: nothing unchecked runs. Try again once it can be asked"
        ]
    (note,) = options(there, form, "service", "by-hand")
    refused = there.post("submit", user=CAROL, view_id=form["id"], values={"service": note["value"], "reason": "down"})
    assert "nothing unchecked runs at high risk" in json.dumps(refused)


def test_nobody_else_is_offered_anything(there: Stage, inventory: Inventory) -> None:
    """Whoever may not run it gets no choices, though Slack says that they have the form before them."""
    form = opened(there)
    there.say("list", OSCAR)
    block = next(each for each in form["blocks"] if each.get("label", {}).get("text") == "service")
    body = {"view": form, "user": {"id": OSCAR}, "block_id": block["block_id"], "value": ""}
    with pytest.raises(NotAllowed):
        modals.suggest(there.door.ctx, body)
    assert inventory.asked == []


def test_a_command_is_refused_with_the_nearest(there: Stage, inventory: Inventory) -> None:
    assert "did you mean `web`" in there.say("run pick service=webb")
    assert "Started" in there.say("run pick service=web")


def refused_in_form(bot: Stage, form: dict[str, Any], **values: Any) -> dict[str, str]:
    """What stands under the inputs of a form that was sent and stays open, by their labels."""
    answered = bot.post("submit", user=CAROL, view_id=form["id"], values=values)
    labels = {each["block_id"]: each["label"]["text"] for each in form["blocks"] if "label" in each}
    return {labels[block]: why for block, why in (answered.get("errors") or {}).items()}


def test_a_choice_that_is_no_longer_offered_is_refused_beside_its_field(there: Stage, inventory: Inventory) -> None:
    """The form stays open, and another choice of it starts the run; nothing was begun before."""
    form = opened(there)
    service = options(there, form, "service", "api")[0]["value"]
    host = options(there, form, "hosts", "host-7")[0]["value"]
    inventory.services = [each for each in SERVICES if each["id"] != "api"]
    time.sleep(1.05)
    before = len(there.private())
    refused = refused_in_form(there, form, service=service, hosts=[host])
    assert list(refused) == ["service"]
    assert "is not offered" in refused["service"]
    assert len(there.private()) == before
    assert "Started" in submit(there, form, service=options(there, form, "service", "web")[0]["value"], hosts=[host])


def test_what_a_system_does_not_say_in_time_is_left_to_the_start(there: Stage, inventory: Inventory) -> None:
    """Slack is answered within its 3 s; whoever chose is told of the refusal after the form has closed."""
    form = opened(there)
    service = options(there, form, "service", "api")[0]["value"]
    inventory.services = [each for each in SERVICES if each["id"] != "api"]
    time.sleep(1.05)
    inventory.takes_s = modals.IN_FORM_S + 0.3
    began = time.monotonic()
    before = len(there.private())
    answered = there.post("submit", user=CAROL, view_id=form["id"], values={"service": service})
    assert answered["ok"], answered
    assert time.monotonic() - began < 3
    inventory.takes_s = 0.0
    told = shown(wait_for(lambda: there.private()[before:])[0])
    assert "Started" not in told
    assert "is not offered" in told


def test_who_may_not_run_it_has_no_system_asked_by_sending_a_form(there: Stage, inventory: Inventory) -> None:
    form = opened(there)
    there.say("list", OSCAR)
    state = {each["block_id"]: {} for each in form["blocks"] if "label" in each}
    block = next(each for each in form["blocks"] if each.get("label", {}).get("text") == "service")
    chosen = {"text": {"type": "plain_text", "text": "API"}, "value": '"api"'}
    state[block["block_id"]] = {block["element"]["action_id"]: {"type": "external_select", "selected_option": chosen}}
    read = modals.read(there.door.ctx, OSCAR, {**form, "state": {"values": state}})
    assert not read.errors
    assert inventory.asked == []
