"""A right is asked when the deed is done: not when the connection begins, and not when the same was done before."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from api_client import Api, refused
from changing_requests import ACCESS, CHANGING_REQUESTS, FRESH, ChangingRequest, ask
from harness import ALICE, BOB, CAROL, DAVE, Harness

from engine.access import people, tokens
from engine.access.policy import SYSTEM
from engine.runs import executions
from storage import approvals, audit, database
from storage import tokens as stored
from storage.people_records import PersonRecord
from storage.people_tables import Token
from storage.states import Decision


def revoke(harness: Harness) -> None:
    """Every token of Alice's ends."""
    for each in tokens.listing(harness.rt, SYSTEM, everybody=True):
        if each.user_id == ALICE.user_id and each.revoked_at is None:
            tokens.revoke(harness.rt, SYSTEM, each.id)


def deactivate(harness: Harness) -> None:
    people.remember(harness.rt, PersonRecord(ALICE.user_id, "alice", None, "deleted", None, harness.clock.time))


def demote(harness: Harness) -> None:
    """She is no admin any more, nor in the team."""
    harness.sync(_access_yaml="platform_admins: [U0DAVE001]\nteams:\n  payments: {admins: [U0BOB0001]}\n")


ENDS: dict[str, Callable[[Harness], None]] = {"revoked": revoke, "deactivated": deactivate, "demoted": demote}


def record(harness: Harness) -> list[tuple[str, str]]:
    """What is on record of Alice's deeds."""
    with database.reading():
        rows = audit.recent(harness.rt.workspace_id, 1000)
    return [(each.action, each.thing) for each in rows if each.actor == ALICE.user_id]


CHANGES_NOTHING = {"plan_runbook"}
"""What is sent with a body, and only looks."""


def test_every_operation_that_changes_something_is_among_the_deeds(api: Api) -> None:
    """A new one has to be thought about here."""
    document = api.client.get("/api/v1/openapi.json").json()
    changing = {
        f"{method.upper()} {said['operationId']}"
        for found in document["paths"].values()
        for method, said in found.items()
        if method != "get" and said["operationId"] not in CHANGES_NOTHING
    }
    assert len(changing) == len(CHANGING_REQUESTS)


