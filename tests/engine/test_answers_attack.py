"""What people answer to gates and manual steps: by who may not, too late, to another asking, with what is not asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, DAVE, MINUTE, OSCAR, Harness, Target, gate, http

from engine.errors import Conflict, EngineError, InvalidParameters, NotAllowed
from engine.queries import evidence
from engine.runs import controls, executions, manual_tasks, replay_run, voting
from storage import audit, database
from storage.states import Decision

SECRET = "c4nary-b1rd-of-the-m1ne"
FORM = {"type": "object", "required": ["slot"], "properties": {"slot": {"type": "string", "maxLength": 60}}}
SWAP = {"id": "swap", "type": "manual", "with": {"instructions": "Swap it.", "form": FORM}, "timeout": "15m"}


def asked(harness: Harness, *steps: dict[str, Any]) -> str:
    run = harness.begin(*steps)
    harness.advance(run)
    assert harness.status(run) == "WAITING"
    return run


def record(harness: Harness, run: str) -> str:
    """All that is kept of a run."""
    with database.reading():
        rows = audit.of_thing(harness.rt.workspace_id, f"execution:{run}")
    bundle = json.dumps(evidence.bundle(harness.rt, ALICE, run), default=str)
    return repr([executions.view(harness.rt, run), harness.events(run), harness.step_runs(run), rows, bundle])


@pytest.mark.parametrize("decision", list(Decision))
def test_a_secret_in_what_people_say_at_a_gate_is_kept_nowhere(
    harness: Harness, target: Target, decision: Decision
) -> None:
    """A comment is an output as the answers are, and masked as they are."""
    call = http("call", target.url("/{{ steps.ask.outputs.approvals }}"))
    run = asked(harness, gate("ask", form=FORM), call)
    voting.vote(harness.rt, ALICE, run, None, decision, f"it is {SECRET}", answers={"slot": f"of {SECRET}"})
    assert harness.run(run).ended
    assert "secret canary" in record(harness, run)
    assert SECRET not in record(harness, run)


def test_a_secret_in_what_people_say_of_a_manual_step_is_kept_nowhere(harness: Harness, target: Target) -> None:
    run = asked(harness, SWAP, http("call", target.url("/{{ steps.swap.outputs.slot | urlencode }}")))
    manual_tasks.done(harness.rt, CAROL, run, None, f"it is {SECRET}", {"slot": f"of {SECRET}"})
    harness.run(run)
    assert SECRET not in record(harness, run)
    assert SECRET not in str(target.server.requests)


WRONG = [
    {},
    {"slot": 3},
    {"slot": "x" * 61},
    {"slot": "1", "by": "U0ALICE01"},
    {"slot": "1", "note": "x"},
    {"slot": None},
]


@pytest.mark.parametrize("answers", WRONG, ids=str)
def test_what_the_form_does_not_ask_is_no_answer(harness: Harness, answers: dict[str, Any]) -> None:
    """Nor do answers stand in for who did it, when, or the note."""
    run = asked(harness, SWAP)
    with pytest.raises(InvalidParameters):
        manual_tasks.done(harness.rt, CAROL, run, "swap", "", answers)
    assert executions.view(harness.rt, run).tasks[-1].status == "OPEN"


def test_no_late_or_foreign_word_ends_a_manual_step(harness: Harness) -> None:
    """By who may not, after its time, after a cancel, and to the asking of another run."""
    run, slot = asked(harness, SWAP), {"slot": "1"}
    task = executions.view(harness.rt, run).tasks[-1]
    with pytest.raises(NotAllowed):
        manual_tasks.done(harness.rt, OSCAR, run, "swap", "", slot)
    with pytest.raises(NotAllowed):
        manual_tasks.could_not(harness.rt, OSCAR, run, "swap", "no")
    other = harness.start("demo")
    harness.advance(other)
    with pytest.raises(Conflict, match="asked anew"):
        manual_tasks.done(harness.rt, CAROL, other, "swap", "", slot, task.id)
    harness.clock.tick(15 * MINUTE)  # nobody has swept yet
    with pytest.raises(Conflict, match="is up"):
        manual_tasks.done(harness.rt, CAROL, run, "swap", "", slot)
    harness.sweep()
    assert harness.status(run) == "FAILED"
    third = harness.start("demo")
    harness.advance(third)
    controls.cancel(harness.rt, CAROL, third, "stop")
    for act in (manual_tasks.done, manual_tasks.could_not):
        with pytest.raises(Conflict):
            act(harness.rt, CAROL, third, "swap", "late")


def test_an_answer_is_not_of_a_replay_or_a_retry(harness: Harness) -> None:
    """What was shown before is of its own asking, whichever run or try it is sent to."""
    run = asked(harness, SWAP, {"id": "say", "type": "message", "with": {"text": "x"}})
    old = executions.view(harness.rt, run).tasks[-1]
    manual_tasks.could_not(harness.rt, CAROL, run, None, "no spare part")
    assert harness.run(run) == "FAILED"
    again = replay_run.replay(harness.rt, CAROL, run).id
    harness.advance(again)
    controls.retry(harness.rt, CAROL, run, "swap")
    harness.advance(run)
    for each in (again, run):
        with pytest.raises(Conflict, match="asked anew"):
            manual_tasks.done(harness.rt, CAROL, each, "swap", "", {"slot": "1"}, old.id)
        assert harness.status(each) == "WAITING"


def test_two_who_chose_differently_never_count_together(harness: Harness, target: Target) -> None:
    """Whatever order they vote, withdraw and vote again in, the gate opens for one answer of two people."""
    gate_ = gate("ask", form=FORM, min_approvals=2, approvers={"roles": ["platform_admin", "team_admin"]})
    run = asked(harness, gate_, http("act", target.url("/{{ steps.ask.outputs.slot }}")))

    def approve(who: Any, slot: str) -> None:
        voting.vote(harness.rt, who, run, None, Decision.APPROVE, answers={"slot": slot})

    approve(ALICE, "1")
    with pytest.raises(EngineError):
        approve(ALICE, "2")
    with pytest.raises(NotAllowed):
        approve(CAROL, "1")
    approve(BOB, "2")
    voting.withdraw(harness.rt, ALICE, run, None)
    approve(ALICE, "3")
    assert harness.status(run) == "WAITING"
    approve(DAVE, "2")
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/2"]
    assert harness.step(run, "ask").outputs["approved_by"] == [BOB.user_id, DAVE.user_id]
