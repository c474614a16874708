"""Plans: what a run would do is shown before it begins, and exactly that is started."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, OSCAR, Harness, Target, at_once, gate, http, runbook

from engine.catalog import version_approval
from engine.errors import ChannelNotAllowed, Frozen, NotAllowed, NotApproved
from engine.orchestration.admission import Wanted
from engine.runs import executions, freezing, plans
from engine.runs.plan_records import Plan, PlanChanged
from storage import database
from storage.records import Filter
from storage.states import ExecutionStatus

PARAMETERS = {"type": "object", "properties": {"host": {"type": "string"}, "n": {"type": "integer"}}}


def wanted(slug: str = "demo", /, **parameters: Any) -> Wanted:
    return Wanted(slug, parameters, trigger="test")


def planned(harness: Harness, *steps: dict[str, Any], given: dict[str, Any] | None = None, **top: Any) -> Plan:
    harness.publish(runbook("demo", *steps, parameters=PARAMETERS, **top))
    return plans.make(harness.rt, CAROL, wanted(**(given or {})))


def test_calls_are_rendered_and_secrets_are_masked(harness: Harness, target: Target) -> None:
    url = target.url("/restart/{{ params.host }}")
    step = http("restart", url, method="POST", headers={"X-Key": "{{ secrets.canary }}"}, json={"n": "{{ params.n }}"})
    plan = planned(harness, step, given={"host": "web 1", "n": 2})
    (shown,) = plan.steps
    assert shown["with"]["url"] == target.url("/restart/web%201")
    assert shown["with"]["json"] == {"n": 2}
    assert "c4nary" not in json.dumps(shown)
    assert plan.destinations[0]["secrets"] == ["canary"]
    assert plan.obstacles == ()
    assert target.paths() == []


def test_what_only_the_run_knows_is_open(harness: Harness) -> None:
    first = http("first")
    second = http("second", json={"a": "{{ steps.first.outputs.status | default(7) }}", "b": "{{ params.n }}"})
    third = http("third", if_="steps.first.outputs.status == 200", text="{{ execution.id }} {{ now }}")
    never = http("never", if_="params.n == 3")
    plan = planned(harness, first, second, third, never, given={"n": 2})
    assert plan.steps[1]["with"]["json"] == {"a": "{{ steps.first.outputs.status | default(7) }}", "b": 2}
    assert plan.steps[2]["when"] == "open"
    assert plan.steps[2]["with"]["text"] == "{{ execution.id }} {{ now }}"
    assert plan.steps[3]["when"] == "no"
    assert "with" not in plan.steps[3]


def start(harness: Harness, plan: Plan, who: Any = CAROL, key: str | None = None, **given: Any) -> Any:
    return plans.request(harness.rt, who, wanted(**given), plan.digest, key=key)


@pytest.mark.parametrize(("on_conflict", "becomes"), [("queue", "queued"), ("reject", "rejected")])
def test_the_concurrency_group_is_told(harness: Harness, on_conflict: str, becomes: str) -> None:
    group = {"group": "db-{{ params.n }}", "limit": 2, "on_conflict": on_conflict}
    plan = planned(harness, http("act"), given={"n": 2}, concurrency=group)
    assert plan.concurrency == f"db-2: at most 2 at once, the next one is {becomes}"


def test_exactly_what_was_planned_is_started_once(harness: Harness, target: Target) -> None:
    """A second press of the same button is the first run, also when that has ended."""
    plan = planned(harness, http("go", target.url("/go/{{ params.n }}")), given={"n": 1})
    first = start(harness, plan, key="plan-1", n=1).execution
    assert harness.run(first.id) is ExecutionStatus.SUCCESS
    assert start(harness, plan, key="plan-1", n=1).execution.id == first.id
    assert target.paths() == ["/go/1"]


def test_two_presses_at_once_are_one_run(harness: Harness) -> None:
    plan = planned(harness, http("go"))
    found = at_once(*[lambda: start(harness, plan, key="plan-7").execution.id] * 2)
    assert found[0] == found[1], found


def test_other_parameters_are_not_what_was_planned(harness: Harness) -> None:
    plan = planned(harness, http("go", text="{{ params.n }}"), given={"n": 1})
    with pytest.raises(PlanChanged, match="the parameters differ") as refused:
        start(harness, plan, n=2)
    assert refused.value.plan.steps[0]["with"]["text"] == "2"
    assert executions.recent(harness.rt, Filter()) == []


def test_an_edit_is_told_as_another_version(harness: Harness) -> None:
    plan = planned(harness, http("go"))
    harness.publish(runbook("demo", http("go", text="more"), parameters=PARAMETERS))
    with pytest.raises(PlanChanged, match="the version is 2 now, not 1"):
        start(harness, plan)


def test_a_child_that_says_something_else_now_is_not_what_was_planned(harness: Harness) -> None:
    harness.publish(runbook("child", http("inner")))
    plan = planned(harness, {"id": "other", "type": "runbook", "with": {"id": "child"}})
    assert [each["step"] for each in plan.every_step()] == ["other", "inner"]
    harness.publish(runbook("child", http("inner", text="more")))
    with pytest.raises(PlanChanged, match="a runbook that it starts"):
        start(harness, plan)


def test_a_freeze_a_lost_role_and_a_deprecation_refuse_what_was_planned(harness: Harness) -> None:
    """The plan is still the same, and says why it cannot be started and who may."""
    plan = planned(harness, http("go"))
    set_freeze = freezing.freeze(harness.rt, ALICE, "everything", "release night", lasting="2h").freeze
    (frozen,) = plans.make(harness.rt, CAROL, wanted()).obstacles
    assert "release night" in frozen.why
    with pytest.raises(Frozen):
        start(harness, plan)
    freezing.unfreeze(harness.rt, ALICE, set_freeze.id)
    with pytest.raises(NotAllowed):
        start(harness, plan, OSCAR)
    version_approval.deprecate(harness.rt, ALICE, "demo", None, "old")
    with pytest.raises(NotApproved):
        start(harness, plan)
    assert "DEPRECATED" in plans.make(harness.rt, CAROL, wanted()).obstacles[0].why


def test_who_may_not_run_it_is_told_who_may(harness: Harness) -> None:
    planned(harness, http("go"))
    (why,) = plans.make(harness.rt, OSCAR, wanted()).obstacles
    assert "Only members and admins of team payments" in why.why
    assert BOB.user_id in why.ask
    with pytest.raises(NotAllowed):
        start(harness, plans.make(harness.rt, OSCAR, wanted()), OSCAR)


def test_facts_of_a_private_channel_are_for_its_members(harness: Harness) -> None:
    planned(harness, http("go"))
    harness.rooms.members["C0SECRET1"] = {ALICE.user_id}
    with pytest.raises(ChannelNotAllowed):
        plans.make(harness.rt, CAROL, Wanted("demo", {}, trigger="test", incident={"channel": "C0SECRET1"}))


def test_a_draft_is_planned_for_who_reviews_it_and_cannot_be_started(harness: Harness) -> None:
    harness.sync(demo=runbook("demo", http("go"), parameters=PARAMETERS))
    plan = plans.make(harness.rt, BOB, wanted())
    assert "is a DRAFT" in plan.obstacles[0].why
    with pytest.raises(NotApproved):
        start(harness, plan, BOB)


def test_branches_and_rounds_are_shown_as_far_as_they_are_known(harness: Harness) -> None:
    inner = http("hit", url="http://127.0.0.1:9/{{ item }}/{{ box }}")
    loop = {"id": "each", "type": "loop", "with": {"items": ["a", "b"], "as": "box", "steps": [inner]}}
    known = {
        "id": "fork",
        "type": "branch",
        "with": {"if": "params.n == 1", "then": [http("yes")], "else": [http("no")]},
    }
    maybe = {
        "id": "maybe", "type": "branch",
        "with": {"if": "steps.each.outputs.rounds == 2", "then": [http("two")], "else": [http("other")]},
    }  # fmt: skip
    ever = {"id": "ever", "type": "loop", "with": {"while": "index < 2", "steps": [http("again", text="{{ index }}")]}}
    plan = planned(harness, loop, known, maybe, ever, gate("ask", min_approvals=2), given={"n": 1})
    each, fork, perhaps, again, ask = plan.steps
    assert [block["steps"][0]["with"]["url"][-3:] for block in each["blocks"]] == ["a/a", "b/b"]
    assert (fork["taken"], [block["of"] for block in fork["blocks"]]) == ("then", ["then"])
    assert (perhaps["taken"], [block["of"] for block in perhaps["blocks"]]) == ("open", ["then", "else"])
    assert (again["rounds"], again["blocks"][0]["steps"][0]["with"]["text"]) == ("open", "{{ index }}")
    assert ask["gate"]["min_approvals"] == 2


def test_a_thousand_rounds_are_shown_as_far_as_there_is_room(harness: Harness) -> None:
    """And the rest as one that stands for any, so that no call is missing."""
    loop = {
        "id": "each",
        "type": "loop",
        "with": {"items": list(range(900)), "steps": [http("hit", text="{{ item }}")]},
    }
    (each,) = planned(harness, loop).steps
    assert each["rounds"] == 900
    assert len(each["blocks"]) < 502
    assert each["blocks"][-1]["steps"][0]["with"]["text"] == "{{ item }}"


def test_a_plan_writes_nothing(harness: Harness) -> None:
    planned(harness, http("go"))
    before = counted()
    plans.make(harness.rt, CAROL, wanted())
    assert counted() == before


def counted() -> dict[str, int]:
    with database.reading():
        names = [row[0] for row in database.proxy.obj.execute_sql(TABLES[database.is_postgresql()]).fetchall()]
        return {each: database.proxy.obj.execute_sql(f'SELECT count(*) FROM "{each}"').fetchone()[0] for each in names}


TABLES = {
    False: "SELECT name FROM sqlite_master WHERE type = 'table'",
    True: "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}
