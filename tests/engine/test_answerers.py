"""Whoever gave answers that a gate shows does not decide about it, by whatever way they reach it."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, DAVE, Harness, Target, gate, http, runbook

from engine.access import people
from engine.definition.load import load
from engine.errors import Conflict, NotAllowed
from engine.orchestration import answerers
from engine.runs import controls, executions, manual_tasks, replay_run, voting
from storage.people_records import PersonRecord
from storage.states import Decision

FORM = {"type": "object", "required": ["host"], "properties": {"host": {"type": "string"}}}
HOST = "{{ steps.swap.outputs.host }}"
SWAP = {"id": "swap", "type": "manual", "with": {"instructions": "Swap it.", "form": FORM}}
READS: dict[str, list[dict[str, Any]]] = {
    "the gate itself": [gate("ask", message=f"Go on with {HOST}?")],
    "a step behind it": [gate("ask"), http("act", f"http://127.0.0.1:9/{HOST}")],
    "all outputs": [gate("ask"), http("act", method="POST", json={"all": "{{ steps.swap.outputs }}"})],
    "a note": [gate("ask", message="{{ steps.swap.outputs.note }}")],
    "a condition behind it": [gate("ask"), http("act", if_="steps.swap.outputs.host == 'a'")],
    "what it stands in": [
        {"id": "each", "type": "loop", "with": {
            "items": "{{ steps.swap.outputs.host | split(',') }}", "steps": [gate("ask", message="{{ item }}?")]}},
    ],
    "inside a branch behind it": [
        gate("ask"),
        {"id": "b", "type": "branch", "with": {"if": "true", "then": [http("act", f"http://127.0.0.1:9/{HOST}")]}},
    ],
}  # fmt: skip


def reached(harness: Harness, *steps: dict[str, Any], by: Any = ALICE, **with_: Any) -> str:
    """A run in which somebody has done the manual step, and whose gate waits."""
    run = harness.begin({**SWAP, "with": {**SWAP["with"], **with_}}, *steps)  # type: ignore[dict-item]
    harness.advance(run)
    manual_tasks.done(harness.rt, by, run, "swap", "as told", {"host": "a"})
    harness.advance(run)
    return run


def approve(harness: Harness, run: str, who: Any, **more: Any) -> None:
    voting.vote(harness.rt, who, run, None, Decision.APPROVE, **more)


@pytest.mark.parametrize("how", READS)
def test_who_answered_does_not_decide_what_reads_it(harness: Harness, how: str) -> None:
    run = reached(harness, *READS[how])
    with pytest.raises(NotAllowed, match="gave answers that it shows"):
        approve(harness, run, ALICE)
    (view,) = executions.view(harness.rt, run).gates
    assert ALICE.user_id in view.approval.barred
    assert voting.deciders(harness.rt, view, 5) == [DAVE.user_id]
    approve(harness, run, DAVE)


@pytest.mark.parametrize(
    "message", ["Go on?", "Done by {{ steps.swap.outputs.by }} at {{ steps.swap.outputs.at }}?",
                "Swapped {{ steps.swap.outputs.by | upper }}?"],
)  # fmt: skip
def test_what_shows_no_answer_bars_nobody(harness: Harness, message: str) -> None:
    run = reached(harness, gate("ask", message=message))
    approve(harness, run, ALICE)


def test_where_the_runbook_says_so_they_may(harness: Harness) -> None:
    run = reached(harness, gate("ask", message=HOST, allow_self=True))
    approve(harness, run, ALICE)


def test_another_account_of_theirs_may_not_either(harness: Harness) -> None:
    run = reached(harness, gate("ask", message=HOST))
    for who in (ALICE, DAVE):
        people.remember(harness.rt, PersonRecord(who.user_id, "", "al@example.com", "member", None, people.now()))
    with pytest.raises(NotAllowed):
        approve(harness, run, DAVE)


def test_by_way_of_a_call(harness: Harness, target: Target) -> None:
    """What a call came to that was made with the answer, and what another one made of that."""
    first, second = http("find", target.url(f"/{HOST}")), http("more", target.url("/{{ steps.find.outputs.status }}"))
    run = reached(harness, first, second, gate("ask", message="{{ steps.more.outputs.json }}"))
    with pytest.raises(NotAllowed):
        approve(harness, run, ALICE)
    approve(harness, run, DAVE)


def test_who_gave_the_answers_of_a_gate_does_not_decide_the_next(harness: Harness) -> None:
    """Those whose answers count; whoever said something else has chosen nothing."""
    first = gate("which", form=FORM)
    run = harness.begin(first, gate("ask", message="{{ steps.which.outputs.host }}?"))
    harness.advance(run)
    approve(harness, run, ALICE, answers={"host": "a"})
    harness.advance(run)
    with pytest.raises(NotAllowed, match="gave answers that it shows"):
        approve(harness, run, ALICE)
    approve(harness, run, DAVE)
    assert harness.run(run) == "SUCCESS"


def test_a_gate_that_was_open_before_loses_their_vote(harness: Harness) -> None:
    """It showed nothing of the answer then; what it shows now is by the choice of who has voted."""
    steps = [
        {**SWAP, "needs": []}, gate("ask", needs=[], min_approvals=2),
        http("act", "http://127.0.0.1:9/{{ steps.swap.outputs.host }}", needs=["swap", "ask"]),
    ]  # fmt: skip
    run = harness.begin(*steps)
    harness.advance(run)
    approve(harness, run, ALICE)
    manual_tasks.done(harness.rt, ALICE, run, "swap", "", {"host": "a"})
    with pytest.raises(Conflict, match="Look again"):
        approve(harness, run, DAVE)
    (view,) = executions.view(harness.rt, run).gates
    assert view.votes == ()
    with pytest.raises(NotAllowed):
        approve(harness, run, ALICE)


def test_what_was_done_again_bars_who_did_it_last(harness: Harness) -> None:
    run = harness.begin(SWAP, gate("ask", message=HOST))
    harness.advance(run)
    manual_tasks.could_not(harness.rt, ALICE, run, "swap", "locked")
    harness.run(run)
    controls.retry(harness.rt, BOB, run, "swap")
    harness.advance(run)
    manual_tasks.done(harness.rt, DAVE, run, "swap", "", {"host": "b"})
    harness.advance(run)
    with pytest.raises(NotAllowed):
        approve(harness, run, DAVE)
    approve(harness, run, ALICE)


def test_a_replay_takes_over_who_answered(harness: Harness) -> None:
    """With the answer that it takes over."""
    run = reached(harness, gate("ask", message=HOST))
    approve(harness, run, DAVE)
    assert harness.run(run) == "SUCCESS"
    again = replay_run.replay(harness.rt, CAROL, run, start_from="ask", reason="once more").id
    harness.advance(again)
    with pytest.raises(NotAllowed):
        approve(harness, again, ALICE)
    approve(harness, again, DAVE)
    assert harness.run(again) == "SUCCESS"


def test_who_answered_the_run_that_waits_does_not_decide_in_this_one(harness: Harness) -> None:
    child = runbook("child", gate("ask", message="{{ params.host }}?"), parameters=FORM)
    go = {"id": "go", "type": "runbook", "with": {"id": "child", "params": {"host": HOST}}}
    harness.publish(runbook("parent", SWAP, go), child)
    run = harness.start("parent")
    harness.advance(run)
    manual_tasks.done(harness.rt, ALICE, run, "swap", "", {"host": "a"})
    harness.advance(run)
    below = str(harness.step(run, "go").child)
    harness.advance(below)
    with pytest.raises(NotAllowed):
        approve(harness, below, ALICE)
    approve(harness, below, DAVE)


@pytest.mark.parametrize("how", READS)
def test_every_way_of_reading_is_found(how: str) -> None:
    """In the runbook alone, which is where it is looked for."""
    made = load(runbook("demo", SWAP, *READS[how]).encode(), "demo.yaml")
    behind = [each for each in made.by_id.values() if each.id in ("act", "b")]
    assert answerers._answered_steps(made, [made.by_id["ask"], *behind]) == {"swap"}
