"""A run as a picture: a bar a step over the time it took, waits hatched, pauses as bands across all of them.

Nothing is told by colour alone: every bar has its own pattern and says beside it what became of the step.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from bot.slack.views.steps import folded, ordered
from bot.slack.views.text import cut, duration, one_line
from bot.slack.views.words import execution_words, spent_words, step_took, step_words
from engine.definition.kinds import kind_of
from engine.runs.time_spent import Span, pauses
from storage.records import EventRecord, StepRunRecord
from storage.states import ExecutionStatus, StepStatus

if TYPE_CHECKING:
    from engine.runs.executions import ExecutionView

ROWS = 40
"""Bars in one picture; what is worth looking at stays, as on the card."""
_SCALE = 2
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _FOOT = 780, 190, 200, 86, 27, 66
_TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)
_INK, _PALE, _PAPER, _PAUSE = "#1d1c1d", "#5f5e60", "#ffffff", "#e3e3e6"


@dataclass(frozen=True, slots=True)
class _Look:
    """How one kind of bar is drawn, in a palette that colour-blind people can tell apart."""

    name: str
    fill: str
    edge: str
    pattern: str


_RAN = _Look("ran", "#0072b2", "#0072b2", "")
_WAITED = _Look("waited", "#ffffff", "#56783c", "slanted")
_FAILED = _Look("failed", "#f6d8c7", "#b03a00", "crossed")
_CUT_OFF = _Look("cancelled or unknown", "#ffffff", "#5f5e60", "dotted")
_HELD = _Look("holds others", "#ffffff", "#0072b2", "")
_LOOKS = (_RAN, _WAITED, _FAILED, _CUT_OFF, _HELD)

WORTH_DRAWING_MS = 60_000
"""A run that went well and is over sooner is one card and one line."""


def worth_drawing(view: ExecutionView) -> bool:
    """Whether a picture tells more than a line would: of at least two steps that failed or took a minute."""
    execution = view.execution
    took = (execution.ended_at or execution.created_at) - execution.created_at
    told = execution.status is ExecutionStatus.FAILED or took >= WORTH_DRAWING_MS
    return told and sum(step.started_at is not None for step in view.steps) > 1


def alt_text(view: ExecutionView) -> str:
    """The picture in words, for those who do not see it."""
    began = [step for step in ordered(view.steps) if step.started_at is not None]
    told = "; ".join(f"{one_line(step.path)} {_says(view, step, step_took(view, step))}" for step in began[:20])
    return cut(f"Timeline of {view.execution.id}: {told}.", 1000)


def timeline(view: ExecutionView, events: Sequence[EventRecord]) -> bytes:
    """The picture of a run that has ended, as a PNG. `events` are read for its pauses."""
    began, end = _span(view)
    steps, rest = folded([step for step in ordered(view.steps) if step.started_at is not None], ROWS)
    height = _TOP + _ROW * len(steps) + _FOOT
    image = Image.new("RGB", (_WIDTH * _SCALE, height * _SCALE), _PAPER)
    draw = _Canvas(image, began, max(end - began, 1))
    draw.title(view)
    bottom = _TOP + _ROW * len(steps)
    for since, until in pauses(events, end):
        draw.band(since, until, bottom)
    draw.axis(bottom)
    for row, step in enumerate(steps):
        draw.bar(row, step, end, _says(view, step))
    draw.legend(bottom, sum(rest.values()))
    kept = io.BytesIO()
    image.quantize(64, method=Image.Quantize.FASTOCTREE).save(kept, "PNG")
    return kept.getvalue()


def _span(view: ExecutionView) -> Span:
    execution = view.execution
    times = [time for step in view.steps for time in (step.started_at, step.ended_at) if time is not None]
    return min([execution.created_at, *times]), max([execution.ended_at or execution.created_at, *times])


def _says(view: ExecutionView, step: StepRunRecord, took: str = "") -> str:
    """What became of a step; beside its bar the whole time is said, of which the bands show what was paused."""
    _, words = step_words(step, run_ended=view.execution.status.ended)
    took = took or (duration(max((step.ended_at or 0) - (step.started_at or 0), 0)) if step.ended_at else "")
    tries = f", {step.attempts} tries" if step.attempts > 1 and not kind_of(step).is_wait else ""
    return f"{cut(words, 24)} {took}{tries}".strip()


def _look(step: StepRunRecord) -> _Look:
    if step.status is StepStatus.FAILED:
        return _FAILED
    if step.status in (StepStatus.CANCELLED, StepStatus.UNKNOWN):
        return _CUT_OFF
    kind = kind_of(step)
    return _WAITED if kind.is_wait else _HELD if kind.is_container else _RAN


class _Canvas:
    """Draws in points; `began` and `span` in milliseconds say which times lie between the margins."""

    def __init__(self, image: Image.Image, began: int, span: int) -> None:
        self._image = image
        self._draw = ImageDraw.Draw(image)
        self._began, self._span = began, span
        self._font, self._bold = (ImageFont.load_default(size * _SCALE) for size in (13, 17))

    def title(self, view: ExecutionView) -> None:
        _, words = execution_words(view.execution)
        what = f"{view.execution.slug}@{view.execution.number}"
        self._text(16, 14, f"{cut(what, 60)} · {view.execution.id} · {words}", bold=True)
        spent = spent_words(view.execution)
        self._text(16, 38, f"{duration(self._span)} in all{f': {spent}' if spent else ''}", _PALE)

    def band(self, since: int, until: int, bottom: int) -> None:
        """A pause: nothing began in this time."""
        left, right = self._x(since), max(self._x(until), self._x(since) + 2)
        self._box(left, _TOP - 8, right, bottom, _PAUSE)
        self._text(left + 3, _TOP - 25, "paused", _PALE)

    def axis(self, bottom: int) -> None:
        """Ticks at round durations since the start, with a hair line through all rows."""
        step = next((tick for tick in _TICKS if self._span / 1000 / tick <= 6), self._span // 6000)
        for tick in range(0, self._span // 1000 + 1, step):
            x = self._x(self._began + tick * 1000)
            self._box(x, _TOP - 4, x + 0.5, bottom + 4, "#d5d5d8")
            self._text(x, bottom + 6, duration(tick * 1000) if tick else "start", _PALE, centred=True)

    def bar(self, row: int, step: StepRunRecord, end: int, says: str) -> None:
        """One step: its path on the left, its bar, and what became of it on the right."""
        top = _TOP + row * _ROW
        left = self._x(step.started_at or self._began)
        right = max(self._x(step.ended_at or end), left + 3)
        self._text(16, top + 4, cut(one_line(step.path), 24))
        self._patterned((left, top + 4, right, top + _ROW - 6), _look(step))
        self._text(_WIDTH - _RIGHT + 12, top + 4, says)

    def legend(self, bottom: int, hidden: int) -> None:
        """What each pattern means."""
        x = 16.0
        for look in _LOOKS:
            self._patterned((x, bottom + 40, x + 24, bottom + 54), look)
            self._text(x + 30, bottom + 39, look.name)
            x += 48 + self._draw.textlength(look.name, self._font) / _SCALE
        self._box(x, bottom + 40, x + 24, bottom + 54, _PAUSE)
        self._text(x + 30, bottom + 39, f"paused{f' · {hidden} more steps are not drawn' if hidden else ''}")

    def _x(self, at: int) -> float:
        return _LEFT + (at - self._began) / self._span * (_WIDTH - _LEFT - _RIGHT)

    def _box(self, left: float, top: float, right: float, bottom: float, fill: str, outline: str | None = None) -> None:
        corners = [left * _SCALE, top * _SCALE, right * _SCALE, bottom * _SCALE]
        self._draw.rectangle(corners, fill=fill, outline=outline, width=_SCALE)

    def _patterned(self, corners: tuple[float, float, float, float], look: _Look) -> None:
        left, top, right, bottom = (round(each * _SCALE) for each in corners)
        tile = Image.new("RGB", (max(right - left, 1), bottom - top), look.fill)
        pen = ImageDraw.Draw(tile)
        for line in _lines(look.pattern, tile.width, tile.height):
            pen.line(line, fill=look.edge, width=_SCALE)
        pen.rectangle((0, 0, tile.width - 1, tile.height - 1), outline=look.edge, width=_SCALE)
        self._image.paste(tile, (left, top))

    def _text(
        self, x: float, y: float, text: str, fill: str = _INK, *, bold: bool = False, centred: bool = False
    ) -> None:
        font = self._bold if bold else self._font
        if centred:
            x -= self._draw.textlength(text, font) / _SCALE / 2
        self._draw.text((x * _SCALE, y * _SCALE), text, fill=fill, font=font)


def _lines(pattern: str, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """The strokes of a pattern in a tile."""
    gap = 6 * _SCALE
    slanted = [(x, height, x + height, 0) for x in range(-height, width, gap)]
    if pattern == "slanted":
        return slanted
    if pattern == "crossed":
        return [*slanted, *((x, 0, x + height, height) for x in range(-height, width, gap))]
    if pattern == "dotted":
        return [(x, y, x + _SCALE, y) for x in range(gap // 2, width, gap) for y in range(gap // 2, height, gap // 2)]
    return []
