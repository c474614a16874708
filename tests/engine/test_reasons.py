"""The stated reason: with REASON_PATTERN every control action says why, whichever way it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from harness import ALICE, CAROL, Harness, gate, http, runbook

from engine.access.policy import Actor
from engine.catalog import authoring, version_approval
from engine.errors import NotAllowed, ReasonRequired
from engine.orchestration.admission import Wanted
from engine.runs import controls, executions, handover, replay_run, skipping, voting
from engine.runtime import Runtime
from storage import audit, database
from storage.states import Decision

GOOD, BAD = "the disk is full, CHG-1234", "because"
Act = Callable[[Runtime, str, str], object]

ACTS: dict[str, Act] = {
    "pause": lambda rt, run, why: controls.pause(rt, CAROL, run, why),
    "resume": lambda rt, run, why: controls.resume(rt, CAROL, run, why),
    "cancel": lambda rt, run, why: controls.cancel(rt, CAROL, run, why),
    "end": lambda rt, run, why: controls.cancel(rt, CAROL, run, why, force=True),
    "retry": lambda rt, run, why: controls.retry(rt, CAROL, run, reason=why),
    "skip": lambda rt, run, why: skipping.skip(rt, CAROL, run, "call", why),
    "resolve": lambda rt, run, why: controls.resolve(rt, CAROL, run, None, "done", why),
    "handover": lambda rt, run, why: handover.offer(rt, CAROL, run, ALICE, why),
    "approve": lambda rt, run, why: voting.vote(rt, ALICE, run, None, Decision.APPROVE, why),
    "reject": lambda rt, run, why: voting.vote(rt, ALICE, run, None, Decision.REJECT, why),
    "replay": lambda rt, run, why: replay_run.replay(rt, CAROL, _ended(rt, run), reason=why),
    "start": lambda rt, _run, why: executions.request(rt, CAROL, Wanted("strict", {}, trigger="test", reason=why)),
    "deprecate": lambda rt, _run, why: version_approval.deprecate(rt, ALICE, "strict", 1, why),
    "delete": lambda rt, _run, why: authoring.delete(rt, ALICE, "ours", reason=why),
    "rollback": lambda rt, _run, why: version_approval.rollback(rt, ALICE, "strict", None, why),
}


def _ended(rt: Runtime, run: str) -> str:
    if not executions.find(rt, run).status.ended:
        controls.cancel(replace(rt, settings=replace(rt.settings, reason_pattern=None)), CAROL, run, force=True)
    return run


@pytest.fixture
def run(harness: Harness) -> str:
    made = harness.begin(gate("ask"), http("call"), slug="strict")
    authoring.create(harness.rt, ALICE, runbook("ours", http("call")))
    harness.advance(made)
    return made


@pytest.fixture
def strict(harness: Harness, run: str) -> Runtime:
    assert run
    hint = "the change's number, as in CHG-1234"
    return replace(
        harness.rt, settings=replace(harness.rt.settings, reason_pattern=r"\bCHG-[0-9]+\b", reason_hint=hint)
    )


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("why", [BAD, "", "CHG-", "chg-12"])
def test_nothing_is_done_without_the_reason_that_is_wanted(strict: Runtime, run: str, act: str, why: str) -> None:
    """It is asked before anything else of the act is looked at, and the refusal says what is expected."""
    if act == "replay":
        _ended(strict, run)
    with pytest.raises(ReasonRequired) as refused:
        ACTS[act](strict, run, why)
    assert (act in ("skip", "resolve", "reject") and not why) or "the change's number" in str(refused.value)


@pytest.mark.parametrize(
    "act", ["pause", "cancel", "end", "handover", "approve", "reject", "replay", "deprecate", "delete"]
)
def test_with_it_the_act_is_done_and_its_audit_row_has_it(strict: Runtime, run: str, act: str) -> None:
    """As it was said."""
    ACTS[act](strict, run, GOOD)
    with database.reading():
        details = [row.detail for row in audit.recent(strict.workspace_id, 5)]
    assert any(GOOD in (detail or {}).values() for detail in details)


def test_who_may_not_is_told_that_first(strict: Runtime, run: str) -> None:
    """A reason is no way to learn what a pattern is, and none to get in."""
    with pytest.raises(NotAllowed):
        controls.cancel(strict, Actor("U0GUEST01", standing="guest"), run, BAD)


def test_without_the_setting_nothing_changes(harness: Harness, run: str) -> None:
    """No reason is needed where none was."""
    assert controls.pause(harness.rt, CAROL, run).status == "PAUSED"
    assert controls.resume(harness.rt, CAROL, run, "").status != "PAUSED"


def test_what_a_run_starts_needs_no_reason_of_its_own(harness: Harness, strict: Runtime) -> None:
    """The run that starts it has said why."""
    harness.publish(runbook("child", http("a")))
    harness.publish(runbook("parent", {"id": "go", "type": "runbook", "with": {"id": "child"}}))
    wanted = Wanted("parent", {}, trigger="test", reason=GOOD)
    made = executions.request(strict, CAROL, wanted).execution.id
    harness.rt = strict
    harness.runner = harness.worker("w2")
    harness.advance(made)
    assert executions.view(strict, made).steps[0].child