@contextmanager
def just_before_the_next_change(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> Iterator[list[bool]]:
    """`act` happens when the next transaction is about to begin, which is the one that does the deed."""
    real, sprung = database.transaction, list[bool]()

    @contextmanager
    def trapped() -> Iterator[None]:
        if not sprung:
            sprung.append(True)
            act()
        with real():
            yield

    monkeypatch.setattr(database, "transaction", trapped)
    yield sprung
    monkeypatch.setattr(database, "transaction", real)


@pytest.mark.parametrize("how", ENDS)
def test_what_is_taken_away_last_counts(
    api: Api, things: dict[str, Any], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was asked before the transaction is asked in it once more; nothing was wrong with the request itself."""
    api.get("/tokens/current", ALICE)  # its use is on record, so that the next transaction is the deed's
    with database.reading():
        counting = {each.id for each in stored.listing(api.harness.rt.workspace_id)}
    before, done = record(api.harness), {}
    for changing in CHANGING_REQUESTS:
        with just_before_the_next_change(monkeypatch, lambda: ENDS[how](api.harness)) as sprung:
            answer = ask(api, changing, things)
        if not sprung or answer.status_code not in (401, 403, 429):  # a 401 too many is a 429
            done[changing.operation] = f"{answer.status_code} {answer.text}"
        restore(api.harness, counting)
    mine = {"DELETE /tokens/{token}"} if how == "demoted" else set()  # one's own token takes no role to end
    assert set(done) == mine, done
    assert len(record(api.harness)) == len(before) + len(mine)


def restore(harness: Harness, counting: set[str]) -> None:
    """Alice is who she was."""
    people.remember(harness.rt, PersonRecord(ALICE.user_id, "alice", None, "member", None, harness.clock.time))
    harness.sync(_access_yaml=ACCESS)
    with database.transaction():
        Token.update(revoked_at=None, revoked_by=None).where(Token.id.in_(sorted(counting))).execute()


@pytest.mark.parametrize("how", ["revoked", "deactivated"])
def test_a_request_held_open_at_its_last_byte_is_nobodys_any_more(api: Api, things: dict[str, Any], how: str) -> None:
    """Every deed six times over: all of it but a byte was sent while Alice was somebody."""
    held = [
        Held(api, changing, things) for changing in CHANGING_REQUESTS if changing.body is not None for _ in range(6)
    ]
    assert len(held) >= 150
    before = record(api.harness)
    ENDS[how](api.harness)
    answers = [each.finish() for each in held]
    assert set(answers) <= ({401, 429} if how == "revoked" else {403})
    assert record(api.harness) == before
    with database.reading():
        opened = approvals.of_execution(things["approve"])[0]
        assert [each.person for each in approvals.votes(opened.id)] == []


class Held:
    """A request of which the last byte is not sent yet."""

    def __init__(self, api: Api, changing: ChangingRequest, things: dict[str, Any]) -> None:
        method, path = changing.operation.split(" ")
        body = json.dumps(changing.body).encode()
        lines = [
            f"{method} /api/v1{path.format(**things)} HTTP/1.1", "Host: bot", "Content-Type: application/json",
            f"Content-Length: {len(body)}", f"Authorization: Bearer {api.token(ALICE)}", f"If-Match: {changing.tag}",
            "Connection: close", "", "",
        ]  # fmt: skip
        host, port = api.url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._socket.sendall("\r\n".join(lines).encode() + body[:-1])
        self._last = body[-1:]

    def finish(self) -> int:
        """The status that comes after the last byte; 0 where there is no answer."""
        with suppress(OSError), self._socket:
            self._socket.sendall(self._last)
            return int(self._socket.recv(4096).split(b" ")[1])
        return 0


@pytest.mark.parametrize("scopes", ["read", "read,approve", "read,admin"])
def test_what_was_answered_before_is_told_only_to_a_token_that_could_ask(api: Api, scopes: str) -> None:
    """The same person's other token, which cannot start anything, is not told what the first one started."""
    body, key = {"parameters": {"service": "api"}}, {"Idempotency-Key": "mine"}
    first = api.post("/runbooks/drain/execute", CAROL, body, **key)
    assert first.status_code == 202
    other = {"Authorization": f"Bearer {api.token(CAROL, scopes)}", **key}
    answer = api.client.post("/api/v1/runbooks/drain/execute", json=body, headers=other)
    assert "lacks the scope run" in refused(answer, 403, "not_allowed")["detail"]
    assert api.post("/runbooks/drain/execute", CAROL, body, **key).json() == first.json()


def test_what_was_answered_before_is_told_only_to_who_may_still_do_it(api: Api, things: dict[str, Any]) -> None:
    """Whoever lost the role or left the team meanwhile is refused as if it were new."""
    posts = {changing.operation: changing for changing in CHANGING_REQUESTS if changing.operation.startswith("POST")}

    def asked() -> dict[str, Any]:
        return {name: ask(api, changing, things, **{"Idempotency-Key": name}) for name, changing in posts.items()}

    first, again = asked(), asked()
    assert {name: each.text for name, each in first.items() if each.status_code > 299} == {}
    assert {name: each.content for name, each in again.items()} == {name: each.content for name, each in first.items()}
    demote(api.harness)
    assert {name: each.status_code for name, each in asked().items() if each.status_code not in (403, 404)} == {}


def test_a_vote_is_taken_back_by_who_may_give_one(api: Api, things: dict[str, Any]) -> None:
    """Not by a token for looking, and not by somebody who may no longer decide."""
    headers = {"Authorization": f"Bearer {api.token(ALICE, 'read,run,admin')}"}
    path = f"/executions/{things['voted']}/steps/ask/withdraw"
    answer = api.client.post(f"/api/v1{path}", headers=headers)
    assert "lacks the scope approve" in refused(answer, 403, "not_allowed")["detail"]
    (shown,) = api.get(f"/executions/{things['voted']}", ALICE)["gates"]
    assert [each["person"] for each in shown["votes"]] == [ALICE.user_id]
    assert api.ask("POST", path, ALICE).status_code == 200


@pytest.mark.parametrize("body", [{}, {"version": None}, {"digest": None}, {"version": 0}, {"digest": ""}])
def test_a_version_is_approved_by_its_name(api: Api, body: Any) -> None:
    """What nobody named, nobody approved."""
    assert api.post("/runbooks", BOB, {"definition": FRESH}).status_code == 201
    refused(api.post("/runbooks/fresh/approve", DAVE, body), 422, "invalid_parameters")
    assert api.get("/runbooks/fresh", DAVE)["status"] == "DRAFT"
    digest = api.get("/runbooks/fresh/versions/1", DAVE)["digest"]
    assert api.post("/runbooks/fresh/approve", DAVE, {"digest": digest}).json()["status"] == "APPROVED"


def test_a_vote_of_somebody_who_left_does_not_count(api: Api, things: dict[str, Any]) -> None:
    """The second of two approvals leaves the gate open when who gave the first was deactivated meanwhile."""
    deactivate(api.harness)
    done = api.post(f"/executions/{things['voted']}/steps/ask/approve", DAVE, {}).json()
    assert (done["status"], done["missing"]) == ("PENDING", 1)
    assert executions.find(api.harness.rt, things["voted"]).status == "WAITING"
    assert Decision.APPROVE in {each["decision"] for each in done["votes"]}
