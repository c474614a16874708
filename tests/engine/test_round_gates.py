"""Ways round a gate by way of what decides whether it is asked: outputs, drafts of other runbooks, a person's word."""

from __future__ import annotations

from typing import Any

import pytest
from harness import CAROL, DAVE, MINUTE, Harness, Target, gate, hang_up, http, runbook
from local_server import answer
from test_behind_gates import BROKEN, FINE, SUB, VALUE, WHAT, act, acted, approve, child, open_gates
from test_containers_and_cleanup import branch, loop

from engine.errors import Conflict
from engine.runs import controls, executions, replay_run, skipping, voting
from storage.states import Decision

RISKY = "steps.risk.outputs.json.risky | default(false)"


def risk_of(target: Target) -> None:
    """`/risk` says that dropping is risky, and nothing else is; `/look` fails once."""

    def behave(connection: Any, request: bytes) -> None:
        risky = b"drop" in request.split(b"\r\n")[0]
        told = b'{"risky":true}' if risky else b'{"risky":false}'
        answer(told, "200 OK", "Content-Type: application/json")(connection, request)

    target.does |= {"/risk": [behave], "/look": [BROKEN, FINE]}


@pytest.mark.parametrize("held", ["gate", "branch", "loop", "while", "said"])
def test_other_parameters_take_no_way_that_was_chosen_by_outputs_for_the_old_ones(
    harness: Harness, target: Target, held: str
) -> None:
    """A gate is asked; where a branch or loop went by them the retry is refused."""
    risk_of(target)
    risk = http("risk", target.url("/risk?what={{ params.what }}"))
    said = {"id": "risk", "type": "message", "with": {"text": "{{ params.what }}"}}
    going = f"index < 1 and ({RISKY})"
    items = "{{ ['x'] if steps.risk.outputs.json.risky else [] }}"
    first, holder = {
        "gate": (risk, gate("ok", if_=RISKY)),
        "branch": (risk, branch("ok", RISKY, [gate("in")])),
        "loop": (risk, loop("ok", gate("in"), items=items)),
        "while": (risk, {"id": "ok", "type": "loop", "with": {"while": going, "steps": [gate("in")]}}),
        "said": (said, gate("ok", if_="steps.risk.outputs.text == 'drop'")),
    }[held]
    run = harness.begin(first, holder, http("look", target.url("/look")), act(target, VALUE), parameters=WHAT)
    assert harness.run(run) == "FAILED"
    if holder["type"] != "approval":
        with pytest.raises(Conflict, match="another way at ok"):
            controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
        return
    controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
    assert (harness.run(run), open_gates(harness, run), acted(target)) == ("WAITING", ["ok"], [])
    approve(harness, run)
    assert (harness.run(run), acted(target)) == ("SUCCESS", ["/act/drop"])


def test_a_child_that_is_asked_again_for_other_parameters_asks_what_it_went_past(
    harness: Harness, target: Target
) -> None:
    """It takes its old outputs over, which were for the old ones."""
    risk_of(target)
    risk = http("risk", target.url("/risk?what={{ params.what }}"))
    harness.publish(runbook("child", risk, gate("first"), gate("ok", if_=RISKY), parameters=WHAT))
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": {"what": VALUE}}}
    run = harness.begin(sub, http("look", target.url("/look")), act(target, VALUE), parameters=WHAT)
    approve(harness, child(harness, run))
    harness.run(child(harness, run))
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
    again = child(harness, run)
    approve(harness, again)
    harness.advance(again)
    assert (open_gates(harness, again), acted(target)) == (["ok"], [])
    approve(harness, again)
    harness.run(again)
    assert (harness.run(run), acted(target)) == ("SUCCESS", ["/act/drop"])


@pytest.mark.parametrize("keep", [True, False])
def test_a_draft_takes_no_gate_away_from_a_runbook_step(harness: Harness, target: Target, keep: bool) -> None:
    """Nobody has approved it; nor is a step skipped whose runbook has nothing approved."""
    if keep:
        harness.settle_for(on_edit="keep")
    harness.publish(runbook("child", gate("ok")))
    run = harness.begin({"id": "cool", "type": "delay", "with": {"for": "40s"}}, SUB, act(target))
    harness.sync(child=runbook("child", http("last", target.url("/last"))))
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(harness.rt, CAROL, run, "sub", "not needed")
    harness.run(run, 5 * MINUTE)
    assert acted(target) == []
    if not keep:
        assert harness.step(run, "sub").error["code"] == "not_approved"
        with pytest.raises(Conflict, match="holds a gate"):
            skipping.skip(harness.rt, CAROL, run, "sub", "it cannot start")


