"""Which steps and ways of a runbook a case has gone: `step:` ran, `if:` both ways, `branch:` and `loop:` each way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.definition.kinds import kind_of
from engine.definition.model import Runbook, Step
from engine.orchestration.skip_rules import CONDITION_NOT_MET
from storage.records import StepRunRecord
from storage.states import StepStatus

_RAN = (StepStatus.SUCCESS, StepStatus.FAILED, StepStatus.CANCELLED)
_SETTLED = ("true", "false")
"""Conditions that hold always or never have one way only."""


def points(runbook: Runbook) -> list[str]:
    """Everything that can be covered, in the order of the file."""
    return [point for step in runbook.by_id.values() for point in _points_of_step(step)]


def in_words(point: str) -> str:
    """A point for people: "`switch` is never run"."""
    kind, step, way = (*point.split(":"), "")[:3]
    return {
        "step": f"`{step}` is never run",
        "if": f"`if` of `{step}` is never {way}",
        "branch": f"`{step}` never takes `{way}`",
        "loop": f"`{step}` never has {_ROUNDS.get(way, way)}",
    }[kind]


_ROUNDS = {"zero": "no round", "one": "one round", "many": "several rounds"}


def points_of(runbook: Runbook, rows: Iterable[StepRunRecord]) -> frozenset[str]:
    """What one run has covered."""
    return frozenset(point for row in rows for point in _covered(runbook.by_id[row.step_id], row))


def _is_open(step: Step) -> bool:
    return step.condition is not None and str(step.condition).strip().lower() not in _SETTLED


def _points_of_step(step: Step) -> Iterator[str]:
    yield f"step:{step.id}"
    if _is_open(step):
        yield from (f"if:{step.id}:{way}" for way in ("true", "false"))
    kind = kind_of(step)
    if kind.repeats:
        yield from (f"loop:{step.id}:{way}" for way in _ROUNDS)
    elif kind.is_container:
        yield f"branch:{step.id}:then"
        if step.with_["if"] is not True:  # as it is of a template, which is always taken
            yield f"branch:{step.id}:else"


def _covered(step: Step, row: StepRunRecord) -> Iterator[str]:
    if row.status is StepStatus.SKIPPED and row.note == CONDITION_NOT_MET and _is_open(step):
        yield f"if:{step.id}:false"
    if row.status not in _RAN or row.started_at is None:
        return
    yield f"step:{step.id}"
    if _is_open(step):
        yield f"if:{step.id}:true"
    kind = kind_of(step)
    if kind.repeats:
        yield f"loop:{step.id}:{('zero', 'one')[row.rounds] if row.rounds < 2 else 'many'}"
    elif kind.is_container and isinstance(row.items, dict):
        yield f"branch:{step.id}:{row.items['taken']}"
