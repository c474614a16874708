"""What a run that has succeeded brings: its runbook's `outputs`, else what its last steps brought."""

from __future__ import annotations

from typing import Any

from harness import ALICE, Harness, Target, gate, http, runbook
from local_server import answer
from test_containers_and_cleanup import branch

from engine.runs import voting
from storage.states import Decision

TAG = answer(b'{"tag":"v7","notes":["a","b"]}', "200 OK", "Content-Type: application/json")
BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")
OUTPUTS: dict[str, Any] = {
    "tag": "{{ steps.look.outputs.json.tag }}",
    "notes": "{{ steps.look.outputs.json.notes }}",
    "said": "{{ params.service }} is at {{ steps.look.outputs.json.tag }}",
    "skipped": "{{ steps.never.outputs.status | default('not run') }}",
    "fixed": 7,
}
FOUND = {"tag": "v7", "notes": ["a", "b"], "said": "api is at v7", "skipped": "not run", "fixed": 7}
SERVICE = {"type": "object", "properties": {"service": {"type": "string", "default": "api"}}}


def looking(target: Target, slug: str) -> str:
    target.does["/look"] = [TAG]
    never = http("never", target.url("/never"), if_="params.service == 'web'")
    return runbook(slug, http("look", target.url("/look")), never, outputs=OUTPUTS, parameters=SERVICE)


def test_the_outputs_of_a_runbook_are_its_result(harness: Harness, target: Target) -> None:
    """Each rendered as what it is: text, a list, a number."""
    harness.publish(looking(target, "demo"))
    run = harness.start("demo")
    assert harness.run(run) == "SUCCESS"
    assert harness.execution(run).result == FOUND


def test_a_parent_reads_the_outputs_of_its_child(harness: Harness, target: Target) -> None:
    """As `outputs` of the step, beside which run that was; in templates with the types that they have."""
    harness.publish(looking(target, "child"))
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child"}}
    first = "{{ steps.sub.outputs.outputs.notes[0] }}"
    run = harness.begin(
        sub, http("after", target.url(f"/{first}/{{{{ steps.sub.outputs.outputs.tag }}}}")),
        outputs={"all": "{{ steps.sub.outputs.outputs }}"},
    )  # fmt: skip
    harness.advance(run)
    child = str(harness.step(run, "sub").child)
    assert harness.run(child) == "SUCCESS"
    assert harness.run(run) == "SUCCESS"
    assert harness.step(run, "sub").outputs == {"execution": child, "status": "SUCCESS", "outputs": FOUND}
    assert target.paths()[-1] == "/a/v7"
    assert harness.execution(run).result == {"all": FOUND}


def test_a_runbook_without_outputs_brings_what_its_last_steps_brought(harness: Harness, target: Target) -> None:
    """Those that nothing else needs; steps without any are left out."""
    run = harness.begin(
        http("a", target.url("/a")), http("b", target.url("/b")), http("c", target.url("/c"), needs=["a"]),
        http("d", target.url("/d"), needs=["a"], if_="1 == 2"),
    )  # fmt: skip
    assert harness.run(run) == "SUCCESS"
    found = harness.execution(run).result
    assert found == {path: harness.step(run, path).outputs for path in ("b", "c")}
    assert found["b"]["status"] == 200


def test_outputs_of_what_may_not_have_run_say_so(harness: Harness, target: Target) -> None:
    """A run that succeeded stays a success where its outputs cannot be worked out; the result says why."""
    run = harness.begin(
        branch("way", "false", [http("in", target.url("/in"))]), http("b", target.url("/b")),
        outputs={"status": "{{ steps.b.outputs.json.nothing.deeper }}"},
    )  # fmt: skip
    assert harness.run(run) == "SUCCESS"
    assert list(harness.execution(run).result) == ["error"]
    assert harness.execution(run).result["error"].startswith("The outputs cannot be kept: ")


def test_only_a_success_has_a_result(harness: Harness, target: Target) -> None:
    """A run that waits has none yet, nor one that failed; its parent sees that it has none."""
    target.does["/bad"] = [BROKEN]
    harness.publish(runbook("child", gate("ask"), http("bad", target.url("/bad")), outputs={"x": 1}))
    run = harness.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}}, outputs={"y": 2})
    harness.advance(run)
    child = str(harness.step(run, "sub").child)
    harness.advance(child)
    assert (harness.status(child), harness.execution(child).result) == ("WAITING", None)
    voting.vote(harness.rt, ALICE, child, None, Decision.APPROVE)
    assert harness.run(child) == "FAILED"
    assert harness.run(run) == "FAILED"
    assert (harness.execution(child).result, harness.execution(run).result) == (None, None)
    assert harness.step(run, "sub").outputs == {"execution": child, "status": "FAILED", "outputs": None}
    assert harness.step(run, "sub").error["code"] == "child_failed"
