"""The graph of a runbook's steps: who follows whom. Pure functions over `needs`, which name siblings only.

A scope is one list of steps: the main steps, a cleanup section, or a block of a container. Each is a graph by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from engine.definition.model import Runbook, Step

Needs = Mapping[str, Iterable[str]]


def successors_in(steps: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """For every step of a scope, the steps that wait for it, in the file's order."""
    found: dict[str, list[str]] = {step.id: [] for step in steps}
    for step in steps:
        for need in step.needs:
            found[need].append(step.id)
    return {step_id: tuple(following) for step_id, following in found.items()}


def ancestors_in(steps: Sequence[Step]) -> dict[str, frozenset[str]]:
    """For every step of a scope, all its siblings that end before it starts."""
    return ancestors_of({step.id: step.needs for step in steps})


def successors(runbook: Runbook) -> dict[str, tuple[str, ...]]:
    """As `successors_in`, for the main steps."""
    return successors_in(runbook.steps)


def ancestors(runbook: Runbook) -> dict[str, frozenset[str]]:
    """As `ancestors_in`, for the main steps."""
    return ancestors_in(runbook.steps)


def cycle(needs: Needs) -> list[str] | None:
    """A ring of steps that wait for each other, the first named again at the end, or None."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return None


def ancestors_of(needs: Needs) -> dict[str, frozenset[str]]:
    """As `ancestors_in`, over any `needs` without a cycle."""
    found: dict[str, frozenset[str]] = {}
    for step_id in TopologicalSorter(needs).static_order():
        direct = frozenset(needs.get(step_id, ()))
        found[step_id] = direct.union(*(found[need] for need in direct))
    return found


def all_successors(runbook: Runbook) -> dict[str, tuple[str, ...]]:
    """For every step of the file, the steps beside it that wait for it: main, cleanup, branches and loops."""
    lists = [runbook.steps, runbook.on_failure, runbook.finally_]
    lists += [inner for step in runbook.by_id.values() for inner in step.blocks.values()]
    return {step_id: following for siblings in lists for step_id, following in successors_in(siblings).items()}
