"""Plans over REST and on the command line, and runs that are to be exactly what was planned."""

from __future__ import annotations

from typing import Any

import pytest
from api_client import Api
from harness import BOB, CAROL, OSCAR, Target, http, runbook

from bot.cli import control_verbs, plans
from bot.cli.connect import Refused
from bot.cli.invocation import Answer, Invocation
from bot.cli.options import Options
from bot.grammar import parse

PARAMETERS = {"type": "object", "required": ["host"], "properties": {"host": {"type": "string"}}}


@pytest.fixture
def api(api: Api, target: Target) -> Api:
    step = http("go", target.url("/go/{{ params.host }}"), headers={"X-Key": "{{ secrets.canary }}"})
    api.harness.publish(runbook("demo", step, parameters=PARAMETERS))
    return api


class Asked:
    """The API as the command line asks it."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def get(self, path: str) -> Any:
        return self.api.get(f"/{path}", CAROL)

    def post(self, path: str, body: Any) -> Any:
        answer = self.api.post(f"/{path}", CAROL, body)
        if answer.status_code >= 400:
            raise Refused(answer.status_code, answer.json())
        return answer.json()

    look = look_once = post


def said(api: Api, line: str) -> Answer:
    command = parse(line)
    verb = {"plan": plans.plan, "run": control_verbs.run}[command.verb]
    return verb(Invocation(Asked(api), command, Options()))  # type: ignore[arg-type]


def test_a_plan_is_shown_and_started_by_its_digest(api: Api, target: Target) -> None:
    body = {"parameters": {"host": "web1"}}
    plan = api.post("/runbooks/demo/plan", CAROL, body).json()
    assert plan["steps"][0]["with"]["url"] == target.url("/go/web1")
    assert (plan["obstacles"], plan["destinations"][0]["secrets"]) == ([], ["canary"])
    assert target.paths() == []
    begun = api.post("/runbooks/demo/execute", CAROL, {**body, "plan_digest": plan["digest"]})
    assert begun.status_code == 202, begun.text


def test_what_was_not_planned_is_refused_with_the_plan_of_now(api: Api) -> None:
    plan = api.post("/runbooks/demo/plan", CAROL, {"parameters": {"host": "web1"}}).json()
    other = {"parameters": {"host": "web2"}, "plan_digest": plan["digest"]}
    refused = api.post("/runbooks/demo/execute", CAROL, other)
    assert (refused.status_code, refused.json()["code"]) == (412, "plan_changed")
    assert refused.json()["changes"] == ["the parameters differ"]
    now = refused.json()["plan"]
    assert api.post("/executions", CAROL, {**other, "runbook": "demo", "plan_digest": now["digest"]}).status_code == 202


def test_others_see_no_plan_and_a_token_for_looking_is_enough_for_one(api: Api) -> None:
    body = {"parameters": {"host": "web1"}}
    assert api.post("/runbooks/demo/plan", OSCAR, body).status_code == 404
    reads = {"Authorization": f"Bearer {api.token(CAROL, 'read')}"}
    found = api.ask("POST", "/runbooks/demo/plan", None, body, headers=reads)
    assert found.status_code == 200
    assert "lacks the scope run" in found.json()["obstacles"][0]["why"]
    started = api.ask("POST", "/runbooks/demo/execute", None, body, headers=reads)
    assert started.status_code == 403
    assert api.post("/runbooks/demo/plan", BOB, {"parameters": {}}).status_code == 422


def test_the_command_line_shows_it_and_runs_exactly_that(api: Api, target: Target) -> None:
    shown = said(api, "plan demo host=web1")
    lines = list(shown.lines)
    assert f"  go: GET {target.url('/go/web1')}" in lines
    assert "  You may start it now." in lines
    assert "c4nary" not in "".join(lines)
    digest = shown.data["digest"]
    changed = said(api, f"run demo host=web2 plan={digest}")
    assert changed.failed
    assert "the parameters differ" in next(iter(changed.lines))
    assert said(api, f"run demo host=web1 plan={digest}").follow.startswith("R-")


def test_a_live_plan_asks_the_check_mode_for_who_may_start_it(api: Api, target: Target) -> None:
    """Over REST and on the command line; a parameter of that name stays one."""
    step = {**http("go", target.url("/go"), method="POST"), "dry_run": {"query": {"dry": "yes"}}}
    api.harness.publish(runbook("checked", step))
    assert api.post("/runbooks/checked/plan", OSCAR, {"live": True}).status_code == 404
    plan = api.post("/runbooks/checked/plan", CAROL, {"live": True}).json()
    assert (plan["steps"][0]["live"]["outcome"], plan["live"]["success"]) == ("success", 1)
    assert any("it would work (200)" in line for line in said(api, "plan checked live=yes").lines)
    assert not any("check mode" in line for line in said(api, "plan checked live=no").lines)
    assert target.paths() == ["/go?dry=yes"] * 2
