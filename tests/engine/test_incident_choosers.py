"""Who sets a fact of an incident that a parameter is filled from chooses its value, and does not decide about it."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, CAROL, DAVE, Harness, Target, gate, http, runbook

from engine.errors import NotAllowed
from engine.orchestration import incidents
from engine.orchestration.admission import Wanted
from engine.runs import controls, executions, replay_run, voting
from storage.records import ExecutionRecord, Filter
from storage.states import Decision

CHANNEL = "C0INC0001"
HOST = {"type": "object", "properties": {"host": {"type": "string", "x-prefill": "incident.host"}}}


@pytest.fixture
def harness(harness: Harness, target: Target) -> Harness:
    """An incident that Carol opened, and of which Alice has said the host, and something else before that."""
    wipe = http("wipe", target.url("/wipe/{{ params.host }}"))
    harness.publish(
        runbook("wipe", gate("ok"), wipe, parameters=HOST),
        runbook("outer", {"id": "sub", "type": "runbook", "with": {"id": "wipe"}}),
    )
    incidents.open_incident(harness.rt, CAROL, CHANNEL, title="slow")
    incidents.edit(harness.rt, DAVE, CHANNEL, fields={"host": "test1"})
    incidents.edit(harness.rt, ALICE, CHANNEL, fields={"host": "prod1"})
    return harness


def begun(harness: Harness, slug: str = "wipe", *, prefill: bool = True, **given: Any) -> ExecutionRecord:
    wanted = Wanted(slug, given, trigger="slack", incident={"channel": CHANNEL}, prefill=prefill)
    run = executions.request(harness.rt, CAROL, wanted).execution
    harness.run(run.id)
    return run


def test_who_set_the_fact_does_not_approve_what_it_became(harness: Harness) -> None:
    """Whoever gave it another value before may."""
    run = begun(harness)
    assert (run.parameters, run.chosen_by) == ({"host": "prod1"}, [CAROL.user_id, ALICE.user_id])
    with pytest.raises(NotAllowed, match="chose values of this run"):
        voting.vote(harness.rt, ALICE, run.id, None, Decision.APPROVE)
    voting.vote(harness.rt, DAVE, run.id, None, Decision.APPROVE)


def test_a_form_that_was_filled_with_the_fact_is_no_way_around_it(harness: Harness) -> None:
    """What is given as the incident has it counts as taken from there; any other value is the requester's own."""
    assert begun(harness, host="prod1").chosen_by == [CAROL.user_id, ALICE.user_id]
    assert begun(harness, host="prod2").chosen_by == [CAROL.user_id]


def test_a_door_that_fills_in_the_fact_itself_is_no_way_around_it(harness: Harness) -> None:
    """In Slack the words typed, or the form, are filled in before the run is asked for."""
    assert begun(harness, host="prod1", prefill=False).chosen_by == [CAROL.user_id, ALICE.user_id]


def test_nobody_is_forgotten_behind_many_later_changes(harness: Harness) -> None:
    """Who set the fact may change others as often as they like, and does not decide about it all the same."""
    for number in range(120):
        incidents.edit(harness.rt, ALICE, CHANNEL, fields={"note": str(number)})
    run = begun(harness)
    assert run.chosen_by == [CAROL.user_id, ALICE.user_id]
    with pytest.raises(NotAllowed, match="chose values of this run"):
        voting.vote(harness.rt, ALICE, run.id, None, Decision.APPROVE)


def test_a_replay_and_a_run_within_another_have_the_same_choosers(harness: Harness) -> None:
    """Also when the fact is another one by then, and the incident over."""
    run = begun(harness)
    controls.cancel(harness.rt, CAROL, run.id)
    harness.advance(run.id)
    outer = executions.request(harness.rt, CAROL, Wanted("outer", {}, "slack", incident={"channel": CHANNEL})).execution
    incidents.edit(harness.rt, DAVE, CHANNEL, fields={"host": "test1"})
    incidents.close(harness.rt, CAROL, CHANNEL, force=True)
    harness.run(outer.id)
    again = replay_run.replay(harness.rt, CAROL, run.id)
    (child,) = [each for each in executions.recent(harness.rt, Filter()) if each.parent_step is not None]
    for each in (again, child):
        assert each.parameters == {"host": "prod1"}
        assert each.chosen_by == [CAROL.user_id, ALICE.user_id]
