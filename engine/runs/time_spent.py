"""How long the steps of a run took: their tries, what lay between these, and the run's pauses, each by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from engine.definition.kinds import kind_of
from engine.runs.executions import ExecutionView
from storage import attempts, database, events
from storage.records import EventRecord, ExecutionRecord, StepRunRecord
from storage.states import ExecutionStatus

Span = tuple[int, int]
"""From and to, in epoch milliseconds."""
PAUSING = ("paused", "resumed", "ended")
"""The events that begin and end pauses."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds. What a step tries goes on in a pause, and counts as tried."""

    tried: int
    waited: int
    paused: int

    @property
    def whole(self) -> int:
        """All of the time, each moment counted once."""
        return self.tried + self.waited + self.paused


def pauses(happened: Iterable[EventRecord], end: int) -> list[Span]:
    """When the run was paused; a pause that nobody ended lasts to `end`."""
    found: list[Span] = []
    since: int | None = None
    for event in happened:
        if event.kind == "paused" and since is None:
            since = event.at
        elif event.kind in ("resumed", "ended") and since is not None:
            found.append((since, event.at))
            since = None
    return found if since is None else [*found, (since, end)]


def of_step(step: StepRunRecord, tries: Iterable[Span], paused: Iterable[Span], now: int) -> Spent | None:
    """How long one step took, up to `now` where it has not ended; None before it begins.

    A branch or loop runs for as long as it is under way and the run is not paused.
    """
    if step.started_at is None:
        return None
    begun, end = step.started_at, step.ended_at or now
    rests = _within(paused, begun, end)
    if kind_of(step).is_container:
        resting = _length(rests)
        return Spent(max(0, end - begun) - resting, 0, resting)
    tried = _within(tries, begun, end)
    resting = _length([*tried, *rests]) - _length(tried)
    return Spent(_length(tried), max(0, end - begun) - _length(tried) - resting, resting)


def with_spent(view: ExecutionView) -> ExecutionView:
    """The run with how long each of its steps took."""
    return replace(view, spent=of_steps(view.execution, view.steps))


def of_steps(run: ExecutionRecord, steps: Iterable[StepRunRecord]) -> dict[int, Spent]:
    """How long these steps of a run took, by the step run's id; what an earlier run did took no time in this one."""
    with database.reading():
        now = run.ended_at or database.now()
        tries = attempts.times_of_execution(run.id)
        rests = run.paused_ms or run.status is ExecutionStatus.PAUSED
        told = pauses(events.of_kinds(run.id, PAUSING), now) if rests else []
    own = [step for step in steps if (step.started_at or 0) >= run.created_at]
    found = {step.id: of_step(step, _ended(tries.get(step.id, ()), now), told, now) for step in own}
    return {each: spent for each, spent in found.items() if spent is not None}


def _ended(tries: Iterable[tuple[int, int | None]], now: int) -> list[Span]:
    return [(begun, ended or now) for begun, ended in tries]


def _within(spans: Iterable[Span], begun: int, end: int) -> list[Span]:
    cut = ((max(since, begun), min(until, end)) for since, until in spans)
    return [(since, until) for since, until in cut if since < until]


def _length(spans: Sequence[Span]) -> int:
    """How much time they cover together; what several cover counts once."""
    total, reached = 0, 0
    for since, until in sorted(spans):
        total += max(0, until - max(since, reached))
        reached = max(reached, until)
    return total
