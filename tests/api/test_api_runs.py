"""Runs over the API: steered, repaired, decided, explained, and each request done once for its key."""

from __future__ import annotations

from typing import Any

from api_client import Api, refused
from harness import ALICE, BOB, CAROL, DAVE, OSCAR, Target, at_once, gate, hang_up, http, runbook
from local_server import answer as served

from engine.access import people, tokens
from engine.access.policy import Actor
from engine.queries import evidence, incident_story
from storage import database
from storage.people_records import PersonRecord
from storage.request_tables import Answer

TWO_TEAMS = """
platform_admins: [S0PLATFORM]
responders: [S0ONCALL]
teams:
  payments: {admins: [U0BOB0001], members: [S0PAYMENTS]}
  data: {admins: [U0OSCAR01], members: []}
"""
SAD = served(b'{"ok":false}', "500 Sad")


def at_gate(api: Api, **keys: Any) -> str:
    """A run of team payments that waits for a decision at `ask`."""
    api.harness.publish(runbook("gated", gate("ask", **keys)))
    run = api.harness.start("gated")
    api.harness.advance(run)
    return run


def test_a_run_is_paused_resumed_cancelled_and_replayed(api: Api) -> None:
    """Each says the new state; a second time is a conflict."""
    run = api.harness.start("drain", CAROL, service="api")
    assert api.post(f"/executions/{run}/pause", CAROL, {"reason": "let me look"}).json()["status"] == "PAUSED"
    refused(api.post(f"/executions/{run}/pause", CAROL), 409, "conflict")
    assert api.get(f"/executions/{run}/why", CAROL)["reasons"][0]["kind"] == "paused"
    assert api.post(f"/executions/{run}/resume", CAROL).json()["status"] == "PENDING"
    refused(api.post(f"/executions/{run}/replay", CAROL), 409, "conflict")
    assert api.post(f"/executions/{run}/cancel", CAROL, {"reason": "wrong one"}).json()["ending"] == "CANCELLED"
    again = api.post(f"/executions/{run}/replay", CAROL)
    assert (again.status_code, again.json()["replay_of"]) == (202, run)
    assert again.headers["location"].endswith(again.json()["id"])


def test_the_run_ahead_is_not_named_to_another_team(api: Api) -> None:
    """Teams that share a concurrency group learn that they wait, not for which run of the other."""
    group = {"group": "shared", "limit": 1}
    api.harness.write(_access_yaml=TWO_TEAMS)
    api.harness.publish(
        runbook("theirs", gate("ask"), concurrency=group),
        runbook("ours", gate("ask"), team="data", concurrency=group),
        runbook("alone", gate("ask"), team="data", concurrency={**group, "on_conflict": "reject"}),
    )
    theirs = api.harness.start("theirs")
    ours = api.harness.start("ours", OSCAR)
    assert api.get(f"/executions/{ours}", OSCAR)["behind"] == ["a run of another team"]
    assert api.get(f"/executions/{ours}", ALICE)["behind"] == [theirs]
    for path in ("", "/why", "/logs", "/evidence"):
        answer = api.ask("GET", f"/executions/{ours}{path}", OSCAR)
        assert answer.status_code == 200
        assert theirs not in answer.text, path
    page = api.client.get(f"/executions/{ours}", headers={"Authorization": f"Bearer {api.token(OSCAR)}"})
    assert page.status_code == 200
    assert theirs not in page.text
    conflict = refused(api.post("/runbooks/alone/execute", OSCAR), 409, "conflict")["detail"]
    assert conflict.endswith("a run of another team.")
    assert theirs in refused(api.post("/runbooks/alone/execute", ALICE), 409, "conflict")["detail"]


