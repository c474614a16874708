"""A stored definition that cannot be read ends the runs of it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from house import ALICE, CAROL, MINUTE, House, Target, gate, http, runbook

from engine import health
from engine.catalog import catalog
from engine.errors import Undecodable
from engine.orchestration import run_ending
from engine.runs import executions, voting
from storage import audit, database, sql
from storage.states import Decision

NEWER = '{"format": 99}'


def damage(house: House, run: str, text: str = NEWER) -> None:
    """Put something else in the place of the definition of this run's version."""
    with database.transaction():
        sql.run("UPDATE runbook_version SET definition = ? WHERE id = ?", [text, house.execution(run).version_id])
    catalog.forget_definitions()


def ended_for_it(house: House, run: str) -> bool:
    found = house.execution(run)
    return found.status == "FAILED" and found.error["code"] == "undecodable"


@pytest.mark.parametrize("text", [NEWER, "{not json", "[1]", "null"])
def test_a_run_that_cannot_be_read_ends_and_the_next_one_runs(house: House, target: Target, text: str) -> None:
    """Once: with its event and its audit row, and health says which it was."""
    house.publish(runbook("good", http("a", target.url("/good"))))
    bad, good = house.begin(http("a", target.url("/bad"))), house.start("good")
    damage(house, bad, text)
    house.sweep()
    assert ended_for_it(house, bad)
    assert house.status(good) == "SUCCESS"
    assert target.paths() == ["/good"]
    assert house.event_kinds(bad)[-2:] == ["quarantined", "ended"]
    with database.reading():
        rows = audit.of_thing(house.rt.workspace_id, f"execution:{bad}")
    assert [each.action for each in rows].count("execution.quarantine") == 1
    (check,) = [each for each in health.checks(house.rt) if each.name == "definitions"]
    assert (check.ok, check.vital, bad in check.detail) == (False, False, True)
    house.check_books(bad)
    assert house.sweep() == []


def test_it_is_still_shown(house: House, target: Target) -> None:
    """By its name, with its steps as they ended."""
    run = house.begin(http("a", target.url()))
    damage(house, run)
    house.advance(run)
    seen = executions.view(house.rt, run)
    assert (seen.runbook.name, [each.status for each in seen.steps]) == ("demo", ["CANCELLED"])


def test_whoever_acts_on_it_is_told_and_it_ends(house: House) -> None:
    """Also a run that only waits for people, which no worker would look at."""
    run = house.begin(gate("ask"))
    house.advance(run)
    damage(house, run)
    with pytest.raises(Undecodable, match="cannot be read"):
        voting.vote(house.rt, ALICE, run, None, Decision.APPROVE)
    assert ended_for_it(house, run)
    house.check_books(run)


def test_a_gate_of_it_that_expires_ends_it(house: House) -> None:
    """The sweep goes on with everything else."""
    run = house.begin(gate("ask", timeout="1m"))
    house.advance(run)
    damage(house, run)
    house.clock.tick(MINUTE)
    house.sweep()
    assert ended_for_it(house, run)


def test_a_result_that_comes_after_it_is_told_and_dropped(house: House, target: Target) -> None:
    """Its worker was acting meanwhile."""
    run = house.begin(http("a", target.url(), method="POST"))
    claim = house.claim(run)
    damage(house, run)
    with pytest.raises(Undecodable):
        house.finish(claim)
    run_ending.quarantine(house.rt, run, Undecodable("it cannot be read"))
    assert ended_for_it(house, run)
    house.finish(claim)
    assert house.event_kinds(run)[-1] == "late_result"
    assert [each.status for each in house.attempts(run, "a")] == ["ABANDONED"]


def test_its_slot_and_its_parent_go_on(house: House, target: Target) -> None:
    """The next in the queue is admitted, and the parent's step fails with the reason."""
    group: dict[str, Any] = {"concurrency": {"group": "g", "limit": 1}}
    house.publish(runbook("child", gate("ask"), **group), runbook("next", http("n", target.url("/next")), **group))
    parent = house.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}})
    house.advance(parent)
    child, following = str(house.step(parent, "sub").child), house.start("next")
    damage(house, child)
    house.advance(child)
    assert ended_for_it(house, child)
    assert house.run(following) == "SUCCESS"
    assert house.run(parent) == "FAILED"
    assert "cannot be read" in house.execution(parent).error["message"]


def test_a_version_that_cannot_be_read_is_not_started(house: House, target: Target) -> None:
    """Whoever asks is told so."""
    run = house.begin(http("a", target.url()))
    damage(house, run)
    with pytest.raises(Undecodable, match="cannot be read"):
        house.start("demo", CAROL)
