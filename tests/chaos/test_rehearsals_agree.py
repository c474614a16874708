"""A rehearsal and a real run of the same runbook, against a server that notes its calls, come to the same.

So does the rehearsal that is made of the real run's evidence.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from anyrunbook import runbooks
from harness import ALICE, CAROL, DAVE, HOUR, Harness, Target, answer, hang_up, http, runbook
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.cli.rehearse import as_yaml
from engine.catalog import catalog, rehearsing
from engine.catalog.rehearsing import _Task
from engine.definition.load import load
from engine.queries import evidence
from engine.rehearsal import observed
from engine.rehearsal.record import record
from engine.runs import controls, executions, incoming_events, manual_tasks, voting
from storage import database, moments
from storage import executions as runs
from storage.records import StepRunRecord
from storage.states import Decision, StepStatus, VersionStatus

PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer", "default": 0}}}
START = "2027-01-15T08:00:00Z"
STUBS = ({"status": 200, "json": {"ok": True}}, {"status": 500}, {"status": 404}, {"error": "connection_lost"})
LIKELY = st.sampled_from((STUBS[0], STUBS[0], STUBS[0], *STUBS))
ONLY = STUBS[0]
Plan = dict[str, Any]


def leaves(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every step that holds no others, with what undoes it."""
    found = []
    for step in items:
        inner = [each for block in ("then", "else", "steps") for each in step["with"].get(block, ())]
        found += leaves(inner) if inner else [step]
        if "undo" in step:
            found.append({**step["undo"], "id": f"{step['id']}.undo"})
            step["undo"] = found[-1] | {}
            del step["undo"]["id"]
    return found


@st.composite
def plans(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, list[Plan]], dict[str, Plan]]:
    """A runbook, what each of its calls is answered with, and what people and events answer."""
    body = draw(runbooks())
    stubs, answers = dict[str, list[Plan]](), dict[str, Plan]()
    for step in leaves([*body["steps"], *body.get("on_failure", []), *body.get("finally", [])]):
        if step["type"] == "http":
            stubs[step["id"]] = draw(st.lists(LIKELY, min_size=1, max_size=2))
            answers[step["id"]] = {"resolve": draw(st.sampled_from(["done", "failed"]))}
        elif step["type"] == "approval":
            approve: Plan = {"approve": ["U0ALICE01", "U0DAVE001"][: step["with"].get("min_approvals", 1)]}
            approve |= {"answers": {"slot": 3}} if "form" in step["with"] else {}
            answers[step["id"]] = draw(st.sampled_from([approve, approve, {"reject": "U0DAVE001"}, {"expire": True}]))
        elif step["type"] == "manual":
            done = {"done": "U0CAROL01", **({"answers": {"slot": 3}} if "form" in step["with"] else {})}
            could_not = {"could_not": "U0CAROL01", "note": "No spare part"}
            answers[step["id"]] = draw(st.sampled_from([done, {**done, "note": "In"}, could_not, {"expire": True}]))
        elif step["type"] == "wait":
            answers[step["id"]] = draw(st.sampled_from([{"event": {"n": 1}}, {"expire": True}]))
    return body, stubs, answers


def addressed(items: Any, target: Target) -> Any:
    """The steps, each of whose calls goes to a path of its own."""
    if isinstance(items, list):
        return [addressed(each, target) for each in items]
    if not isinstance(items, dict):
        return items
    found = {key: addressed(value, target) for key, value in items.items()}
    for step, name in ((found, found.get("id")), (found.get("undo"), f"{found.get('id')}.undo")):
        if isinstance(step, dict) and step.get("type") == "http":
            step["with"] = {**step["with"], "url": target.url(f"/{name}")}
    return found


def behaviour(stub: Plan) -> Any:
    if "error" in stub:
        return hang_up
    return answer(json.dumps(stub.get("json", {})).encode(), f"{stub['status']} Said", "Content-Type: application/json")


def publish(harness: Harness, texts: tuple[str, str]) -> None:
    """Example after example: one may be what the one before was."""
    harness.know_groups()
    assert harness.sync(any=texts[0], child=texts[1]).ok
    for slug in ("any", "child"):
        if catalog.version(harness.rt, slug).status is VersionStatus.DRAFT:
            harness.approve(slug)


def drive(harness: Harness, run_id: str, answers: dict[str, Plan]) -> None:
    """The run to its end: what is ready, then what is asked, then time."""
    given: set[str] = set()
    until = harness.clock.time + 200 * HOUR
    harness.advance(run_id)
    while not harness.status(run_id).ended:
        assert harness.clock.time < until
        harness.know_groups()
        if give_one(harness, run_id, answers, given):
            continue
        before = happened(run_id)
        harness.sweep()
        if happened(run_id) == before and not harness.status(run_id).ended:
            with database.reading():
                following = moments.next_moment(harness.clock.time)
            assert following is not None, harness.all_steps(run_id)
            harness.clock.time = following


