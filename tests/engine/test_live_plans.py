"""Live plans: the check mode of a step's target is asked before the run, by whom and of what it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import ALICE, CAROL, OSCAR, Harness, Target, at_once, gate, http, runbook
from local_server import answer, silence

from engine.errors import Conflict, Frozen, NotAllowed, NotApproved, ReasonRequired
from engine.orchestration.admission import Wanted
from engine.runs import executions, freezing, live_calls, live_plans, plans
from engine.runs.plan_records import Plan
from storage import audit, database
from storage.records import Filter

PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}
DRY = {"query": {"dryRun": "All"}}
SECRET = "c4nary-b1rd-of-the-m1ne"


def wanted(slug: str = "demo", /, reason: str = "", **parameters: Any) -> Wanted:
    return Wanted(slug, parameters, trigger="test", reason=reason)


def call(target: Target, name: str = "go", path: str = "/go", **keys: Any) -> dict[str, Any]:
    dry_run = keys.pop("dry_run", DRY)
    return {**http(name, target.url(path), method="POST", query={"a": "{{ params.n }}"}, **keys), "dry_run": dry_run}


def live(harness: Harness, *steps: dict[str, Any], who: Any = CAROL, **top: Any) -> Plan:
    harness.publish(runbook("demo", *steps, parameters=PARAMETERS, **top))
    return live_plans.make(harness.rt, who, wanted())


def outcomes(plan: Plan) -> dict[str, str]:
    return {each["step"]: each["live"]["outcome"] for each in plan.every_step() if "live" in each}


def rows(harness: Harness) -> list[Any]:
    with database.reading():
        found = audit.recent(harness.rt.workspace_id, 20)
    return [each for each in found if each.action in (live_plans.ASKED, live_plans.ANSWERED)][::-1]


def test_the_check_is_made_and_its_answer_stands_beside_the_call(harness: Harness, target: Target) -> None:
    """Only what has a `dry_run` is called, once, and no run is begun; the audit has it before and after."""
    plan = live(harness, call(target), http("other", target.url("/other")))
    assert target.paths() == ["/go?a=1&dryRun=All"]
    shown = plan.steps[0]["live"]
    assert shown["outcome"] == "success"
    assert shown["answer"]["status"] == 200
    assert "live" not in plan.steps[1]
    assert plan.live == {"success": 1, "failure": 0, "unknown": 0, "not_called": 0}
    assert executions.recent(harness.rt, Filter()) == []
    asked, answered = rows(harness)
    assert (asked.actor, asked.thing, asked.detail["steps"]) == (CAROL.user_id, "runbook:demo@1", ["go"])
    assert asked.detail["hosts"] == [target.url("/").split("/")[2]]
    assert [each["outcome"] for each in answered.detail["outcomes"]] == ["success"]


def test_the_digest_is_that_of_the_plan_without_answers(harness: Harness, target: Target) -> None:
    """What was planned live is started by the same digest, and the run makes the call itself."""
    plan = live(harness, call(target))
    assert plans.make(harness.rt, CAROL, wanted()).digest == plan.digest
    run = plans.request(harness.rt, CAROL, wanted(), plan.digest).execution
    harness.run(run.id)
    assert target.paths() == ["/go?a=1&dryRun=All", "/go?a=1"]


def test_a_refusal_is_a_failure_and_an_expected_one_is_none(harness: Harness, target: Target) -> None:
    """A status that says that it would have worked is told by the check's own `expect`."""
    target.does["/bad"] = [answer(b"quota exceeded", "403 Forbidden")]
    target.does["/good"] = [answer(b"DryRunOperation", "412 Precondition Failed")]
    good = {**DRY, "expect": "response.status == 412 and 'DryRunOperation' in response.text"}
    plan = live(harness, call(target, "bad", "/bad"), call(target, "good", "/good", dry_run=good))
    assert outcomes(plan) == {"bad": "failure", "good": "success"}
    assert "quota exceeded" in plan.steps[0]["live"]["message"]


