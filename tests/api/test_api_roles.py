"""Every operation × every role × another team's things: who gets through, who is refused, who sees nothing there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from api_client import Api
from harness import ALICE, BOB, CAROL, DAVE, OSCAR, gate, runbook

from engine.access import people, secrets, tokens
from engine.access.policy import Actor
from engine.orchestration import incidents
from engine.orchestration.admission import Wanted
from engine.runs import break_glass, freezing, held_requests
from storage.people_records import PersonRecord

ERIN, LENA = Actor("U0ERIN001", standing="member"), Actor("U0LENA001", standing="member")
ROLES = {"platform admin": ALICE, "team admin": BOB, "team member": CAROL, "other team's admin": ERIN, "nobody": OSCAR}
ACCESS = """\
platform_admins: [S0PLATFORM]
teams:
  payments: {admins: [U0BOB0001], members: [U0CAROL01]}
  search: {admins: [U0ERIN001]}
"""
WRITTEN = {
    "apiVersion": "runbook/v1",
    "id": "new",
    "name": "New",
    "team": "payments",
    "webhook": {"url": "https://a.b/"},
}
EDIT = {"If-Match": '"1-draft"'}
_RUN = {"runbook": "drain", "parameters": {"service": "api"}}


@dataclass(frozen=True)
class Case:
    """One request about a thing of team payments, and one letter a role, in the order of ROLES.

    y: it gets through (any 2xx, or a 409 or 422 behind the policy), r: refused with 403, h: hidden, a 404.
    """

    operation: str
    expected: str
    body: Any = None
    query: str = ""
    headers: Any = None


SEEN, RUNS, EDITS, ADMINS = "yyyhh", "yyyhh", "yyrhh", "yrrhh"
CASES = [
    Case("GET /runbooks/{runbook}", SEEN),
    Case("GET /runbooks/{runbook}/versions", SEEN),
    Case("GET /runbooks/{runbook}/versions/1", SEEN),
    Case("GET /runbooks/{runbook}/diff", SEEN),
    Case("GET /runbooks/{runbook}/executions", SEEN),
    Case("GET /runbooks/sized/parameters/size/options", RUNS),
    Case("POST /runbooks", "yyrrr", {"definition": WRITTEN}),
    Case("PUT /runbooks/{runbook}", EDITS, {"definition": WRITTEN}, headers=EDIT),
    Case("PATCH /runbooks/{runbook}", EDITS, {"definition": {"name": "x"}}, headers=EDIT),
    Case("DELETE /runbooks/{runbook}", EDITS, headers=EDIT),
    Case("POST /runbooks/{runbook}/approve", ADMINS, {"version": 1}),
    Case("POST /runbooks/{runbook}/renew", "yyyhh", {"version": 1}),
    Case("POST /runbooks/{runbook}/withdraw", ADMINS, {"version": 1}),
    Case("POST /runbooks/{runbook}/deprecate", ADMINS, {"reason": "x"}),
    Case("POST /runbooks/{runbook}/rollback", ADMINS),
    Case("POST /runbooks/{runbook}/plan", SEEN, {"parameters": {"service": "api"}}),
    Case("POST /runbooks/{runbook}/execute", RUNS, {"parameters": {"service": "api"}}),
    Case("POST /sync", "yrrrr"),
    Case("POST /executions", RUNS, _RUN),
    Case("GET /executions/{execution}", SEEN),
    Case("POST /executions/{execution}/pause", RUNS, {}),
    Case("POST /executions/{execution}/resume", RUNS, {}),
    Case("POST /executions/{execution}/replay", RUNS, {}),
    Case("POST /executions/{execution}/handover", RUNS, {"to": BOB.user_id}),
    Case("POST /executions/{execution}/handover/accept", RUNS),
    Case("GET /executions/{execution}/why", SEEN),
    Case("GET /executions/{execution}/logs", SEEN),
    Case("GET /executions/{execution}/evidence", SEEN),
    Case("GET /executions/{execution}/steps", SEEN),
    Case("GET /executions/{execution}/steps/ask", SEEN),
    Case("POST /executions/{execution}/steps/ask/retry", RUNS, {}),
    Case("POST /executions/{execution}/steps/ask/skip", RUNS, {"reason": "x"}),
    Case("POST /executions/{execution}/steps/ask/skip/agree", SEEN, {}),
    Case("POST /executions/{execution}/steps/ask/resolve", RUNS, {"choice": "done", "note": "x"}),
    Case("POST /executions/{execution}/steps/ask/done", RUNS, {}),
    Case("POST /executions/{execution}/steps/ask/could-not", RUNS, {"note": "x"}),
    Case("POST /executions/{execution}/steps/ask/withdraw", "yrrhh"),
    Case("POST /executions/{execution}/steps/ask/approve", "yrrhh", {}),
    Case("POST /executions/{execution}/steps/ask/reject", "yrrhh", {}),
    Case("GET /executions/{execution}/events", SEEN, query="?after=9007199254740000"),
    Case("POST /executions/{execution}/cancel", RUNS, {}),
    Case("GET /can", SEEN, query="?verb=run&target=drain"),
    Case("GET /tokens/{token}", "yhhhh"),
    Case("DELETE /tokens/{token}", "yhhhh"),
    Case("GET /secrets", "yyyyr"),
    Case("GET /secrets/{secret}/versions", "yhhhr"),
    Case("PUT /secrets/{secret}", "yrrrr", {"value": "an0ther-value"}),
    Case("DELETE /secrets/{secret}", "yrrrr"),
    Case("POST /secrets/rotate-keys", "yrrrr"),
    Case("GET /audit", "yrrrr"),
    Case("GET /audit/chain", "yrrrr"),
    Case("GET /audit/export", "yrrrr"),
    Case("GET /reports/compliance", "yrrrr"),
    Case("GET /reports/compliance", "yyrrr", query="?team=payments"),
    Case("GET /reports/compliance", "yrryr", query="?team=search"),
    Case("POST /freezes", "yyrrr", {"scope": "team:payments", "duration": "1h", "reason": "x"}),
    Case("POST /freezes", "yrrrr", {"scope": "everything", "duration": "1h", "reason": "x"}),
    Case("POST /freezes/{freeze}/lift", "yyrrr", {}),
    Case("POST /held-requests", RUNS, _RUN),
    Case("POST /held-requests/{held}/release", RUNS),
    Case("DELETE /held-requests/{held}", "yyyhh"),
    Case("POST /break-glass", RUNS, {**_RUN, "reason": "x"}),
    Case("GET /break-glass/{asked}", SEEN),
    Case("POST /break-glass/{asked}/agree", "yyyhh"),
    Case("POST /break-glass/{asked}/review", "yrrhh", {"note": "x"}),
    Case("POST /incidents", "yyyyr", {"channel": "C0NEW0001"}),
    Case("PATCH /incidents/{incident}", "yyyyr", {"title": "x"}),
    Case("POST /incidents/{incident}/close", "yyyyr", {"force": True}),
]
OPEN = {
    "GET /renewals", "GET /runbooks", "GET /executions", "GET /incidents", "GET /incidents/{incident}",
    "GET /incidents/{incident}/story", "GET /freezes", "GET /freezes/upcoming",
    "GET /freezes/{freeze}", "GET /held-requests", "GET /break-glass", "GET /tokens", "GET /tokens/current",
}  # fmt: skip
"""What everybody may ask; what of it each sees is tested beside what it answers."""


@pytest.fixture
def things(api: Api) -> dict[str, str]:
    """A runbook, a run at a gate that ends no stream, a token and an incident: nobody's of those who ask."""
    harness = api.harness
    harness.write(_access_yaml=ACCESS)
    harness.publish(runbook("gated", gate("ask")))
    size = {"type": "string", "x-options": {"url": "http://127.0.0.1:9/sizes"}}
    harness.publish(runbook("sized", gate("ask"), parameters={"type": "object", "properties": {"size": size}}))
    run = harness.start("gated", DAVE)
    people.remember(harness.rt, PersonRecord(BOB.user_id, "bob", None, "member", None, harness.clock.time))
    harness.advance(run)
    token, _ = tokens.create(harness.rt, LENA, "somebody's")
    harness.sync(iced=runbook("iced", gate("ask")))
    frozen = freezing.freeze(harness.rt, ALICE, "iced", "x", lasting="1h").freeze
    harness.approve("iced")
    harness.publish(runbook("kept", gate("ask")))
    freezing.freeze(harness.rt, ALICE, "kept", "x", lasting="1h")
    held = held_requests.hold(harness.rt, ALICE, Wanted("kept", {}, "test")).held
    freezing.unfreeze(harness.rt, ALICE, "kept")
    broken = break_glass.ask(harness.rt, DAVE, Wanted("iced", {}, "test", reason="x"))
    incident = incidents.open_incident(harness.rt, ALICE, "C0INC0001")
    secrets.set_value(harness.rt, ALICE, "lb_token", "a-va1ue-to-begin-with")
    return {
        "runbook": "drain",
        "secret": "lb_token",
        "execution": run,
        "token": token.id,
        "incident": str(incident.id),
        "freeze": frozen.id,
        "held": held.id,
        "asked": broken.id,
    }


