"""Runs that take longer than their runbook expects: told once, by a change like any other.

The thread of a run tells it; of one without a channel, whoever answers for it is told directly.

Time is counted as for the run's `timeout`: only while it is RUNNING, and while main may still succeed.
"""

from __future__ import annotations

from engine.catalog import notices
from engine.orchestration.run_phases import change
from engine.runtime import Runtime
from storage.records import ExecutionRecord

EVENT = "longer_than_expected"


def tell(rt: Runtime, execution_id: str) -> None:
    """Note that a run takes longer than expected, unless it no longer does or that was noted before."""
    with change(rt, execution_id, "tell_longer") as transition:
        now = transition.execution
        if _is_due(now, transition.at):
            transition.edit(overran_at=transition.at)
            if not (now.incident or {}).get("channel"):
                notices.of_long_run(rt, now.id, now.responsible)
            transition.record_event(EVENT, expected_ms=now.expected_ms, responsible=now.responsible)


def _is_due(run: ExecutionRecord, at: int) -> bool:
    if run.expected_ms is None or run.overran_at is not None or run.deadline_at is None:
        return False
    return run.deadline_at - run.timeout_ms + run.expected_ms <= at
