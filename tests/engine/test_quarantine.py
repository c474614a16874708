"""A stored definition that cannot be read ends the runs of it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, CAROL, MINUTE, Harness, Target, gate, http, runbook

from engine import health
from engine.catalog import catalog
from engine.errors import Undecodable
from engine.orchestration import run_ending
from engine.runs import executions, voting
from storage import audit, database, sql
from storage.states import Decision

NEWER = '{"format": 99}'


def damage(harness: Harness, run: str, text: str = NEWER) -> None:
    """Put something else in the place of the definition of this run's version."""
    with database.transaction():
        sql.run("UPDATE runbook_version SET definition = ? WHERE id = ?", [text, harness.execution(run).version_id])
    catalog.forget_definitions()


def ended_for_it(harness: Harness, run: str) -> bool:
    found = harness.execution(run)
    return found.status == "FAILED" and found.error["code"] == "undecodable"


@pytest.mark.parametrize("text", [NEWER, "{not json", "[1]", "null"])
def test_a_run_that_cannot_be_read_ends_and_the_next_one_runs(harness: Harness, target: Target, text: str) -> None:
    """Once: with its event and its audit row, and health says which it was."""
    harness.publish(runbook("good", http("a", target.url("/good"))))
    bad, good = harness.begin(http("a", target.url("/bad"))), harness.start("good")
    damage(harness, bad, text)
    harness.sweep()
    assert ended_for_it(harness, bad)
    assert harness.status(good) == "SUCCESS"
    assert target.paths() == ["/good"]
    assert harness.event_kinds(bad)[-2:] == ["quarantined", "ended"]
    with database.reading():
        rows = audit.of_thing(harness.rt.workspace_id, f"execution:{bad}")
    assert [each.action for each in rows].count("execution.quarantine") == 1
    (check,) = [each for each in health.checks(harness.rt) if each.name == "definitions"]
    assert (check.ok, check.vital, bad in check.detail) == (False, False, True)
    harness.check_books(bad)
    assert harness.sweep() == []


def test_it_is_still_shown(harness: Harness, target: Target) -> None:
    """By its name, with its steps as they ended."""
    run = harness.begin(http("a", target.url()))
    damage(harness, run)
    harness.advance(run)
    seen = executions.view(harness.rt, run)
    assert (seen.runbook.name, [each.status for each in seen.steps]) == ("demo", ["CANCELLED"])


def test_whoever_acts_on_it_is_told_and_it_ends(harness: Harness) -> None:
    """Also a run that only waits for people, which no worker would look at."""
    run = harness.begin(gate("ask"))
    harness.advance(run)
    damage(harness, run)
    with pytest.raises(Undecodable, match="cannot be read"):
        voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    assert ended_for_it(harness, run)
    harness.check_books(run)


def test_a_gate_of_it_that_expires_ends_it(harness: Harness) -> None:
    """The sweep goes on with everything else."""
    run = harness.begin(gate("ask", timeout="1m"))
    harness.advance(run)
    damage(harness, run)
    harness.clock.tick(MINUTE)
    harness.sweep()
    assert ended_for_it(harness, run)


def test_a_result_that_comes_after_it_is_told_and_dropped(harness: Harness, target: Target) -> None:
    """Its worker was acting meanwhile."""
    run = harness.begin(http("a", target.url(), method="POST"))
    claim = harness.claim(run)
    damage(harness, run)
    with pytest.raises(Undecodable):
        harness.finish(claim)
    run_ending.quarantine(harness.rt, run, Undecodable("it cannot be read"))
    assert ended_for_it(harness, run)
    harness.finish(claim)
    assert harness.event_kinds(run)[-1] == "late_result"
    assert [each.status for each in harness.attempts(run, "a")] == ["ABANDONED"]


def test_its_slot_and_its_parent_go_on(harness: Harness, target: Target) -> None:
    """The next in the queue is admitted, and the parent's step fails with the reason."""
    group: dict[str, Any] = {"concurrency": {"group": "g", "limit": 1}}
    harness.publish(runbook("child", gate("ask"), **group), runbook("next", http("n", target.url("/next")), **group))
    parent = harness.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}})
    harness.advance(parent)
    child, following = str(harness.step(parent, "sub").child), harness.start("next")
    damage(harness, child)
    harness.advance(child)
    assert ended_for_it(harness, child)
    assert harness.run(following) == "SUCCESS"
    assert harness.run(parent) == "FAILED"
    assert "cannot be read" in harness.execution(parent).error["message"]


def test_a_version_that_cannot_be_read_is_not_started(harness: Harness, target: Target) -> None:
    """Whoever asks is told so."""
    run = harness.begin(http("a", target.url()))
    damage(harness, run)
    with pytest.raises(Undecodable, match="cannot be read"):
        harness.start("demo", CAROL)
