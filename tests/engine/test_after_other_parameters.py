"""A retry with other parameters: what was done for the old ones leads past no gate, nor does it go on unseen."""

from __future__ import annotations

from typing import Any

import pytest
from harness import CAROL, MINUTE, Harness, Target, gate, http, runbook
from local_server import answer
from test_behind_gates import BROKEN, FINE, WHAT, approve, open_gates
from test_containers_and_cleanup import branch, loop

from engine.errors import Conflict
from engine.orchestration import children
from engine.orchestration.admission import Wanted
from engine.runs import controls, executions, replay_run

SAFE, PROD = (
    answer(told, "200 OK", "Content-Type: application/json") for told in (b'{"prod":false}', b'{"prod":true}')
)
HOST = {"type": "object", "properties": {"host": {"type": "string"}}}
RISKY = "steps.look.outputs.json.prod"


def look(target: Target, **keys: Any) -> dict[str, Any]:
    """Says whether a host is one of prod."""
    target.does |= {"/look/test1": [SAFE], "/look/prod1": [PROD]}
    return http("look", target.url("/look/{{ params.host }}"), **keys)


def drain(target: Target) -> dict[str, Any]:
    """Fails for a host of test, once."""
    target.does["/drain/test1"] = [BROKEN, FINE]
    return http("drain", target.url("/drain/{{ params.host }}"), method="PUT")


def wipe(target: Target) -> dict[str, Any]:
    """The effect that must not happen without its gate."""
    return http("wipe", target.url("/wipe/{{ params.host }}"), method="PUT")


def wiped(target: Target) -> list[str]:
    return [path for path in target.paths() if path.startswith("/wipe")]


def retried(harness: Harness, *steps_: dict[str, Any], slug: str = "demo") -> str:
    """A run that fails for a host of test, and is retried with one of prod."""
    harness.publish(runbook(slug, *steps_, parameters=HOST))
    run = harness.start(slug, host="test1")
    harness.run(run, 1)
    harness.sweep()
    assert harness.run(run, 1) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "drain", {"host": "prod1"})
    harness.run(run, 1)
    return run


@pytest.mark.parametrize(
    "how", ["read", "made of it", "made of it later", "in a branch", "skipped", "tolerated", "child"]
)
def test_a_gate_is_asked_where_what_was_done_for_the_old_ones_says_no(
    harness: Harness, target: Target, how: str
) -> None:
    first: list[dict[str, Any]] = [look(target)]
    risky = RISKY
    later: list[dict[str, Any]] = []
    if how.startswith("made of it"):
        said = {"id": "say", "type": "message", "with": {"text": "{{ " + RISKY + " }}"}}
        (later if how == "made of it later" else first).append(said)
        risky = "steps.say.outputs.text == 'True'"
    elif how == "in a branch":
        first = [branch("held", "true", first)]
        risky = "steps.held.outputs.steps.look.outputs.json.prod | default(false)"
    elif how == "skipped":
        first = [look(target, if_="params.host == 'prod1'")]
        risky = f"{RISKY} | default(false)"
    elif how == "tolerated":
        first = [look(target, continue_on_error=True)]
        target.does["/look/test1"] = [BROKEN]
        risky = f"{RISKY} | default(false)"
    elif how == "child":
        told = {"prod": "{{ " + RISKY + " }}"}
        harness.publish(runbook("child", *first, outputs=told, parameters=HOST))
        first = [{"id": "sub", "type": "runbook", "with": {"id": "child", "params": {"host": "{{ params.host }}"}}}]
        risky = "steps.sub.outputs.outputs.prod"
    run = retried(harness, *first, drain(target), *later, gate("ok", if_=risky), wipe(target))
    assert (open_gates(harness, run), wiped(target)) == (["ok"], [])