def test_a_run_is_handed_over(api: Api) -> None:
    """To somebody Slack knows, and who may run it, once they take it."""
    run = api.harness.start("drain", ALICE, service="api")
    people.remember(api.harness.rt, PersonRecord("U0BOB0001", "bob", None, "member", None, api.harness.clock.time))
    done = api.post(f"/executions/{run}/handover", ALICE, {"to": "U0BOB0001", "reason": "my shift ends"})
    assert done.status_code == 200, done.text
    assert (done.json()["owner"], done.json()["offered_to"]) == ("U0ALICE01", "U0BOB0001")
    assert api.get(f"/executions/{run}/why", CAROL)["reasons"][-1] == {
        "kind": "offered", "step": None, "since": None, "until": None, "message": "", "who": ["U0BOB0001"],
        "verbs": ["takeover"], "facts": {"by": "U0ALICE01"},
    }  # fmt: skip
    refused(api.post(f"/executions/{run}/handover/accept", CAROL), 409, "conflict")
    refused(api.post(f"/executions/{run}/handover/accept", OSCAR), 404, "not_found")
    took = api.post(f"/executions/{run}/handover/accept", BOB)
    assert (took.json()["owner"], took.json()["offered_to"]) == ("U0BOB0001", None)
    refused(api.post(f"/executions/{run}/handover/accept", BOB), 409, "conflict")
    refused(api.post(f"/executions/{run}/handover", ALICE, {"to": "bob"}), 422, "invalid_parameters")


def test_a_failed_step_is_retried_or_skipped(api: Api, target: Target) -> None:
    """With its tries to look at."""
    target.does["/sad"] = [SAD]
    run = api.harness.begin(
        http("first", target.url("/sad"), retry={"max_attempts": 1}), http("then", target.url("/ok"))
    )
    api.harness.run(run)
    step = api.get(f"/executions/{run}/steps/first", CAROL)
    assert (step["status"], [each["status"] for each in step["tries"]]) == ("FAILED", ["FAILED"])
    assert step["tries"][0]["response"]["status"] == 500
    assert [each["step"] for each in api.get(f"/executions/{run}/steps", CAROL)] == ["first", "then"]
    refused(api.ask("GET", f"/executions/{run}/steps/third", CAROL), 404, "not_found")
    assert api.post(f"/executions/{run}/steps/first/retry", CAROL, {"reason": "again"}).json()["status"] == "RUNNING"
    api.harness.run(run)
    refused(api.post(f"/executions/{run}/steps/first/skip", CAROL), 422, "reason_required")
    api.post(f"/executions/{run}/steps/first/skip", CAROL, {"reason": "done by hand"})
    api.harness.run(run)
    assert api.get(f"/executions/{run}", CAROL)["status"] == "SUCCESS"
    logs = api.get(f"/executions/{run}/logs", CAROL, step="first")
    assert [each["step"] for each in logs["steps"]] == ["first"]
    assert len(logs["steps"][0]["tries"]) == 2


def test_what_a_gate_has_let_on_is_skipped_when_an_approver_agrees(api: Api, target: Target) -> None:
    """To what they were shown, with a scope for deciding; asked again with the same key it is answered the same."""
    target.does["/sad"] = [SAD]
    run = api.harness.begin(gate("ok"), http("sad", target.url("/sad"), retry={"max_attempts": 1}))
    api.harness.run(run)
    api.post(f"/executions/{run}/steps/ok/approve", ALICE)
    api.harness.run(run)
    path = f"/executions/{run}/steps/sad"
    refused(api.post(f"{path}/skip/agree", ALICE), 409, "conflict")
    assert api.post(f"{path}/skip", CAROL, {"reason": "done by hand"}).json()["status"] == "FAILED"
    wish = api.get(path, CAROL)["skip"]
    assert (wish["by"], wish["reason"], wish["agreed"], wish["agreed_by"]) == ("U0CAROL01", "done by hand", False, [])
    why = next(each for each in api.get(f"/executions/{run}/why", CAROL)["reasons"] if each["kind"] == "skip_asked")
    assert (why["who"], why["verbs"], why["facts"]["gates"]) == (["S0PLATFORM"], ["agree"], ["ok"])
    refused(api.post(f"{path}/skip/agree", CAROL, {"asked_at": wish["at"]}), 403, "not_allowed")
    refused(api.post(f"{path}/skip/agree", DAVE, {"asked_at": "2026-01-01T00:00:00Z"}), 409, "conflict")
    narrow = {"Authorization": f"Bearer {api.token(DAVE, 'read,run')}"}
    assert api.client.post(f"/api/v1{path}/skip/agree", json={}, headers=narrow).status_code == 403
    key = {"Idempotency-Key": "agreed"}
    done = api.post(f"{path}/skip/agree", DAVE, {"asked_at": wish["at"]}, **key)
    assert done.json()["status"] == "SUCCESS", done.text
    assert api.get(path, CAROL)["skip"]["agreed_by"] == ["U0DAVE001"]
    assert api.post(f"{path}/skip/agree", DAVE, {"asked_at": wish["at"]}, **key).text == done.text


