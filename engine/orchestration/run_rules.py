"""What follows from what: the pure rules of an execution. No I/O, no clock, no randomness but what is passed in."""

from __future__ import annotations

from collections.abc import Iterable

from engine.definition.kinds import CONTAINERS
from engine.definition.model import Retry, Runbook
from storage.records import ExecutionRecord, Json, changed
from storage.states import ExecutionStatus, Phase, StepStatus

LIVE = frozenset({StepStatus.READY, StepStatus.RUNNING})
WAITING = frozenset({StepStatus.WAITING, StepStatus.UNKNOWN})
UNFINISHED = LIVE | WAITING | {StepStatus.BLOCKED}

CLEANUP_MS = 3_600_000
"""How long undo, on_failure and finally may take together before the run ends without them."""

CONDITION_NOT_MET = "its condition was not met"
"""The note of a step that the run itself has skipped; no person's skip has it."""

HELD_GATE = "held_gate"
"""The key of an error that says that the step was or held a gate: no runbook tolerates its failure."""

MAX_ROUNDS = 1_000
"""A loop that wants more has gone wrong."""

MAX_RECOVERIES = 5
"""How often a step may lose its worker before it is taken to be what kills workers."""

REMINDERS = (0.5, 0.9)
"""How much of a gate's time has passed when people are reminded of it."""

WORTH_REMINDING_MS = 120_000
"""A gate that is open for less is not worth a reminder."""


def tolerated(runbook: Runbook, step_id: str, error: Json) -> bool:
    """Whether a step that has failed with this error is tolerated."""
    step = runbook.by_id.get(step_id)
    return step is not None and step.continue_on_error and not (error or {}).get(HELD_GATE)


def skip_agreed(skip: Json) -> bool:
    """Whether a step run's `skip` is to be done when its turn comes: nobody has to agree to it any more."""
    return bool(skip) and None not in skip["agreed"].values()


def skip_note(skip: Json) -> str:
    """The note of a step that was skipped by this wish."""
    return f"skipped by {skip['by']}: {skip['reason']}"


def next_reminder(opened_at: int, expires_at: int, after: int) -> int | None:
    """When people are next reminded of a gate: the first of its reminders that comes later than `after`."""
    span = expires_at - opened_at
    if span < WORTH_REMINDING_MS:
        return None
    return next((at for part in REMINDERS if (at := opened_at + round(span * part)) > after), None)


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


def backoff_ms(retry: Retry, failures: int, jitter: float, retry_after_ms: int | None = None) -> int:
    """How long to wait before the next try after `failures` failures (1 or more).

    `jitter` in [0, 1) adds up to half of the pause again, so that many runs failing together do not return together.
    The server's own wish is never undercut.
    """
    pause = min(retry.delay_ms * retry.backoff ** (failures - 1), retry.max_delay_ms)
    return max(int(pause * (1 + jitter / 2)), retry_after_ms or 0)


def may_retry(retry: Retry, failures: int) -> bool:
    """Whether a step that has failed `failures` times has a try left; the first try counts."""
    return failures < retry.max_attempts
