"""What must be true of every execution at every moment, worked out anew from its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from storage import approvals, attempts, audit, database, events, executions, manual_tasks, steps
from storage.attempts import KEPT_FIRST, KEPT_LAST
from storage.records import EventRecord, ExecutionRecord, StepRunRecord
from storage.states import ApprovalStatus, AttemptStatus

CONTAINERS = ("branch", "loop")


def check(execution_id: str) -> None:
    """Raise `AssertionError` for the first thing that cannot be."""
    with database.reading():
        run = executions.by_id(execution_id)
        assert run is not None
        rows = steps.of_execution(run.id)
        told = events.after(run.id, 0, 100_000)
        open_gates = [each.step_run_id for each in approvals.of_execution(run.id) if each.status == "PENDING"]
        open_tasks = [each.step_run_id for each in manual_tasks.of_execution(run.id) if each.status == "OPEN"]
        tries = {each.id: attempts.of_step(each.id) for each in rows}
    _counters(run, rows)
    _status(run, rows)
    assert [each.seq for each in told] == list(range(1, run.event_seq + 1)), f"{run.id}: its events have a gap"
    waiting = [each.id for each in rows if each.kind == "approval" and each.status == "WAITING"]
    assert sorted(open_gates) == sorted(waiting), f"{run.id}: gates and the steps that wait for them differ"
    by_hand = [each.id for each in rows if each.kind == "manual" and each.status == "WAITING"]
    assert sorted(open_tasks) == sorted(by_hand), f"{run.id}: tasks and the steps that wait for them differ"
    for row in rows:
        _numbers(row, [each.number for each in tries[row.id]])
        under_way = sum(each.status is AttemptStatus.RUNNING for each in tries[row.id])
        assert under_way == (row.status == "RUNNING"), f"{row.path} is {row.status} with {under_way} open attempts"
        assert (row.worker_id is not None) == (row.status == "RUNNING"), f"{row.path}: {row.status} {row.worker_id}"
        assert row.status != "READY" or row.due_at is not None, f"{row.path} will never fall due"


def _numbers(row: StepRunRecord, numbers: list[int]) -> None:
    """Attempts are numbered without gaps; of a poll's many rounds only those in the middle may be left out."""
    every = range(1, row.attempts + 1)
    missing = set(every) - set(numbers)
    assert numbers == [each for each in every if each not in missing], f"{row.path}: attempts {numbers}"
    middle = set(every[KEPT_FIRST:-KEPT_LAST]) if row.kind == "poll" else set()
    assert missing <= middle, f"{row.path}: attempts {sorted(missing - middle)} are not on record"


def _counters(run: ExecutionRecord, rows: Iterable[StepRunRecord]) -> None:
    here = [each for each in rows if each.phase is run.phase]
    found = Counter(each.status for each in here)
    resting = sum(each.status == "WAITING" and each.kind in CONTAINERS for each in here)
    live, parked = found["READY"] + found["RUNNING"], found["WAITING"] + found["UNKNOWN"] - resting
    counted = (run.live, run.running, run.waiting_steps, run.unfinished)
    assert counted == (live, found["RUNNING"], parked, live + parked + resting + found["BLOCKED"]), (
        f"{run.id} {counted}"
    )


def _status(run: ExecutionRecord, rows: Iterable[StepRunRecord]) -> None:
    """Something will move it: a step, a person or an event. Nothing is left over once it has ended."""
    if run.status == "RUNNING":
        assert run.live, f"{run.id} is RUNNING, and nothing will ever move it"
    elif run.status == "WAITING":
        assert run.waiting_steps, f"{run.id} is WAITING for nothing"
        assert not run.live, f"{run.id} is WAITING although something runs"
    elif run.status == "PENDING":
        assert run.live, f"{run.id} is PENDING, and nothing will ever begin it"
    elif run.status.ended:
        left = [each.path for each in rows if each.status in ("READY", "RUNNING", "UNKNOWN")]
        assert not left, f"{run.id} has ended, and {left} have not"
        assert run.slot is None, f"{run.id} has ended and keeps its slot"
    if run.pending_result is not None and run.phase == "main":
        assert not [each for each in rows if each.status == "READY"], f"{run.id} is ending and would start a step"


def check_audit(workspace_id: int, execution_id: str) -> None:
    """What people and policy did stands in the audit exactly as often as in the story of the run."""
    with database.reading():
        told = Counter(each.kind for each in events.after(execution_id, 0, 100_000) if _by_a_person(each))
        rows = Counter(each.action for each in audit.of_thing(workspace_id, f"execution:{execution_id}", 1_000))
        decided = [each for each in approvals.of_execution(execution_id) if each.status is not ApprovalStatus.PENDING]
    for kind, action in _AUDITED.items():
        assert told[kind] == rows[action], f"{execution_id}: {told[kind]} × {kind}, {rows[action]} × {action}"
    assert len([each for each in decided if each.status == "EXPIRED"]) <= rows["approval.expire"]


_AUDITED = {
    "started": "execution.start", "vote": "approval.vote", "vote_withdrawn": "approval.withdraw",
    "paused": "execution.pause", "resumed": "execution.resume", "cancel_requested": "execution.cancel",
    "task_done": "step.done", "task_failed": "step.could_not", "task_expired": "step.expire",
    "step_retried": "step.retry", "step_resolved": "step.resolve", "gate_expired": "approval.expire",
}  # fmt: skip


def _by_a_person(event: EventRecord) -> bool:
    return event.actor is not None or event.kind in ("gate_expired", "task_expired")
