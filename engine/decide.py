"""What follows from what: the pure rules of an execution. No I/O, no clock, no randomness but what is passed in."""

from __future__ import annotations

from dataclasses import replace

from engine.definition.model import Retry
from storage.records import ExecutionRecord, ExecutionStatus, StepStatus

LIVE = frozenset({StepStatus.READY, StepStatus.RUNNING})
PARKED = frozenset({StepStatus.WAITING, StepStatus.UNKNOWN})
UNFINISHED = LIVE | PARKED | {StepStatus.BLOCKED}

MAX_RECOVERIES = 5
"""How often a step may lose its worker before it is taken to be what kills workers."""


def recount(execution: ExecutionRecord, old: StepStatus, new: StepStatus, count: int = 1) -> ExecutionRecord:
    """The execution's counters after `count` of its step runs went from `old` to `new`."""
    return replace(
        execution,
        live=execution.live + count * ((new in LIVE) - (old in LIVE)),
        running=execution.running + count * ((new is StepStatus.RUNNING) - (old is StepStatus.RUNNING)),
        parked=execution.parked + count * ((new in PARKED) - (old in PARKED)),
        unfinished=execution.unfinished + count * ((new in UNFINISHED) - (old in UNFINISHED)),
    )


def status_of(execution: ExecutionRecord) -> ExecutionStatus:
    """The status that an execution's counters and fixed result amount to.

    A failing run waits for its running steps and for people to settle what is UNKNOWN; a cancelled one only for what
    still runs. PENDING ends with the first claim and PAUSED with a resume, so neither is left here except by ending.
    """
    if execution.ending is not None:
        return _ending_status(execution)
    if execution.unfinished == 0:
        return ExecutionStatus.SUCCESS
    if execution.status in (ExecutionStatus.PENDING, ExecutionStatus.PAUSED):
        return execution.status
    waits = execution.live == 0 and execution.parked > 0
    return ExecutionStatus.WAITING if waits else ExecutionStatus.RUNNING


def _ending_status(execution: ExecutionRecord) -> ExecutionStatus:
    assert execution.ending is not None
    if execution.running:
        return ExecutionStatus.RUNNING
    if execution.ending is ExecutionStatus.FAILED and execution.parked:
        return ExecutionStatus.WAITING
    return execution.ending


def keep_time(execution: ExecutionRecord, at: int) -> ExecutionRecord:
    """Start, stop or leave the run's clock as its status says: only RUNNING counts against the run's timeout."""
    runs = execution.status is ExecutionStatus.RUNNING
    if runs and execution.running_since is None:
        deadline = at + max(0, execution.timeout_ms - execution.running_ms)
        return replace(execution, running_since=at, deadline_at=deadline if execution.ending is None else None)
    if not runs and execution.running_since is not None:
        spent = execution.running_ms + max(0, at - execution.running_since)
        return replace(execution, running_ms=spent, running_since=None, deadline_at=None)
    if execution.ending is not None and execution.deadline_at is not None:
        return replace(execution, deadline_at=None)
    return execution


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
