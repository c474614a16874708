"""Changes of many step runs of one run at once, or of one beyond its moves; whoever makes them holds the run's lock."""

from __future__ import annotations

from typing import Any

from storage import sql, steps
from storage.records import Json, StepRunRecord, changed
from storage.run_state import RunState
from storage.state_transitions import STEP_TRANSITIONS, check_transition
from storage.states import AttemptStatus, Phase, StepStatus
from storage.tables import Attempt, StepRun


def block_ready(run: RunState, phase: Phase, scope: str = "") -> int:
    """READY → BLOCKED for all in `scope`: something there has failed and nothing more starts. How many there were.

    Their due times stay: should the run go on, a delay is not over sooner for it.
    """
    run.forget()
    query = StepRun.update(status=StepStatus.BLOCKED).where(
        (StepRun.execution_id == run.id) & (StepRun.phase == phase) & (StepRun.status == StepStatus.READY)
    )
    return int(query.where(steps.in_scope_deep(scope)).execute())


def cancel_waiting(run: RunState, phase: Phase, at: int, scope: str = "") -> int:
    """WAITING → CANCELLED for gates and waits in `scope`: nobody is asked any more. How many there were."""
    run.forget()
    query = StepRun.update(status=StepStatus.CANCELLED, ended_at=at).where(
        (StepRun.execution_id == run.id) & (StepRun.phase == phase) & (StepRun.status == StepStatus.WAITING)
    )
    return int(query.where(StepRun.kind.not_in(steps.CONTAINERS) & steps.in_scope_deep(scope)).execute())


def cancel_idle(run: RunState, phase: Phase, at: int) -> dict[StepStatus, int]:
    """End every step run of the phase that is not RUNNING and has not ended as CANCELLED.

    How many there were of each status; waiting containers are told under BLOCKED, as which they count.
    """
    run.forget()
    counts: dict[StepStatus, int] = {}
    for status in (StepStatus.BLOCKED, StepStatus.READY, StepStatus.UNKNOWN, StepStatus.WAITING):
        query = StepRun.update(status=StepStatus.CANCELLED, ended_at=at, due_at=None).where(
            (StepRun.execution_id == run.id) & (StepRun.phase == phase) & (StepRun.status == status)
        )
        if status is StepStatus.WAITING:
            counts[StepStatus.BLOCKED] += query.where(StepRun.kind.in_(steps.CONTAINERS)).execute()
        counts[status] = query.execute()
    return counts


def abandon_all(run: RunState, at: int, error: Json) -> None:
    """End everything that has not ended as CANCELLED, also what is RUNNING: its worker's result comes too late."""
    run.forget()
    unfinished = (StepRun.execution_id == run.id) & StepRun.status.in_(steps.UNFINISHED)
    under_way = StepRun.select(StepRun.id).where(unfinished)
    Attempt.update(status=AttemptStatus.ABANDONED, ended_at=at, error=error).where(
        Attempt.step_run_id.in_(under_way) & (Attempt.status == AttemptStatus.RUNNING)
    ).execute()
    StepRun.update(
        status=StepStatus.CANCELLED, fence=StepRun.fence + 1, ended_at=at, due_at=None, worker_id=None, error=error
    ).where(unfinished).execute()


def skip_rest(run: RunState, scope: str, at: int, note: str) -> dict[StepStatus, int]:
    """End what was held back in a round or branch that failed, where that failure is tolerated.

    How many there were of each status; waiting containers are told under BLOCKED, as which they count.
    """
    run.forget()
    counts: dict[StepStatus, int] = {}
    for status, kinds in ((StepStatus.BLOCKED, None), (StepStatus.READY, None), (StepStatus.WAITING, steps.CONTAINERS)):
        query = StepRun.update(status=StepStatus.SKIPPED, ended_at=at, due_at=None, note=note).where(
            (StepRun.execution_id == run.id) & (StepRun.status == status) & steps.in_scope_deep(scope)
        )
        if kinds:
            counts[StepStatus.BLOCKED] += query.where(StepRun.kind.in_(kinds)).execute()
        else:
            counts[status] = query.execute()
    return counts


_FRESH: dict[str, Any] = {
    "due_at": None, "deadline_at": None, "failures": 0, "recoveries": 0, "worker_id": None, "started_at": None,
    "ended_at": None, "outputs": None, "error": None, "note": "", "child": None, "skip": None, "items": None,
    "rounds": 0, "wait_key": None,
}  # fmt: skip


def reset(run: RunState, step: StepRunRecord, *, blocked: int, position: int) -> None:
    """Make a cleanup step run that has ended ready to run again, for a run whose cleanup comes once more."""
    again = {"status": StepStatus.BLOCKED, "fence": step.fence + 1, "blocked": blocked, "position": position}
    run.edit(step, **_FRESH, **again)


def retire_inner(run: RunState, phase: Phase) -> None:
    """What stands in the branches and rounds of an earlier cleanup is over until it is made once more (`reset`)."""
    run.forget()
    aside = {**_FRESH, "status": StepStatus.SKIPPED, "fence": StepRun.fence + 1, "note": steps.EARLIER_CLEANUP}
    inner = (StepRun.execution_id == run.id) & (StepRun.phase == phase) & (StepRun.scope != "")
    StepRun.update(aside).where(inner).execute()


def postpone(run: RunState, step: StepRunRecord, due_at: int) -> None:
    """Let a READY step run fall due later, unless it was made due since it was read, which needs no lock."""
    where = "id = ? AND status = 'READY' AND due_at = ?"
    sql.update(StepRun, {"due_at": due_at}, where, step.id, step.due_at)
    run.assume(changed(step, due_at=due_at))  # one that was made due meanwhile is looked at in a change of its own


def reopen(run: RunState, step: StepRunRecord) -> None:
    """FAILED or CANCELLED → BLOCKED with fresh tries, as the run goes on. Raises `ForbiddenTransition` for others."""
    check_transition(STEP_TRANSITIONS, step.status, StepStatus.READY)
    run.edit(
        step, status=StepStatus.BLOCKED, failures=0, recoveries=0, deadline_at=None, ended_at=None, error=None,
        outputs=None, due_at=None, wait_key=None, child=None, settled_by=None,
    )  # fmt: skip


def reopen_container(run: RunState, step: StepRunRecord, deadline_at: int | None) -> None:
    """Let a branch or loop go on: FAILED → WAITING, one failed round forgiven, nothing stopped, its time anew."""
    status = StepStatus.WAITING if step.status is StepStatus.FAILED else step.status
    failures = max(0, step.failures - 1)
    run.edit(step, status=status, ended_at=None, error=None, failures=failures, deadline_at=deadline_at)


def renew_time(run: RunState, phase: Phase) -> None:
    """Give what is held back its whole time again when it goes on."""
    run.forget()
    StepRun.update(deadline_at=None).where(
        (StepRun.execution_id == run.id) & (StepRun.phase == phase) & (StepRun.status == StepStatus.BLOCKED)
    ).execute()