def test_a_start_that_is_refused_is_put_up_with_only_where_no_approved_version_has_a_gate(
    harness: Harness, target: Target
) -> None:
    """Whatever a draft says."""
    harness.settle_for(on_edit="keep")
    group = {"group": "g", "limit": 1, "on_conflict": "reject"}
    harness.publish(runbook("child", gate("ok"), concurrency=group))
    harness.advance(harness.start("child"))
    harness.sync(child=runbook("child", http("last", target.url("/last"))))
    run = harness.begin({**SUB, "continue_on_error": True}, act(target))
    assert (harness.run(run), acted(target)) == ("FAILED", [])


def test_what_decides_whether_a_gate_is_asked_is_not_skipped(harness: Harness, target: Target) -> None:
    """Not by way of another step that reads it either."""
    cool = {"id": "cool", "type": "delay", "with": {"for": "40s"}}
    said = {"id": "said", "type": "message", "with": {"text": "{{ steps.risk.outputs.json.risky }}"}}
    holder = branch("way", "steps.said.outputs.text == 'True'", [gate("ok")])
    run = harness.begin(cool, http("risk", target.url("/risk")), said, holder, act(target))
    harness.advance(run)
    for path in ("risk", "said"):
        with pytest.raises(Conflict, match="decides whether way is asked"):
            skipping.skip(harness.rt, CAROL, run, path, "no need")


@pytest.mark.parametrize("choice", ["done", "failed"])
@pytest.mark.parametrize("kind", ["gate", "branch"])
def test_nobody_goes_past_a_gate_by_settling_what_its_condition_reads(
    harness: Harness, target: Target, choice: str, kind: str
) -> None:
    """The gate is asked; a branch that would go by it fails."""
    target.does["/risk"] = [hang_up]
    risk = {**http("risk", target.url("/risk"), method="POST"), "continue_on_error": True}
    holder = gate("ok", if_=RISKY) if kind == "gate" else branch("ok", RISKY, [gate("in")])
    run = harness.begin(risk, holder, act(target))
    assert harness.run(run) == "WAITING"
    controls.resolve(harness.rt, CAROL, run, "risk", choice, "I looked.")
    if kind == "branch":
        assert (harness.run(run), harness.step(run, "ok").error["code"], acted(target)) == ("FAILED", "by_hand", [])
        return
    assert (harness.run(run), open_gates(harness, run), acted(target)) == ("WAITING", ["ok"], [])
    approve(harness, run)
    assert harness.run(run) == "SUCCESS"


@pytest.mark.parametrize("phase", ["on_failure", "finally"])
@pytest.mark.parametrize("how", ["rejected", "expired", "cancelled"])
def test_cleanup_runs_although_gates_were_being_asked_again(
    harness: Harness, target: Target, phase: str, how: str
) -> None:
    """The run's slot is free with its end, not an hour later."""
    target.does["/look"] = [BROKEN]
    run = harness.begin(
        gate("ok"), http("look", target.url("/look")), act(target, VALUE), parameters=WHAT,
        concurrency={"group": "g", "limit": 1},
        **{phase: [http("tidy", target.url("/tidy")), http("up", target.url("/up"))]},
    )  # fmt: skip
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
    harness.advance(run)
    done = len(target.paths())
    if how == "rejected":
        voting.vote(harness.rt, DAVE, run, None, Decision.REJECT, "no")
    elif how == "expired":
        harness.clock.tick(16 * MINUTE)
        harness.sweep(work=False)
    else:
        controls.cancel(harness.rt, CAROL, run, "enough")
    assert harness.run(run, 5 * MINUTE) == ("CANCELLED" if how == "cancelled" else "FAILED")
    assert (target.paths()[done:], harness.execution(run).slot) == (["/tidy", "/up"], None)
    harness.check_books(run)


def test_a_replay_whose_gates_are_rejected_cleans_up(harness: Harness, target: Target) -> None:
    """Likewise."""
    run = harness.begin(gate("ok"), act(target), **{"finally": [http("tidy", target.url("/tidy"))]})
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "SUCCESS"
    again = replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="x").id
    harness.advance(again)
    voting.vote(harness.rt, DAVE, again, None, Decision.REJECT, "no")
    assert (harness.run(again, 5 * MINUTE), target.paths()[-1]) == ("FAILED", "/tidy")


COOL = {"id": "cool", "type": "delay", "with": {"for": "40s"}}
RISK = {"type": "object", "properties": {"risky": {"type": "boolean"}}}


def ask(harness: Harness, who: Any, reason: str) -> str:
    return executions.start(harness.rt, who, "demo", {}, trigger="test", reason=reason, incident={"case": reason}).id


