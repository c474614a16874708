"""The suite tests itself: each bug that is planted here makes a test that is named beside it fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import test_approvals
import test_behind_gates
import test_executions
import test_machine
import test_recovery
import test_sweeper
from harness import CAROL, Harness, Target, gate, http, runbook
from hypothesis.stateful import initialize
from machine import PARAMETERS, EngineMachine

from engine.access import choosers
from engine.errors import NotFound
from engine.orchestration import admission, claiming, gate_content, recording, replay_reuse, run_status, step_completion
from engine.orchestration import gate_checks as rules
from engine.runs import executions, skipping
from engine.runs import voting as gates
from engine.steps.outcome import Failed, Unknown
from engine.worker.sweeper import Sweeper
from storage import database, orphans
from storage.run_state import RunState
from storage.state_transitions import ForbiddenTransition
from storage.states import Decision

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)]

FOUND = (AssertionError, ForbiddenTransition, database.IntegrityError)
RED = (*FOUND, pytest.fail.Exception)  # a check may expect a refusal that does not come
Plant = Callable[[pytest.MonkeyPatch], None]


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """A result is taken whatever it was claimed as."""
    move = RunState.move

    def careless(run: RunState, step: Any, to: Any, **fields: Any) -> bool:
        (now,) = run.at([step.path])
        return move(run, replace(step, status=now.status, fence=now.fence), to, **fields)

    patch.setattr(RunState, "move", careless)


def no_join_guard(patch: pytest.MonkeyPatch) -> None:
    """Any need that ends lets a join on."""
    count_down = RunState.count_down

    def twice(run: RunState, paths: Any) -> Any:
        count_down(run, paths)
        return count_down(run, paths)

    patch.setattr(RunState, "count_down", twice)


def no_sweeper(patch: pytest.MonkeyPatch) -> None:
    """Work whose hint was lost is never looked for."""
    patch.setattr(Sweeper, "_hint_due", lambda *_: None)


def no_take_over(patch: pytest.MonkeyPatch) -> None:
    """What a dead worker held stays its own."""
    patch.setattr(orphans, "orphaned", lambda _at: {})


def unknown_sent_again(patch: pytest.MonkeyPatch) -> None:
    """A call whose outcome nobody saw is made again without asking anybody."""
    take_over = recording.take_over
    patch.setattr(recording, "take_over", lambda change, step: take_over(change, replace(step, idempotent=True)))

    def forgetful(change: Any, step: Any, outcome: Unknown) -> bool:
        again = Failed(outcome.code, outcome.message, retryable=True)
        return recording._RECORDERS[Failed](change, step, again)

    patch.setitem(recording._RECORDERS, Unknown, forgetful)


def reject_ignored(patch: pytest.MonkeyPatch) -> None:
    """Only approvals count."""
    count = gates._count

    def deaf(rt: Any, change: Any, gate: Any, given: Any) -> None:
        if given.decision is not Decision.REJECT:
            count(rt, change, gate, given)

    patch.setattr(gates, "_count", deaf)


def hint_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Workers hear of a run before it is there."""
    accept = admission.accept

    def hasty(rt: Any, *given: Any) -> Any:
        execution = accept(rt, *given)
        rt.hint([execution.id])
        return execution

    patch.setattr(admission, "accept", hasty)


def running_not_counted(patch: pytest.MonkeyPatch) -> None:
    """A step that is claimed is not counted as running."""
    recount = run_status.recount

    def wrong(execution: Any, *given: Any, **named: Any) -> Any:
        return replace(recount(execution, *given, **named), running=execution.running)

    patch.setattr(run_status, "recount", wrong)


def skip_releases(patch: pytest.MonkeyPatch) -> None:
    """A step that is skipped before its turn releases what needs it."""
    patch.setattr(
        skipping, "_do", lambda change, actor, step, wish: step_completion.skip(change, step, "now", actor.user_id)
    )


def claim_not_checked(patch: pytest.MonkeyPatch) -> None:
    """A claim asks nothing about gates."""
    patch.setattr(claiming, "bypasses", lambda *_: False)


def skip_releases_unchecked(patch: pytest.MonkeyPatch) -> None:
    """Both at once."""
    skip_releases(patch)
    claim_not_checked(patch)


def votes_kept(patch: pytest.MonkeyPatch) -> None:
    """What a gate shows changes, and whoever voted before has voted for it."""
    patch.setattr(gate_content, "refresh", lambda *_: False)


