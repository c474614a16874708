"""When things happened, as bars on one scale: attempts, what lay between them, gates, pauses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.page.states import Look, attempt_look, attempt_words
from bot.slack.views.text import duration
from engine.definition.kinds import Awaits, kind_of
from storage.records import AttemptRecord, EventRecord, ExecutionRecord, StepRunRecord
from storage.states import StepStatus

_STEPS_MS = [
    each * unit for unit in (1, 1_000, 60_000, 3_600_000) for each in (1, 2, 5, 10, 15, 20, 30, 60, 120, 240)
] + [day * 86_400_000 for day in (1, 2, 7, 30, 90, 365)]
_TICKS = 6
_AWAITED = {
    Awaits.PEOPLE: "waiting for approval",
    Awaits.ASSIGNEE: "to be done by hand",
    Awaits.EVENT: "waiting for an event",
}
_THIN = 0.3
"""The least width of a bar in percent: what took no time is seen too."""


@dataclass(frozen=True, slots=True)
class Bar:
    """From `left`, `width` wide, in percent of the scale. `look` is a class of the style sheet, `says` its words."""

    left: float
    width: float
    look: str
    says: str


@dataclass(frozen=True, slots=True)
class Row:
    path: str
    bars: tuple[Bar, ...]
    says: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """`ticks` are places in percent with the time since the start; `pauses` lie behind all rows."""

    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    pauses: tuple[Bar, ...]


class Scale:
    """From times to percent of the whole."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.length = start, max(1, end - start)

    def bar(self, begun: int, ended: int, look: str, says: str) -> Bar:
        left = min(100 - _THIN, max(0.0, 100 * (begun - self.start) / self.length))
        width = 100 * (ended - begun) / self.length
        return Bar(round(left, 3), round(min(100 - left, max(_THIN, width)), 3), look, says)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        step = next((each for each in sorted(_STEPS_MS) if self.length / each <= _TICKS), _STEPS_MS[-1])
        marks = range(0, self.length, step)
        return tuple((round(100 * at / self.length, 3), duration(at) if at else "0") for at in marks)


def timeline(
    execution: ExecutionRecord,
    steps: Sequence[StepRunRecord],
    attempts: Mapping[int, Sequence[AttemptRecord]],
    events: Iterable[EventRecord],
    now: int,
) -> Timeline:
    """The rows of those steps that have begun, up to `now` for what has not ended."""
    scale = Scale(execution.created_at, execution.ended_at or now)
    begun = [step for step in steps if step.started_at is not None]
    rows = tuple(_row(step, attempts.get(step.id, ()), scale, execution.ended_at or now) for step in begun)
    return Timeline(rows, scale.ticks(), tuple(_pauses(events, scale, execution.ended_at or now)))


def _row(step: StepRunRecord, attempts: Sequence[AttemptRecord], scale: Scale, now: int) -> Row:
    assert step.started_at is not None
    ended = step.ended_at or now
    first = min([step.started_at, *(each.started_at for each in attempts)])
    whole = duration(max(0, ended - first))
    look = "pending" if kind_of(step).is_wait else "span"
    bars = [scale.bar(first, ended, look, f"{_between(step)}: {whole} in all")]
    for each in attempts:
        took = duration(max(0, (each.ended_at or now) - each.started_at))
        says = f"try {each.number} {attempt_words(each)}, {took}"
        bars.append(scale.bar(each.started_at, each.ended_at or now, attempt_look(each), says))
    tries = attempts[-1].number if attempts else 0
    told = f"{whole}, {tries} tries" if tries > 1 else whole
    return Row(step.path, tuple(bars), told)


def _between(step: StepRunRecord) -> str:
    kind = kind_of(step)
    if kind.is_container:
        return "its steps"
    if kind.awaits in _AWAITED:
        return _AWAITED[kind.awaits]
    return "outcome unknown" if step.status is StepStatus.UNKNOWN else "waiting"


def _pauses(events: Iterable[EventRecord], scale: Scale, now: int) -> Iterable[Bar]:
    since: int | None = None
    for event in events:
        if event.kind == "paused" and since is None:
            since = event.at
        elif event.kind in ("resumed", "ended") and since is not None:
            yield scale.bar(since, event.at, Look.WAIT, f"paused for {duration(event.at - since)}")
            since = None
    if since is not None:
        yield scale.bar(since, now, Look.WAIT, f"paused for {duration(now - since)} so far")