def test_a_secret_is_sent_and_masked_where_it_is_said_back(harness: Harness, target: Target) -> None:
    target.does["/go"] = [answer(f"you sent {SECRET}".encode())]
    plan = live(harness, call(target, headers={"X-Key": "{{ secrets.canary }}"}))
    assert SECRET.encode() in target.server.requests[0]
    assert plan.steps[0]["live"]["outcome"] == "success"
    assert SECRET not in json.dumps(plan.as_json(), default=str)
    assert SECRET not in str([each.detail for each in rows(harness)])


def test_what_a_secret_may_come_in_is_not_shown(harness: Harness, target: Target) -> None:
    target.does["/go"] = [answer(b'{"key": "very-new-secret"}', "200 OK", "Content-Type: application/json")]
    secret = {"key": {"value": "{{ response.json.key }}", "secret": True}}
    keys = {"outputs": secret}
    plan = live(harness, {**call(target), **keys})
    assert plan.steps[0]["live"]["outcome"] == "success"
    assert "very-new-secret" not in json.dumps(plan.as_json(), default=str)


def test_a_secret_goes_nowhere_else_by_a_check(harness: Harness, target: Target) -> None:
    """A version whose check sends a secret to another host than the rules say is not approved."""
    harness.write(_secrets_yaml="secrets: {canary: {hosts: [vault.internal]}}")
    keys = {"url": "https://vault.internal/", "headers": {"X-Key": "{{ secrets.canary }}"}}
    step = {"id": "go", "type": "http", "with": keys, "dry_run": {"url": target.url("/steal")}}
    with pytest.raises(AssertionError, match=r"canary\.hosts.*it may not go to 127"):
        harness.publish(runbook("demo", step))
    assert target.paths() == []


def test_what_only_the_run_knows_is_not_asked(harness: Harness, target: Target) -> None:
    """Nor is what is known not to be done, nor what another runbook does."""
    harness.publish(runbook("child", call(target, "inner", "/inner"), parameters=PARAMETERS))
    plan = live(
        harness,
        call(target, "first", "/first"),
        call(target, "reads", dry_run={"json": {"was": "{{ steps.first.outputs.status }}"}}),
        call(target, "expects", dry_run={**DRY, "expect": "response.status == steps.first.outputs.status"}),
        call(target, "moment", dry_run={"json": {"at": "{{ now }}"}}),
        call(target, "never", if_="params.n == 2"),
        {"id": "run", "type": "runbook", "with": {"id": "child"}},
    )
    assert target.paths() == ["/first?a=1&dryRun=All"]
    told = {"first": "success", "reads": "not_called", "expects": "not_called", "moment": "not_called"}
    assert outcomes(plan) == told
    assert "only the run will know" in plan.steps[1]["live"]["message"]


def test_no_check_goes_before_a_gate_unless_it_says_so(harness: Harness, target: Target) -> None:
    """A gate that is passed by for sure is none; one in another runbook that comes before is one."""
    before = {**DRY, "before_gates": True}
    plan = live(
        harness, gate("agree", approvers={"roles": ["responder"]}), call(target, "held", "/held"),
        call(target, "said", "/said", dry_run=before),
    )  # fmt: skip
    assert outcomes(plan) == {"held": "not_called", "said": "success"}
    assert "the gate `agree`" in plan.steps[1]["live"]["message"]
    passed = {**gate("agree", approvers={"roles": ["responder"]}), "if": "params.n == 7"}
    assert outcomes(live(harness, passed, call(target, "free", "/free"))) == {"free": "success"}
    asked = {**gate("agree", approvers={"roles": ["responder"]}), "if": "execution.id == 'x'"}
    assert outcomes(live(harness, asked, call(target, "doubt", "/doubt"))) == {"doubt": "not_called"}
    assert target.paths() == ["/said?a=1&dryRun=All", "/free?a=1&dryRun=All"]