def owner_not_barred(patch: pytest.MonkeyPatch) -> None:
    """Only those who chose values are kept from deciding."""
    of_run = choosers.of_run
    patch.setattr(choosers, "of_run", lambda run: [each for each in of_run(run) if each not in (run.owners or ())])


def containers_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Only gates by themselves are asked again, not those in branches, loops and children."""
    for module in (rules, replay_reuse):
        patch.setattr(module, "holders", lambda step: [step] if step.kind == "approval" else [])


def hints_follow_commits(harness: Harness, target: Target) -> None:
    """Whatever is hinted is there for everybody else already."""

    def look(hinted: Iterable[str]) -> None:
        for each in hinted:
            found: list[str] = []
            thread = threading.Thread(target=lambda each=each, found=found: found.append(visible(harness, each)))
            thread.start()
            thread.join(10)
            assert found == [each], f"{each} was hinted before it was there"

    harness.rt = replace(harness.rt, hint=look)
    harness.begin(http("a", target.url()))


def visible(harness: Harness, execution_id: str) -> str:
    try:
        return executions.find(harness.rt, execution_id).id
    except NotFound:
        return "nothing"


def late_result(harness: Harness, target: Target) -> None:
    test_recovery.test_a_late_result_does_not_end_the_attempt_that_replaced_it(harness)


def join(harness: Harness, target: Target) -> None:
    test_executions.test_joins_wait_for_every_need(harness)


def planted_twice(harness: Harness, target: Target) -> None:
    with pytest.MonkeyPatch.context() as patch:
        test_behind_gates.test_a_skip_that_lets_on_what_follows_is_caught_at_the_claim(harness, target, patch)


def inner_gates(harness: Harness, target: Target) -> None:
    test_behind_gates.test_a_replay_from_a_step_asks_the_gates_of_branches_and_loops_again(harness, target, "branch")


PLANTED: list[tuple[Plant, Callable[[Harness, Target], None]]] = [
    (no_fence, late_result),
    (no_join_guard, join),
    (no_sweeper, test_sweeper.test_without_redis_new_work_is_done_at_once),
    (no_take_over, test_recovery.test_an_idempotent_step_of_a_dead_worker_runs_again),
    (unknown_sent_again, test_recovery.test_a_step_that_is_not_idempotent_is_not_sent_again),
    (reject_ignored, test_approvals.test_one_rejection_decides),
    (hint_before_commit, hints_follow_commits),
    (skip_releases, test_behind_gates.test_a_step_behind_an_open_gate_is_skipped_in_its_turn),
    (claim_not_checked, planted_twice),
    (votes_kept, test_behind_gates.test_a_skip_voids_the_votes_of_the_gate_that_showed_the_step),
    (owner_not_barred, test_behind_gates.test_every_owner_there_was_is_barred_and_nobody_is_silenced),
    (containers_forgotten, inner_gates),
]


@pytest.mark.parametrize(("plant", "check"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_bug_is_found(
    harness: Harness,
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
    check: Callable[[Harness, Target], None],
) -> None:
    """With the bug its test fails."""
    with monkeypatch.context() as patch:
        plant(patch)
        with pytest.raises(RED):
            check(harness, target)


def test_hints_follow_commits(harness: Harness, target: Target) -> None:
    """The one check that is only here holds without the bug."""
    hints_follow_commits(harness, target)


class BehindAGate(EngineMachine):
    """One runbook that has a gate before all it does: of any runbook, few are skipped at just the right time."""

    @initialize()
    def publish(self) -> None:
        self.harness.publish(
            runbook("any", gate("ask", timeout="10m"), http("a"), http("b"), parameters=PARAMETERS),
            runbook("child", http("c")),
        )
        self.start(CAROL)


@pytest.mark.timeout(300)
def test_the_state_machine_finds_a_skip_that_releases_what_follows(
    new_database: test_machine.NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_kind: str
) -> None:
    """With the claim's own check left out as well; without the bug it finds nothing there."""
    test_machine.run(new_database, tmp_path, examples=30, steps=30, shrink=False, machine=BehindAGate)
    skip_releases_unchecked(monkeypatch)
    with pytest.raises(FOUND):
        test_machine.run(new_database, tmp_path, examples=2_000, steps=30, shrink=False, machine=BehindAGate)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("plant", [no_fence, no_join_guard, running_not_counted])
def test_the_state_machine_finds_it_too(
    new_database: test_machine.NewDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
    database_kind: str,
) -> None:
    """Without being told where to look."""
    plant(monkeypatch)
    with pytest.raises(FOUND):
        test_machine.run(new_database, tmp_path, examples=2_000, steps=30, shrink=False)
