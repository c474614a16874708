"""Choices of a parameter over the API: who gets them, and what is said of those that there are not."""

from __future__ import annotations

import json
from typing import Any

from api_client import Api, refused
from harness import ALICE, BOB, CAROL, OSCAR, http, runbook
from local_server import answer

PATH = "/runbooks/demo/parameters/{}/options"


def published(api: Api, target: Any, status: str = "200 OK") -> None:
    items = [{"id": "api", "name": "The API"}, {"id": "web", "name": "The shop"}]
    target.does["/services"] = [answer(json.dumps(items).encode(), status, "Content-Type: application/json")]
    said = {"url": target.url("/services"), "value": "{{ item.id }}", "label": "{{ item.name }}"}
    properties = {"service": {"type": "string", "x-options": said}, "plain": {"type": "string"}}
    api.harness.publish(runbook("demo", http("call"), parameters={"type": "object", "properties": properties}))


def test_who_may_run_it_is_offered_what_there_is(api: Api, target: Any) -> None:
    published(api, target)
    found = api.get(PATH.format("service"), CAROL, search="shop")
    assert found["options"] == [{"value": "web", "label": "The shop"}]
    assert found["trouble"] == ""
    assert found["as_of"].endswith("Z")
    assert not found["more"]


def test_nobody_else_is(api: Api, target: Any) -> None:
    """Without the right, or with a token that only reads; nor for what has no choices."""
    published(api, target)
    refused(api.ask("GET", PATH.format("service"), OSCAR), 404, "not_found")
    reading = {"Authorization": f"Bearer {api.token(CAROL, 'read')}"}
    refused(api.ask("GET", PATH.format("service"), None, headers=reading), 403, "not_allowed")
    refused(api.ask("GET", PATH.format("plain"), CAROL), 404, "not_found")
    refused(api.ask("GET", PATH.format("service") + "?version=7", CAROL), 409, "not_approved")
    assert target.paths() == []


def test_a_system_that_is_away_is_told_of_and_no_failure(api: Api, target: Any) -> None:
    published(api, target, "500 Internal Server Error")
    found = api.get(PATH.format("service"), CAROL)
    assert (found["options"], found["as_of"]) == ([], None)
    assert "500" in found["trouble"]


def test_what_is_not_offered_starts_nothing(api: Api, target: Any) -> None:
    published(api, target)
    answered = api.ask("POST", "/runbooks/demo/execute", CAROL, {"parameters": {"service": "webb"}})
    refused(answered, 422, "invalid_parameters")
    assert "did you mean `web`" in answered.text


def test_what_it_asks_stands_among_what_a_version_reaches(api: Api, target: Any) -> None:
    """Whoever approves it sees which host gets which secret."""
    said = {"url": "https://cmdb.example/hosts", "auth": {"type": "bearer", "token": "{{ secrets.canary }}"}}
    parameters = {"type": "object", "properties": {"host": {"type": "string", "x-options": said}}}
    definition = json.loads(runbook("fresh", http("call", "https://hosts.example/x"), parameters=parameters))
    assert api.post("/runbooks", BOB, {"definition": definition}).status_code == 201
    (first, _) = api.get("/runbooks/fresh/versions/1", ALICE)["reaches"]
    assert (first["step"], first["host"], first["secrets"]) == ("parameters.host", "cmdb.example", ["canary"])