def letter(status: int) -> str:
    assert status in (200, 201, 202, 204, 403, 404, 409, 422), status
    return {403: "r", 404: "h"}.get(status, "y")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.operation)
def test_each_role_gets_what_the_table_says(api: Api, things: dict[str, str], case: Case) -> None:
    """Those who are refused are asked first, so that nothing has changed when the others ask."""
    method, path = case.operation.split(" ")
    if path.endswith("/events"):
        api.post(f"/executions/{things['execution']}/cancel", ALICE, {"force": True})
    order = sorted(zip(case.expected, ROLES.items(), strict=True), key=lambda each: each[0] == "y")
    found = {}
    for _, (name, who) in order:
        answer = api.ask(method, path.format(**things) + case.query, who, case.body, case.headers or {})
        found[name] = letter(answer.status_code)
        if path == "/tokens/{token}" and found[name] == "y":
            assert who is ALICE
    assert "".join(found[name] for name in ROLES) == case.expected


def test_every_operation_is_in_the_table(api: Api) -> None:
    """A new one has to be thought about here."""
    document = api.client.get("/api/v1/openapi.json").json()
    offered = {f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found}
    named = {"/versions/1": "/versions/{version}", "/steps/ask": "/steps/{step}"}
    named["/runbooks/sized/parameters/size/"] = "/runbooks/{runbook}/parameters/{name}/"
    cases = {case.operation for case in CASES}
    for name, pattern in named.items():
        cases = {each.replace(name, pattern) for each in cases}
    assert cases | OPEN == offered
    assert not cases & OPEN


@pytest.mark.parametrize("operation", sorted(OPEN))
def test_what_everybody_may_ask(api: Api, things: dict[str, str], operation: str) -> None:
    """Each role is answered; nobody without a token is."""
    method, path = operation.split(" ")
    for who in ROLES.values():
        assert api.ask(method, path.format(**things), who).status_code == 200
    assert api.ask(method, path.format(**things), None).status_code == 401


LISTS: dict[str, Callable[[Any], list[str]]] = {
    "/runbooks": lambda found: [each["id"] for each in found["items"]],
    "/executions": lambda found: [each["runbook"] for each in found["items"]],
}


@pytest.mark.parametrize("path", LISTS)
def test_lists_hold_what_may_be_seen(api: Api, things: dict[str, str], path: str) -> None:
    """Another team's runbooks and runs are in nobody's list, whatever they filter by."""
    api.harness.start("ping", ALICE)
    for name, who in ROLES.items():
        inside = name in ("platform admin", "team admin", "team member")
        assert ("gated" in LISTS[path](api.get(path, who))) == inside
        assert ("gated" in LISTS[path](api.get(path, who, team="payments"))) == inside
        assert "ping" in LISTS[path](api.get(path, who))
