"""Runbooks that live in the database: written, approved, changed, run and deleted over the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_client import Api, refused
from harness import ALICE, BOB, CAROL, DAVE, OSCAR, http, runbook

from engine.access.policy import Actor
from engine.catalog import catalog
from storage import audit, database

ERIN = Actor("U0ERIN001", standing="member")
TWO_TEAMS = """\
platform_admins: [S0PLATFORM]
teams:
  payments: {admins: [U0BOB0001], members: [U0CAROL01]}
  search: {admins: [U0ERIN001]}
"""


def written(slug: str = "fresh", **top: Any) -> dict[str, Any]:
    """A definition as a program would send it."""
    return json.loads(runbook(slug, http("call", "https://hosts.example/ping"), **top))


def created(api: Api, slug: str = "fresh", who: Any = BOB, **top: Any) -> str:
    """The ETag of a new runbook."""
    answer = api.post("/runbooks", who, {"definition": written(slug, **top)})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/runbooks/{slug}"
    return answer.headers["etag"]


def test_a_version_names_every_host_and_secret(api: Api) -> None:
    """Before it is approved, with its text and with its diff; what the rules forbid is a conflict at this door too."""
    auth = {
        "type": "oauth2",
        "token_url": "https://id.example/t",
        "client_id": "me",
        "client_secret": "{{ secrets.id }}",
    }
    sent = http("call", "https://hosts.example/{{ params.a }}", auth=auth, json={"k": "{{ secrets.canary }}"})
    definition = json.loads(
        runbook("fresh", sent, parameters={"type": "object", "properties": {"a": {"default": "b"}}})
    )
    assert api.post("/runbooks", BOB, {"definition": definition}).status_code == 201
    reaches = [
        {"step": "call", "host": "hosts.example", "known": True, "secrets": ["canary"], "received": []},
        {"step": "call", "host": "id.example", "known": True, "secrets": ["id"], "received": []},
    ]
    assert api.get("/runbooks/fresh/versions/1", CAROL)["reaches"] == reaches
    assert api.get("/runbooks/fresh/diff", CAROL)["reaches"] == reaches
    api.harness.sync(_secrets_yaml="secrets: {id: {hosts: [id.example]}, canary: {hosts: [id.example]}}")
    warned = api.get("/runbooks/fresh/versions/1", CAROL)["warnings"]
    assert any("may not go to hosts.example" in each for each in warned)
    refused(api.post("/runbooks/fresh/approve", ALICE, {"version": 1}), 409, "conflict")
    asked = api.get(f"/can?verb=admin approve&target=fresh@1&person={ALICE.user_id}", ALICE)
    assert (asked["allowed"], "may not go to hosts.example" in asked["but"]) == (True, True)


def test_the_life_of_a_runbook(api: Api) -> None:
    """Written by a team's admin, approved by a platform admin, run by a member, withdrawn, brought back."""
    assert created(api) == '"1-draft"'
    refused(api.post("/runbooks/fresh/execute", CAROL), 409, "not_approved")
    digest = api.get("/runbooks/fresh/versions/1", CAROL)["digest"]
    refused(api.post("/runbooks/fresh/approve", ALICE, {"digest": "sha256:other"}), 409, "conflict")
    approved = api.post("/runbooks/fresh/approve", ALICE, {"digest": digest}).json()
    assert (approved["status"], approved["decided_by"]) == ("APPROVED", ALICE.user_id)
    refused(api.post("/runbooks/fresh/approve", ALICE, {"version": 1}), 409, "conflict")
    run = api.post("/runbooks/fresh/execute", CAROL).json()["execution"]["id"]
    shown = api.get("/runbooks/fresh", CAROL)
    assert ([each["id"] for each in shown["executions"]], shown["file"]) == ([run], None)
    assert [each["id"] for each in api.get("/runbooks/fresh/executions", CAROL)["items"]] == [run]
    assert api.post("/runbooks/fresh/deprecate", ALICE, {"reason": "wrong host"}).json()["status"] == "DEPRECATED"
    assert api.post("/runbooks/fresh/rollback", ALICE).json()["status"] == "DRAFT"
    with database.reading():
        rows = audit.of_thing(api.harness.rt.workspace_id, "runbook:fresh@1")
    assert [(each.action, each.actor, each.detail["door"]) for each in rows] == [
        ("runbook.draft", BOB.user_id, "api"),
        ("runbook.approve", ALICE.user_id, "api"),
        ("runbook.deprecate", ALICE.user_id, "api"),
        ("runbook.rollback", ALICE.user_id, "api"),
    ]


