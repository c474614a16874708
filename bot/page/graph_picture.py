"""A runbook's steps as a drawing with the state of each: branches and loops as boxes around what they hold. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.page.graph_layout import Line, Point, Size, arrange
from bot.page.states import Look, look_of, step_words_of
from engine.definition.kinds import BLOCKS
from engine.definition.model import Runbook, Step
from storage.records import StepRunRecord
from storage.states import Phase, StepStatus

Runs = Mapping[str, Sequence[StepRunRecord]]

NOT_YET, NEVER = "not started", "did not run"
"""What is said of a step that no step run is of."""
NODE: Size = (246.0, 50.0)
_PAD, _HEAD, _TITLE = 14.0, 50.0, 20.0
_TOLD_FIRST = (
    StepStatus.UNKNOWN, StepStatus.FAILED, StepStatus.WAITING, StepStatus.RUNNING, StepStatus.READY,
    StepStatus.CANCELLED, StepStatus.BLOCKED, StepStatus.SKIPPED, StepStatus.SUCCESS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """A step as it is drawn. `anchor` is the path of the step run that a click leads to, None where there is none."""

    step_id: str
    title: str
    kind: str
    look: Look
    words: str
    corner: Point
    size: Size
    anchor: str | None
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Caption:
    text: str
    at: Point


@dataclass(frozen=True, slots=True)
class Drawing:
    """One part of a run, whole: everything lies within `size`. Boxes that hold others come before those."""

    title: str
    size: Size
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    captions: tuple[Caption, ...] = ()


def drawings(runbook: Runbook, steps: Sequence[StepRunRecord], *, ended: bool = False) -> list[Drawing]:
    """The main steps, and each part of the cleanup that the runbook has or that ran. `ended`: nothing follows."""
    undone = [step for step in steps if step.phase is Phase.UNDO and step.step_id in runbook.by_id]
    chain = [replace(runbook.by_id[step.step_id], needs=()) for step in sorted(undone, key=lambda each: each.position)]
    chain = [replace(step, needs=(chain[place - 1].id,) if place else ()) for place, step in enumerate(chain)]
    parts = (("", runbook.steps), ("Undo", chain), ("On failure", runbook.on_failure), ("Finally", runbook.finally_))
    runs: dict[str, list[StepRunRecord]] = {}
    for step in steps:
        runs.setdefault(step.step_id, []).append(step)
    yet = NEVER if ended else NOT_YET
    return [replace(_drawn(part, runs, yet), title=title) for title, part in parts if part]


def _drawn(steps: Sequence[Step], runs: Runs, yet: str) -> Drawing:
    inner = {step.id: _held(step, runs, yet) for step in steps if any(step.blocks.values())}
    sizes = {step.id: inner[step.id].size if step.id in inner else NODE for step in steps}
    placed = arrange({step.id: step.needs for step in steps}, sizes)
    boxes: list[Box] = []
    lines, captions = list(placed.lines), list[Caption]()
    for step in steps:
        corner = placed.corners[step.id]
        boxes.append(_box(step, runs.get(step.id, ()), yet, corner, sizes[step.id], holds=step.id in inner))
        if step.id in inner:
            moved = _moved(inner[step.id], corner)
            boxes += moved.boxes
            lines += moved.lines
            captions += moved.captions
    return Drawing("", placed.size, tuple(boxes), tuple(lines), tuple(captions))


def _held(step: Step, runs: Runs, yet: str) -> Drawing:
    """What a branch or loop holds, its blocks side by side, with room around for the box itself."""
    boxes: list[Box] = []
    lines: list[Line] = []
    captions: list[Caption] = []
    x, height = _PAD, 0.0
    for name, block in step.blocks.items():
        if not block:
            continue
        part = _drawn(block, runs, yet)
        captions.append(Caption(BLOCKS[name], (x, _HEAD + _TITLE - 8)))
        moved = _moved(part, (x, _HEAD + _TITLE))
        boxes += moved.boxes
        lines += moved.lines
        captions += moved.captions
        x, height = x + part.size[0] + _PAD, max(height, part.size[1])
    size = (max(x, NODE[0]), _HEAD + _TITLE + height + _PAD)
    return Drawing("", size, tuple(boxes), tuple(lines), tuple(captions))


def _moved(drawing: Drawing, by: Point) -> Drawing:
    def move(point: Point) -> Point:
        return point[0] + by[0], point[1] + by[1]

    return replace(
        drawing,
        boxes=tuple(replace(box, corner=move(box.corner)) for box in drawing.boxes),
        lines=tuple(replace(line, points=tuple(map(move, line.points))) for line in drawing.lines),
        captions=tuple(replace(each, at=move(each.at)) for each in drawing.captions),
    )


def _box(step: Step, runs: Sequence[StepRunRecord], yet: str, corner: Point, size: Size, *, holds: bool) -> Box:
    loudest = min(runs, key=lambda run: _TOLD_FIRST.index(run.status), default=None)
    look = look_of(loudest) if loudest is not None else Look.IDLE
    anchor = loudest.path if loudest is not None else None
    return Box(step.id, step.name or step.id, step.kind, look, _words(runs) or yet, corner, size, anchor, holds)


def _words(runs: Sequence[StepRunRecord]) -> str:
    counted = Counter(step_words_of(run) for run in runs)
    if len(runs) <= 1:
        return next(iter(counted), "")
    return ", ".join(f"{count} {words}" for words, count in counted.most_common(3))


def path_of(points: Iterable[Point]) -> str:
    """A line's points as the `d` of an SVG path: bent between layers, straight through them."""
    return " ".join(_pieces(list(points)))


def _pieces(points: list[Point]) -> Iterator[str]:
    (x, y), *rest = points
    yield f"M{x:.1f} {y:.1f}"
    for place, (to_x, to_y) in enumerate(rest):
        if place % 2:
            yield f"L{to_x:.1f} {to_y:.1f}"
        else:
            middle = (y + to_y) / 2
            yield f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