@pytest.mark.parametrize("how", ["branch", "loop", "while", "condition"])
def test_a_branch_or_loop_of_gates_fails_where_it_would_go_by_that(harness: Harness, target: Target, how: str) -> None:
    """Replayed from the look it asks."""
    way = {
        "branch": branch("way", RISKY, [gate("ok")]),
        "loop": loop("way", gate("ok"), items="{{ [1] if " + RISKY + " else [] }}"),
        "while": loop("way", gate("ok"), while_=f"index < 1 and {RISKY}"),
        "condition": {**branch("way", "true", [gate("ok")]), "if": RISKY},
    }[how]
    run = retried(harness, look(target), drain(target), way, wipe(target))
    assert (harness.status(run), harness.execution(run).error["code"], wiped(target)) == ("FAILED", "by_hand", [])
    again = replay_run.replay(harness.rt, CAROL, run, start_from="look", reason="look once more").id
    assert (harness.run(again), wiped(target)) == ("WAITING", [])


def test_a_childs_gate_is_asked_where_what_was_done_for_the_old_ones_gave_it_values(
    harness: Harness, target: Target
) -> None:
    told = {"type": "object", "properties": {"host": {"type": "string"}, "prod": {"type": "boolean"}}}
    harness.publish(runbook("child", gate("ok", if_="params.prod"), wipe(target), parameters=told))
    params = {"host": "{{ params.host }}", "prod": "{{ " + RISKY + " }}"}
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": params}}
    run = retried(harness, look(target), drain(target), sub)
    started = harness.step(run, "sub").child
    assert started is not None
    harness.run(started)
    assert (open_gates(harness, started), wiped(target)) == (["ok"], [])


def test_what_a_child_that_is_asked_again_took_over_leads_past_no_gate(harness: Harness, target: Target) -> None:
    """Its outputs come from what its first one did for the old parameters."""
    told = {"prod": "{{ " + RISKY + " }}"}
    harness.publish(runbook("child", gate("first"), look(target), outputs=told, parameters=HOST))
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": {"host": "{{ params.host }}"}}}
    gated = gate("ok", if_="steps.sub.outputs.outputs.prod")
    harness.publish(runbook("demo", sub, drain(target), gated, wipe(target), parameters=HOST))
    run = harness.start("demo", host="test1")
    let_on(harness, run)
    assert harness.status(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "drain", {"host": "prod1"})
    let_on(harness, run)
    assert (open_gates(harness, run), wiped(target)) == (["ok"], [])


def let_on(harness: Harness, run: str) -> None:
    """Approve the gate of the child that a run waits for, and go on."""
    harness.run(run, 1)
    started = harness.step(run, "sub").child
    assert started is not None
    harness.run(started, 1)
    approve(harness, started)
    harness.run(started, 1)
    harness.run(run, 1)


def test_a_gate_in_cleanup_is_asked_too(harness: Harness, target: Target) -> None:
    target.does["/drain/prod1"] = [BROKEN]
    harness.publish(
        runbook(
            "demo", look(target), drain(target), parameters=HOST, **{"finally": [gate("ok", if_=RISKY), wipe(target)]}
        )
    )
    run = harness.start("demo", host="test1")
    assert (harness.run(run), wiped(target)) == ("FAILED", ["/wipe/test1"])
    controls.retry(harness.rt, CAROL, run, "drain", {"host": "prod1"})
    harness.run(run, 1)
    assert (open_gates(harness, run), wiped(target)) == (["ok"], ["/wipe/test1"])


def test_a_replay_at_a_newer_version_goes_past_no_gate_by_what_the_older_one_did(
    harness: Harness, target: Target
) -> None:
    """The look was found to ask the wrong thing, and asks another by now."""
    wrong = http("look", target.url("/look/test1"))
    target.does["/look/test1"] = [SAFE]
    rest = (gate("ok", if_=RISKY), wipe(target))
    harness.publish(runbook("demo", wrong, *rest, parameters=HOST))
    run = harness.start("demo", host="prod1")
    assert (harness.run(run), wiped(target)) == ("SUCCESS", ["/wipe/prod1"])
    harness.publish(runbook("demo", look(target), *rest, parameters=HOST))
    again = replay_run.replay(harness.rt, CAROL, run, start_from="ok", latest=True, reason="at the new one").id
    harness.run(again)
    assert (open_gates(harness, again), wiped(target)) == (["ok"], ["/wipe/prod1"])


