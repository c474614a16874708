"""Which gates stand before a step, and which steps a gate shows: pure functions over a runbook, asked once a version.

A gate stands before a step along `needs`, around it (before a branch or loop that it is in) and inside what it needs.
What a `runbook` step starts may hold gates too; only whoever sees the other runbook knows, so such a step is listed
beside the gates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from engine.definition import graph
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook, Step
from storage.records import Json


def holders(step: Step) -> Iterator[Step]:
    """The gates and `runbook` steps in a step: itself, or what stands somewhere in its branches or rounds."""
    kind = kind_of(step)
    if kind.is_gate or kind.starts_run:
        yield step
    for block in step.blocks.values():
        for inner in block:
            yield from holders(inner)


def before(runbook: Runbook) -> dict[str, tuple[str, ...]]:
    """By the id of each step, the ids of the steps that end before it and are, hold or may start a gate.

    Those are its own ancestors and those of the branches and loops around it; each stands in the same list as the step
    or as one of these. An `undo` reverses what ran, and has none.
    """
    ancestors = {step_id: found for each in _lists(runbook) for step_id, found in graph.ancestors_in(each).items()}
    may_hold = {step_id for step_id, step in runbook.by_id.items() if any(holders(step))}
    return {
        step_id: tuple(each for around in _around(runbook, step_id) for each in sorted(ancestors[around] & may_hold))
        for step_id in ancestors
    }


def shown_by(runbook: Runbook, gate: Step, goes_past: Callable[[Step], bool]) -> list[Step]:
    """The steps that a gate releases and therefore shows, in the file's order: what follows, up to the next gate.

    One that the run `goes_past` does not end it. What follows the branch or loop that the gate stands in follows the
    gate too. Inner steps are shown in their own.
    """
    successors = graph.all_successors(runbook)
    seen: set[str] = set()
    waiting = list(_around(runbook, gate.id))
    while waiting:
        for each in successors[waiting.pop()]:
            if each not in seen:
                seen.add(each)
                following = runbook.by_id[each]
                if not kind_of(following).is_gate or goes_past(following):
                    waiting.append(each)
    return [step for step in runbook.by_id.values() if step.id in seen]


def shows(runbook: Runbook) -> dict[str, tuple[str, ...]]:
    """By the id of each step, the ids of the gates that show it, by itself or in a branch or loop.

    Those that only show it where the run goes past every gate between them, by its condition, are among them.
    """
    found: dict[str, list[str]] = {step_id: [] for step_id in runbook.by_id}
    for gate in runbook.by_id.values():
        if kind_of(gate).is_gate:
            for step in shown_by(runbook, gate, lambda each: each.condition is not None):
                for each in with_inner(step):
                    found[each.id].append(gate.id)
    return {step_id: tuple(gates) for step_id, gates in found.items()}


def readers(runbook: Runbook, step_ids: Iterable[str]) -> set[str]:
    """These steps and all whose doing or outputs may come from theirs: who reads them, who reads those, and so on.

    A branch or loop hands on what its inner steps came to, and these what it goes over.
    """
    found = set(step_ids)
    while True:
        more = {step.id for step in runbook.by_id.values() if found & _read(runbook, step)} - found
        if not more:
            return found
        found |= more


def _read(runbook: Runbook, step: Step) -> set[str]:
    texts = [step.with_, step.condition, dict(step.outputs)]
    named = {match for text in _texts(texts) for match in _STEP.findall(text)}
    inner = {each.id for block in step.blocks.values() for each in block}
    holder = runbook.container_of.get(step.id)
    return named | inner | ({holder[0]} if holder else set())


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


_STEP = re.compile(r"\bsteps\s*(?:\.\s*|\[\s*['\"])([A-Za-z0-9_-]+)")
"""A step that a template or condition names; more than that may look like one, which only makes it safer."""


def _lists(runbook: Runbook) -> list[tuple[Step, ...]]:
    inner = [block for step in runbook.by_id.values() for block in step.blocks.values()]
    return [runbook.steps, runbook.on_failure, runbook.finally_, *inner]


def _around(runbook: Runbook, step_id: str) -> Iterator[str]:
    """The step itself, and the containers around it, innermost first."""
    yield step_id
    while (holder := runbook.container_of.get(step_id)) is not None:
        step_id = holder[0]
        yield step_id


def with_inner(step: Step) -> Iterator[Step]:
    """A step and all that stand somewhere in its branches or rounds."""
    yield step
    for block in step.blocks.values():
        for inner in block:
            yield from with_inner(inner)