@pytest.mark.parametrize("kind", ["branch", "loop", "inner"])
def test_a_replay_for_another_reason_takes_no_way_over_that_it_would_not_go(
    harness: Harness, target: Target, kind: str
) -> None:
    """What a run is asked for decides, too; a gate is asked, and a container is not taken over."""
    drop = "execution.reason == 'drop'"
    holder = {
        "branch": branch("way", drop, [gate("ok")]),
        "loop": loop("way", gate("ok"), items="{{ [1] if execution.reason == 'drop' else [] }}"),
        "inner": branch("way", "true", [gate("ok", if_=drop)]),
    }[kind]
    harness.publish(runbook("demo", holder, act(target)))
    run = ask(harness, CAROL, "backup")
    assert harness.run(run) == "SUCCESS"
    if kind != "inner":
        with pytest.raises(Conflict, match="another way at way"):
            replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="drop")
        return
    again = replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="drop").id
    assert (harness.run(again), open_gates(harness, again)) == ("WAITING", ["way.ok"])
    approve(harness, again)
    assert harness.run(again) == "SUCCESS"


def test_a_replay_remembers_what_was_settled_by_hand(harness: Harness, target: Target) -> None:
    """It takes the step over, and the word that was said of it."""
    target.does["/risk"] = [hang_up]
    run = harness.begin(http("risk", target.url("/risk"), method="POST"), gate("ok", if_=RISKY), act(target))
    harness.run(run)
    controls.resolve(harness.rt, CAROL, run, "risk", "done", "so")
    harness.run(run)
    controls.cancel(harness.rt, CAROL, run)
    harness.run(run)
    again = replay_run.replay(harness.rt, CAROL, run, start_from="ok", reason="x").id
    assert (harness.run(again), open_gates(harness, again), acted(target)) == ("WAITING", ["ok"], [])


def test_a_hand_reaches_from_a_run_into_the_child_that_it_gives_values(harness: Harness, target: Target) -> None:
    """The child's gate is asked, although its parameter says no."""
    harness.publish(runbook("child", gate("ok", if_="params.risky"), act(target), parameters=RISK))
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": {"risky": "{{ " + RISKY + " }}"}}}
    run = harness.begin(COOL, http("risk", target.url("/risk")), sub)
    harness.advance(run)
    skipping.skip(harness.rt, CAROL, run, "risk", "no need")
    harness.clock.tick(MINUTE)
    harness.sweep()
    assert (open_gates(harness, child(harness, run)), acted(target)) == (["ok"], [])


@pytest.mark.parametrize("how", ["skipped", "settled"])
def test_a_hand_reaches_from_a_child_into_the_run_that_takes_its_outputs(
    harness: Harness, target: Target, how: str
) -> None:
    """The run's gate is asked."""
    target.does["/risk"] = [hang_up]
    risk = http("risk", target.url("/risk"), method="POST")
    harness.publish(runbook("child", COOL, risk, outputs={"risky": "{{ " + RISKY + " }}"}))
    run = harness.begin(SUB, gate("ok", if_="steps.sub.outputs.outputs.risky"), act(target))
    started = child(harness, run)
    if how == "skipped":
        skipping.skip(harness.rt, CAROL, started, "risk", "no need")
    harness.clock.tick(MINUTE)
    harness.sweep()
    if how == "settled":
        controls.resolve(harness.rt, CAROL, started, "risk", "done", "so")
    harness.run(started)
    assert (harness.run(run), open_gates(harness, run), acted(target)) == ("WAITING", ["ok"], [])


def test_other_parameters_ask_no_child_by_values_that_were_for_the_old_ones(harness: Harness, target: Target) -> None:
    """They decide whether its gate is asked: the retry is refused."""
    risk_of(target)
    harness.publish(runbook("child", gate("ok", if_="params.risky"), parameters=RISK))
    values = {"risky": "{{ steps.risk.outputs.json.risky }}"}
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": values}}
    risk = http("risk", target.url("/risk?what={{ params.what }}"))
    run = harness.begin(risk, sub, http("look", target.url("/look")), act(target, VALUE), parameters=WHAT)
    harness.run(child(harness, run))
    assert harness.run(run) == "FAILED"
    with pytest.raises(Conflict, match="another way at sub"):
        controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})


def test_time_that_ran_out_in_a_pause_leads_past_no_gate(harness: Harness, target: Target) -> None:
    """Somebody paused."""
    harness.publish(runbook("child", {"id": "hear", "type": "wait", "with": {"key": "k"}}))
    sub = {**SUB, "timeout": "5m", "continue_on_error": True}
    run = harness.begin(sub, gate("ok", if_="steps.sub.outputs.outputs.hear | default(false)"), act(target))
    controls.pause(harness.rt, CAROL, child(harness, run))
    harness.clock.tick(6 * MINUTE)
    harness.sweep()
    assert (harness.run(run), open_gates(harness, run), acted(target)) == ("WAITING", ["ok"], [])