def test_what_was_done_again_for_the_new_ones_leads_past_a_gate(harness: Harness, target: Target) -> None:
    """The look failed and is what is retried; what reads no parameters and came after it is as fresh."""
    target.does |= {"/look/prod1": [BROKEN], "/look/test1": [SAFE]}
    found = http("look", target.url("/look/{{ params.host }}"))
    said = {"id": "say", "type": "message", "with": {"text": "{{ " + RISKY + " }}"}}
    held = branch("way", "steps.say.outputs.text == 'True'", [gate("in")])
    harness.publish(runbook("demo", found, said, gate("ok", if_=RISKY), held, wipe(target), parameters=HOST))
    run = harness.start("demo", host="prod1")
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "look", {"host": "test1"})
    assert (harness.run(run), wiped(target)) == ("SUCCESS", ["/wipe/test1"])


def test_a_replay_remembers_for_which_parameters_something_was_done(harness: Harness, target: Target) -> None:
    run = retried(harness, look(target), drain(target), gate("ok", if_=RISKY), wipe(target))
    controls.cancel(harness.rt, CAROL, run, "then otherwise")
    harness.run(run)
    again = replay_run.replay(harness.rt, CAROL, run, start_from="ok", reason="the same once more").id
    harness.run(again)
    assert (open_gates(harness, again), wiped(target)) == (["ok"], [])
    controls.cancel(harness.rt, CAROL, again, "and once more")
    third = replay_run.replay(harness.rt, CAROL, again, start_from="ok", reason="and once more").id
    harness.run(third)
    assert (open_gates(harness, third), wiped(target)) == (["ok"], [])


@pytest.mark.parametrize("how", ["loop", "branch", "inner", "no gate"])
def test_a_branch_or_loop_that_would_go_another_way_does_not_go_on(harness: Harness, target: Target, how: str) -> None:
    """The gate that is asked again shows that other way; the retry is refused."""
    given = {"type": "object", "properties": {"hosts": {"type": "array", "items": {"type": "string"}}}}
    target.does["/do/prod1"] = [BROKEN]
    do = http("do", target.url("/do/{{ item }}"), method="PUT")
    each = loop("work", do, items="{{ params.hosts }}")
    work = each
    if how == "branch":
        hard = http("do", target.url("/do/{{ params.hosts[0] }}"), method="PUT")
        work = branch("work", "'test1' in params.hosts", [http("soft", target.url("/soft"))], [hard])
    elif how == "inner":
        work = branch("held", "true", [each])
    harness.publish(runbook("demo", *([] if how == "no gate" else [gate("ok")]), work, parameters=given))
    run = harness.start("demo", hosts=["prod1", "prod2"])
    harness.run(run, 1)
    if how != "no gate":
        approve(harness, run)
    assert harness.run(run) == "FAILED"
    path = {"branch": "work.do", "inner": "held.work[0].do"}.get(how, "work[0].do")
    with pytest.raises(Conflict, match=r"is in (held\.)?work, which would go another way"):
        controls.retry(harness.rt, CAROL, run, path, {"hosts": ["test1"]})
    assert (harness.status(run), harness.execution(run).revision) == ("FAILED", 0)


def test_a_loop_that_goes_the_same_way_goes_on(harness: Harness, target: Target) -> None:
    target.does["/do/old/b"] = [BROKEN]
    do = http("do", target.url("/do/{{ params.what }}/{{ item }}"), method="PUT")
    harness.publish(runbook("demo", gate("ok"), loop("work", do, items=["a", "b"]), parameters=WHAT))
    run = harness.start("demo", what="old")
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "work[1].do", {"what": "new"})
    assert (harness.run(run), open_gates(harness, run)) == ("WAITING", ["ok"])
    approve(harness, run)
    assert (harness.run(run), target.paths()) == ("SUCCESS", ["/do/old/a", "/do/old/b", "/do/new/b"])


