"""Approving what was shown, taking one's word back and listing what ends, over REST and by the command line's words."""

from __future__ import annotations

from typing import Any

from api_client import Api, refused
from harness import ALICE, CAROL, DAVE, http, runbook

from bot.cli import renewing
from bot.cli.admin_verbs import approve
from bot.cli.invocation import Invocation
from bot.cli.options import Options
from bot.grammar import parse_words
from engine.catalog import catalog
from storage import database, version_approvals
from storage.tables import RunbookVersion


class Asked:
    """What the command line asks, answered by the API as Alice is."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.bodies: list[Any] = []

    def get(self, path: str, **query: Any) -> Any:
        return self._api.get(f"/{path}", ALICE, **query)

    def post(self, path: str, body: Any) -> Any:
        self.bodies.append(body)
        answer = self._api.post(f"/{path}", ALICE, body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def typed(asked: Asked, *words: str) -> Invocation:
    return Invocation(asked, parse_words(words), Options())  # type: ignore[arg-type]


def test_a_digest_of_something_else_is_refused_with_what_changed(api: Api) -> None:
    """With the number of the version that is there now, and without."""
    api.harness.sync(demo=runbook("demo", http("a")))
    seen = api.get("/runbooks/demo/versions/1", ALICE)["digest"]
    api.harness.sync(demo=runbook("demo", http("a"), tags=["db"]))
    for body in ({"digest": seen}, {"digest": seen, "version": 2}):
        answer = api.post("/runbooks/demo/approve", ALICE, body)
        refused(answer, 409, "conflict")
        assert "that was demo@1, and what changed is tags" in answer.json()["detail"]
    now = api.get("/runbooks/demo/versions/2", ALICE)["digest"]
    assert api.post("/runbooks/demo/approve", ALICE, {"digest": now}).json()["status"] == "APPROVED"


def test_a_word_is_taken_back(api: Api) -> None:
    """By whoever gave it, once; the answer says what is missing then."""
    api.harness.sync(demo=runbook("demo", http("a")))
    with database.transaction():
        found = catalog.version(api.harness.rt, "demo")
        version_approvals.add(found, 1, version_approvals.APPROVE, ALICE.user_id, None)
    refused(api.post("/runbooks/demo/withdraw", DAVE, {"version": 1}), 409, "conflict")
    refused(api.post("/runbooks/demo/withdraw", CAROL, {}), 403, "not_allowed")
    done = renewing.withdraw(typed(Asked(api), "admin", "withdraw", "demo@1"))
    assert list(done.lines) == ["Your approval of demo@1 is withdrawn."]
    assert done.data["missing"] == ["1 of 1 platform admins"]
    refused(api.post("/runbooks/demo/withdraw", ALICE, {}), 409, "conflict")


def test_the_command_line_sends_the_digest_that_it_showed(api: Api) -> None:
    """`admin approve ID` prints the words that approve exactly that."""
    api.harness.sync(demo=runbook("demo", http("a")))
    asked = Asked(api)
    shown = list(approve(typed(asked, "admin", "approve", "demo")).lines)
    digest = api.get("/runbooks/demo/versions/1", ALICE)["digest"]
    assert shown[-1] == f"To approve exactly that: runbook admin approve demo@1 digest={digest}"
    words = shown[-1].partition("runbook ")[2].split()
    assert list(approve(typed(asked, *words)).lines) == ["demo@1 is approved."]
    assert asked.bodies == [{"version": 1, "digest": digest}]
    assert renewing.named(typed(asked, "admin", "approve", "demo", "digest=x")) == {"digest": "x"}
    assert renewing.named(typed(asked, "admin", "approve", "demo@2")) == {"version": 2}


def test_what_ends_is_listed(api: Api) -> None:
    """A week before and after its end, and not sooner."""
    api.harness.publish(runbook("aging", http("a"), approval_max_age="30d"), runbook("fresh", http("a")))

    def listed() -> list[str]:
        return [each["id"] for each in api.get("/runbooks", DAVE, status="EXPIRING")["items"]]

    assert listed() == []
    for days in (24, 31):
        with database.transaction():
            RunbookVersion.update(decided_at=api.harness.clock.time - days * 86_400_000).execute()
        assert listed() == ["aging"]
    assert api.ask("GET", "/runbooks?status=ENDING", DAVE).status_code == 422
