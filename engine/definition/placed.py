"""Every step of a runbook with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.definition.kinds import Treatment, kind_of
from engine.definition.model import Runbook, Step
from engine.definition.parameter_options import KEY, parameter_of
from engine.definition.schema import Path
from storage.records import Json


@dataclass(frozen=True, slots=True)
class Placed:
    """A step with its paths in the file. `in_loop` says that it may run more than once."""

    step: Step
    path: Path
    with_path: Path
    is_undo: bool = False
    in_loop: bool = False


def every_step(runbook: Runbook) -> Iterator[Placed]:
    """All steps of a runbook, inner ones and what undoes them included, after the calls that ask for choices."""
    for each in runbook.lookups:
        options: Path = ("parameters", "properties", parameter_of(each), KEY)
        yield Placed(each, options, options)
    if runbook.is_webhook:
        yield Placed(runbook.steps[0], (), ("webhook",))
        return
    for section, steps in (("steps", runbook.steps), ("on_failure", runbook.on_failure), ("finally", runbook.finally_)):
        yield from _placed(steps, (section,), in_loop=False)


def dry_run_of(placed: Placed) -> Iterator[Placed]:
    """The call in check mode of a step, if it has one, where the file says what is laid over its `with`."""
    if placed.step.dry_run is not None:
        yield replace(placed, step=placed.step.dry_run.step, with_path=(*placed.path, "dry_run"))


def _placed(steps: Sequence[Step], path: Path, *, in_loop: bool) -> Iterator[Placed]:
    for index, step in enumerate(steps):
        here: Path = (*path, index)
        yield Placed(step, here, (*here, "with"), in_loop=in_loop)
        if step.undo:
            yield Placed(step.undo, (*here, "undo"), (*here, "undo", "with"), is_undo=True)
        for block, inner in step.blocks.items():
            yield from _placed(inner, (*here, "with", block), in_loop=in_loop or kind_of(step).repeats)


def readers(placed: Placed) -> Iterator[tuple[Path, Json, bool]]:
    """Every place of a step that reads something, with what it says and whether that is a condition."""
    kind = kind_of(placed.step)
    yield (*placed.path, "if"), placed.step.condition, True
    yield (*placed.path, "outputs"), dict(placed.step.outputs), False
    for key, value in placed.step.with_.items():
        if kind.treatment(key) is not Treatment.FIXED:
            yield (*placed.with_path, key), value, kind.treatment(key) is Treatment.CONDITION