def test_a_delay_that_was_under_way_takes_its_new_time(harness: Harness, target: Target) -> None:
    minutes = {"type": "object", "properties": {"minutes": {"type": "integer"}}}
    target.does["/canary"] = [BROKEN, FINE]
    soak = {"id": "soak", "type": "delay", "with": {"for": "{{ params.minutes }}m"}, "needs": ["ok"]}
    canary = http("canary", target.url("/canary"), method="PUT", needs=["ok"])
    harness.publish(runbook("demo", gate("ok"), soak, canary, parameters=minutes))
    run = harness.start("demo", minutes=1)
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "canary", {"minutes": 30})
    harness.run(run)
    approve(harness, run)
    began = harness.clock.time
    assert (harness.run(run), harness.clock.time - began) == ("SUCCESS", 30 * MINUTE)
    assert harness.step(run, "soak").outputs == {"waited": "30m"}


@pytest.mark.parametrize("swept", ["by the retry", "by its claim"])
def test_a_child_that_was_under_way_is_begun_anew(
    harness: Harness, target: Target, swept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker sweeps between the failure and the second approval; the process of the retry may die after it."""
    target.does["/canary"] = [BROKEN, FINE]
    soak = {"id": "soak", "type": "delay", "with": {"for": "30s"}}
    act = http("act", target.url("/act/{{ params.what }}"), method="PUT")
    harness.publish(runbook("child", soak, act, parameters=WHAT))
    with_ = {"id": "child", "params": {"what": "{{ params.what }}"}}
    sub = {"id": "sub", "type": "runbook", "with": with_, "needs": ["ok"]}
    harness.publish(
        runbook("demo", gate("ok"), sub, http("canary", target.url("/canary"), needs=["ok"]), parameters=WHAT)
    )
    run = harness.start("demo", what="a")
    harness.advance(run)
    approve(harness, run)
    harness.advance(run)
    old = harness.step(run, "sub").child
    assert old is not None
    harness.advance(old)
    assert harness.status(run) == "FAILED"
    with monkeypatch.context() as dead:
        if swept == "by its claim":
            dead.setattr(children, "cancel_orphans", lambda *_: None)
        controls.retry(harness.rt, CAROL, run, "canary", {"what": "b"})
    harness.advance(run)
    approve(harness, run)
    harness.clock.tick(MINUTE)
    harness.beat()
    harness.advance(old)
    assert (harness.status(old), "/act/a" in target.paths()) == ("CANCELLED", False)
    harness.advance(run)
    new = harness.step(run, "sub").child
    assert new not in (None, old)
    harness.run(str(new))
    assert (harness.run(run), [path for path in target.paths() if "act" in path]) == ("SUCCESS", ["/act/b"])


def test_a_run_is_the_same_as_one_with_its_new_parameters(harness: Harness, target: Target) -> None:
    """What it did before for the old ones keeps it from being taken for one that did all of this lately."""
    soak = {"id": "soak", "type": "delay", "with": {"for": "30s"}}
    harness.publish(runbook("demo", look(target), drain(target), soak, parameters=HOST))
    first, other = (Wanted("demo", {"host": host}, trigger="test") for host in ("test1", "prod1"))
    run = executions.request(harness.rt, CAROL, first).execution.id
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "drain", {"host": "prod1"})
    harness.advance(run)
    found = executions.request(harness.rt, CAROL, other)
    assert (found.how, found.execution.id) == ("open", run)
    assert harness.run(run) == "SUCCESS"
    for wanted in (first, other):
        assert executions.request(harness.rt, CAROL, wanted, reuse_within_ms=600_000).how == "started"


def test_a_run_that_did_all_for_its_new_parameters_is_reused(harness: Harness, target: Target) -> None:
    harness.publish(runbook("demo", drain(target), parameters=HOST))
    first, other = (Wanted("demo", {"host": host}, trigger="test") for host in ("test1", "prod1"))
    run = executions.request(harness.rt, CAROL, first).execution.id
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "drain", {"host": "prod1"})
    assert harness.run(run) == "SUCCESS"
    found = executions.request(harness.rt, CAROL, other, reuse_within_ms=600_000)
    assert (found.how, found.execution.id) == ("reused", run)
    assert executions.request(harness.rt, CAROL, first, reuse_within_ms=600_000).how == "started"