def happened(run_id: str) -> dict[str, tuple[int, bool]]:
    """How far the run and those that it has started have come."""
    with database.reading():
        return runs.heads(runs.family(run_id))


def give_one(harness: Harness, run_id: str, answers: dict[str, Plan], given: set[str]) -> bool:
    for step in harness.step_runs(run_id):
        asks = step.status is StepStatus.UNKNOWN or (step.status is StepStatus.WAITING and step.step_id in answers)
        mark = f"{step.path} {step.status} {step.attempts}"
        if not asks or mark in given:
            continue
        said = answers[step.step_id]
        if "expire" in said:
            given.add(mark)
            continue
        give(harness, step, said, len(given))
        given.update({mark} if "event" not in said else {f"event {len(given)}"})
        return True
    return False


def give(harness: Harness, step: StepRunRecord, said: Plan, number: int) -> None:
    if "resolve" in said:
        controls.resolve(harness.rt, ALICE, step.execution_id, step.path, said["resolve"], "So it was")
    elif "event" in said:
        incoming_events.deliver(harness.rt, "k", f"{step.execution_id} {number}", "tests", said["event"])
    elif "reject" in said:
        voting.vote(harness.rt, DAVE, step.execution_id, step.path, Decision.REJECT, "No")
    elif "done" in said:
        note, answers = said.get("note", ""), said.get("answers")
        manual_tasks.done(harness.rt, CAROL, step.execution_id, step.path, note, answers)
    elif "could_not" in said:
        manual_tasks.could_not(harness.rt, CAROL, step.execution_id, step.path, said["note"])
    else:
        for who in (ALICE, DAVE)[: len(said["approve"])]:
            answers = said.get("answers")
            voting.vote(harness.rt, who, step.execution_id, step.path, Decision.APPROVE, answers=answers)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_rehearsal_tells_what_a_real_run_does(harness: Harness, target: Target) -> None:
    """The same path, the same calls and the same end, for any runbook, any answers of servers and of people."""

    _agree(harness, target, examples=10)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_rehearsal_tells_what_a_real_run_does_for_longer(harness: Harness, target: Target) -> None:
    _agree(harness, target, examples=100)


def _agree(harness: Harness, target: Target, examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
        phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(plans())
    def agree(plan: tuple[dict[str, Any], dict[str, list[Plan]], dict[str, Plan]]) -> None:
        body, stubs, answers = plan
        texts = _texts(body, target)
        target.does = {
            f"/{name}": [behaviour(each) for each in said] for name, said in {**stubs, "only": [ONLY]}.items()
        }
        publish(harness, texts)
        target.hits.clear()
        random.seed(0)  # by which a rehearsal draws the pauses before retries
        run_id = harness.start("any", CAROL)
        drive(harness, run_id, answers)
        cases = [_case(stubs, answers, _expected(harness, target, run_id)), _recorded(harness, run_id)]
        for result in _rehearsed(texts, cases):
            assert result["passed"], [*result["problems"], *result["cases"]]

    agree()


def _texts(body: dict[str, Any], target: Target) -> tuple[str, str]:
    parts = {key: addressed(value, target) for key, value in body.items()}
    own = json.loads(runbook("any", **{**parts, "steps": None}, parameters=PARAMETERS))
    return json.dumps({**own, "steps": parts["steps"]}), runbook(
        "child", http("only", target.url("/only"), method="POST")
    )


def _expected(harness: Harness, target: Target, run_id: str) -> dict[str, Any]:
    with database.reading():
        path, messages = observed.told(run_id)
    calls = [{"method": method, "url": target.url(where)} for method, where, _ in target.hits]
    said = {"outcome": str(executions.find(harness.rt, run_id).status), "calls": calls, "messages": messages}
    return {**said, "path": [{step: how} for step, how in path]}


def _case(stubs: dict[str, Any], answers: dict[str, Any], expect: Plan) -> str:
    """What was planned, and what the server and the tables say."""
    case = {"name": "the real run", "started_by": "U0CAROL01", "at": START, "answers": answers, "expect": expect}
    return json.dumps({"cases": [{**case, "stubs": {**stubs, "POST */only": ONLY}}]})


def _recorded(harness: Harness, run_id: str) -> str:
    """What `runbook rehearse --from` writes of it."""

    def of(each: str) -> Any:
        return evidence.bundle(harness.rt, ALICE, each)

    made, notes = record(of(run_id), of)
    assert notes == []
    return as_yaml(made)


def _rehearsed(texts: tuple[str, str], cases: list[str]) -> list[dict[str, Any]]:
    known = {each.id: each for each in (load(text.encode(), "any.yaml") for text in texts)}
    return rehearsing._play([_Task("any.rehearsal.yaml", known["any"], case, "", "") for case in cases], known)