def test_a_gate_that_has_changed_refuses_a_vote_on_what_it_was(api: Api, target: Target) -> None:
    """It says who may not decide any more, what is left out and who rejected it before."""
    run = api.harness.begin(gate("ok"), http("look", target.url("/look")))
    api.harness.run(run)
    path = f"/executions/{run}/steps"
    (old,) = api.get(f"/executions/{run}", CAROL)["gates"]
    api.post(f"{path}/ok/reject", ALICE, {"comment": "not now"})
    api.harness.run(run)
    assert api.post(f"{path}/ok/retry", CAROL).json()["status"] == "RUNNING"
    api.harness.run(run)
    api.post(f"{path}/look/skip", BOB, {"reason": "no need"})
    refused(api.post(f"{path}/ok/approve", ALICE, {"digest": old["digest"]}), 409, "conflict")
    shown = api.get(f"/executions/{run}", CAROL)["gates"][-1]
    assert (shown["barred"], shown["preview"][0]["instead"]) == (["U0BOB0001"], "skipped by U0BOB0001: no need")
    assert [(each["person"], each["comment"]) for each in shown["rejected_before"]] == [("U0ALICE01", "not now")]
    page = api.client.get(f"/executions/{run}", headers={"Authorization": f"Bearer {api.token(CAROL)}"}).text
    for part in (
        "Rejected before by <strong>U0ALICE01: not now",
        "look</a>: skipped by U0BOB0001: no need",
        "nor U0BOB",
    ):
        assert part in page
    assert api.post(f"{path}/ok/approve", ALICE, {"digest": shown["digest"]}).json()["status"] == "APPROVED"


def test_gates_that_are_asked_again_are_counted(api: Api, target: Target) -> None:
    """In the answer to the replay, before any of them is open."""
    run = api.harness.begin(gate("ok"), http("look", target.url("/look")))
    api.harness.run(run)
    api.post(f"/executions/{run}/steps/ok/approve", ALICE)
    api.harness.run(run)
    again = api.post(f"/executions/{run}/replay", CAROL, {"from_step": "look", "reason": "once more"})
    assert again.json()["asking"] == 1


def test_an_unknown_outcome_is_settled(api: Api, target: Target) -> None:
    """With a note."""
    target.does["/once"] = [hang_up]
    run = api.harness.begin(http("once", target.url("/once"), method="POST"))
    api.harness.run(run)
    path = f"/executions/{run}/steps/once/resolve"
    refused(api.post(path, CAROL, {"choice": "maybe"}), 422, "invalid_parameters")
    refused(api.post(path, CAROL, {"choice": "done"}), 422, "reason_required")
    assert api.post(path, CAROL, {"choice": "done", "note": "I saw it"}).json()["status"] == "SUCCESS"