def test_an_edit_is_a_new_version_in_draft(api: Api) -> None:
    """Whole or by merged changes; the diff says what differs, and the list has both."""
    tag = created(api)
    api.post("/runbooks/fresh/approve", ALICE, {"version": 1})
    tag = api.ask("GET", "/runbooks/fresh", BOB).headers["etag"]
    changes = {"definition": {"description": "Now told.", "tags": ["web"]}, "note": "told"}
    answer = api.ask("PATCH", "/runbooks/fresh", BOB, changes, {"If-Match": tag})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2-draft"')
    assert (answer.json()["description"], answer.json()["tags"]) == ("Now told.", ["web"])
    source = 'apiVersion: runbook/v1\nid: fresh\nname: Anew\nteam: payments\nwebhook: {url: "https://a.example/"}\n'
    answer = api.ask("PUT", "/runbooks/fresh", BOB, {"source": source}, {"If-Match": '"2-draft"'})
    assert (answer.status_code, answer.json()["version"], answer.json()["name"]) == (200, 3, "Anew")
    assert api.get("/runbooks/fresh/versions/3", BOB)["source"] == source
    assert "+name: Anew" in api.get("/runbooks/fresh/diff", BOB)["diff"]
    versions = api.get("/runbooks/fresh/versions", BOB)
    assert [(each["number"], each["status"], each["note"]) for each in versions] == [
        (3, "DRAFT", ""), (2, "DRAFT", "told"), (1, "APPROVED", ""),
    ]  # fmt: skip
    refused(api.ask("GET", "/runbooks/fresh/versions/4", BOB), 404, "not_found")


def test_an_edit_says_what_it_changes(api: Api) -> None:
    """428 without If-Match, 412 for what was changed meanwhile, 409 for what changes nothing."""
    tag = created(api)
    body = {"definition": {"description": "x"}}
    for method, content in (("PATCH", body), ("PUT", {"definition": written()}), ("DELETE", None)):
        refused(api.ask(method, "/runbooks/fresh", BOB, content), 428, "precondition_required")
        refused(api.ask(method, "/runbooks/fresh", BOB, content, {"If-Match": '"9-draft"'}), 412, "changed")
    refused(api.ask("PUT", "/runbooks/fresh", BOB, {"definition": written()}, {"If-Match": tag}), 409, "conflict")
    api.post("/runbooks/fresh/approve", ALICE, {"version": 1})
    refused(api.ask("PATCH", "/runbooks/fresh", BOB, body, {"If-Match": tag}), 412, "changed")


def test_a_file_is_edited_as_a_file(api: Api) -> None:
    """409, naming it, for every way to edit."""
    tag = api.ask("GET", "/runbooks/drain", BOB).headers["etag"]
    for method, content in (
        ("PUT", {"definition": written("drain")}),
        ("PATCH", {"definition": {"name": "x"}}),
        ("DELETE", None),
    ):
        problem = refused(api.ask(method, "/runbooks/drain", BOB, content, {"If-Match": tag}), 409, "conflict")
        assert "drain.yaml" in problem["detail"]


def test_deleting_waits_for_open_runs_and_keeps_what_they_did(api: Api) -> None:
    """The run can be looked at afterwards, and the id can be used again, counting on."""
    created(api)
    api.post("/runbooks/fresh/approve", ALICE, {"version": 1})
    run = api.post("/runbooks/fresh/execute", CAROL).json()["execution"]["id"]
    tag = {"If-Match": '"1-approved"'}
    assert run in refused(api.ask("DELETE", "/runbooks/fresh", BOB, None, tag), 409, "conflict")["detail"]
    api.post(f"/executions/{run}/cancel", CAROL)
    assert api.ask("DELETE", "/runbooks/fresh", BOB, None, tag).status_code == 204
    refused(api.ask("GET", "/runbooks/fresh", BOB), 404, "not_found")
    assert "fresh" not in [each["id"] for each in api.get("/runbooks", BOB)["items"]]
    refused(api.post("/runbooks/fresh/execute", CAROL), 404, "not_found")
    assert api.get(f"/executions/{run}", CAROL)["runbook"] == "fresh"
    assert created(api) == '"2-draft"'


