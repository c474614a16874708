"""Figures for whoever watches the bot: what is open now, and what has happened since the last look."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from engine.runtime import Runtime
from storage import cards, counts, database, executions, workers
from storage.states import ExecutionStatus

SETTLE_MS = 2_000
"""How long an event is left alone: one with a smaller number may be about to be committed."""
BATCH = 5_000
_STEP_ENDS = frozenset({"step_succeeded", "step_failed", "step_skipped"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How things stand. `overrunning` are open runs that take longer than expected.

    Ages are milliseconds; `slack_lag_ms` is None where nothing is shown in Slack.
    """

    open_runs: dict[str, int]
    overrunning: int
    open_gates: int
    workers: int
    sweeps: int
    oldest_ready_ms: int
    slack_lag_ms: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run or step took, in milliseconds; `how` is its status or the step's kind."""

    how: str
    took_ms: int


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What has happened: how many events of each kind, the runs that ended, and the steps."""

    events: Counter[str]
    runs: list[Ended]
    steps: list[Ended]


def snapshot(rt: Runtime) -> Snapshot:
    """How things stand at this moment."""
    at = database.now()
    with database.reading():
        unshown = cards.oldest_unshown(rt.workspace_id)
        slack = None if rt.settings.slack_mode == "none" else max(0, at - unshown if unshown is not None else 0)
        known = counts.open_by_status(rt.workspace_id)
        return Snapshot(
            open_runs={status: known.get(status, 0) for status in ExecutionStatus if not status.ended},
            overrunning=counts.longer_than_expected(rt.workspace_id),
            open_gates=counts.open_gates(rt.workspace_id),
            workers=workers.alive(at),
            sweeps=counts.sweeps(rt.workspace_id),
            oldest_ready_ms=executions.oldest_ready_age(at),
            slack_lag_ms=slack,
        )


class EventTail:
    """Goes through the events of all runs, each once, beginning with those after it was made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: int | None = None

    def read(self) -> EventCounts:
        """What has happened since the last call."""
        with self._lock, database.reading():
            if self._seen is None:
                self._seen = counts.newest_event()
            told = EventCounts(Counter(), [], [])
            before = database.now() - SETTLE_MS
            while found := counts.events_between(self._seen, before, BATCH):
                self._seen = found[-1].id
                for each in found:
                    told.events[each.kind] += 1
                    if each.kind == "ended" and each.run_ended_at is not None:
                        told.runs.append(Ended(each.run_status, each.run_ended_at - each.run_created_at))
                    if each.kind in _STEP_ENDS and each.step_kind and each.step_started_at and each.step_ended_at:
                        told.steps.append(Ended(each.step_kind, each.step_ended_at - each.step_started_at))
            return told