def test_a_gate_is_decided(api: Api) -> None:
    """By who may, about what was shown, and a vote can be taken back."""
    run = at_gate(api, min_approvals=2)
    path = f"/executions/{run}/steps/ask"
    (shown,) = api.get(f"/executions/{run}", CAROL)["gates"]
    assert (shown["status"], shown["missing"], shown["approvers"]) == ("PENDING", 2, "platform admins")
    refused(api.post(f"{path}/approve", BOB), 403, "not_allowed")
    refused(api.post(f"{path}/approve", ALICE, {"digest": "other"}), 409, "conflict")
    assert api.post(f"{path}/approve", ALICE, {"digest": shown["digest"]}).json()["missing"] == 1
    refused(api.post(f"{path}/approve", ALICE), 409, "conflict")
    assert api.ask("POST", f"{path}/withdraw", ALICE).json()["missing"] == 2
    api.post(f"{path}/approve", DAVE)
    assert api.post(f"{path}/approve", ALICE).json()["status"] == "APPROVED"


def test_a_rejection_says_why(api: Api) -> None:
    """The engine wants a comment, whichever door it comes by."""
    run = at_gate(api)
    refused(api.post(f"/executions/{run}/steps/ask/reject", ALICE), 422, "reason_required")
    done = api.post(f"/executions/{run}/steps/ask/reject", ALICE, {"comment": "traffic peak"}).json()
    assert (done["status"], done["votes"][0]["comment"]) == ("REJECTED", "traffic peak")


def test_an_approver_sees_what_they_decide(api: Api) -> None:
    """Though the team is not theirs; and nobody else of no team does."""
    run = at_gate(api, approvers={"users": [OSCAR.user_id]})
    assert api.get(f"/executions/{run}", OSCAR)["gates"][0]["status"] == "PENDING"
    refused(api.ask("GET", f"/executions/{run}", Actor("U0STRANGER", standing="member")), 404, "not_found")
    assert api.post(f"/executions/{run}/steps/ask/approve", OSCAR).json()["status"] == "APPROVED"


def test_evidence_is_whole(api: Api) -> None:
    """It passes the check that an auditor makes."""
    run = api.harness.start("drain", CAROL, service="api")
    api.harness.run(run)
    assert evidence.check(api.get(f"/executions/{run}/evidence", CAROL)) == []


def test_a_post_is_done_once_for_its_key(api: Api) -> None:
    """The same answer again, whatever happened since; another request with that key is refused."""
    body = {"parameters": {"service": "api"}}
    first = api.post("/runbooks/drain/execute", CAROL, body, **{"Idempotency-Key": "k-1"})
    api.harness.run(first.json()["execution"]["id"])
    again = api.post("/runbooks/drain/execute", CAROL, body, **{"Idempotency-Key": "k-1"})
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (202, first.json(), "true")
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    other = {"parameters": {"service": "web"}}
    refused(api.post("/runbooks/drain/execute", CAROL, other, **{"Idempotency-Key": "k-1"}), 409, "conflict")
    refused(api.post("/runbooks/ping/execute", CAROL, {}, **{"Idempotency-Key": "k-1"}), 409, "conflict")
    assert api.post("/runbooks/drain/execute", BOB, other, **{"Idempotency-Key": "k-1"}).status_code == 202
    refused(api.post("/runbooks/drain/execute", CAROL, body, **{"Idempotency-Key": ""}), 422, "invalid_parameters")


def test_a_refused_request_may_be_sent_again(api: Api) -> None:
    """Nothing was done, so its key is free."""
    key = {"Idempotency-Key": "k-2"}
    refused(api.post("/runbooks/drain/execute", CAROL, {}, **key), 422, "invalid_parameters")
    assert api.post("/runbooks/drain/execute", CAROL, {"parameters": {"service": "api"}}, **key).status_code == 202


def test_many_at_once_with_one_key_start_one_run(api: Api) -> None:
    """Whoever is not first waits, and gets the same answer."""
    body = {"parameters": {"service": "api"}, "force": True, "reason": "twice"}
    api.token(CAROL)

    def ask() -> Any:
        return api.post("/runbooks/drain/execute", CAROL, body, **{"Idempotency-Key": "race"})

    answers = at_once(*[ask] * 6)
    runs = {each.json()["execution"]["id"] for each in answers}
    assert len(runs) == 1
    assert {each.status_code for each in answers} == {202}
    assert [each["id"] for each in api.get("/executions", CAROL)["items"]] == list(runs)