def test_who_may_write_what(api: Api) -> None:
    """A team's admin their team's, not another's nor a global one; an edit may not carry it out of reach."""
    refused(api.post("/runbooks", CAROL, {"definition": written()}), 403, "not_allowed")
    refused(api.post("/runbooks", BOB, {"definition": written(team=None)}), 403, "not_allowed")
    refused(api.post("/runbooks", BOB, {"definition": written(team="search")}), 403, "not_allowed")
    tag = created(api)
    refused(api.post("/runbooks", BOB, {"definition": written()}), 409, "conflict")
    moved = {"definition": {"team": None}}
    refused(api.ask("PATCH", "/runbooks/fresh", BOB, moved, {"If-Match": tag}), 403, "not_allowed")
    assert api.ask("PATCH", "/runbooks/fresh", ALICE, moved, {"If-Match": tag}).status_code == 200
    refused(api.post("/runbooks/fresh/approve", ALICE, {"version": 2}), 403, "not_allowed")
    refused(api.post("/runbooks/fresh/approve", BOB, {"version": 2}), 403, "not_allowed")
    assert api.post("/runbooks/fresh/approve", DAVE, {"version": 2}).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_parameters"),
        ({"source": "x", "definition": {}}, "invalid_parameters"),
        ({"source": ": :"}, "invalid_definition"),
        ({"source": "[" * 90_000}, "invalid_definition"),
        ({"definition": {}}, "invalid_definition"),
        ({"definition": {**written(), "stpes": []}}, "invalid_definition"),
    ],
)
def test_a_definition_that_is_wrong_is_told_place_by_place(api: Api, body: dict[str, Any], code: str) -> None:
    """422, and nothing was written."""
    problem = refused(api.post("/runbooks", ALICE, body), 422, code)
    assert problem.get("problems") or problem.get("fields")
    assert [each["id"] for each in api.get("/runbooks", OSCAR)["items"]] == ["ping"]


def test_the_folder_is_synced(api: Api) -> None:
    """By a platform admin; what is wrong with a file is said."""
    api.harness.write(fresh=runbook("fresh", http("a")), broken="id: [")
    refused(api.post("/sync", BOB), 403, "not_allowed")
    told = api.post("/sync", ALICE).json()
    assert told["changes"] == [{"runbook": "fresh", "kind": "new", "version": 1}]
    assert any("broken.yaml" in each for each in told["problems"])


def test_an_id_made_anew_by_another_team_shows_nothing_of_the_old(api: Api) -> None:
    """Not its versions, its text, its runs nor who did what; the old team still sees the run it had."""
    api.harness.write(_access_yaml=TWO_TEAMS)
    api.harness.sync()
    created(api)
    api.post("/runbooks/fresh/approve", ALICE, {"version": 1})
    run = api.post("/runbooks/fresh/execute", CAROL).json()["execution"]["id"]
    api.post(f"/executions/{run}/cancel", CAROL)
    again = {"Idempotency-Key": "mine"}
    answer = api.ask("POST", "/runbooks/fresh/deprecate", ALICE, {"version": 1}, again)
    assert answer.status_code == 200
    assert api.ask("DELETE", "/runbooks/fresh", BOB, None, {"If-Match": '"1-deprecated"'}).status_code == 204
    assert created(api, who=ERIN, team="search") == '"2-draft"'
    shown = api.get("/runbooks/fresh", ERIN)
    assert ([each["number"] for each in shown["versions"]], shown["executions"]) == ([2], [])
    assert [each["number"] for each in api.get("/runbooks/fresh/versions", ERIN)] == [2]
    refused(api.ask("GET", "/runbooks/fresh/versions/1", ERIN), 404, "not_found")
    assert api.get("/runbooks/fresh/diff", ERIN)["diff"].startswith("{")  # all of it is new
    assert api.get("/runbooks/fresh/executions", ERIN)["items"] == []
    refused(api.ask("GET", f"/executions/{run}", ERIN), 404, "not_found")
    assert [each.thing for each in catalog.deeds(api.harness.rt, "fresh")] == ["runbook:fresh@2"]
    refused(api.ask("GET", "/runbooks/fresh", CAROL), 404, "not_found")
    assert api.get(f"/executions/{run}", CAROL)["runbook"] == "fresh"
    refused(api.ask("POST", "/runbooks/fresh/rollback", ALICE, {"version": 1}), 404, "not_found")
