"""An execution's status, counters and time, each as it follows from the others. Pure: the clock is passed in."""

from __future__ import annotations

from collections.abc import Iterable

from engine.definition.kinds import CONTAINERS
from storage.records import ExecutionRecord, changed
from storage.states import ExecutionStatus, Phase, StepStatus

LIVE = frozenset({StepStatus.READY, StepStatus.RUNNING})
WAITING = frozenset({StepStatus.WAITING, StepStatus.UNKNOWN})
UNFINISHED = LIVE | WAITING | {StepStatus.BLOCKED}


def recount(
    execution: ExecutionRecord, old: StepStatus, new: StepStatus, count: int = 1, *, container: bool = False
) -> ExecutionRecord:
    """The execution's counters after `count` of its step runs went from `old` to `new`.

    A waiting `container` waits for its own steps, not for a person or an event, so it does not count as waiting.
    """
    deltas = {
        "live": (new in LIVE) - (old in LIVE),
        "running": (new is StepStatus.RUNNING) - (old is StepStatus.RUNNING),
        "waiting_steps": (not container) * ((new in WAITING) - (old in WAITING)),
        "unfinished": (new in UNFINISHED) - (old in UNFINISHED),
    }
    moved = {name: getattr(execution, name) + count * delta for name, delta in deltas.items() if delta}
    return changed(execution, **moved) if moved else execution


def with_counters(execution: ExecutionRecord, census: Iterable[tuple[StepStatus, str, int]]) -> ExecutionRecord:
    """The execution with its counters made anew from how many step runs have which status and kind."""
    execution = changed(execution, live=0, running=0, waiting_steps=0, unfinished=0)
    for status, kind, count in census:
        execution = recount(execution, StepStatus.SUCCESS, status, count, container=kind in CONTAINERS)
    return execution


def phase_over(execution: ExecutionRecord, *, failing: bool = False) -> bool:
    """Whether nothing of the phase that runs now is left to run or to be settled by a person.

    A failing main phase waits for its running steps and for what is UNKNOWN, a cancelled one only for what runs.
    `failing` says that a cleanup phase has failed and starts nothing more.
    """
    if execution.unfinished == 0:
        return True
    stopped = failing if execution.phase is not Phase.MAIN else execution.pending_result is not None
    patient = execution.pending_result is not ExecutionStatus.CANCELLED or execution.phase is not Phase.MAIN
    return stopped and execution.running == 0 and not (patient and execution.waiting_steps)


def is_stuck(execution: ExecutionRecord) -> bool:
    """Whether main has steps left that nothing will ever unblock: after a retry, behind another step that failed."""
    idle = execution.live == 0 and execution.waiting_steps == 0
    return execution.phase is Phase.MAIN and execution.pending_result is None and idle and execution.unfinished > 0


def status_of(execution: ExecutionRecord, *, over: bool) -> ExecutionStatus:
    """The status that an execution's counters and fixed result amount to; `over` says that no phase is left.

    PENDING ends with the first claim and PAUSED with a resume, so neither is left here except by ending.
    """
    if over:
        assert execution.pending_result is not None
        return execution.pending_result
    if execution.status in (ExecutionStatus.PENDING, ExecutionStatus.PAUSED):
        return execution.status
    waits = execution.live == 0 and execution.waiting_steps > 0
    return ExecutionStatus.WAITING if waits else ExecutionStatus.RUNNING


def add_time_spent(execution: ExecutionRecord, before: ExecutionStatus, at: int) -> ExecutionRecord:
    """Add the time since the last change to what the status `before` was spent in, and set the run's deadline.

    Only RUNNING counts against the run's timeout, and only while the main phase may still succeed.
    """
    spent = max(0, at - (execution.status_since or at))
    if execution.status is not before or not execution.status_since:
        field = _CLOCKS.get(before)
        if field is not None:
            execution = changed(execution, **{field: getattr(execution, field) + spent})
        execution = changed(execution, status_since=at)
    runs = execution.status is ExecutionStatus.RUNNING
    since = (execution.running_since or at) if runs else None
    left = max(0, execution.timeout_ms - execution.running_ms)
    deadline = since + left if since is not None and execution.pending_result is None else None
    if (since, deadline) == (execution.running_since, execution.deadline_at):
        return execution
    return changed(execution, running_since=since, deadline_at=deadline)


_CLOCKS = {
    ExecutionStatus.RUNNING: "running_ms",
    ExecutionStatus.WAITING: "waiting_ms",
    ExecutionStatus.PAUSED: "paused_ms",
}