def test_an_answer_that_was_lost_is_found_again(api: Api) -> None:
    """A process that died between the deed and its answer: the run is not started twice."""
    body = {"parameters": {"service": "api"}, "force": True, "reason": "twice"}
    first = api.post("/runbooks/drain/execute", CAROL, body, **{"Idempotency-Key": "lost"}).json()["execution"]["id"]
    replayed = api.post(f"/executions/{first}/cancel", CAROL)
    replay = api.post(f"/executions/{first}/replay", CAROL, {}, **{"Idempotency-Key": "lost-too"}).json()["id"]
    assert replayed.status_code == 200
    with database.transaction():
        Answer.delete().execute()  # as if nothing had ever been kept
    again = api.post("/runbooks/drain/execute", CAROL, body, **{"Idempotency-Key": "lost"}).json()["execution"]["id"]
    assert again == first
    assert api.post(f"/executions/{first}/replay", CAROL, {}, **{"Idempotency-Key": "lost-too"}).json()["id"] == replay


def test_tokens_are_seen_and_ended(api: Api) -> None:
    """One's own; everybody's by a platform admin. None is made by a token."""
    mine = api.get("/tokens", CAROL)
    assert [each["person"] for each in mine] == [CAROL.user_id]
    assert not any("digest" in each or "secret" in each for each in mine)
    api.get("/tokens", BOB)
    refused(api.ask("GET", "/tokens", CAROL, everybody="true"), 403, "not_allowed")
    assert {each["person"] for each in api.get("/tokens", ALICE, everybody="true")} >= {CAROL.user_id, BOB.user_id}
    bobs = api.get("/tokens/current", BOB)["id"]
    refused(api.ask("DELETE", f"/tokens/{bobs}", CAROL), 404, "not_found")
    assert api.ask("DELETE", f"/tokens/{bobs}", ALICE).json()["revoked_by"] == ALICE.user_id
    refused(api.ask("GET", "/runbooks", BOB), 401, "not_authenticated")
    refused(api.post("/tokens", CAROL, {"name": "another"}), 405, "method_not_allowed")


def test_the_audit_is_searched_and_checked(api: Api) -> None:
    """By platform admins; parts follow each other without gap or double."""
    run = api.harness.start("drain", CAROL, service="api")
    found = api.get("/audit", ALICE, thing=f"execution:{run}")["items"]
    assert [(each["actor"], each["action"]) for each in found] == [(CAROL.user_id, "execution.start")]
    assert api.get("/audit", ALICE, actor=CAROL.user_id, action="execution.start")["items"] == found
    at = found[0]["at"]
    assert api.get("/audit", ALICE, since="2099-01-01T00:00:00Z")["items"] == []
    assert run in str(api.get("/audit", ALICE, since=at)["items"])
    assert run not in str(api.get("/audit", ALICE, until=at)["items"])
    everything = [each["id"] for each in api.get("/audit", ALICE)["items"]]
    first = api.get("/audit", ALICE, limit=3)
    second = api.get("/audit", ALICE, limit=200, cursor=first["next"])
    assert [each["id"] for each in first["items"] + second["items"]] == everything
    chain = api.get("/audit/chain", ALICE)
    assert (chain["troubles"], chain["rows"]) == ([], len(everything))
    for path in ("/audit", "/audit/chain"):
        refused(api.ask("GET", path, BOB), 403, "not_allowed")


def test_a_channels_name_tells_of_an_incident_here_too(api: Api) -> None:
    """It is open from the first run that is asked for there."""
    body = {"parameters": {"service": "api"}, "incident": {"channel": "C0INC0001", "channel_name": "inc-4711"}}
    made = api.post("/runbooks/drain/execute", CAROL, body)
    assert made.status_code == 202, made.text
    (found,) = api.get("/incidents", CAROL)
    assert (found["channel_name"], found["opened_by"]) == ("inc-4711", "system")
    assert made.json()["execution"]["incident"]["case"] == found["id"]


