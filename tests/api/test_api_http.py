"""The API as HTTP: who asks, what is refused, and in which words."""

from __future__ import annotations

import pytest
from api_client import Api, refused
from harness import ALICE, BOB, CAROL, HOUR, OSCAR, Harness, http, runbook

from engine.access import tokens
from engine.catalog import catalog
from storage import database


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic eDp5", "rbk_x", "Bearer rbk_wrong"])
def test_nobody_asks_without_a_token(api: Api, header: str | None) -> None:
    """401, with the scheme to use."""
    headers = {} if header is None else {"Authorization": header}
    answer = api.ask("GET", "/runbooks", None, headers=headers)
    refused(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_and_an_expired_token_are_refused(api: Api) -> None:
    """At once, with a sentence that says so."""
    assert api.ask("GET", "/runbooks", CAROL).status_code == 200
    (token,) = tokens.listing(api.harness.rt, CAROL)
    tokens.revoke(api.harness.rt, CAROL, token.id)
    assert "was revoked" in refused(api.ask("GET", "/runbooks", CAROL), 401, "not_authenticated")["detail"]
    assert api.ask("GET", "/runbooks", BOB).status_code == 200
    api.harness.clock.tick(366 * 24 * HOUR)
    assert "has expired" in refused(api.ask("GET", "/runbooks", BOB), 401, "not_authenticated")["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/runbooks/drain/nothing", 404, "not_found"),
        ("DELETE", "/executions", 405, "method_not_allowed"),
        ("GET", "/runbooks/", 404, "not_found"),
        ("GET", "/runbooks/a%0Ab", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_a_problem_too(api: Api, method: str, path: str, status: int, code: str) -> None:
    """Addresses and methods, not only runbooks and runs."""
    refused(api.ask(method, path, ALICE), status, code)


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"\xff\xfe", "application/json", 400, "malformed"),
        (b"[" * 100_000, "application/json", 400, "malformed"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'{"runbook": "\\ud800"}', "application/json", 422, "invalid_parameters"),
        (b"[]", "application/json", 422, "invalid_parameters"),
        (b"", "application/json", 422, "invalid_parameters"),
        (b'{"runbook": "drain", "prameters": {}}', "application/json", 422, "invalid_parameters"),
        (b'{"runbook": "' + b"x" * 1_100_000 + b'"}', "application/json", 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_taken(api: Api, content: bytes, kind: str, status: int, code: str) -> None:
    """Each with its own status."""
    headers = {"Authorization": f"Bearer {api.token(ALICE)}", "Content-Type": kind}
    answer = api.client.post("/api/v1/executions", content=content, headers=headers)
    refused(answer, status, code)


def test_a_body_without_a_length_is_counted(api: Api) -> None:
    """A chunked one that never ends is not read to its end."""
    headers = {"Authorization": f"Bearer {api.token(ALICE)}", "Content-Type": "application/json"}
    answer = api.client.post("/api/v1/executions", content=(b" " * 65_536 for _ in range(17)), headers=headers)
    refused(answer, 413, "too_large")


def test_too_many_requests(api: Api) -> None:
    """Each token has a bucket of its own, and is told when to come again."""
    rates = api.app.routes[-1].app.state.context.rates
    rates._size, rates._a_second = 2, 0.1  # a slow machine must not fill the bucket between two requests
    answers = [api.ask("GET", "/runbooks", CAROL) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    refused(answers[-1], 429, "too_many_requests")
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert api.ask("GET", "/runbooks", BOB).status_code == 200


def test_a_scope_that_lacks_is_named(api: Api) -> None:
    """A token for looking starts nothing."""
    headers = {"Authorization": f"Bearer {api.token(CAROL, 'read')}"}
    answer = api.client.post("/api/v1/runbooks/drain/execute", json={"parameters": {"service": "api"}}, headers=headers)
    assert "lacks the scope run" in refused(answer, 403, "not_allowed")["detail"]


def test_runbooks_are_listed_filtered_and_paged(api: Api) -> None:
    """And only those that the person may see."""
    assert [each["id"] for each in api.get("/runbooks", CAROL)["items"]] == ["drain", "ping"]
    assert [each["id"] for each in api.get("/runbooks", OSCAR)["items"]] == ["ping"]
    assert [each["id"] for each in api.get("/runbooks", CAROL, team="payments")["items"]] == ["drain"]
    assert [each["id"] for each in api.get("/runbooks", CAROL, tag="lb")["items"]] == ["drain"]
    assert api.get("/runbooks", CAROL, status="DRAFT")["items"] == []
    first = api.get("/runbooks", CAROL, limit=1)
    assert [each["id"] for each in first["items"]] == ["drain"]
    second = api.get("/runbooks", CAROL, limit=1, cursor=first["next"])
    assert ([each["id"] for each in second["items"]], second["next"]) == (["ping"], None)
    for cursor in ("x", "WzFd", "bm9uZQ", "W10", "__"):
        assert (
            "cursor" in refused(api.ask("GET", "/runbooks", CAROL, cursor=cursor), 422, "invalid_parameters")["fields"]
        )


def test_a_run_is_started_looked_at_and_listed(api: Api) -> None:
    """The answer says where to look."""
    answer = api.post("/runbooks/drain/execute", CAROL, {"parameters": {"service": "api"}})
    assert answer.status_code == 202
    run = answer.json()["execution"]
    assert (run["status"], run["requester"], run["trigger"]) == ("PENDING", CAROL.user_id, "api")
    assert answer.headers["location"] == f"/api/v1/executions/{run['id']}"
    again = api.post("/executions", CAROL, {"runbook": "drain", "parameters": {"service": "api"}}).json()
    assert (again["how"], again["execution"]["id"]) == ("open", run["id"])
    api.harness.run(run["id"])
    shown = api.get(f"/executions/{run['id']}", CAROL)
    assert (shown["status"], [step["step"] for step in shown["steps"]]) == ("SUCCESS", ["drain"])
    assert shown["started_at"].endswith("Z")
    assert [each["id"] for each in api.get("/executions", CAROL, runbook="drain", open=False)["items"]] == [run["id"]]
    assert api.get("/executions", CAROL, open=True)["items"] == []


def test_runs_are_paged_without_gap_or_double(api: Api) -> None:
    """Also where several were accepted in the same millisecond."""
    runs = [api.harness.start("ping", ALICE) for _ in range(5)]
    api.harness.clock.tick(1)
    runs += [api.harness.start("ping", ALICE) for _ in range(2)]
    seen: list[str] = []
    cursor = None
    while True:
        part = api.get("/executions", OSCAR, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [each["id"] for each in part["items"]]
        cursor = part["next"]
        if cursor is None:
            break
    assert len(seen) == 7
    assert set(seen) == set(runs)


def test_parameters_that_do_not_fit_are_named(api: Api) -> None:
    """422 with each of them."""
    problem = refused(api.post("/runbooks/drain/execute", CAROL, {}), 422, "invalid_parameters")
    assert list(problem["fields"]) == ["service"]


def test_another_teams_things_are_not_there(api: Api) -> None:
    """Word for word as what is really not there, and no hint names them."""
    run = api.harness.start("drain", CAROL, service="api")
    for path, missing in ((f"/executions/{run}", "/executions/R-NOSUCH"), ("/runbooks/drain", "/runbooks/drean")):
        hidden = refused(api.ask("GET", path, OSCAR), 404, "not_found")["detail"]
        absent = refused(api.ask("GET", missing, OSCAR), 404, "not_found")["detail"]
        assert hidden.replace(path.split("/")[-1], "X") == absent.replace(missing.split("/")[-1], "X")
    refused(api.post("/runbooks/drain/execute", OSCAR, {}), 404, "not_found")
    refused(api.post("/runbooks/ping/execute", OSCAR, {}), 403, "not_allowed")
    assert "Did you mean drain?" in refused(api.ask("GET", "/runbooks/drein", CAROL), 404, "not_found")["detail"]


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\u0000"', '"\\uffff"', "1e999", "NaN", "-Infinity", "1" * 400])
def test_whatever_json_can_say_is_taken_or_refused(api: Api, text: str) -> None:
    """A half of a pair, a NUL, a number without end: never an accident, and what was taken can be shown."""
    body = f'{{"runbook": "ping", "reason": {text}, "parameters": {{"x": {text}}}}}'.encode()
    headers = {"Authorization": f"Bearer {api.token(ALICE)}", "Content-Type": "application/json"}
    answer = api.client.post("/api/v1/executions", content=body, headers=headers)
    assert answer.status_code in (202, 422), answer.text
    free = runbook("free", http("a"), parameters={"type": "object", "additionalProperties": True})
    api.harness.publish(free)
    body = f'{{"parameters": {{"any": {text}}}}}'.encode()
    answer = api.client.post("/api/v1/runbooks/free/execute", content=body, headers=headers)
    assert answer.status_code in (202, 422), answer.text
    for path in ("/executions", "/audit"):
        assert api.ask("GET", path, ALICE).status_code == 200


@pytest.mark.parametrize("origins", [(), ("https://console.example.com",)], ids=["off", "on"])
def test_other_origins_only_where_they_are_set(harness: Harness, origins: tuple[str, ...]) -> None:
    """A page from elsewhere is told nothing, unless its origin is named."""
    harness.settle_for(cors_origins=origins)
    with Api(harness) as api:
        for origin in ("https://console.example.com", "https://evil.example.com"):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            asked = api.client.options("/api/v1/executions", headers=headers)
            answer = api.ask("GET", "/runbooks", CAROL, headers={"Origin": origin})
            allowed = origin if origin in origins else None
            assert answer.status_code == 200
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert asked.headers.get("access-control-allow-origin") == allowed


def test_links_begin_with_the_public_address(harness: Harness) -> None:
    """As people reach the bot, not as it is bound."""
    harness.settle_for(public_url="https://runbooks.example.com")
    with Api(harness) as api:
        answer = api.post("/runbooks/ping/execute", ALICE)
        assert answer.headers["location"].startswith("https://runbooks.example.com/api/v1/executions/R-")
        servers = api.client.get("/api/v1/openapi.json").json()["servers"]
        assert servers == [{"url": "https://runbooks.example.com/api/v1"}]


def test_an_accident_is_told_with_an_id_that_the_log_has(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is 500, a database that is away 503 with Retry-After; neither tells what it was."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    def away(*_: object, **__: object) -> None:
        raise database.OperationalError("no such host db.internal")

    monkeypatch.setattr(catalog, "listing", broken)
    problem = refused(api.ask("GET", "/runbooks", CAROL), 500, "error")
    assert problem["error_id"] in caplog.text
    assert "secret inside" not in str(problem)
    monkeypatch.setattr(catalog, "listing", away)
    answer = api.ask("GET", "/runbooks", CAROL)
    assert "db.internal" not in str(refused(answer, 503, "unavailable"))
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize("path", ["/runbooks?stauts=DRAFT", "/executions?status=FAILED&stauts=FAILED"])
def test_a_misspelt_filter_is_no_filter(api: Api, path: str) -> None:
    """Answering with everything would go unnoticed."""
    problem = refused(api.ask("GET", path, CAROL), 422, "invalid_parameters")
    assert "did you mean status" in str(problem)
