"""Approvals over REST that take several people or end, and as the command line tells them."""

from __future__ import annotations

from api_client import Api, refused
from harness import ALICE, CAROL, DAVE, HOUR, http, runbook

from bot.cli import renewing, show_runbooks
from storage import database
from storage.tables import RunbookVersion


def test_an_approval_says_who_is_missing(api: Api) -> None:
    """It is a DRAFT until then, and the version tells the same to whoever looks."""
    harness = api.harness
    harness.settle_for(definition_approvals=2)
    with Api(harness) as strict:
        harness.sync(risky=runbook("risky", http("a"), risk="high"))
        digest = strict.get("/runbooks/risky/versions/1", CAROL)["digest"]
        done = strict.post("/runbooks/risky/approve", ALICE, {"digest": digest}).json()
        assert (done["status"], done["approved_by"]) == ("DRAFT", [ALICE.user_id])
        assert done["missing"] == ["1 of 2 platform admins"]
        assert renewing.approved("risky", done).startswith("Your approval of risky@1 counts. Approved so far by ")
        told = strict.get("/runbooks/risky/versions/1", CAROL)
        assert (told["missing"], told["expires_at"]) == (["1 of 2 platform admins"], None)
        asked = strict.get("/can", DAVE, verb="admin approve", target="risky")
        assert asked["but"] == "It still needs 1 of 2 platform admins."
        again = strict.post("/runbooks/risky/approve", ALICE, {"digest": digest})
        assert "approved risky@1 already" in refused(again, 409, "conflict")["detail"]
        done = strict.post("/runbooks/risky/approve", DAVE, {"digest": digest}).json()
        assert (done["status"], done["missing"]) == ("APPROVED", [])


def test_an_approval_that_ends_is_listed_and_renewed(api: Api) -> None:
    """By whom it takes, bound to its digest; those who may not see the runbook see nothing of it."""
    harness = api.harness
    harness.publish(runbook("aging", http("a"), approval_max_age="1h"))
    with database.transaction():
        RunbookVersion.update(decided_at=harness.clock.time - HOUR).where(RunbookVersion.slug == "aging").execute()
    (due,) = api.get("/renewals", CAROL)
    assert (due["runbook"], due["number"], due["expired"]) == ("aging", 1, True)
    answer = api.post("/runbooks/aging/execute", CAROL, {"parameters": {}})
    assert "expired on" in refused(answer, 409, "not_approved")["detail"]
    refused(api.post("/runbooks/aging/renew", CAROL, {"version": 1}), 403, "not_allowed")
    refused(api.post("/runbooks/aging/renew", ALICE, {"digest": "sha256:" + "0" * 64}), 409, "conflict")
    refused(api.post("/runbooks/aging/renew", ALICE, {}), 422, "invalid_parameters")
    done = api.post("/runbooks/aging/renew", ALICE, {"digest": due["digest"]}).json()
    assert (done["missing"], done["decided_by"]) == ([], ALICE.user_id)
    assert done["expires_at"] > due["expires_at"]
    assert api.get("/renewals", CAROL) == []
    assert api.post("/runbooks/aging/execute", CAROL, {"parameters": {}}).status_code == 202


def test_a_rehearsal_is_told_and_asked_for(api: Api) -> None:
    """REST and the command line show what it came to, and both refuse without one that passes."""
    harness = api.harness
    harness.settle_for(require_rehearsal="high")
    with Api(harness) as strict:
        harness.sync(risky=runbook("risky", http("a", "https://api.example.com/a"), risk="high"))
        assert strict.get("/runbooks/risky/versions/1", CAROL)["rehearsal"] is None
        answer = strict.post("/runbooks/risky/approve", ALICE, {"version": 1})
        assert "write risky.rehearsal.yaml beside risky.yaml" in refused(answer, 409, "conflict")["detail"]
        failing = '{"cases": [{"name": "It works", "stubs": {"a": {"status": 404}}, "expect": {"outcome": "SUCCESS"}}]}'
        (harness.folder / "risky.rehearsal.yaml").write_text(failing)
        harness.sync()
        answer = strict.post("/runbooks/risky/approve", ALICE, {"version": 1})
        assert "1 of its 1 cases fail: “It works”" in refused(answer, 409, "conflict")["detail"]
        shown = strict.get("/runbooks/risky/diff", CAROL)["rehearsal"]
        assert (shown["passed"], shown["cases"][0]["path"]) == (False, [["a", "FAILED"]])
        lines = list(show_runbooks.rehearsal_lines(shown))
        assert lines[0] == "  rehearsed: 0 passed, 1 failed; 1 of 1 steps and ways covered"
        assert lines[1].startswith("  rehearsed: ✕ It works: outcome: expected SUCCESS, and it was FAILED")
        (harness.folder / "risky.rehearsal.yaml").write_text(failing.replace("404", "200"))
        harness.sync()
        assert strict.post("/runbooks/risky/approve", ALICE, {"version": 1}).json()["status"] == "APPROVED"