def test_a_cancel_leads_past_no_gate_in_cleanup(harness: Harness, target: Target) -> None:
    """What the gate's condition reads did not run because somebody cancelled."""
    clean = [gate("ok", if_=RISKY), act(target)]
    run = harness.begin(COOL, http("risk", target.url("/risk")), **{"finally": clean})
    harness.advance(run)
    controls.cancel(harness.rt, CAROL, run)
    harness.run(run, MINUTE)
    assert (open_gates(harness, run), acted(target)) == (["ok"], [])


def test_a_child_that_is_kept_from_a_slot_leads_past_no_gate(harness: Harness, target: Target) -> None:
    """It ran out of time before it began, for somebody has paused the run that holds its slot."""
    told = {"risky": "{{ steps.look.outputs.json.ok }}"}
    group = {"group": "look", "limit": 1}
    harness.publish(
        runbook("child", http("look", target.url("/look")), outputs=told, concurrency=group, parameters=WHAT)
    )
    holder = harness.start("child", what="drop")
    controls.pause(harness.rt, CAROL, holder)
    sub = {**SUB, "timeout": "60s", "continue_on_error": True}
    run = harness.begin(sub, gate("ok", if_="steps.sub.outputs.outputs.risky | default(false)"), act(target))
    harness.advance(run)
    harness.pass_time(MINUTE)
    harness.sweep()
    harness.run(run)
    assert (harness.all_steps(run)["sub"], open_gates(harness, run), acted(target)) == ("FAILED", ["ok"], [])


@pytest.mark.parametrize("kind", ["branch", "loop", "in both", "child"])
def test_a_replay_remembers_a_hand_inside_what_it_takes_over(harness: Harness, target: Target, kind: str) -> None:
    """Carol says `done` of what nobody saw, is asked, cancels, and replays from the gate."""
    target.does["/risk"] = [hang_up]
    risk = http("risk", target.url("/risk"), method="POST")
    held, told = {
        "branch": (branch("held", "true", [risk]), "steps.risk.outputs.json.risky"),
        "loop": (loop("held", risk, items=[1]), "results[0].risk.outputs.json.risky"),
        "in both": (branch("held", "true", [loop("each", risk, items=[1])]), "steps.each.outputs.results[0].risk"),
        "child": ({**SUB, "id": "held"}, "outputs.risky == 'yes'"),
    }[kind]
    if kind == "child":
        harness.publish(runbook("child", risk, outputs={"risky": "{{ " + RISKY + " }}"}))
    risky = f"steps.held.outputs.{told} | default(false)" if kind != "child" else f"steps.held.outputs.{told}"
    run = harness.begin(held, gate("ok", if_=risky), act(target))
    harness.run(run, 1)
    seen = child(harness, run, "held") if kind == "child" else run
    controls.resolve(harness.rt, CAROL, seen, None, "done", "I did not look")
    harness.run(seen, 1)
    harness.run(run, 1)
    assert open_gates(harness, run) == ["ok"], harness.all_steps(run)
    controls.cancel(harness.rt, CAROL, run, "then otherwise")
    harness.run(run)
    again = replay_run.replay(harness.rt, CAROL, run, start_from="ok", reason="the same once more").id
    harness.run(again)
    assert (open_gates(harness, again), acted(target)) == (["ok"], [])


def test_a_replay_remembers_a_pause_in_which_time_ran_out(harness: Harness, target: Target) -> None:
    """A round may fail, and did so while Carol had paused the run."""
    hear = {"id": "hear", "type": "wait", "with": {"key": "k"}, "timeout": "5m"}
    each = loop("each", hear, items=[1], max_failures=1)
    risky = "steps.each.outputs.results[0].hear | default(false)"
    run = harness.begin(each, gate("ok", if_=risky), act(target))
    harness.run(run, 1)
    controls.pause(harness.rt, CAROL, run)
    harness.clock.tick(6 * MINUTE)
    harness.sweep()
    controls.resume(harness.rt, CAROL, run)
    harness.run(run)
    assert open_gates(harness, run) == ["ok"], harness.all_steps(run)
    controls.cancel(harness.rt, CAROL, run, "then otherwise")
    harness.run(run)
    again = replay_run.replay(harness.rt, CAROL, run, start_from="ok", reason="the same once more").id
    harness.run(again)
    assert (open_gates(harness, again), acted(target)) == (["ok"], [])
