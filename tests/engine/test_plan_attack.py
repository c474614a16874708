"""Plans that are not what they were: kept too long, made by hand, of another's, or started while something changes."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, HOUR, OSCAR, Harness, at_once, errors, gate, http, runbook
from hypothesis import given
from hypothesis import strategies as st

from engine.catalog import version_approval
from engine.errors import Conflict, EngineError, NotAllowed
from engine.orchestration.admission import Wanted
from engine.runs import executions, form_drafts, freezing, plans
from engine.runs.form_drafts import Draft
from engine.runs.plan_records import PlanChanged, differences
from storage.records import Filter

SHOP = {"type": "object", "properties": {"shop": {"type": "string", "default": "here"}}}


def text(said: str = "Hello", **top: Any) -> str:
    step = {"id": "say", "type": "message", "with": {"text": f"{said} {{{{ params.shop }}}}"}}
    return runbook("demo", step, **{"parameters": SHOP, **top})


def wanted(**values: Any) -> Wanted:
    return Wanted("demo", values, "test")


def runs(harness: Harness) -> int:
    return len(executions.recent(harness.rt, Filter(slug="demo")))


def test_a_button_outlives_its_hour_for_nobody(harness: Harness) -> None:
    """Also while nothing drops the old ones: a day later its key is forgotten, and it would run again."""
    kept = form_drafts.keep(harness.rt, CAROL.user_id, Draft({"shop": "x"}, "why"))
    assert form_drafts.find(harness.rt, CAROL.user_id, kept).values == {"shop": "x"}
    harness.clock.tick(HOUR + 1)
    with pytest.raises(Conflict, match="left open for too long"):
        form_drafts.find(harness.rt, CAROL.user_id, kept)


def test_no_change_behind_a_plan_starts_anything(harness: Harness) -> None:
    """An edit, an approved edit, a deprecation, a rollback, other parameters, a freeze, a lost role, another person."""
    harness.publish(text())
    digest = plans.make(harness.rt, CAROL, wanted(shop="a")).digest

    def refused(*how: type[EngineError], who: Any = CAROL, given: dict[str, Any] | None = None) -> None:
        with pytest.raises(how or PlanChanged):
            plans.request(harness.rt, who, wanted(**(given or {"shop": "a"})), digest)
        assert runs(harness) == 0

    refused(given={"shop": "b"})
    refused(NotAllowed, who=OSCAR)
    freezing.freeze(harness.rt, BOB, "team:payments", reason="a freeze", lasting="1h")
    refused(EngineError)
    freezing.unfreeze(harness.rt, BOB, "team:payments")
    harness.sync(demo=text("Good bye"))
    harness.approve("demo")
    refused()
    harness.sync(demo=text())
    harness.approve("demo")
    refused()  # it reads as it did, and is another version
    version_approval.deprecate(harness.rt, ALICE, "demo", reason="gone")
    refused(EngineError)
    version_approval.rollback(harness.rt, ALICE, "demo")
    refused(EngineError)


def test_a_child_or_a_gate_that_changed_is_a_change_of_the_plan(harness: Harness) -> None:
    child = runbook("child", gate("ask"), http("call"))
    step = {"id": "start", "type": "runbook", "with": {"id": "child"}}
    harness.publish(child, runbook("demo", step))
    digest = plans.make(harness.rt, CAROL, wanted()).digest
    harness.sync(demo=runbook("demo", step), child=runbook("child", http("call")))
    harness.approve("child")
    with pytest.raises(PlanChanged, match="a runbook that it starts"):
        plans.request(harness.rt, CAROL, wanted(), digest)
    assert runs(harness) == 0


def test_the_same_plan_at_once_and_again_is_one_run(harness: Harness) -> None:
    harness.publish(text())
    digest = plans.make(harness.rt, CAROL, wanted()).digest

    def press() -> str:
        return plans.request(harness.rt, CAROL, wanted(), digest, key="plan-7").execution.id

    results = at_once(press, press, press)
    assert not errors(results)
    assert len(set(results)) == 1
    assert runs(harness) == 1
    assert harness.run(results[0]) == "SUCCESS"
    assert press() == results[0]


@given(st.text(max_size=120) | st.from_regex(r"\AP[0-9]+(-[0-9a-f]{0,45}){0,5}\Z"))
def test_no_digest_made_by_hand_is_a_plan(forged: str) -> None:
    """Whatever it is, something is said to differ, unless it is the very one."""
    real = "P1-0123456789-0123456789-0123456789-" + "a" * 40
    assert forged == real or list(differences(forged, real))
