"""Every request that changes something, and the world in which it can be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api_client import Api
from harness import ALICE, BOB, CAROL, DAVE, Target, gate, hang_up, http, runbook

from engine.access import people, secrets, tokens
from engine.catalog import catalog
from engine.orchestration import incidents
from engine.orchestration.admission import Wanted
from engine.runs import break_glass, controls, freezing, handover, held_requests, skipping, voting
from storage import database, version_approvals
from storage.people_records import PersonRecord
from storage.states import Decision
from storage.tables import RunbookVersion

FRESH = {
    "apiVersion": "runbook/v1", "id": "fresh", "name": "Fresh", "team": "payments", "webhook": {"url": "https://a.b/"},
}  # fmt: skip
WORDS = {"reason": "x"}
GATED = ("pause", "paused", "cancel", "handover", "offered", "approve", "reject", "voted")
ACCESS = """\
platform_admins: [S0PLATFORM]
responders: [S0ONCALL]
teams:
  payments: {admins: [U0BOB0001, U0ALICE01], members: [S0PAYMENTS]}
  search: {members: [U0BOB0001]}
"""


@dataclass(frozen=True)
class ChangingRequest:
    """A request by which Alice, an admin of everything, changes something: it would be done."""

    operation: str
    body: Any = None
    tag: str = ""


CHANGING_REQUESTS = [
    ChangingRequest("POST /runbooks", {"definition": {**FRESH, "id": "another"}}),
    ChangingRequest("PUT /runbooks/fresh", {"definition": {**FRESH, "name": "x"}}, '"1-draft"'),
    ChangingRequest("PATCH /runbooks/fresh", {"definition": {"name": "x"}}, '"1-draft"'),
    ChangingRequest("DELETE /runbooks/fresh", None, '"1-draft"'),
    ChangingRequest("POST /runbooks/fresh/approve", {"version": 1}),
    ChangingRequest("POST /runbooks/aging/renew", {"version": 1}),
    ChangingRequest("POST /runbooks/spoken/withdraw", {"version": 1}),
    ChangingRequest("POST /runbooks/old/rollback", {"version": 1}),
    ChangingRequest("POST /runbooks/drain/execute", {"parameters": {"service": "api"}}),
    ChangingRequest("POST /executions", {"runbook": "ping", "force": True, **WORDS}),
    ChangingRequest("POST /runbooks/drain/deprecate", {"version": 1, **WORDS}),
    ChangingRequest("POST /executions/{pause}/pause", WORDS),
    ChangingRequest("POST /executions/{paused}/resume", WORDS),
    ChangingRequest("POST /executions/{cancel}/cancel", WORDS),
    ChangingRequest("POST /executions/{handover}/handover", {"to": BOB.user_id}),
    ChangingRequest("POST /executions/{offered}/handover/accept"),
    ChangingRequest("POST /executions/{failed}/replay", WORDS),
    ChangingRequest("POST /executions/{retried}/steps/call/retry", WORDS),
    ChangingRequest("POST /executions/{skipped}/steps/call/skip", WORDS),
    ChangingRequest("POST /executions/{asked}/steps/call/skip/agree", {}),
    ChangingRequest("POST /executions/{unknown}/steps/once/resolve", {"choice": "done", "note": "x"}),
    ChangingRequest("POST /executions/{by_hand}/steps/swap/done", {"note": "x"}),
    ChangingRequest("POST /executions/{given_up}/steps/swap/could-not", {"note": "x"}),
    ChangingRequest("POST /executions/{approve}/steps/ask/approve", {"comment": "x"}),
    ChangingRequest("POST /executions/{reject}/steps/ask/reject", {"comment": "x"}),
    ChangingRequest("POST /executions/{voted}/steps/ask/withdraw", {}),
    ChangingRequest("POST /incidents", {"channel": "C0NEW0001"}),
    ChangingRequest("PATCH /incidents/{incident}", {"title": "x"}),
    ChangingRequest("POST /incidents/{incident}/close", {"force": True}),
    ChangingRequest("DELETE /tokens/{token}"),
    ChangingRequest("PUT /secrets/fresh", {"value": "an0ther-value"}),
    ChangingRequest("DELETE /secrets/lb_token"),
    ChangingRequest("POST /secrets/rotate-keys"),
    ChangingRequest("POST /freezes", {"scope": "runbook:old", "duration": "1h", **WORDS}),
    ChangingRequest("POST /freezes/{freeze}/lift", {}),
    ChangingRequest("POST /held-requests", {"runbook": "frozen", **WORDS}),
    ChangingRequest("POST /held-requests/{held}/release"),
    ChangingRequest("DELETE /held-requests/{dropped}"),
    ChangingRequest("POST /break-glass", {"runbook": "frozen", **WORDS}),
    ChangingRequest("POST /break-glass/{broken}/agree"),
    ChangingRequest("POST /break-glass/{run}/review", {"note": "x"}),
    ChangingRequest("POST /sync"),
]


def prepare(api: Api, target: Target) -> dict[str, Any]:
    """What the requests are about, each in the state in which it can be made; all of it Carol's and Bob's."""
    harness = api.harness
    harness.write(_access_yaml=ACCESS)
    harness.publish(runbook("aging", http("a"), approval_max_age="1h"))
    with database.transaction():
        RunbookVersion.update(decided_at=0).execute()  # long ago by every process's clock
    people.remember(harness.rt, PersonRecord(BOB.user_id, "bob", None, "member", None, harness.clock.time))
    target.does["/once"] = [hang_up]
    target.does["/fails"] = [lambda conn, _: conn.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")]
    harness.publish(
        runbook("gated", gate("ask", min_approvals=2)), runbook("fails", http("call", target.url("/fails"))),
        runbook("asks", gate("ask"), http("call", target.url("/fails"))),
        runbook("lost", http("once", target.url("/once"), method="POST")), runbook("old", http("a")),
        runbook("by-hand", {"id": "swap", "type": "manual", "with": {"instructions": "Swap it."}}),
    )  # fmt: skip
    runs = {name: harness.start("gated") for name in GATED}
    runs |= {name: harness.start("fails") for name in ("failed", "retried", "skipped")}
    runs |= {name: harness.start("by-hand") for name in ("by_hand", "given_up")}
    runs |= {"unknown": harness.start("lost"), "asked": harness.start("asks")}
    for run in runs.values():
        harness.run(run)
    voting.vote(harness.rt, DAVE, runs["asked"], None, Decision.APPROVE)
    harness.run(runs["asked"])
    skipping.skip(harness.rt, CAROL, runs["asked"], "call", "x")
    handover.offer(harness.rt, CAROL, runs["offered"], ALICE)
    controls.pause(harness.rt, CAROL, runs["paused"])
    vote(api, runs["voted"])
    assert api.post("/runbooks", BOB, {"definition": FRESH}).status_code == 201
    assert api.post("/runbooks/old/deprecate", DAVE, {"version": 1}).status_code == 200
    secrets.set_value(harness.rt, ALICE, "lb_token", "a-va1ue-to-begin-with")
    spare, _ = tokens.create(harness.rt, ALICE, "spare")
    frozen = freezing.freeze(harness.rt, ALICE, "old", "x", lasting="1h").freeze
    harness.publish(runbook("frozen", http("a")), runbook("thawed", http("a")))
    for slug in ("frozen", "thawed"):
        freezing.freeze(harness.rt, DAVE, slug, "x", lasting="1h")
    waits = [Wanted("thawed", {}, "test", incident={"case": n}) for n in (1, 2)]
    kept = [held_requests.hold(harness.rt, CAROL, each).held for each in waits]
    freezing.unfreeze(harness.rt, DAVE, "thawed")
    first, second = (
        break_glass.ask(harness.rt, CAROL, Wanted("frozen", {}, "test", reason="x", incident={"case": n}))
        for n in (3, 4)
    )
    break_glass.agree(harness.rt, BOB, second.id)
    harness.sync(spoken=runbook("spoken", http("a")))
    with database.transaction():
        version = catalog.version(harness.rt, "spoken")
        version_approvals.add(version, 1, version_approvals.APPROVE, ALICE.user_id, None)
    incident = incidents.open_incident(harness.rt, CAROL, "C0INC0001").id
    return {
        **runs,
        "incident": incident,
        "token": spare.id,
        "freeze": frozen.id,
        "held": kept[0].id,
        "dropped": kept[1].id,
        "broken": first.id,
        "run": second.id,
    }


def vote(api: Api, run: str) -> None:
    body = {"comment": "first"}
    assert api.post(f"/executions/{run}/steps/ask/approve", ALICE, body).json()["missing"] == 1


def ask(api: Api, changing: ChangingRequest, things: dict[str, Any], **headers: str) -> Any:
    method, path = changing.operation.split(" ")
    match = {"If-Match": changing.tag} if changing.tag else {}
    return api.ask(method, path.format(**things), ALICE, changing.body, {**match, **headers})