def test_an_incident_is_opened_told_and_closed(api: Api) -> None:
    """Its story hides the runs of other teams."""
    made = api.post(
        "/incidents", CAROL, {"channel": "C0INC0001", "title": "Checkout is slow", "fields": {"env": "prod"}}
    )
    assert (made.status_code, made.json()["fields"]) == (201, {"env": "prod"})
    incident = f"/incidents/{made.json()['id']}"
    body = {"parameters": {"service": "api"}, "incident": {"channel": "C0INC0001"}}
    run = api.post("/runbooks/drain/execute", CAROL, body).json()["execution"]
    assert run["incident"]["title"] == "Checkout is slow"
    assert [each["id"] for each in api.get(f"{incident}/story", CAROL)["runs"]] == [run["id"]]
    assert run["id"] not in api.ask("GET", f"{incident}/story", OSCAR).text
    changed = api.ask("PATCH", incident, CAROL, {"severity": "1", "fields": {"env": ""}}).json()
    assert (changed["severity"], changed["fields"], changed["title"]) == ("1", {}, "Checkout is slow")
    assert run["id"] in refused(api.post(f"{incident}/close", CAROL), 409, "conflict")["detail"]
    assert api.post(f"{incident}/close", CAROL, {"force": True, "reason": "over"}).json()["close_reason"] == "over"
    refused(api.post(f"{incident}/close", CAROL), 409, "conflict")
    assert api.get("/incidents", CAROL, open="true") == []
    assert [each["id"] for each in api.get("/incidents", CAROL)] == [made.json()["id"]]
    refused(api.post("/incidents", OSCAR, {"channel": "C0INC0002"}), 403, "not_allowed")


def test_a_story_does_not_tell_of_an_old_open_run_of_another_team(api: Api) -> None:
    """It explains runs beside its newest ones; those of other teams stay hidden there too."""
    named = {"type": "object", "properties": {"what": {"type": "string"}}}
    wait = {"id": "wait", "type": "wait", "with": {"key": "deploy-{{ params.what }}", "from": ["ci"]}}
    say = {"id": "say", "type": "message", "with": {"text": "x"}}
    api.harness.publish(runbook("payroll", wait, parameters=named), runbook("ping", say, team=None, parameters=named))
    about = {"incident": {"channel": "C0INC0001"}}
    number = api.post("/incidents", CAROL, {"channel": "C0INC0001", "title": "slow"}).json()["id"]

    def begun(who: Actor, slug: str, what: str) -> str:
        api.harness.clock.tick(10)
        answer = api.post("/executions", who, {"runbook": slug, "parameters": {"what": what}, **about})
        api.harness.run(answer.json()["execution"]["id"])
        return str(answer.json()["execution"]["id"])

    run = begun(CAROL, "payroll", "salaries")
    for each in range(incident_story.MOST_RUNS):
        begun(ALICE, "ping", str(each))
    assert api.ask("GET", f"/executions/{run}", OSCAR).status_code == 404
    story = f"/incidents/{number}/story"
    assert [each["execution"] for each in api.get(story, CAROL)["open"]] == [run]
    assert run not in api.ask("GET", story, OSCAR).text


def test_the_policy_is_asked(api: Api) -> None:
    """Of oneself and of others, of nothing that one may not see."""
    people.remember(api.harness.rt, PersonRecord(OSCAR.user_id, "oscar", None, "member", None, api.harness.clock.time))
    assert api.get("/can", CAROL, verb="run", target="drain")["allowed"]
    other = api.get("/can", CAROL, verb="run", target="drain", person=OSCAR.user_id)
    assert (other["allowed"], "members and admins of team payments" in other["rule"]) == (False, True)
    refused(api.ask("GET", "/can", OSCAR, verb="run", target="drain"), 404, "not_found")
    refused(api.ask("GET", "/can", CAROL, verb="fly", target="drain"), 409, "conflict")
    assert tokens.listing(api.harness.rt, CAROL)
