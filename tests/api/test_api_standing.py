"""Every operation × standing × scope: only a member gets anything at all, and a token does what its scopes say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from api_client import ALL, Api, refused
from harness import ALICE, MINUTE, Harness

from bot.api import paging
from bot.unauthenticated_limit import address
from engine.access import account_status, people
from engine.access.policy import SCOPE_OF, Action
from storage.people_records import PersonRecord
from storage.states import Scope

EMPTY: dict[str, Any] = {}
VALUES = {
    "runbook": "drain", "execution": "R-AAAAAA", "step": "ask", "version": "1", "incident": "1", "token": "T-NOSUCH22",
    "secret": "lb_token", "name": "service", "freeze": "F-NOSUCH22", "held": "H-NOSUCH22", "asked": "B-NOSUCH22",
}  # fmt: skip
PUBLIC = ("/openapi.json", "/docs")


def operations(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, address and description of all there is, as the document has it."""
    document = api.client.get("/api/v1/openapi.json").json()
    return [
        (method.upper(), path.format(**VALUES) + ("?verb=run" if path == "/can" else ""), said)
        for path, found in document["paths"].items()
        for method, said in found.items()
    ]


def asked(api: Api, method: str, path: str, **headers: str) -> httpx.Response:
    body = EMPTY if method in ("POST", "PUT", "PATCH") else None
    given = {"Authorization": f"Bearer {api.token(ALICE)}", "If-Match": '"1-draft"', **headers}
    return api.client.request(method, f"/api/v1{path}", json=body, headers=given)


def become(harness: Harness, how: str, *, ago: int = 0) -> None:
    """What Slack says of Alice, an admin with a token of every scope."""
    people.remember(harness.rt, PersonRecord(ALICE.user_id, "alice", None, how, None, harness.clock.time - ago))


@pytest.mark.parametrize("how", ["deleted", "guest", "bot", "stranger", "unheard of", "stale"])
def test_nobody_but_a_member_gets_an_answer(harness: Harness, how: str) -> None:
    """Lists, incidents and one's own tokens included, whatever the token's scopes; with Slack away nobody is a member
    of whom it said nothing, or nothing for a day."""
    secret = Api(harness).token(ALICE)
    harness.settle_for(slack_bot_token="xoxb-1", slack_signing_secret="s")
    if how == "stale":
        become(harness, "member", ago=account_status.FRESH_MS + MINUTE)
    elif how != "unheard of":
        become(harness, how)
    with Api(harness) as api:
        api._secrets[ALICE.user_id, ALL] = secret
        answers = {f"{method} {path}": asked(api, method, path) for method, path, _ in operations(api)}
        assert [name for name, each in answers.items() if each.status_code != 403] == []
        assert {each.json()["code"] for each in answers.values()} == {"not_allowed"}
        become(harness, "member")
        assert asked(api, "GET", "/tokens/current").status_code == 200


def test_every_operation_asks_for_its_scope(api: Api) -> None:
    """The document says which; without it a token is refused, with it the operation begins. Looking needs `read`,
    which every token has."""
    for method, path, said in operations(api):
        needed = said["x-scope"]
        assert needed == SCOPE_OF.get(Action[said["x-action"].upper()], Scope.RUN)
        others = ",".join(set(ALL.split(",")) - {needed})
        without = asked(api, method, path, Authorization=f"Bearer {api.token(ALICE, others)}")
        having = asked(api, method, path, Authorization=f"Bearer {api.token(ALICE, needed)}")
        lacks = f"lacks the scope {needed}"
        if needed != Scope.READ:
            assert lacks in refused(without, 403, "not_allowed")["detail"], (method, path)
        assert lacks not in having.text, (method, path)


def test_only_what_tells_nothing_is_answered_without_a_token(api: Api) -> None:
    """The document and its page; an operation never."""
    for path in PUBLIC:
        assert api.client.get(f"/api/v1{path}").status_code == 200
    for method, path, _ in operations(api):
        answer = api.client.request(method, f"/api/v1{path}")
        assert answer.status_code in (401, 429), (method, path, answer.status_code)


NUMBERS = ["0", str(2**31), str(2**63), "9" * 5000, "%00"]


def test_no_number_from_outside_is_an_accident(api: Api) -> None:
    """In an address, a filter or a header: it is taken, refused with 422, or there is nothing of that name."""
    api.app.routes[-1].app.state.context.rates._size = 1e9
    run = api.harness.start("ping", ALICE)
    document = api.client.get("/api/v1/openapi.json").json()
    found: dict[str, int] = {}
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            for place in said.get("parameters", []):
                for number in NUMBERS if place["in"] in ("path", "query") and not path.endswith("/events") else ():
                    values = {**VALUES, "execution": run} | ({place["name"]: number} if place["in"] == "path" else {})
                    query = f"?{place['name']}={number}" if place["in"] == "query" else ""
                    answer = asked(api, method.upper(), path.format(**values) + query)
                    found[f"{method} {path} {place['name']}={number[:40]}"] = answer.status_code
    assert {name: status for name, status in found.items() if status >= 500} == {}
    for wrong in (str(2**63), "9" * 5000, "-1"):
        for ask in ({"Last-Event-ID": wrong}, {}):
            query = "" if ask else f"?after={wrong}"
            refused(asked(api, "GET", f"/executions/{run}/events{query}", **ask), 422, "invalid_parameters")


def test_a_cursor_that_somebody_made_up_is_refused(api: Api) -> None:
    """Also one that no column holds."""
    for place in ((2**63, "R-AAAAAA"), (-(2**64), "R-AAAAAA"), (1, "\0"), (1, "\ud800"), (2**63,), ("\0",)):
        for path in ("/executions", "/runbooks/ping/executions", "/audit", "/runbooks"):
            refused(asked(api, "GET", f"{path}?cursor={paging.encode(*place)}"), 422, "invalid_parameters")


def test_whoever_is_nobody_is_held_up_and_nobody_else(api: Api) -> None:
    """By address, with no token, a wrong one or one that has ended; the same address's good tokens and health pages
    are answered all the while."""
    wrong = [{}, {"Authorization": "Bearer rbk_wrong"}, {"Authorization": "Basic eDp5"}] * 15
    answers = [api.client.get("/api/v1/runbooks", headers=headers) for headers in wrong]
    assert [each.status_code for each in answers[:9]] == [401] * 9
    limited = next(each for each in answers if each.status_code != 401)
    refused(limited, 429, "too_many_requests")
    assert int(limited.headers["retry-after"]) >= 1
    assert asked(api, "GET", "/runbooks").status_code == 200
    for method, path in (("GET", "/runbooks"), ("POST", "/hooks/events"), ("GET", "/api/v1/openapi.json")):
        assert 429 in {api.client.request(method, path).status_code for _ in range(40)}, path
    for path in ("/livez", "/readyz", "/healthz", "/metrics"):
        assert api.client.get(path).status_code in (200, 503)
    assert api.client.post("/slack/events").status_code != 429


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", "testclient"), (None, ""),
    ],
)  # fmt: skip
def test_one_host_has_one_bucket(host: str | None, bucket: str) -> None:
    """Though it may have all the addresses of an IPv6 network to ask from."""
    assert address({"client": (host, 1) if host else None}) == bucket