def test_a_gate_in_a_branch_a_loop_or_another_run_holds_checks_too(harness: Harness, target: Target) -> None:
    """The first round's call stands before the gate of its round, and all the same none of them is made."""
    inner = gate("agree", approvers={"roles": ["responder"]})
    branch = {"id": "maybe", "type": "branch", "with": {"if": "params.n == 1", "then": [inner]}}
    assert outcomes(live(harness, branch, call(target, "behind"))) == {"behind": "not_called"}
    loop = {"id": "each", "type": "loop", "with": {"items": [1, 2], "steps": [call(target, "inside"), inner]}}
    assert outcomes(live(harness, loop)) == {"inside": "not_called"}
    harness.publish(runbook("child", inner))
    other = {"id": "run", "type": "runbook", "with": {"id": "child"}}
    assert outcomes(live(harness, other, call(target, "after"))) == {"after": "not_called"}
    assert target.paths() == []


def test_only_who_may_start_it_now_is_answered(harness: Harness, target: Target) -> None:
    """Another team's member, a frozen runbook, a draft, and a high risk without a reason make no call and no row."""
    harness.publish(runbook("demo", call(target), parameters=PARAMETERS))
    with pytest.raises(NotAllowed):
        live_plans.make(harness.rt, OSCAR, wanted())
    freeze = freezing.freeze(harness.rt, ALICE, "everything", "release night", lasting="2h").freeze
    with pytest.raises(Frozen):
        live_plans.make(harness.rt, CAROL, wanted())
    freezing.unfreeze(harness.rt, ALICE, freeze.id)
    harness.sync(draft=runbook("draft", call(target), parameters=PARAMETERS))
    with pytest.raises(NotApproved):
        live_plans.make(harness.rt, ALICE, wanted("draft"))
    harness.publish(
        runbook(
            "risky", gate("agree", approvers={"roles": ["responder"]}), call(target), risk="high", parameters=PARAMETERS
        )
    )
    with pytest.raises(ReasonRequired):
        live_plans.make(harness.rt, CAROL, wanted("risky"))
    assert target.paths() == []
    assert rows(harness) == []


def test_a_freeze_between_the_question_and_the_call_holds(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was allowed at the door is asked again in the transaction that puts it on record."""
    harness.publish(runbook("demo", call(target), parameters=PARAMETERS))
    looked_at = plans.looked_at

    def meanwhile(*asked: Any) -> Any:
        freezing.freeze(harness.rt, ALICE, "everything", "just now", lasting="2h")
        return looked_at(*asked)

    monkeypatch.setattr(plans, "looked_at", meanwhile)
    with pytest.raises(Frozen):
        live_plans.make(harness.rt, CAROL, wanted())
    assert target.paths() == []
    assert rows(harness) == []


def test_nobody_asks_too_often_also_not_at_once(harness: Harness, target: Target) -> None:
    harness.publish(runbook("demo", call(target), parameters=PARAMETERS))
    for _ in range(live_plans.MOST_A_PERSON - 1):
        live_plans.make(harness.rt, CAROL, wanted())
    found = at_once(*[lambda: live_plans.make(harness.rt, CAROL, wanted())] * 3)
    assert sum(isinstance(each, Plan) for each in found) == 1, found
    assert sum(isinstance(each, Conflict) for each in found) == 2
    assert len(target.paths()) == live_plans.MOST_A_PERSON
    live_plans.make(harness.rt, ALICE, wanted())


def test_all_calls_together_end_in_time(harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answers is no success, and what there was no time for says so."""
    monkeypatch.setattr(live_calls, "ALL_MS", 600)
    monkeypatch.setattr(live_calls, "MOST_PARALLEL", 1)
    target.does["/go"] = [silence]
    plan = live(harness, call(target), call(target, "late", "/late"))
    assert outcomes(plan) == {"go": "unknown", "late": "not_called"}
    assert target.paths() == ["/go?a=1&dryRun=All"]


def test_no_key_of_a_run_is_used_up(harness: Harness, target: Target) -> None:
    """A server that keeps answers by their key never gives a run's call the answer to a check."""
    live(harness, call(target))
    live_plans.make(harness.rt, CAROL, wanted())
    run = plans.request(harness.rt, CAROL, wanted(), None).execution
    harness.run(run.id)
    assert len(target.seen_keys()) == 3
    assert all(count == 1 for count in target.seen_keys().values())
